"""The list of instances: filters stand in the address, pages follow the API's cursor, each row has its strip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from whence_aggregator.console.ages import ago
from whence_aggregator.console.chain import LinkStrip, mini
from whence_aggregator.console.form_times import asked_moment
from whence_aggregator.console.headline import ENDED, ChainSign
from whence_aggregator.console.link_words import GAPS, listed
from whence_aggregator.console.page import Visit, WebPage

FIELDS: Sequence[tuple[str, str]] = (
    ("team", "Team"), ("application", "Application"), ("version", "Version"), ("account", "Account"),
    ("region", "Region"), ("image", "Image digest"), ("commit", "Commit"), ("ticket", "Ticket"), ("ami", "AMI"),
)  # fmt: skip
"""Filters that are typed, by the API's names."""
STATES: Sequence[tuple[str, str]] = (
    ("now", "run now"), ("any", "any"), ("silent", "silent"), ("never", "no heartbeat yet"), ("stopped", "stopped"),
    ("terminated", "terminated"), ("unknown", "not known to EC2"),
)  # fmt: skip
_STATED: Mapping[str, tuple[str, str]] = {
    "any": ("is known", "are known"),
    "silent": ("is silent", "are silent"),
    "never": ("has sent no heartbeat yet", "have sent no heartbeat yet"),
    "stopped": ("is stopped", "are stopped"),
    "terminated": ("is terminated", "are terminated"),
    "unknown": ("has no state by the EC2 API", "have no state by the EC2 API"),
}
"""By a state, what the instances do: one of them, and several."""
CAUSES: Sequence[tuple[str, str]] = (
    ("", "any"), ("boot", "boot"), ("change", "change"), ("stop", "stop"), ("failed", "failed boot"),
)  # fmt: skip
_HEARD = {"speaking": "heard", "silent": "silent", "never": "never heard"}
_ROWS = "25"
KEPT = ("user_data", "since", "until")
"""Filters without a field, which the form keeps."""
_FILTERS = (*(name for name, _ in FIELDS), "state", "cause", *KEPT)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceRow:
    """One instance of the list: the API's row, its strip, and the verdict on its chain."""

    row: Mapping[str, Any]
    sign: ChainSign
    word: str
    strip: LinkStrip | None


async def show_instances(visit: Visit) -> WebPage:
    """Show the instances that match the filters in the address."""
    wanted = asked_filters(visit)
    if not visit.visitor.reads_all and "team" not in wanted and visit.visitor.teams:
        wanted["team"] = min(visit.visitor.teams)
    at = asked_moment(visit.query.get("at"))
    then = {"at": at} if at is not None else {}
    cursor = visit.query.get("cursor")
    after = {"cursor": cursor} if cursor else {}
    answer = await visit.ask.get("/v1/instances", {**wanted, **then, **after, "links": "true", "limit": _ROWS})
    rows = [instance_row(one) for one in answer["instances"]]
    whole = answer["next"] is None and not cursor
    return WebPage(
        template="instances.html",
        title="Instances",
        section="instances",
        values={
            "rows": rows, "sentence": sentence(wanted, len(rows), whole=whole, then=at is not None),
            "why": counts(rows),
            "wanted": wanted, "parameters": {**wanted, **then}, "next": answer["next"], "at": answer["at"],
            "is_then": at is not None, "known_at": answer["known_at"], "fields": FIELDS, "states": STATES,
            "causes": CAUSES, "kept": KEPT, "teams": sorted(visit.visitor.teams or ()), "ago": ago,
            "further": bool(cursor),
        },
    )  # fmt: skip


def asked_filters(visit: Visit) -> dict[str, str]:
    """Return the filters of the address: those without a value are those that a form left empty."""
    found = {name: visit.query.get(name, "").strip() for name in _FILTERS}
    return {name: text for name, text in found.items() if text and (name, text) != ("state", "now")}


def instance_row(row: Mapping[str, Any]) -> InstanceRow:
    """Return a row with its verdict. A chain that could not be traced is unknown."""
    lineage = row["lineage"]
    if lineage is None:
        return InstanceRow(row=row, sign="unknown", word="not traced", strip=None)
    links = lineage["links"]
    strip = mini([{"link": name, "state": state} for name, state in links.items()])
    sign, word = _verdict(row, lineage)
    return InstanceRow(row=row, sign=sign, word=word, strip=strip)


def _verdict(row: Mapping[str, Any], lineage: Mapping[str, Any]) -> tuple[ChainSign, str]:
    """Return sign and word, as the instance's own page has them."""
    if row["cause"] == "failed":
        return "missing", "failed boot"
    states = {lineage["links"].get(name) for name in lineage["gaps"]}
    signs: Mapping[str, ChainSign] = {"contradicted": "contradicted", "missing": "missing", "unknown": "unknown"}
    for state in GAPS:
        if state in states:
            return signs[state], state
    if not lineage["complete"]:
        return ("missing", "not complete") if lineage["gaps"] else ("unknown", "not checked")
    if row.get("heard") in ("silent", "never") and row["life"] not in ENDED and row["cause"] != "stop":
        return "unknown", "silent" if row["heard"] == "silent" else "never heard"
    return "confirmed", "complete"


def sentence(wanted: Mapping[str, str], count: int, *, whole: bool, then: bool = False) -> str:
    """Return what the page lists, with the number of instances if it lists all of them."""
    named = {name: text for name, text in wanted.items() if name not in ("state", "cause")}
    which = listed([f"{'AMI' if name == 'ami' else name.replace('_', ' ')} {text}" for name, text in named.items()])
    of = f" of {which}" if which else ""
    cause = f" and last reported {wanted['cause']}" if "cause" in wanted else ""
    state = wanted.get("state", "now")
    words = _state_words(state)
    now = ("ran then", "ran then") if then else ("runs now", "run now")
    one, several = now if state == "now" else _STATED.get(state, (f"is {words}", f"are {words}"))
    if not whole:
        return f"Instances{of} that {several}{cause}"
    if count > 1:
        return f"{count:,} instances{of} {several}{cause}"
    return f"{count or 'No'} instance{of} {one}{cause}"


def _state_words(state: str) -> str:
    """Return several states in words: of life and of hearing, one of each kind that is named holds."""
    found = state.split(",")
    lives = [word for word in found if word not in _HEARD]
    heard = [_HEARD[word] for word in found if word in _HEARD]
    return " and ".join(" or ".join(kind) for kind in (lives, heard) if kind)


def counts(rows: Sequence[InstanceRow]) -> str:
    """Return how many of the page's instances have which verdict, the worst first."""
    if not rows:
        return ""
    order = ("contradicted", "missing", "unknown", "confirmed")
    words = sorted({(order.index(one.sign), one.word) for one in rows})
    return ", ".join(f"{sum(one.word == word for one in rows)} {word}" for _, word in words) + "."
