"""Runs the stages of the table in their order, and records what they observed; no other module does so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from whence_agent.boot.adoption import AdoptedContainers
from whence_agent.boot.identity import Identified
from whence_agent.boot.image import ResolvedImages
from whence_agent.boot.pull import Pulled, StatedSource
from whence_agent.boot.run import RunningContainers
from whence_agent.boot.stage import Observation, ObservedSoFar, Stage, StageHandle
from whence_agent.boot.user_data import Judged, JudgedDocument
from whence_agent.progress.progress import Progress
from whence_agent.progress.stage import StageProgress
from whence_agent.settings import Settings
from whence_agent.stage_table import STAGES, Phase, StageRow, row_of
from whence_common.user_data.judge import UserData

_OF_USER_DATA: Mapping[str, Callable[[UserData], float]] = {
    "health_check_timeout_seconds": lambda user_data: float(
        user_data.health_check.timeout_seconds if user_data.health_check is not None else 0
    )
}
"""Deadlines that user data sets, by its key."""


class BringUp:
    """Runs stages under their deadlines. `stages` are those of the table, in its order."""

    def __init__(self, *, settings: Settings, progress: Progress, stages: Sequence[Stage]) -> None:
        assert [one.name for one in stages] == [row.name for row in STAGES], "stages differ from the table"
        self._settings = settings
        self._progress = progress
        self._stages = stages

    async def run(self, phase: Phase, so_far: ObservedSoFar) -> ObservedSoFar:
        """Run a phase's stages in their order; return all observations so far. Raises StageFailed."""
        for row, stage in zip(STAGES, self._stages, strict=True):
            if row.phase == phase:
                so_far = await self.step(stage, so_far)
        return so_far

    async def step(self, stage: Stage, so_far: ObservedSoFar) -> ObservedSoFar:
        """Run one stage under its deadline, if user data needs it. Raises StageFailed."""
        row = row_of(stage.name)
        visible = so_far.only(row.needs)
        if not stage.is_wanted(visible):
            return so_far
        async with self._progress.boot.stage(row.name, seconds_max=self._seconds_max(row, visible)) as shown:
            found = await stage.run(visible, self._handle(shown))
            record(found, self._progress)
            self._progress.boot.record_outcome(shown, note=found.note, deferred=found.deferred)
        return so_far.adding(row.name, found)

    def _handle(self, shown: StageProgress) -> StageHandle:
        def part(seconds_max: float) -> AbstractAsyncContextManager[None]:
            return self._progress.boot.part(shown, seconds_max=seconds_max)

        return StageHandle(stage=shown, observed=lambda found: record(found, self._progress), part=part)

    def _seconds_max(self, row: StageRow, so_far: ObservedSoFar) -> float:
        seconds = self._settings.deadline_seconds(row)
        if row.user_data:
            seconds += _OF_USER_DATA[row.user_data](so_far.of(Judged).user_data)
        return seconds


def record(found: Observation, progress: Progress) -> None:
    """Record what a stage observed, for the status and for statements."""
    boot, watched = progress.boot, progress.watched
    match found:
        case Identified():
            boot.record_observed(replace(boot.observed, identity=found.identity, identity_blob=found.signature))
        case JudgedDocument():
            boot.record_observed(
                replace(boot.observed, user_data=found.facts, problems=found.problems, quotes=found.quotes)
            )
        case ResolvedImages():
            boot.record_observed(replace(boot.observed, image=found.main.facts))
        case StatedSource():
            boot.record_observed(replace(boot.observed, scm_source=found.facts))
        case Pulled():
            boot.record_observed(replace(boot.observed, scm_source=found.source))
        case AdoptedContainers():
            boot.record_observed(replace(boot.observed, image=found.image, scm_source=found.scm_source))
            watched.record_drift(found.drift)
    if isinstance(found, Judged):
        boot.record_observed(replace(boot.observed, application=found.application))
    if isinstance(found, RunningContainers):
        if found.application is not None:
            watched.record_container(found.application, main=True)
        for facts in found.sidecars.values():
            watched.record_container(facts, main=False)
