"""A disk that is full for a time is named and waited for, and the refused writes are retried."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.agent_world import World
from fakes.weather import Fault
from fakes.weather_roads import SmallDisk
from landscape.supervised import small_disk
from whence_agent.patience import Patience
from whence_agent.progress.stage import StageFailed
from whence_agent.report.disk_road import DiskFull, full_disk_as_retryable
from whence_agent.status.document import status_document
from whence_common.backoff import Backoff
from whence_common.runtime.files import write_durably

PATIENCE = Patience(backoff=Backoff(first_seconds=0.001, longest_seconds=0.002, random=lambda: 0.5))
FULL = Fault(kind="disk", how="full", starts=0.0, lasts=1.0)


@pytest.fixture
async def directory(tmp_path: Path) -> AsyncIterator[Path]:
    async with small_disk(tmp_path / "disk", kibibytes=256) as found:
        yield found


@pytest.mark.root
async def test_a_write_to_a_full_disk_names_its_file_and_leaves_nothing(directory: Path) -> None:
    disk = SmallDisk(directory)
    await disk.begin(FULL)
    with pytest.raises(OSError, match=rf"No space left on device: '{directory}/taupage.yaml'"):
        write_durably(directory / "taupage.yaml", b"x" * 10_000, mode=0o600)
    assert [path.name for path in directory.iterdir()] == ["filler"]


@pytest.mark.root
async def test_a_stage_waits_for_disk_space_and_shows_it(directory: Path, tmp_path: Path) -> None:
    disk, world, shown = SmallDisk(directory), World(tmp_path), list[str]()
    await disk.begin(FULL)

    async def once() -> None:
        shown.extend(status_document(world.progress)["reasons"])
        if len(shown) > 2:
            await disk.end(FULL)
        with full_disk_as_retryable(str(directory)):
            write_durably(directory / "taupage.yaml", b"x" * 10_000, mode=0o600)

    async with world.progress.boot.stage("run", seconds_max=30) as stage:
        await PATIENCE.keep_trying(once, stage, waiting_for=f"the disk of {directory}")
    assert (directory / "taupage.yaml").stat().st_size == 10_000
    assert shown[2].startswith(
        f"waiting for the disk of {directory}, try 2, 30 s left: the disk of {directory} is full"
    )


@pytest.mark.root
async def test_a_disk_that_stays_full_is_the_stated_cause_of_the_failure(directory: Path, tmp_path: Path) -> None:
    await SmallDisk(directory).begin(FULL)

    async def once() -> None:
        with full_disk_as_retryable(str(directory)):
            write_durably(directory / "taupage.yaml", b"x" * 10_000, mode=0o600)

    with pytest.raises(StageFailed) as failure:
        async with World(tmp_path).progress.boot.stage("run", seconds_max=0.05) as stage:
            await PATIENCE.keep_trying(once, stage, waiting_for="the disk")
    (problem,) = failure.value.problems
    assert (problem.code, problem.fix) == ("disk-full", f"free space: df -h {directory}")
    assert "No space left on device" in problem.message


def test_another_disk_error_ends_the_stage_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError), full_disk_as_retryable(str(tmp_path)):
        (tmp_path / "file" / "below").touch()


def test_a_full_disk_is_a_transient_error(tmp_path: Path) -> None:
    with pytest.raises(DiskFull) as refused, full_disk_as_retryable("/var/lib/whence-agent"):
        raise OSError(28, "No space left on device", "/var/lib/whence-agent/taupage.yaml")
    assert refused.value.retryable
