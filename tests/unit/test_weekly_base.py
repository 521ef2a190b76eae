"""The base of the demo's own image: made once a week, and an earlier one serves when it cannot be made."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from landscape.own_image import weekly_base
from landscape.processes import NotReady, run


class Making:
    """Makes an archive, or fails; counts how often."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails, self.times = fails, 0
        self.said: list[str] = []

    async def __call__(self, made: Path) -> None:
        self.times += 1
        made.write_text("half", encoding="utf-8")
        if self.fails:
            raise NotReady("mmdebstrap failed: the archive cannot be resolved")
        made.write_text("whole", encoding="utf-8")

    async def base(self, folder: Path, week: str) -> Path:
        return await weekly_base(folder, self, week=week, say=self.said.append)


async def test_it_is_made_once_a_week_and_the_earlier_one_is_removed(tmp_path: Path) -> None:
    making = Making()
    assert (await making.base(tmp_path, "2026-48")).read_text() == "whole"
    assert await making.base(tmp_path, "2026-48") == tmp_path / "container-base-2026-48.tar"
    assert (making.times, len(making.said)) == (1, 1)
    await making.base(tmp_path, "2026-49")
    assert [one.name for one in tmp_path.iterdir()] == ["container-base-2026-49.tar"]


async def test_an_earlier_one_is_used_when_it_cannot_be_made_and_the_reason_is_stated(tmp_path: Path) -> None:
    await Making().base(tmp_path, "2026-48")
    making = Making(fails=True)
    assert (await making.base(tmp_path, "2026-49")).name == "container-base-2026-48.tar"
    assert "the archive cannot be resolved" in making.said[-1]
    assert [one.name for one in tmp_path.iterdir()] == ["container-base-2026-48.tar"]


async def test_without_an_earlier_one_the_reason_is_raised_and_nothing_stays(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="cannot be resolved"):
        await Making(fails=True).base(tmp_path, "2026-48")
    assert list(tmp_path.iterdir()) == []


async def test_a_cancelled_run_ends_its_program_and_what_that_has_started(tmp_path: Path) -> None:
    connected: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = (
        asyncio.get_running_loop().create_future()
    )
    where = tmp_path / "socket"
    # The program and its child have the connection open, so that it ends when both have.
    program = (
        "import socket, subprocess, sys\n"
        "one = socket.socket(socket.AF_UNIX)\n"
        "one.connect(sys.argv[1])\n"
        "child = subprocess.Popen(['sleep', '600'], pass_fds=[one.fileno()])\n"
        "one.sendall(b'begun')\n"
        "child.wait()\n"
    )
    async with await asyncio.start_unix_server(lambda *streams: connected.set_result(streams), where):
        running = asyncio.create_task(run(sys.executable, "-c", program, str(where)))
        reader, writer = await connected
        assert await reader.readexactly(5) == b"begun"
        running.cancel()
        assert await reader.read() == b""
        with pytest.raises(asyncio.CancelledError):
            await running
        writer.close()
