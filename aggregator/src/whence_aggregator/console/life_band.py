"""The life of an instance as a band: where its runs, silences and events stand, in percent of its width. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from whence_aggregator.console.ages import moment
from whence_aggregator.console.headline import Headline
from whence_aggregator.console.life_events import EventForm, LifeEvent, LifeRun, LifeSilence
from whence_aggregator.console.link_words import short_digest
from whence_common.clock import to_instant

_TICKS_MAX = 8
_STEPS = (
    *(timedelta(minutes=one) for one in (1, 5, 15, 30)),
    *(timedelta(hours=one) for one in (1, 3, 6, 12)),
    *(timedelta(days=one) for one in (1, 2, 7, 14, 30, 90, 180, 365, 1825)),
)
_LABELLED_FROM_PERCENT = 9.0
"""A narrower bar has no label: the table below has it."""
_TEXT_AT_END_FROM_PERCENT = 60.0
_MARKS_MAX = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class BandBar:
    x: float
    width: float
    sign: str
    """The state of the chain; `quiet` where it is not shown."""
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BandMark:
    x: float
    form: EventForm
    event: LifeEvent
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BandTick:
    x: float
    label: str
    is_minor: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LifeBand:
    """The whole band. `shown_x` is where the moment shown stands, and `at_end` whether its text ends there."""

    ticks: Sequence[BandTick]
    bars: Sequence[BandBar]
    gaps: Sequence[BandBar]
    marks: Sequence[BandMark]
    shown_x: float
    at_end: bool


def life_band(
    events: Sequence[LifeEvent],
    runs: Sequence[LifeRun],
    verdicts: Mapping[int, Headline],
    *,
    shown: str,
    now: datetime,
    silences: Sequence[LifeSilence] = (),
) -> LifeBand | None:
    """Return the band from the first event to now; None without an event. `verdicts` is by the number of the run."""
    begin = min((found for one in events if (found := moment(one.at)) is not None), default=None)
    if begin is None:
        return None
    scale = _Scale(begin, max(now.astimezone(UTC), begin + timedelta(seconds=1)))
    bars = [_bar(run, verdicts.get(number), scale) for number, run in enumerate(runs)]
    gaps = [scale.bar(one.begin, one.end, "unknown", "silent") for one in silences]
    marks = [
        BandMark(x=scale.at(one.at), form=one.form, event=one, text=f"{one.what}{f', {one.why}' if one.why else ''}")
        for one in sorted(events[:_MARKS_MAX], key=lambda one: (one.form == "failure", one.at))
    ]
    shown_x = scale.at(shown)
    return LifeBand(
        ticks=scale.ticks(), bars=[one for one in bars if one.width > 0], gaps=[one for one in gaps if one.width > 0],
        marks=marks, shown_x=shown_x, at_end=shown_x > _TEXT_AT_END_FROM_PERCENT,
    )  # fmt: skip


def run_at(runs: Sequence[LifeRun], at: str) -> int | None:
    """Return the number of the run that the answer about a time is about: the newest that began by then."""
    numbers = [number for number, run in enumerate(runs) if run.begin <= at]
    return numbers[-1] if numbers else None


def _bar(run: LifeRun, verdict: Headline | None, scale: _Scale) -> BandBar:
    what = "boot failed" if run.is_failed else short_digest(run.digest)[:8] or "nothing runs"
    label = f"{what}, {verdict.word}" if verdict is not None and not run.is_failed else what
    sign = verdict.sign if verdict is not None else "missing" if run.is_failed else "quiet"
    return scale.bar(run.begin, run.end, sign, label)


class _Scale:
    """Maps instants to percent of the band."""

    def __init__(self, begin: datetime, end: datetime) -> None:
        self._begin, self._end = begin, end
        self._span = (end - begin).total_seconds()

    def at(self, text: str) -> float:
        found = moment(text) or self._end
        return round(min(max((found - self._begin).total_seconds() / self._span * 100, 0.0), 100.0), 2)

    def bar(self, begin: str, end: str | None, sign: str, label: str) -> BandBar:
        x = self.at(begin)
        width = round((self.at(end) if end is not None else 100.0) - x, 2)
        return BandBar(x=x, width=width, sign=sign, label=label if width >= _LABELLED_FROM_PERCENT else "")

    def ticks(self) -> Sequence[BandTick]:
        step = next((one for one in _STEPS if self._span / one.total_seconds() <= _TICKS_MAX), _STEPS[-1])
        form = "%d %b" if step >= timedelta(days=1) else "%H:%M"
        epoch = datetime(2000, 1, 1, tzinfo=UTC)
        first = epoch + ((self._begin - epoch) // step + 1) * step
        found = []
        for number in range(_TICKS_MAX):
            when = first + number * step
            if when < self._end:
                at = self.at(to_instant(when))
                found.append(BandTick(x=at, label=when.strftime(form), is_minor=number % 2 == 0))
        return found
