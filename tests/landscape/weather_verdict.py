"""What a boot in bad weather must do, and what one did: pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from fakes.weather import Forecast

Verdict = Literal["ok", "true cause", "wrong cause", "gave up", "hung", "lost"]
GOOD: tuple[Verdict, ...] = ("ok", "true cause")
HEALTH_SECONDS = 60.0
_FIXED_SECONDS = {"user-data": 10.0, "enrol": 15.0, "health": HEALTH_SECONDS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was seen of one boot. `status` is the last document; `seconds` passed until it was ok or failed for good."""

    started_at: datetime
    status: dict[str, Any]
    before: Sequence[dict[str, Any]] = ()
    """The status after each failure that another try of the boot followed."""
    seconds: float
    began: Mapping[str, datetime] = field(default_factory=dict)
    """When the stage that failed began, by the `since` of the status after it: that counts from the end of cleaning up."""
    starts: int = 1
    kept: Sequence[tuple[int, str]] = ()
    """Sequence and digest of each statement that the agent noted it made."""
    ledger: Sequence[tuple[int, str, str]] = ()
    """Sequence, digest and cause of each statement that the aggregator has."""
    stated: str = ""
    """The problems in the statement of cause `failed`."""
    containers: Sequence[str] = ()
    """Containers of this boot that run at its end."""
    log: str = field(default="", repr=False)


def judge(forecast: Forecast, seen: Seen) -> tuple[Verdict, str]:
    """Return how a boot went, and in words why that is so."""
    state = seen.status.get("state", "down")
    if state not in ("ok", "failed"):
        return "hung", f"after {seen.seconds:.0f} s it is {state}: {seen.status.get('reasons')}"
    if wrong := _lost(seen, state):
        return "lost", wrong
    for failure in seen.before:
        if wrong := _unnamed(forecast, seen, failure):
            return "wrong cause", wrong
    if state == "ok":
        return "ok", ""
    return _failed(forecast, seen)


def _lost(seen: Seen, state: str) -> str:
    there = {(sequence, digest) for sequence, digest, _ in seen.ledger}
    missing = sorted(set(seen.kept) - there)
    if missing:
        return f"made, and not in the ledger: statements {', '.join(str(sequence) for sequence, _ in missing)}"
    wanted = {"ok": "boot", "failed": "failed"}[state]
    known = seen.status.get("instance") is not None
    if known and wanted not in {cause for _, _, cause in seen.ledger}:
        return f"no statement of cause {wanted} is in the ledger"
    return ""


def _failed(forecast: Forecast, seen: Seen) -> tuple[Verdict, str]:
    if seen.containers:
        return "wrong cause", f"the boot failed, and yet {', '.join(seen.containers)} runs"
    found = _failed_stage(seen.status)
    if found is None:
        return "wrong cause", "no stage is shown as failed"
    began, failed_at = _times(seen, seen.status, found)
    name, reason = str(found["name"]), str(found["reason"])
    deadline = began + _FIXED_SECONDS.get(name, forecast.stage_seconds)
    if forecast.on_failure == "retry" or forecast.must_succeed(deadline=deadline):
        when = f"stage {name} failed {failed_at:.1f} s after the start; its deadline was at {deadline:.1f} s"
        return "gave up", f"{when}, and the last fault was over at {forecast.over:.1f} s: {reason}"
    wrong = _unnamed(forecast, seen, seen.status, *([seen.stated] if seen.stated else []))
    return ("wrong cause", wrong) if wrong else ("true cause", reason)


def _unnamed(forecast: Forecast, seen: Seen, status: dict[str, Any], *further: str) -> str:
    """Return what is wrong with the cause that a failure states: none of the faults of its stage's time; or nothing."""
    stage = _failed_stage(status)
    if stage is None:
        return "no stage is shown as failed"
    began, failed_at = _times(seen, status, stage)
    around = [fault for fault in forecast.faults if fault.starts <= failed_at and fault.ends >= began]
    problems = [one for one in status["problems"] if one["severity"] == "error"]
    for text in (str(stage["reason"]), text_of(problems), *further):
        if not any(fault.is_named_in(text) for fault in around):
            return f"stage {stage['name']} names none of {[fault.kind for fault in around]}: {text}"
    return ""


def _failed_stage(status: dict[str, Any]) -> dict[str, Any] | None:
    return next((one for one in status["stages"] if one["outcome"] == "failed"), None)


def _times(seen: Seen, status: dict[str, Any], stage: dict[str, Any]) -> tuple[float, float]:
    """Return when a failed stage began and ended, in seconds after the start of the agent."""
    since, seconds = datetime.fromisoformat(status["since"]), timedelta(seconds=float(stage["seconds"]))
    began = seen.began.get(status["since"], since - seconds) - seen.started_at
    return began.total_seconds(), (began + seconds).total_seconds()


def text_of(problems: Sequence[dict[str, Any]]) -> str:
    """Return what problems say to people, in one line."""
    return "; ".join(f"{one['code']} {one['message']} {one['fix']}" for one in problems)
