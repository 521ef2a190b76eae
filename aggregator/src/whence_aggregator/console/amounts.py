"""Numbers as people read them: amounts with their noun, shares, ages, and the course of a number over days. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_SPARK_HEIGHT, _SPARK_TOP = 19.0, 2.0


def amount(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun, as in `1 instance` and `1,204 instances`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def concerned(members: int | None, not_confirmed: int | None) -> str:
    """Return how many instances a violation concerns: those that fail, and those of which it is not known now."""
    if members is None:
        return ""
    if not not_confirmed:
        return amount(members, "instance")
    return f"{amount(members, 'instance')}, {not_confirmed:,} not confirmed"


def percent(part: int, whole: int) -> str:
    """Return a share in whole percent, which is 100 % and 0 % only if it is exactly that."""
    if whole <= 0:
        return ""
    rounded = round(100 * part / whole)
    if 0 < part < whole:
        rounded = min(99, max(1, rounded))
    return f"{rounded} %"


def age(seconds: float) -> str:
    """Return how long ago something was, in one unit; seconds are not counted, so that the text rests for a minute."""
    whole = max(0, int(seconds))
    for unit, name in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if whole >= 2 * unit or (whole >= unit and name == "min"):
            return f"{whole // unit} {name}"
    return "under 1 min"


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """A number over days: points of a line in a box of 100 by 20, and the same as a text."""

    points: str
    label: str


def course(days: Sequence[int | None], now: int) -> Course | None:
    """Return the course of a number to the one of now; None for a day without one. None if no day has one."""
    values = [*days, now]
    known = [(place, value) for place, value in enumerate(values) if value is not None]
    if len(known) < 2:
        return None
    most = max(value for _, value in known)
    step = 100 / (len(values) - 1)
    points = " ".join(
        f"{place * step:.0f},{_SPARK_HEIGHT - (_SPARK_HEIGHT - _SPARK_TOP) * (value / most if most else 0):.1f}"
        for place, value in known
    )
    missing = len(values) - len(known)
    without = f", {amount(missing, 'day')} without a snapshot" if missing else ""
    label = f"{len(days)} days: from {known[0][1]:,} to {now:,}, most {most:,}{without}"
    return Course(points=points, label=label)
