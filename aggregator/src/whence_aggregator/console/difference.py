"""Two versions, images or instances side by side: what differs, and the commits between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from whence_aggregator.console.deployments import moments_of
from whence_aggregator.console.lineage_rows import counted
from whence_aggregator.console.link_words import GAPS, link_name, short_value
from whence_aggregator.console.page import Visit, WebPage, given

_FIELDS = ("a", "b", "at", "and_at")
_STATES = (*GAPS, "asserted", "confirmed")


async def show_diff(visit: Visit) -> WebPage:
    """Show what differs; without two sides, a form that asks for them."""
    chosen = moments_of(visit.chosen(*_FIELDS))
    if chosen["a"] is None:
        return WebPage(template="diff_form.html", title="Compare", section="changes", values={"chosen": chosen})
    found = await visit.ask.get("/v1/diff", given(chosen))
    return WebPage(
        template="diff.html",
        title="Compare",
        section="changes",
        values={
            "found": found, "chosen": chosen, "a": side_name(found["a"]), "b": side_name(found["b"]),
            **verdict_of_difference(found), "rows": [_row(one) for one in found["links"]],
            "same": [link_name(one) for one in found["same"]],
        },
    )  # fmt: skip


def side_name(side: Mapping[str, Any]) -> str:
    """Return what a side is called: its version, its image's beginning, or its instance."""
    subject = side["subject"]
    if subject.get("application"):
        return f"{subject['application']} {subject.get('version', '')}".strip()
    return str(subject.get("instance") or subject.get("image") or side["instance_id"])[:24]


def verdict_of_difference(found: Mapping[str, Any]) -> dict[str, str]:
    """Return the state and the sentence: what is worse on the second side decides."""
    a, b = side_name(found["a"]), side_name(found["b"])
    commits = found["commits"]
    if found["equal"]:
        known = "nothing differs" if not found["not_known"] else "nothing differs that was compared"
        return {"state": "quiet", "sentence": f"{a} and {b}: {known}", "why": ""}
    between = "commits between them are not known"
    if commits["state"] == "found":
        between = counted(len(commits["only_b"]), "commit", commits["cut"]) + " came"
        between += f", {len(commits['only_a'])} went" if commits["only_a"] else ""
    elif commits["state"] == "same":
        between = "the same commit"
    worse = [one for one in found["links"] if _rank(one["b"]) < _rank(one["a"])]
    worst = min((str(one["b"]["state"]) for one in worst_links(worse)), key=_STATES.index, default="quiet")
    names = [f"{link_name(one['link'])} was {one['a']['state']} and is {one['b']['state']}" for one in worse]
    differ = f"{len(found['links'])} of {len(found['links']) + len(found['same'])} compared links differ."
    why = f"{differ} {'; '.join(names)}." if names else differ
    return {"state": worst if worst in GAPS else "quiet", "sentence": f"{a} to {b}: {between}", "why": why}


def worst_links(links: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the links whose second side is a gap."""
    return [one for one in links if one["b"]["state"] in GAPS]


def _rank(side: Mapping[str, Any]) -> int:
    state = str(side["state"])
    return _STATES.index(state) if state in _STATES else len(_STATES)


def _compared(side: Mapping[str, Any]) -> str:
    """Return what a side of a link holds; a comparison names tickets and reviews, without what is known of them."""
    if side["link"] in ("ticket", "review"):
        value = side["value"] or {}
        names = value.get("tickets") if side["link"] == "ticket" else value.get("reviews")
        return ", ".join(map(str, names or ())) or short_value({**side, "value": None})
    found = short_value(side)
    return f"{found}, with changes that are in no commit" if (side["value"] or {}).get("dirty") is True else found


def _row(one: Mapping[str, Any]) -> dict[str, Any]:
    """Return a link that differs: both sides, and whether the second is worse."""
    sides = [{**one[side], "link": one["link"], "evidence": []} for side in ("a", "b")]
    return {
        "name": link_name(one["link"]),
        "sides": [
            {"state": str(side["state"]), "value": _compared(side), "reason": str(side["reason"] or "")}
            for side in sides
        ],
        "is_worse": _rank(one["b"]) < _rank(one["a"]) and one["b"]["state"] in GAPS,
    }
