"""The life of a violation: which steps follow from what is seen of its fault, and which state they leave. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from whence_aggregator.projections.violation_rows import StoredViolation, after_step
from whence_aggregator.violations.exemption import Exemption, covering
from whence_aggregator.violations.group import Group

ShownState = Literal["open", "acknowledged", "exempted", "fixed", "reopened"]
SHOWN_STATES: tuple[ShownState, ...] = ("open", "acknowledged", "exempted", "fixed", "reopened")
ViolationStep = dict[str, Any]
"""The members of an entry of kind `violation-step`."""
GONE = (
    "no verdict and no finding states the fault any more, or it follows from a broken link that has its own violation"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What is known of a violation beside its group. An empty account: several, or none in particular."""

    application_id: str = ""
    account_id: str = ""
    team: str = ""
    severity: int
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedFault:
    """What is seen of a group's fault: that it is there, or that this is not known."""

    group: Group
    failing: bool
    since: str
    """When the oldest of the faults began; for one that is not known, since when that is so."""
    reason: str
    about: About


def next_steps(
    before: StoredViolation | None, observed: ObservedFault | None, *, now: str, exemptions: Sequence[Exemption] = ()
) -> list[ViolationStep]:
    """Return the steps that a violation takes now; `observed` is None where nothing states its fault."""
    steps: list[ViolationStep] = []
    one = before
    for step in (_by_fault(before, observed, now), _by_change(before, observed, now)):
        if step is not None:
            steps.append(step)
            one = after_step(one, -1, step)
    if one is None or not one.is_open:
        return steps
    for step in _by_exemption(one, exemptions, now):
        steps.append(step)
        one = after_step(one, -1, step)
    return steps


def shown_state(one: StoredViolation, now: str) -> ShownState:
    """Return the state at a moment. An exemption that has expired counts for nothing, with or without a step."""
    if not one.is_open:
        return "fixed"
    if one.exemption and one.exempt_until > now:
        return "exempted"
    if one.exemption:
        return "reopened"
    if one.acknowledged_at:
        return "acknowledged"
    return "reopened" if one.reopened else "open"


def step_of(step: str, one: StoredViolation | Group, *, at: str, by: str = "", **more: object) -> ViolationStep:
    """Return a step of a violation. Without `by` it is the aggregator's own."""
    account = one.account_id if isinstance(one, StoredViolation) else ""
    named = {"id": one.id, "rule": one.rule, "kind": one.kind, "subject": one.subject}
    return {"step": step, "violation": named, "account_id": account, "at": at, "by": by, **more}


def exempted(one: StoredViolation, exemption: Exemption, *, at: str) -> ViolationStep:
    stated = {"id": exemption.id, "until": exemption.until}
    return step_of(
        "exempted", one, at=at, by=exemption.granted_by, comment=exemption.reason, exemption=stated
    )  # fmt: skip


def unexempted(one: StoredViolation, *, at: str, by: str = "", comment: str) -> ViolationStep:
    return step_of("unexempted", one, at=at, by=by, comment=comment, exemption={"id": one.exemption})


def _by_fault(before: StoredViolation | None, observed: ObservedFault | None, now: str) -> ViolationStep | None:
    is_open = before is not None and before.is_open
    if observed is None:
        return step_of("fixed", before, at=now, reason=GONE) if before is not None and is_open else None
    if before is None or not is_open:
        if not observed.failing:
            return None  # what is not known is no violation
        step = step_of("opened" if before is None else "reopened", observed.group, at=now, reason=observed.reason)
        since = observed.since if before is None else max(observed.since, before.last_seen)
        about = asdict(observed.about)
        return {**step, "since": since, "account_id": observed.about.account_id, "about": about}
    if observed.failing:
        return step_of("confirmed", before, at=now, reason=observed.reason) if before.unconfirmed_since else None
    if before.unconfirmed_since:
        return None
    return step_of(
        "unconfirmed", before, at=now, reason=observed.reason, since=max(observed.since, before.since)
    )  # fmt: skip


def _by_change(before: StoredViolation | None, observed: ObservedFault | None, now: str) -> ViolationStep | None:
    """Return the step of an open violation that has another owner, severity, account or cause now."""
    if before is None or observed is None or not before.is_open:
        return None
    about = observed.about
    details = before.details
    is_ = about.team, about.severity, about.account_id, about.detail.get("source")
    more = set(about.detail.get("tokens", ())) - set(details.get("tokens", ()))
    if not more and is_ == (before.team, before.severity, before.account_id, details.get("source")):
        return None
    detail = {**about.detail, "tokens": sorted({*about.detail.get("tokens", ()), *details.get("tokens", ())})}
    step = step_of("changed", before, at=now, about={**asdict(about), "detail": detail})
    return {**step, "account_id": about.account_id}


def _by_exemption(one: StoredViolation, exemptions: Sequence[Exemption], now: str) -> list[ViolationStep]:
    steps = []
    if one.exemption:
        by_id = {each.id: each for each in exemptions}
        if one.exempt_until <= now:
            steps.append(step_of("expired", one, at=now, exemption={"id": one.exemption}))
        elif one.exemption not in by_id or not by_id[one.exemption].covers(one):
            steps.append(unexempted(one, at=now, comment="the exemption covers it no longer"))
        else:
            return []
    found = covering(one, exemptions, now=now)
    return steps if found is None else [*steps, exempted(one, found, at=now)]
