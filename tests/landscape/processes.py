"""One started program: its log in a file, waited for until it is ready, stopped whatever happens."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from landscape.forks import FORKS, Forked
from whence_common.runtime.pause import pause

STOP_SECONDS_MAX = 15.0
READY_SECONDS_MAX = 60.0
ENDED_SECONDS_MAX = 60.0
_LOOK_SECONDS = 0.05
_TAIL_CHARACTERS = 2_000
_WORKER, _WORKERS = (
    int(os.environ.get(f"PYTEST_XDIST_WORKER{name}", default).removeprefix("gw"))
    for name, default in (("", "gw0"), ("_COUNT", "1"))
)
_PORTS = range(20_000, 32_000)[_WORKER::_WORKERS]
"""Below the range that the kernel and Docker hand out of themselves, so that neither takes a port between choice and use.
Each worker of a test run has ports of its own, for the same reason."""
_ports = itertools.cycle(random.sample(_PORTS, len(_PORTS)))


Began = asyncio.subprocess.Process | Forked
"""A program that was started anew, or forked."""


class NotReady(Exception):
    """A program did not come up; the message has the end of its log and where the whole is."""


class Process:
    """A running program and its log."""

    def __init__(
        self,
        name: str,
        process: Began,
        log: Path,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = name
        self.process = process
        self.log = log
        self._stop_signal = stop_signal

    def tail(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")[-_TAIL_CHARACTERS:]

    async def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        if self.process.returncode is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        await self.process.wait()

    async def stop(self) -> int:
        """Send its signal to stop, then SIGKILL when that takes too long; return the exit code."""
        if self.process.returncode is None:
            self.process.send_signal(self._stop_signal)
            try:
                async with asyncio.timeout(STOP_SECONDS_MAX):
                    await self.process.wait()
            except TimeoutError:
                await self.kill()
        return await self.process.wait()


@asynccontextmanager
async def started(
    name: str,
    command: Sequence[object],
    *,
    logs: Path,
    ready: Callable[[], Awaitable[bool]],
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    seconds_max: float = READY_SECONDS_MAX,
    stop_signal: signal.Signals = signal.SIGTERM,
) -> AsyncIterator[Process]:
    """Start a program and wait until it is ready; stop it at the end. Raises NotReady."""
    log = logs / f"{name}.log"
    with log.open("ab") as sink:
        process = await _begun(command, environment, output=sink.fileno(), error=sink.fileno(), cwd=cwd)
    running = Process(name, process, log, stop_signal)
    try:
        await _until_ready(running, ready, seconds_max)
        yield running
    finally:
        await asyncio.shield(running.stop())


async def _begun(
    command: Sequence[object],
    environment: Mapping[str, str] | None,
    *,
    output: int,
    error: int,
    cwd: Path | None,
    inherited: Mapping[str, str] = os.environ,
) -> Began:
    """Fork a program, or start it anew, in a session of its own, with descriptors to write to."""
    words, more = [*map(str, command)], environment or {}
    whole = {**inherited, **more}
    if FORKS.take(words, more):
        return await FORKS.start(words, environment=whole, directory=cwd or Path.cwd(), output=output, error=error)
    return await asyncio.create_subprocess_exec(
        *words, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=error, env=whole, cwd=cwd,
        start_new_session=True,
    )  # fmt: skip


async def _until_ready(running: Process, ready: Callable[[], Awaitable[bool]], seconds_max: float) -> None:
    try:
        async with asyncio.timeout(seconds_max):
            while not await ready():
                if running.process.returncode is not None:
                    message = f"{running.name} ended with code {running.process.returncode}"
                    raise NotReady(f"{message}; log {running.log}:\n{running.tail()}")
                await pause(_LOOK_SECONDS)
    except TimeoutError as exc:
        message = f"{running.name} was not ready within {seconds_max:g} s"
        raise NotReady(f"{message}; log {running.log}:\n{running.tail()}") from exc


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a program ended, and what it printed. A negative code is that of a signal."""

    code: int
    out: str
    err: str

    @property
    def told(self) -> str:
        return self.out + self.err


async def ended(
    *command: object,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    inherited: Mapping[str, str] = os.environ,
    merged: bool = False,
    seconds_max: float | None = ENDED_SECONDS_MAX,
    began: Callable[[Began], None] = lambda _: None,
) -> Ended:
    """Run a program to its end; stop it if it takes longer than `seconds_max`, or if the caller is cancelled.

    `environment` is added to what is `inherited`. `merged` sends both outputs through one pipe, in their order. `began`
    is called with the process once it runs. Raises TimeoutError.
    """
    with ExitStack() as ours:
        with ExitStack() as theirs:
            read, output = _pipe(ours, theirs)
            read_error, error = (None, output) if merged else _pipe(ours, theirs)
            process = await _begun(command, environment, output=output, error=error, cwd=cwd, inherited=inherited)
        try:
            began(process)
            async with asyncio.timeout(seconds_max):
                out, *err = await asyncio.gather(*(_whole(one) for one in (read, read_error) if one))
                return Ended(code=await process.wait(), out=out, err="".join(err))
        finally:
            if process.returncode is None:
                await _end(process)


def _pipe(ours: ExitStack, theirs: ExitStack) -> tuple[BinaryIO, int]:
    """Open a pipe; return what reads it, which `ours` closes, and the other end, which `theirs` closes here."""
    read, written = os.pipe()
    theirs.callback(os.close, written)
    return ours.enter_context(os.fdopen(read, "rb")), written


async def _whole(stream: BinaryIO) -> str:
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), stream
    )
    try:
        return (await reader.read()).decode()
    finally:
        transport.close()


async def run(*command: str | Path, cwd: Path | None = None, environment: Mapping[str, str] | None = None) -> str:
    """Run a program to its end, however long it takes; give what it printed. Raises NotReady when it fails."""
    process = await ended(*command, cwd=cwd, environment=environment, seconds_max=None)
    if process.code != 0:
        raise NotReady(f"{command[0]} {command[1] if len(command) > 1 else ''} failed: {process.err[-800:]}")
    return process.out


async def _end(process: Began) -> None:
    """Have a program and what it has started end, by SIGKILL if they take too long."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS_MAX):
                await process.wait()
                return


def service_of(booted: Process, *words: str) -> int | None:
    """Return the process of a service within one booted machine, as this machine counts, by the end of its command."""
    number_one = leader(booted)
    children = Path(f"/proc/{number_one}/task/{number_one}/children").read_text(encoding="ascii").split()
    wanted = [word.encode() for word in words]
    for pid in children:
        with suppress(OSError):
            if Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[-1 - len(wanted) : -1] == wanted:
                return int(pid)
    return None


def booting(root: Path, *options: str) -> list[str]:
    """Give the command that boots a root by systemd-nspawn, on this machine's network."""
    return [
        "systemd-nspawn", "--quiet", f"--directory={root}", "--boot", "--register=no", "--keep-unit", "--console=pipe",
        *options, "systemd.log_target=console",
    ]  # fmt: skip


def leader(booted: Process) -> int:
    """Return the process that is number 1 in a machine that `booting` booted."""
    pid = booted.process.pid
    (found,) = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return int(found)


def within(booted: Process, *command: str) -> list[str]:
    """Give the command that runs another one as root within a machine that `booting` booted."""
    return ["nsenter", f"--target={leader(booted)}", "--mount", "--uts", "--ipc", "--pid", "--cgroup", "--", *command]


def free_port() -> int:
    """Give a loopback port that nobody listens on now, and that this process has not given before."""
    for port in itertools.islice(_ports, len(_PORTS)):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise NotReady(f"no loopback port is free of {_PORTS}")


async def answers(port: int) -> bool:
    """Say whether somebody listens on a loopback port."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def eventually(condition: Callable[[], bool], *, seconds_max: float = READY_SECONDS_MAX) -> None:
    """Wait until something holds, and fail when it does not in good time."""
    async with asyncio.timeout(seconds_max):
        while not condition():
            await pause(_LOOK_SECONDS)
