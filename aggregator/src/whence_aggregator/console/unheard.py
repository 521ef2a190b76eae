"""The page about an instance of which no answer exists: none by a time, or none ever."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from whence_aggregator.console.ages import shown_time
from whence_aggregator.console.frame import part
from whence_aggregator.console.link_pairs import LinkPair
from whence_aggregator.console.page import Visit, WebPage

_NEVER_SPOKE = "agent-silent"


async def unheard_page(visit: Visit, instance_id: str, at: str | None, current: Mapping[str, Any] | None) -> WebPage:
    """Return the page. Raises ApiRefused if nothing about the instance is there, or not for the visitor to see."""
    if current is not None and at is not None:
        return _not_yet(instance_id, at, current)
    listed = await visit.ask.find("/v1/violations", {"instance": instance_id})
    found = next((one for one in listed["violations"] if one["rule"] == _NEVER_SPOKE), None) if listed else None
    if found is None:
        await visit.ask.get(f"/v1/instances/{part(instance_id)}", {"at": at} if at is not None else {})
        raise AssertionError("the API found what it did not find before")
    account = str(found["account_id"] or "")
    return _unheard(
        instance_id,
        sentence=f"Never heard: {instance_id} runs, and its agent has never reported",
        why=f"{str(found['reason'])[0].upper()}{str(found['reason'])[1:]}. What runs on it is not known.",
        what_to_do=str(found["remedy"]),
        facts=[
            LinkPair(name="Instance", value=instance_id, form="code"),
            LinkPair(name="Account", value=account, path=f"/accounts/{part(account)}"),
            LinkPair(name="Region", value=str(found["region"] or "")),
            LinkPair(name="Counted as silent since", value=str(found["since"]), form="time"),
        ],
        word="never heard",
    )


def _not_yet(instance_id: str, at: str, current: Mapping[str, Any]) -> WebPage:
    """Return the page for a time by which nothing was recorded."""
    first = min((str(one["recorded_at"]) for one in current["statements"]), default="")
    return _unheard(
        instance_id,
        sentence=f"Not heard yet: nothing about {instance_id} was recorded by {shown_time(at)}",
        why="What ran on it then is not known.",
        what_to_do="show it as it is now, or at a later moment",
        facts=[
            LinkPair(name="Instance", value=instance_id, form="code", path=f"/instances/{part(instance_id)}"),
            LinkPair(name="Oldest statement listed", value=first, form="time"),
        ],
        word="not heard yet",
    )


def _unheard(
    instance_id: str, *, sentence: str, why: str, what_to_do: str, facts: list[LinkPair], word: str
) -> WebPage:
    return WebPage(
        template="unheard.html",
        title=f"{instance_id}: {word}",
        section="instances",
        values={
            "sentence": sentence, "why": why, "to_do": what_to_do, "facts": [one for one in facts if one.value],
        },
    )  # fmt: skip
