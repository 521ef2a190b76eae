"""Programs that are forked from one that has their modules: each process is as if it had been started anew."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from landscape.forks import BIN, FORKS, Forked, ForkFailed, Forks
from landscape.processes import Ended, NotReady, ended, eventually, started

_AGGREGATOR = str(BIN / "whence-aggregator")


@asynccontextmanager
async def waiting(directory: Path, forks: Forks = FORKS) -> AsyncIterator[Forked]:
    """Start a witness that waits for its settings, which are a pipe to which nobody writes."""
    os.mkfifo(directory / "settings")
    with (directory / "log").open("ab") as log:
        process = await forks.start(
            [_AGGREGATOR, "witness", "--config", "settings"], environment={}, directory=directory,
            output=log.fileno(), error=log.fileno(),
        )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def _opened(proc: Path) -> list[str]:
    """Return what a process has open; a descriptor that it closes meanwhile is left out."""
    found = []
    for one in (proc / "fd").iterdir():
        with suppress(FileNotFoundError):
            found.append(str(one.readlink()))
    return found


async def never() -> bool:
    return False


@pytest.mark.parametrize(
    "words, code, told",
    [
        (("--version",), 0, "whence-aggregator 0.1.0"),
        (("serve", "--config", "none.yaml"), 78, "none.yaml does not exist"),
        (("no-such",), 2, "invalid choice: 'no-such'"),
    ],
)
async def test_a_program_ends_with_its_own_exit_code_and_its_output_is_in_the_log(
    words: tuple[str, ...], code: int, told: str, tmp_path: Path
) -> None:
    with pytest.raises(NotReady) as caught:
        async with started("program", [_AGGREGATOR, *words], logs=tmp_path, ready=never, cwd=tmp_path):
            raise AssertionError("it became ready")
    assert f"program ended with code {code};" in str(caught.value)
    assert told in (tmp_path / "program.log").read_text(encoding="utf-8")


async def test_what_a_program_prints_into_a_pipe_is_read_apart_and_together() -> None:
    wrong = (BIN / "whence", "instances", "no-such-word")
    apart = await ended(*wrong)
    assert (apart.code, apart.out, "unexpected extra argument (no-such-word)" in apart.err) == (2, "", True)
    together = await ended(*wrong, merged=True)
    assert together == Ended(code=2, out=apart.err, err="")


async def test_a_program_that_takes_too_long_is_ended_and_so_is_one_whose_run_is_cancelled(tmp_path: Path) -> None:
    """The program reads its settings from a pipe to which nobody writes, so that it does not end by itself."""
    os.mkfifo(tmp_path / "settings")
    begun: asyncio.Queue[int] = asyncio.Queue()
    running = (_AGGREGATOR, "witness", "--config", tmp_path / "settings")
    with pytest.raises(TimeoutError):
        await ended(*running, seconds_max=0.05, began=lambda process: begun.put_nowait(process.pid))
    pids = [await begun.get()]
    task = asyncio.create_task(ended(*running, began=lambda process: begun.put_nowait(process.pid)))
    pids.append(await begun.get())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [one for one in pids if Path(f"/proc/{one}").exists()] == []


async def test_a_process_has_the_directory_session_and_files_that_a_new_one_has(tmp_path: Path) -> None:
    async with waiting(tmp_path) as process:
        proc = Path(f"/proc/{process.pid}")
        assert (proc / "cwd").readlink() == tmp_path
        assert os.getsid(process.pid) == process.pid
        opened = {one.name: str(one.readlink()) for one in (proc / "fd").iterdir()}
        assert [opened[one] for one in "012"] == ["/dev/null", *(2 * [str(tmp_path / "log")])]
        await eventually(lambda: not [one for one in _opened(proc) if one.startswith("socket:")])
        status = dict(line.split(":\t", 1) for line in (proc / "status").read_text("ascii").splitlines())
        assert (status["SigBlk"], status["Threads"]) == ("0" * 16, "1")


async def test_a_killed_process_is_reported_by_its_signal_and_takes_no_further_one(tmp_path: Path) -> None:
    async with waiting(tmp_path) as process:
        process.send_signal(signal.SIGKILL)
        assert await process.wait() == -signal.SIGKILL
        with pytest.raises(ProcessLookupError):
            process.terminate()


async def test_without_its_server_a_process_is_ended_and_no_other_is_started(tmp_path: Path) -> None:
    forks = Forks()
    async with waiting(tmp_path, forks) as process:
        lines = Path(f"/proc/{process.pid}/status").read_text("ascii").splitlines()
        (server,) = [int(line.split()[1]) for line in lines if line.startswith("PPid:")]
        os.kill(server, signal.SIGKILL)
        assert await process.wait() == -signal.SIGKILL
        await eventually(lambda: not Path(f"/proc/{process.pid}").exists())
    with pytest.raises(ForkFailed):
        await forks.start([_AGGREGATOR], environment={}, directory=tmp_path, output=1, error=2)
    forks.close()


@pytest.mark.parametrize(
    "command, environment, taken",
    [
        ((_AGGREGATOR, "serve"), {}, True),
        ((str(BIN / "whence-agent"), "run"), {"WHENCE_DATABASE": "a", "AWS_REGION": "b"}, True),
        ((str(BIN / "whence"), "instances"), {"WHENCE_URL": "a", "COLUMNS": "80", "FORCE_COLOR": "1"}, True),
        ((str(BIN / "whence-accounts"), "plan"), {"AWS_ENDPOINT_URL": "a"}, True),
        ((_AGGREGATOR, "serve"), {"LD_PRELOAD": "libfaketime.so.1"}, False),
        ((_AGGREGATOR, "serve"), {"PYTHONWARNINGS": "error"}, False),
        (("/usr/bin/whence-aggregator", "serve"), {}, False),
        (("strace", _AGGREGATOR, "serve"), {}, False),
    ],
)
def test_what_concerns_the_interpreter_or_is_another_program_is_started_anew(
    command: tuple[str, ...], environment: dict[str, str], taken: bool
) -> None:
    forks = Forks()
    assert not forks.take(command, environment)
    forks.on = True
    assert forks.take(command, environment) == taken
