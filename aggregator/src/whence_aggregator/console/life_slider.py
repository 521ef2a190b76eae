"""The slider over the life of an instance: even steps from its first event to now, and where each leads. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from whence_aggregator.console.ages import moment
from whence_aggregator.console.life_events import LifeEvent
from whence_common.clock import to_instant
from whence_common.errors import InputError

_STEPS_MAX = 400
_UNITS = (
    (1, "seconds"), (10, "units of 10 seconds"), (60, "minutes"), (300, "units of 5 minutes"),
    (900, "units of 15 minutes"), (3600, "hours"), (21_600, "units of 6 hours"), (86_400, "days"),
    (604_800, "weeks"), (2_592_000, "units of 30 days"),
)  # fmt: skip
_MARKS_MAX = 60
_DIGITS_MAX = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class SliderMark:
    """A step at which events are shown, named after the newest of them."""

    step: int
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeSlider:
    """The steps 0 to `last` after `since`, each of `every` seconds; `last` is now, and `shown` is the moment shown."""

    since: str
    until: str
    every: int
    unit: str
    last: int
    shown: int
    marks: Sequence[SliderMark]


def life_slider(events: Sequence[LifeEvent], *, shown: str, now: datetime, is_now: bool) -> LifeSlider | None:
    """Return the slider over the life that the band shows; None without an event."""
    begin = min((found for one in events if (found := moment(one.at)) is not None), default=None)
    if begin is None:
        return None
    span = max((now - begin).total_seconds(), 1.0)
    every, unit = next((one for one in _UNITS if span / one[0] <= _STEPS_MAX), _UNITS[-1])
    last = _step(now, begin, every) or 1
    at = moment(shown)
    marks = {_step(found, begin, every): one.what for one in reversed(events) if (found := moment(one.at)) is not None}
    return LifeSlider(
        since=to_instant(begin), until=to_instant(now.astimezone(UTC)), every=every, unit=unit, last=last,
        shown=last if is_now or at is None else min(max(_step(at, begin, every), 0), last - 1),
        marks=[SliderMark(step=step, what=what) for step, what in sorted(marks.items())[-_MARKS_MAX:] if step < last],
    )  # fmt: skip


def slid_to(query: Mapping[str, str], events: Sequence[LifeEvent], *, now: datetime) -> str | None:
    """Return the moment that a slider was set to: the newest event within the step, else its end; None for now.

    Raises InputError for what no slider sends.
    """
    begin = moment(query.get("since", ""))
    every, step, last = numbers = [query.get(name, "") for name in ("every", "step", "last")]
    if begin is None or not all(one.isdecimal() and one.isascii() and len(one) <= _DIGITS_MAX for one in numbers):
        raise _invalid()
    try:
        end = begin + int(step) * timedelta(seconds=int(every))
        after = end - timedelta(seconds=int(every))
    except OverflowError:
        raise _invalid() from None
    if end >= now or int(step) >= int(last):  # the right end stays now, however long the page was open
        return None
    within = [one.at for one in events if one.is_shown and (at := moment(one.at)) is not None and after < at <= end]
    return max(within, default=to_instant(end))


def _step(at: datetime, begin: datetime, every: int) -> int:
    """Return the first step that is not before a time."""
    return -((begin - at) // timedelta(seconds=every))


def _invalid() -> InputError:
    return InputError(
        "parameter-malformed",
        "invalid moment of the slider",
        fix="open the page of the instance, and choose a moment there",
    )
