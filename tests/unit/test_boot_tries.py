"""A boot is retried with the policy `retry` after a transient failure; each failure is stated once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from whence_agent.boot.image import ImageUntrusted
from whence_agent.boot.storage import VolumeMissing
from whence_agent.boot.tries import BootTries
from whence_agent.machine.protocol import MachineFailed
from whence_agent.ports import MetadataUnavailable, RegistryRefused
from whence_agent.progress.boot_progress import Tries
from whence_agent.progress.progress import Progress
from whence_agent.progress.stage import StageFailed
from whence_agent.settings import parse_settings
from whence_agent.status.document import state_of, status_document, what_to_do
from whence_common.backoff import Backoff
from whence_common.problems import Problem
from whence_common.settings_file import SettingsInvalid
from whence_common.user_data.lifecycle import OnFailure


def tries() -> BootTries:
    return BootTries(backoff=Backoff(first_seconds=10.0, longest_seconds=600.0, random=lambda: 1.0))


def failure(code: str = "registry-unreachable", *, transient: bool = True, message: str = "HTTP 503") -> StageFailed:
    problem = Problem(severity="error", code=code, line=0, column=0, path="", message=message, fix="")
    return StageFailed("image", (problem,), transient=transient)


def progress() -> Progress:
    now = datetime(2026, 11, 26, tzinfo=UTC)
    return Progress(now=lambda: now, monotonic=lambda: 100.0, boot_id="b", started_at="2026-11-26T00:00:00.000Z")


def test_pauses_grow_from_ten_seconds_to_ten_minutes() -> None:
    ones = tries()
    pauses = [ones.failed(failure(), policy="retry", ending="")[0] for _ in range(8)]
    assert pauses == [10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 600.0, 600.0]


@pytest.mark.parametrize("policy", ["hold", "terminate", "unhealthy"])
def test_only_the_policy_retry_tries_again(policy: OnFailure) -> None:
    assert tries().failed(failure(), policy=policy, ending="") == (None, "")


def test_a_permanent_error_is_not_retried_and_the_reason_is_stated() -> None:
    said = tries().failed(failure(transient=False), policy="retry", ending="")
    assert said == (None, "not tried again: the error is permanent for this user data")


def test_a_machine_that_is_being_drained_is_not_tried_again() -> None:
    said = tries().failed(failure(), policy="retry", ending="spot: terminate")
    assert said == (None, "not tried again: spot: terminate")


def test_a_repeated_failure_is_stated_once_even_if_its_message_varies() -> None:
    ones = tries()
    assert ones.is_new(failure(message="not done within 120 seconds and 9 tries"))
    assert not ones.is_new(failure(message="not done within 120 seconds and 11 tries"))
    assert ones.is_new(failure("registry-refused"))
    assert not ones.is_new(failure())


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (MetadataUnavailable("metadata-unreachable", "HTTP 503"), True),
        (RegistryRefused("registry-image-unknown", "no such image", retryable=False), False),
        (VolumeMissing("volume-elsewhere", "attached as another device", retryable=False), False),
        (ImageUntrusted("image-unsigned", "none has signed it"), False),
        (MachineFailed("device-in-use", "it is in use"), False),
        (MachineFailed("machine-helper-away", "it does not answer", retryable=True), True),
        (OSError(28, "No space left on device"), True),
        (TimeoutError(), True),
    ],
)
async def test_a_failure_states_whether_it_is_transient(error: Exception, transient: bool) -> None:
    with pytest.raises(StageFailed) as failed:
        async with progress().boot.stage("image", seconds_max=30):
            raise error
    assert failed.value.transient is transient


async def failed_once(told: Progress) -> None:
    with pytest.raises(StageFailed) as failed:
        async with told.boot.stage("image", seconds_max=30):
            raise RegistryRefused("registry-unreachable", "registry.example.org: HTTP 503", fix="see whether it runs")
    told.boot.record_observed(replace(told.boot.observed, problems=failed.value.problems))
    told.boot.state = "failed"


async def test_the_status_states_the_time_and_number_of_the_next_try() -> None:
    told = progress()
    await failed_once(told)
    told.boot.tries = Tries(number=2, next_at="2026-11-26T00:05:00.000Z")
    assert state_of(told) == (
        "failed",
        [
            "boot failed at stage image: registry.example.org: HTTP 503 (see whether it runs); "
            "next try at 2026-11-26T00:05:00.000Z, try 3"
        ],
    )
    assert what_to_do(told, "failed") == "see whether it runs; the boot is tried again automatically"
    told.watched.ending = "spot: terminate"
    assert status_document(told)["next_try_at"] is None
    assert state_of(told)[1][-1] == "drained: spot: terminate"


async def test_another_try_starts_clean_and_states_how_the_previous_one_failed() -> None:
    told = progress()
    await failed_once(told)
    told.watched.engine_error = "a container may still run: the Docker Engine does not answer"
    assert told.watched.engine_error in state_of(told)[1]
    told.start_again()
    async with told.boot.stage("identity", seconds_max=30):
        document = status_document(told)
    assert (document["state"], document["tries"], document["problems"]) == ("booting", 2, [])
    assert [one["name"] for one in document["stages"]] == ["identity"]
    assert document["reasons"] == [
        "stage identity since 2026-11-26T00:00:00.000Z",
        "try 2; the previous one failed at image: registry.example.org: HTTP 503 (see whether it runs)",
    ]


def test_the_pause_between_tries_is_bounded_by_a_setting() -> None:
    with pytest.raises(SettingsInvalid) as refused:
        parse_settings(b"aggregator_url: https://whence.example.org\nretry_pause_seconds_max: 0\n", name="agent.yaml")
    assert "retry_pause_seconds_max must be more than 0" in refused.value.diagnostics()
