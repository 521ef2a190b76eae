"""Transient errors are retried until the stage's deadline; a permanent error ends the stage at once."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from whence_agent.patience import Patience
from whence_agent.ports import RegistryRefused
from whence_agent.progress.progress import Progress
from whence_agent.progress.stage import StageFailed
from whence_agent.settings import parse_settings
from whence_agent.status.document import status_document
from whence_common.backoff import Backoff
from whence_common.settings_file import SettingsInvalid

PATIENCE = Patience(backoff=Backoff(first_seconds=0.001, longest_seconds=0.002, random=lambda: 0.5))
AWAY = RegistryRefused("registry-unreachable", "registry.example.org: HTTP 503", fix="see whether it runs")


def progress(monotonic: Callable[[], float] = lambda: 100.0) -> Progress:
    now = datetime(2026, 11, 26, tzinfo=UTC)
    return Progress(now=lambda: now, monotonic=monotonic, boot_id="b", started_at="2026-11-26T00:00:00Z")


class Side:
    """A service that fails so many times."""

    def __init__(self, failures: int, error: Exception = AWAY) -> None:
        self.failures, self.error, self.asked = failures, error, 0

    async def once(self) -> str:
        self.asked += 1
        if self.asked <= self.failures:
            raise self.error
        return "an answer"


async def test_a_service_that_fails_fifty_times_is_retried_until_it_answers() -> None:
    told, side = progress(), Side(50)
    async with told.boot.stage("image", seconds_max=30) as stage:
        found = await PATIENCE.keep_trying(side.once, stage, waiting_for="the registry registry.example.org")
    assert (found, side.asked) == ("an answer", 51)
    assert (stage.outcome, stage.reason, stage.waiting_for) == ("done", "", "")


async def test_a_permanent_error_ends_the_stage_with_the_first_try() -> None:
    told = progress()
    side = Side(50, RegistryRefused("registry-image-unknown", "no such image", retryable=False))
    with pytest.raises(StageFailed) as failure:
        async with told.boot.stage("image", seconds_max=30) as stage:
            await PATIENCE.keep_trying(side.once, stage, waiting_for="the registry")
    assert (side.asked, failure.value.problems[0].code) == (1, "registry-image-unknown")


async def test_a_deadline_before_any_answer_names_the_service() -> None:
    told = progress()
    with pytest.raises(StageFailed) as failure:
        async with told.boot.stage("image", seconds_max=0.05) as stage:
            await PATIENCE.keep_trying(asyncio.Event().wait, stage, waiting_for="the registry registry.example.org")
    assert failure.value.problems[0].message == (
        "image: not done within 0.05 seconds: the registry registry.example.org has not answered"
    )


async def test_a_deadline_after_an_answer_names_no_service() -> None:
    told = progress()

    async def answered_and_busy() -> None:
        async with told.boot.stage("image", seconds_max=0.05) as stage:
            await PATIENCE.keep_trying(Side(0).once, stage, waiting_for="the registry registry.example.org")
            await asyncio.Event().wait()

    with pytest.raises(StageFailed) as failure:
        await answered_and_busy()
    assert failure.value.problems[0].message == "image: not done within 0.05 seconds"


async def test_a_deadline_during_retries_states_the_error_of_the_last_try() -> None:
    told, side = progress(), Side(10**9)
    with pytest.raises(StageFailed) as failure:
        async with told.boot.stage("image", seconds_max=0.05) as stage:
            await PATIENCE.keep_trying(side.once, stage, waiting_for="the registry")
    (problem,) = failure.value.problems
    assert (problem.code, problem.fix) == ("registry-unreachable", "see whether it runs")
    assert problem.message.startswith("image: not done within 0.05 seconds and ")
    assert problem.message.endswith(" tries: registry.example.org: HTTP 503")


async def test_the_status_states_the_awaited_service_and_the_time_left() -> None:
    clock = itertools.chain([100.0], itertools.repeat(136.0))
    told = progress(lambda: next(clock))
    async with told.boot.stage("image", seconds_max=120) as stage:
        stage.wait_for("the registry registry.example.org", attempt=3, error=AWAY)
        status = status_document(told)
    assert status["reasons"] == [
        "stage image since 2026-11-26T00:00:00.000Z",
        "waiting for the registry registry.example.org, try 3, 84 s left: "
        "registry.example.org: HTTP 503 (see whether it runs)",
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("{imaeg: 5}", "stage_seconds_max: 'imaeg' is not one of identity, user-data, enrol"),
        ("{image: 0}", "stage_seconds_max.image must be more than 0 and at most 86400"),
        ("{image: .inf}", "stage_seconds_max.image must be more than 0 and at most 86400"),
        ("{image: .nan}", "stage_seconds_max.image must be more than 0 and at most 86400"),
        ("{image: soon}", "stage_seconds_max"),
    ],
)
def test_an_invalid_deadline_ends_the_start(given: str, said: str) -> None:
    content = f"aggregator_url: https://whence.example.org\nstage_seconds_max: {given}\n".encode()
    with pytest.raises(SettingsInvalid) as refused:
        parse_settings(content, name="agent.yaml")
    assert said in refused.value.diagnostics()


def test_a_deadline_of_the_settings_replaces_the_default() -> None:
    content = b"aggregator_url: https://whence.example.org\nstage_seconds_max: {image: 300}\n"
    settings = parse_settings(content, name="agent.yaml")
    assert (settings.stage_seconds("image"), settings.stage_seconds("pull")) == (300.0, 900.0)
