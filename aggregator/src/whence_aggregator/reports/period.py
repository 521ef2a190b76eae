"""What became of violations over a period, by their steps: each number is that of rows and of entries. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

StateThen = Literal["none", "open", "acknowledged", "exempted", "fixed"]
"""`none`: it was not seen yet. One that is acknowledged or exempted is open too: its fault is there."""
UNFIXED: tuple[StateThen, ...] = ("open", "acknowledged", "exempted")
COUNTED = ("opened", "reopened", "fixed", "acknowledged", "exempted", "expired", "unconfirmed")
"""The steps that a report counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodStep:
    """A step of a violation: an entry of the log. `comment` is a person's, or the reason."""

    ledger_index: int
    step: str
    at: str
    by: str = ""
    comment: str = ""
    exemption: str = ""
    exempt_until: str = ""
    """When the exemption was to end, as it was granted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepsOfViolation:
    """A violation, and its steps in the order of the log."""

    id: str
    rule: str
    severity: int
    kind: str
    subject: str
    application_id: str
    account_id: str
    team: str
    steps: Sequence[PeriodStep]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoodThen:
    """How a violation stood at a moment. `unconfirmed`: whether it was not known if the fault was still there."""

    state: StateThen
    unconfirmed: bool = False
    entry: int | None = None
    """The newest step by then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ViolationOverPeriod:
    """A violation that was open when the period began, or took a step within."""

    violation: StepsOfViolation
    before: StoodThen
    after: StoodThen
    within: Sequence[PeriodStep]


@dataclass(frozen=True, slots=True, kw_only=True)
class ViolationsOverPeriod:
    """All of them. `cut`: whether there are more steps than a report reads."""

    violations: Sequence[ViolationOverPeriod] = ()
    cut: bool = False

    @property
    def counts(self) -> dict[str, int]:
        """Return the numbers: what was open at first, the steps within, and what was open in the end.

        What was open, and was opened and reopened, and was not fixed, is what is open in the end.
        """
        steps = Counter(step.step for one in self.violations for step in one.within)
        return {
            "open_at_start": sum(one.before.state in UNFIXED for one in self.violations),
            **{name: steps[name] for name in COUNTED},
            "open_at_end": sum(one.after.state in UNFIXED for one in self.violations),
            "exempted_at_end": sum(one.after.state == "exempted" for one in self.violations),
            "unconfirmed_at_end": sum(one.after.unconfirmed for one in self.violations),
        }


def over_period(found: Iterable[StepsOfViolation], *, since: str, until: str) -> list[ViolationOverPeriod]:
    """Return what became of violations from an instant, included, to another, not included."""
    shown = []
    for one in found:
        before, after = stood(one.steps, since), stood(one.steps, until)
        within = [step for step in one.steps if since <= step.at < until]
        if within or before.state in UNFIXED:
            shown.append(ViolationOverPeriod(violation=one, before=before, after=after, within=within))
    return sorted(shown, key=lambda each: (each.violation.severity, each.violation.rule, each.violation.subject))


def stood(steps: Sequence[PeriodStep], moment: str) -> StoodThen:
    """Return how a violation stood just before a moment. An exemption that has expired by then counts for nothing."""
    state: StateThen = "none"
    acknowledged = unconfirmed = False
    exempt_until, entry = "", None
    for one in (step for step in steps if step.at < moment):
        entry = one.ledger_index
        if one.step in ("opened", "reopened", "fixed", "expired"):
            acknowledged, exempt_until = False, ""
            unconfirmed = unconfirmed and one.step == "expired"
            state = "fixed" if one.step == "fixed" else "open"
        elif one.step in ("acknowledged", "unacknowledged"):
            acknowledged = one.step == "acknowledged"
        elif one.step in ("exempted", "unexempted"):
            exempt_until = one.exempt_until if one.step == "exempted" else ""
        elif one.step in ("unconfirmed", "confirmed"):
            unconfirmed = one.step == "unconfirmed"
    if state == "open":
        state = "exempted" if exempt_until > moment else "acknowledged" if acknowledged and not exempt_until else "open"
    return StoodThen(state=state, unconfirmed=unconfirmed, entry=entry)
