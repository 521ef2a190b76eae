"""How boots in bad weather are judged: the bench must not call wrong what is right, nor right what is wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from fakes.weather import KINDS, Climate, Fault, Forecast
from landscape.weather_verdict import Seen, judge

START = datetime(2026, 11, 26, 12, 0, 0, tzinfo=UTC)
KEPT = [(1, "sha256:one")]


def forecast(*, kind: Any = "registry", how: str = "503", lasts: float = 30.0, stage_seconds: float = 20.0) -> Forecast:
    return Forecast(number=3, faults=(Fault(kind=kind, how=how, starts=0.0, lasts=lasts),), stage_seconds=stage_seconds)


def failed(message: str, *, seconds: float = 20.0, **changes: Any) -> Seen:
    """A boot whose image stage began a second after the start."""
    since = f"2026-11-26T12:00:{1 + seconds:06.3f}+00:00"
    problem = {"severity": "error", "code": "c", "message": message, "fix": ""}
    status = {
        "state": "failed", "since": since, "instance": {"instance_id": "i-1"}, "problems": [problem],
        "stages": [{"name": "image", "outcome": "failed", "seconds": seconds, "reason": message}],
    }  # fmt: skip
    seen: dict[str, Any] = {"kept": KEPT, "ledger": [(1, "sha256:one", "failed")], "stated": message, **changes}
    return Seen(status=status, started_at=START, seconds=1 + seconds, **seen)


def ok(**changes: Any) -> Seen:
    seen: dict[str, Any] = {"kept": KEPT, "ledger": [(1, "sha256:one", "boot")], **changes}
    status = {"state": "ok", "instance": {"instance_id": "i-1"}}
    return Seen(status=status, started_at=START, seconds=3.0, **seen)


def test_a_boot_that_is_ok_and_whose_statements_arrived_is_right() -> None:
    assert judge(forecast(), ok()) == ("ok", "")


def test_a_failure_that_names_the_fault_of_its_time_is_right() -> None:
    said = "HTTP 503 from the registry"
    assert judge(forecast(), failed(said)) == ("true cause", said)


def test_a_failure_that_names_something_else_is_wrong() -> None:
    verdict, why = judge(forecast(), failed("the Docker Engine does not answer"))
    assert (verdict, why) == (
        "wrong cause",
        "stage image names none of ['registry']: the Docker Engine does not answer",
    )


def test_a_failed_statement_must_name_the_cause_too() -> None:
    assert judge(forecast(), failed("HTTP 503 from the registry", stated="not done in time"))[0] == "wrong cause"


def test_failing_long_before_a_deadline_that_the_fault_does_not_reach_is_giving_up() -> None:
    verdict, why = judge(forecast(stage_seconds=90.0), failed("HTTP 503 from the registry", seconds=1.7))
    assert verdict == "gave up"
    assert why == (
        "stage image failed 2.7 s after the start; its deadline was at 91.0 s, and the last fault was over at 30.0 s: "
        "HTTP 503 from the registry"
    )


def test_a_fault_just_before_the_deadline_leaves_no_time_for_a_last_try() -> None:
    said = "HTTP 503 from the registry"
    assert judge(forecast(lasts=15.0), failed(said))[0] == "true cause"
    assert judge(forecast(lasts=4.0), failed(said))[0] == "gave up"


def test_silence_costs_the_bound_of_a_whole_try() -> None:
    said = "the registry does not answer"
    assert judge(forecast(how="silence", lasts=30.0, stage_seconds=60.0), failed(said, seconds=50.0))[0] == "true cause"


def test_a_failed_boot_that_leaves_its_container_is_wrong() -> None:
    verdict, why = judge(forecast(), failed("HTTP 503 from the registry", containers=["whence-weather-3"]))
    assert (verdict, why) == ("wrong cause", "the boot failed, and yet whence-weather-3 runs")


def test_a_statement_that_was_made_and_is_not_in_the_ledger_is_lost() -> None:
    verdict, why = judge(forecast(), ok(kept=[(1, "sha256:one"), (2, "sha256:two")]))
    assert (verdict, why) == ("lost", "made, and not in the ledger: statements 2")


def test_a_boot_whose_end_was_never_stated_has_lost_a_statement() -> None:
    assert judge(forecast(), ok(ledger=[(1, "sha256:one", "change")]))[0] == "lost"


def test_a_machine_that_never_knew_who_it_is_has_nothing_to_state() -> None:
    seen = failed("the metadata service does not answer", kept=(), ledger=(), stated="")
    seen.status["instance"] = None
    assert judge(forecast(kind="metadata"), seen)[0] == "true cause"


def test_a_boot_that_is_tried_again_must_end_well_and_name_each_failure() -> None:
    again = replace(forecast(), on_failure="retry")
    before = failed("HTTP 503 from the registry").status
    assert judge(again, ok(before=[before])) == ("ok", "")
    assert judge(again, ok(before=[failed("the Docker Engine is away").status]))[0] == "wrong cause"
    assert judge(again, failed("HTTP 503 from the registry"))[0] == "gave up"


def test_the_time_of_cleaning_up_after_a_failure_is_not_the_stages() -> None:
    said = "HTTP 503 from the registry"
    late = failed(
        said, seconds=2.0, began={"2026-11-26T12:00:45.000+00:00": datetime(2026, 11, 26, 12, 0, 9, tzinfo=UTC)}
    )
    late.status["since"] = "2026-11-26T12:00:45.000+00:00"
    assert judge(forecast(), late) == ("true cause", said)


def test_a_boot_that_is_neither_ok_nor_failed_hangs() -> None:
    seen = Seen(status={"state": "degraded", "reasons": ["x"]}, started_at=START, seconds=99.0)
    assert judge(forecast(), seen) == ("hung", "after 99 s it is degraded: ['x']")


def test_an_agent_that_never_answered_hangs() -> None:
    assert judge(forecast(), Seen(status={}, started_at=START, seconds=99.0))[0] == "hung"


def test_a_seed_and_a_number_give_the_same_weather_again() -> None:
    climate = Climate()
    assert climate.forecast(7, 12) == climate.forecast(7, 12)
    assert climate.forecast(7, 12) != climate.forecast(8, 12)
    drawn = [climate.forecast(7, number) for number in range(200)]
    assert {fault.kind for one in drawn for fault in one.faults} == set(KINDS)
    assert {(fault.kind, fault.how) for one in drawn for fault in one.faults} == {
        (kind, how) for kind, hows in KINDS.items() for how in hows
    }
    assert all(1.0 <= fault.lasts <= 60.0 for one in drawn for fault in one.faults)
