"""The life of an instance: its events and runs, and where they stand in the band."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fakes.instance_answers import statement, whole_answer
from whence_aggregator.console.headline import headline
from whence_aggregator.console.life_band import LifeBand, life_band, run_at
from whence_aggregator.console.life_events import life_events, life_runs, life_silences

_NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


def _lived(*statements: dict[str, Any], **lineage: object) -> dict[str, Any]:
    answer = whole_answer()
    answer["lineage"] |= lineage
    answer["statements"] = sorted(statements, key=lambda one: -one["ledger_index"])
    next(one for one in answer["lineage"]["links"] if one["link"] == "instance")["value"]["bindings"] = []
    return answer


def _silence(begin: str, end: str | None, *, ended: str | None = "heard", proved: bool = False) -> dict[str, Any]:
    return {
        "since": f"2026-11-27T{begin}:00.000Z", "until": f"2026-11-27T{end}:00.000Z" if end else None,
        "ended": ended if end else None, "proved": proved, "ledger_index": 20, "ended_index": 21 if end else None,
    }  # fmt: skip


_BOOT = statement(index=10, recorded_at="2026-11-27T02:00:00.000Z")
_SAME = statement(index=11, recorded_at="2026-11-27T03:00:00.000Z", cause="change")
_OTHER = statement(index=12, recorded_at="2026-11-27T04:00:00.000Z", cause="change", image="b")
_STOP = statement(index=13, recorded_at="2026-11-27T06:00:00.000Z", cause="stop", image="b")
_FAILED = statement(index=14, recorded_at="2026-11-27T07:00:00.000Z", cause="failed", image=None)


def _band(answer: dict[str, Any], **options: Any) -> LifeBand:
    events, runs = life_events(answer), life_runs(answer)
    shown = {
        "verdicts": {},
        "shown": answer["lineage"]["at"],
        "now": _NOW,
        "silences": life_silences(answer),
        **options,
    }
    found = life_band(events, runs, **shown)
    assert found is not None
    return found


def test_a_run_begins_with_a_boot_or_another_image_and_ends_with_the_next_a_stop_or_a_failure() -> None:
    runs = life_runs(_lived(_BOOT, _SAME, _OTHER, _STOP, _FAILED))
    assert [(run.begin[11:16], (run.end or "now")[11:16], run.digest[7:9], run.is_failed) for run in runs] == [
        ("02:00", "04:00", "aa", False), ("04:00", "06:00", "bb", False), ("07:00", "", "", True),
    ]  # fmt: skip


def test_a_run_ends_when_the_instance_ended_or_was_heard_last() -> None:
    ended = {"life": "terminated", "life_since": "2026-11-27T05:00:00.000Z"}
    assert life_runs(_lived(_BOOT, **ended))[0].end == "2026-11-27T05:00:00.000Z"
    silent = {"heard": "silent", "last_seen": "2026-11-27T05:30:00.000Z"}
    assert life_runs(_lived(_BOOT, **silent))[0].end == "2026-11-27T05:30:00.000Z"


def test_events_are_newest_first_with_what_was_recorded_about_each() -> None:
    late = statement(index=11, recorded_at="2026-11-27T05:00:00.000Z", cause="stop")
    late |= {"observed_at": "2026-11-27T03:00:00.000Z", "digest": None}
    events = life_events(_lived(_BOOT, late, _FAILED))
    assert [(one.what, one.why, one.form) for one in events] == [
        ("failed boot", "nothing runs", "failure"),
        ("stop", "image aaaaaaaaaaaa, recorded 2 h after it was made, its body was pruned", "event"),
        ("boot", "image aaaaaaaaaaaa", "event"),
    ]


def test_silence_keys_starts_and_changes_of_life_are_events() -> None:
    answer = _lived(_BOOT, heard="silent", last_seen="2026-11-27T05:30:00.000Z")
    link = next(one for one in answer["lineage"]["links"] if one["link"] == "instance")
    link["value"]["bindings"] = [{"number": 1, "proof": "document", "enrolled_at": "2026-11-27T01:59:00.000Z"}]
    answer["lineage"]["started_by"] |= {"value": {
        "event": "RunInstances", "event_id": "e", "at": "2026-11-27T01:50:00.000Z", "region": "eu-central-1",
        "by": {"type": "IAMUser"}, "person": {"name": "ada"}, "recorded_later": False}}  # fmt: skip
    answer["silences"] = [_silence("04:00", "04:30")]
    assert [(one.what, one.why, one.is_shown) for one in life_events(answer)] == [
        ("silent", "no heartbeat since", True),
        ("heard again", "agent-silent passes", True),
        ("silent", "for 30 min", True),
        ("boot", "image aaaaaaaaaaaa", True),
        ("enrolled", "key 1", False),
        ("started", "RunInstances by ada", False),
    ]


def test_the_band_places_runs_in_percent_from_the_first_event_to_now() -> None:
    answer = _lived(_BOOT, _OTHER, _FAILED)
    band = _band(answer, verdicts={0: headline(answer["lineage"])}, shown="2026-11-27T07:00:00.000Z")
    assert [(bar.x, bar.width, bar.sign, bar.label) for bar in band.bars] == [
        (0.0, 20.0, "confirmed", "aaaaaaaa, complete"), (20.0, 30.0, "quiet", "bbbbbbbb"),
        (50.0, 50.0, "missing", "boot failed"),
    ]  # fmt: skip
    assert (band.shown_x, band.at_end) == (50.0, False)
    assert [tick.label for tick in band.ticks] == ["03:00", "06:00", "09:00"]
    assert [mark.form for mark in band.marks] == ["event", "event", "failure"]


def test_silences_that_ended_are_gaps_with_the_entries_that_state_them() -> None:
    answer = _lived(_BOOT, _OTHER)
    answer["silences"] = [
        _silence("09:00", None), _silence("07:00", "08:00", ended="gone", proved=True), _silence("03:00", "03:30"),
    ]  # fmt: skip
    assert [(gap.x, gap.width) for gap in _band(answer).gaps] == [(10.0, 5.0), (50.0, 10.0)]
    events = [one for one in life_events(answer) if one.what in ("silent", "heard again")]
    assert [(one.at[11:16], one.what, one.why, one.ledger_index) for one in events] == [
        ("07:00", "silent", "for 60 min, running in a listing", 20),
        ("03:30", "heard again", "agent-silent passes", 21),
        ("03:00", "silent", "for 30 min", 20),
    ]


def test_silence_is_a_gap_from_the_last_heartbeat_to_now() -> None:
    answer = _lived(_BOOT, heard="silent", last_seen="2026-11-27T07:00:00.000Z")
    band = _band(answer)
    assert [(gap.x, gap.width) for gap in band.gaps] == [(50.0, 50.0)]
    assert [(bar.x, bar.width) for bar in band.bars] == [(0.0, 50.0)]


def test_a_life_of_years_or_of_no_time_has_a_few_ticks_and_stays_within_the_band() -> None:
    old = statement(index=10, recorded_at="2006-01-01T00:00:00.000Z")
    assert 1 <= len(_band(_lived(old)).ticks) <= 8
    young = statement(index=10, recorded_at="2026-11-27T12:00:00.000Z")
    bars = _band(_lived(young)).bars
    assert [(bar.x, bar.width) for bar in bars] == [(0.0, 100.0)]
    future = statement(index=10, recorded_at="2026-11-27T13:00:00.000Z")
    assert all(0 <= mark.x <= 100 for mark in _band(_lived(young, future)).marks)


def test_without_an_event_there_is_no_band() -> None:
    assert life_band([], [], {}, shown="", now=_NOW) is None


def test_the_run_shown_is_the_newest_that_began_by_then() -> None:
    runs = life_runs(_lived(_BOOT, _OTHER))
    assert run_at(runs, "2026-11-27T03:59:59.999Z") == 0
    assert run_at(runs, "2026-11-27T04:00:00.000Z") == 1
    assert run_at(runs, "2026-11-27T01:00:00.000Z") is None
