"""What is known to be true of the demo's instances, compared with their lineages."""

from __future__ import annotations

from typing import Any

from landscape.whole import Landscape
from whence_aggregator.trace.tickets import named_in

OWN = "whence-aggregator itself, built from this checkout"
"""The instance that runs our own image."""
OUR_TICKETS = "#{number}"
"""How this repository's own commits name their tickets."""
_MISTAKES = 5


def differences(title: str, lineage: dict[str, Any], scape: Landscape, *, dirty: bool = False) -> list[str]:
    """Compare a lineage with what is known to be true here; give what differs."""
    links = {link["link"]: link for link in lineage["links"]}
    states = {name: link["state"] for name, link in links.items()}
    expected: dict[str, str] = {"account": "asserted", "instance": "confirmed", "application": "confirmed"}
    wrong: list[str] = []
    if (links["instance"]["value"] or {}).get("proof") != "document+sts":
        wrong.append("the instance has not proved by STS that it is itself")
    if title in ("right", OWN):
        named = named_in(scape.sources.head_message, (OUR_TICKETS,)).tickets
        expected |= {"image": "confirmed", "source": "confirmed", "commit": "confirmed", "team": "confirmed"}
        expected |= {"account": "confirmed"}
        expected |= {"ticket": "asserted" if named else "missing", "specification": "asserted"}
        if dirty:
            expected["commit"] = "contradicted"
        if links["commit"]["value"] is None or links["commit"]["value"].get("commit") != scape.sources.head:
            wrong.append("the trace does not end at the commit that was cloned")
    elif title == "built from a dirty tree":
        expected |= {"image": "confirmed", "source": "asserted", "commit": "contradicted", "ticket": "asserted"}
    else:
        expected |= {"image": "missing", "source": "missing", "commit": "missing", "user_data": "asserted"}
        problems = (links["user_data"]["value"] or {}).get("problems", [])
        errors = [problem for problem in problems if problem["severity"] == "error"]
        count = _MISTAKES if title.startswith("five") else 1
        if len(errors) != count or not all(problem["line"] and problem["fix"] for problem in errors):
            wrong.append(f"{len(errors)} mistakes are named, not {count}")
    return wrong + [
        f"{name} is {states[name]}, not {state}" for name, state in expected.items() if states[name] != state
    ]
