"""What happened to an instance, and what ran on it from when to when, by the answer about it. Pure.

Times are the ledger's, because `at` asks for what was recorded by a time. A silence begins when the agent was heard
last, and ends with the verdict that states so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from whence_aggregator.console.ages import ago, seconds_between
from whence_aggregator.console.headline import has_ended
from whence_aggregator.console.link_words import by_name, short_digest, value_of

EventForm = Literal["event", "failure", "silence"]
_LATE_SECONDS = 60.0
"""A statement that is recorded later than this after it was made is named as delivered late."""
_CAUSES = {"boot": "boot", "change": "change", "stop": "stop", "failed": "failed boot"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeEvent:
    """One event. `is_shown`: an answer about that time exists, since a statement was recorded by then."""

    at: str
    what: str
    why: str = ""
    form: EventForm = "event"
    ledger_index: int | None = None
    is_shown: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeRun:
    """What ran from when to when; `end` is None for what runs now. `digest` is empty where nothing ran."""

    begin: str
    end: str | None
    digest: str
    is_failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeSilence:
    """From when to when the agent was silent; `end` is None for a silence that lasts."""

    begin: str
    end: str | None


def life_events(answer: Mapping[str, Any]) -> Sequence[LifeEvent]:
    """Return the events of an instance, the newest first."""
    statements = [_by_statement(one) for one in answer["statements"]]
    first = min((one.at for one in statements), default="")
    others = [*_of_lineage(answer["lineage"], first), *_of_silences(answer.get("silences") or (), first)]
    return sorted([*statements, *others], key=lambda one: (one.at, one.ledger_index or 0), reverse=True)


def _by_statement(statement: Mapping[str, Any]) -> LifeEvent:
    cause = str(statement["cause"])
    digest = short_digest(statement["image_digest"])
    parts = [f"image {digest}"] if digest else ["nothing runs"] if cause in ("failed", "boot") else []
    delay = seconds_between(statement["observed_at"], statement["recorded_at"])
    if delay is not None and delay > _LATE_SECONDS:
        parts.append(f"recorded {ago(statement['observed_at'], statement['recorded_at'])} after it was made")
    if statement["digest"] is None:
        parts.append("its body was pruned")
    return LifeEvent(
        at=str(statement["recorded_at"]), what=_CAUSES.get(cause, cause), why=", ".join(parts),
        form="failure" if cause == "failed" else "event", ledger_index=statement["ledger_index"],
    )  # fmt: skip


def _of_lineage(lineage: Mapping[str, Any], first: str) -> Iterator[LifeEvent]:
    """Yield events that the lineage states: new keys, who started it, a change of life, and the silence of now."""
    for key in value_of(by_name(lineage), "instance").get("bindings") or ():
        at = str(key.get("enrolled_at") or "")
        yield LifeEvent(at=at, what="enrolled", why=f"key {key.get('number')}", is_shown=bool(first) and at >= first)
    start = lineage["started_by"]["value"]
    if start is not None:
        person = (start.get("person") or {}).get("name") or (start.get("by") or {}).get("arn") or ""
        why = f"{start['event']}{f' by {person}' if person else ''}"
        yield LifeEvent(
            at=str(start["at"]), what="started", why=why, is_shown=bool(first) and str(start["at"]) >= first
        )
    if lineage["life_since"]:
        yield LifeEvent(at=str(lineage["life_since"]), what=str(lineage["life"]), why="by the EC2 API")
    if _is_silent(lineage):
        yield LifeEvent(at=str(lineage["last_seen"]), what="silent", why="no heartbeat since", form="silence")


def _of_silences(silences: Sequence[Mapping[str, Any]], first: str) -> Iterator[LifeEvent]:
    """Yield the begin of each silence that ended, and its end where the agent was heard again."""
    for one in silences:
        since, until = str(one["since"]), str(one["until"] or "")
        if not until:
            continue  # the lineage states the one that lasts
        proved = ", running in a listing" if one["proved"] else ""
        yield LifeEvent(
            at=since, what="silent", why=f"for {ago(since, until) or '0 s'}{proved}", form="silence",
            ledger_index=one["ledger_index"], is_shown=bool(first) and since >= first,
        )  # fmt: skip
        if one["ended"] == "heard":
            yield LifeEvent(
                at=until, what="heard again", why="agent-silent passes", ledger_index=one["ended_index"],
                is_shown=bool(first) and until >= first,
            )  # fmt: skip


def life_silences(answer: Mapping[str, Any]) -> Sequence[LifeSilence]:
    """Return when the agent was silent, the oldest first, with the silence of now."""
    lineage = answer["lineage"]
    found = [
        LifeSilence(begin=str(one["since"]), end=str(one["until"]))
        for one in reversed(answer.get("silences") or ()) if one["until"]
    ]  # fmt: skip
    if _is_silent(lineage):
        found.append(LifeSilence(begin=str(lineage["last_seen"]), end=None))
    return found


def _is_silent(lineage: Mapping[str, Any]) -> bool:
    return lineage["heard"] == "silent" and bool(lineage["last_seen"]) and not has_ended(lineage)


def life_runs(answer: Mapping[str, Any]) -> Sequence[LifeRun]:
    """Return what ran, the oldest first. A change that leaves the image as it is begins no run of its own."""
    found: list[LifeRun] = []
    current: LifeRun | None = None

    def close(end: str | None) -> None:
        if current is not None:
            found.append(LifeRun(begin=current.begin, end=end, digest=current.digest, is_failed=current.is_failed))

    for one in sorted(answer["statements"], key=lambda one: (one["recorded_at"], one["ledger_index"])):
        at, digest, cause = str(one["recorded_at"]), str(one["image_digest"] or ""), str(one["cause"])
        if cause == "change" and current is not None and current.digest == digest:
            continue
        close(at)
        current = None if cause == "stop" else LifeRun(begin=at, end=None, digest=digest, is_failed=cause == "failed")
    close(_end_of(answer["lineage"]))
    return found


def _end_of(lineage: Mapping[str, Any]) -> str | None:
    """Return when the last run ended, or was last known to run; None if it runs now."""
    if lineage["life"] in ("stopped", "terminated") and lineage["life_since"]:
        return str(lineage["life_since"])
    if lineage["heard"] == "silent" and lineage["last_seen"]:
        return str(lineage["last_seen"])
    return None
