"""Runs of the git program (see `git_call`): few at once; files, output and time are bounded; no child remains."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from whence_aggregator.ports import SourceUnavailable
from whence_common.git_call import PROGRAMS, git_arguments, git_environment
from whence_common.registry_sign_in import Login

RUNS_AT_ONCE_MAX = 24
"""Each run is one to three processes; hosts and accounts have smaller shares of the work (work/lanes.py)."""
OUTPUT_BYTES_MAX = 4 * 1024 * 1024
"""More than the largest commit that is read."""
_ERROR_BYTES_MAX = 8 * 1024
_READ_BYTES = 64 * 1024
_END_SECONDS_MAX = 5.0
"""How long a killed process may take to end; only a process that is stuck in the kernel takes longer."""
_HELPER = '!f() {{ test "$1" = get && cat /dev/fd/{}; }}; f'
"""Read once: a refused login is not sent again, and "store" and "erase" do nothing."""
_PIPE_BYTES_MAX = 32 * 1024
_STALLED_SECONDS_MAX = 30
_SETTINGS = ("http.lowSpeedLimit=1", f"http.lowSpeedTime={_STALLED_SECONDS_MAX}")
"""A server that sends nothing is given up; one that is computing sends keep-alives every five seconds."""


class GitMissing(SourceUnavailable):
    """The program git is not installed: no commit can be fetched until it is."""


class GitTooSlow(SourceUnavailable):
    """Git was ended after its timeout."""


class GitTooMuch(SourceUnavailable):
    """Git printed more than the bound of its output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GitBounds:
    """The bounds of one run."""

    seconds_max: float
    file_bytes_max: int
    output_bytes_max: int = OUTPUT_BYTES_MAX
    cut: bool = False
    """Output beyond the bound is cut off, and git is ended; otherwise it is an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GitRoad:
    """How git may leave the repository: over which protocols, with which settings and variables."""

    protocols: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    """`name=value`, after those that always apply."""
    variables: Mapping[str, str] = field(default_factory=dict)


NO_ROAD = GitRoad()
"""For runs that read objects only."""
HTTP_ROAD = GitRoad(protocols=("http", "https"), settings=_SETTINGS)


@dataclass(frozen=True, slots=True, kw_only=True)
class GitInput:
    """What a run receives besides its arguments."""

    login: Login | None = None
    content: bytes = b""
    """Its standard input."""
    held: tuple[int, ...] = ()
    """File descriptors that it keeps open until it ends: a lock is held as long as any process uses what it locks."""


NOTHING = GitInput()


class GitRuns:
    """Runs git. `under_way` counts the process groups that exist now; `program` is the program that is started."""

    def __init__(self, *, program: str = "git", at_once_max: int = RUNS_AT_ONCE_MAX, path: str = PROGRAMS) -> None:
        self._program = program
        self._path = path
        self._turns = asyncio.Semaphore(at_once_max)
        self.under_way = 0

    async def run(
        self, directory: str, *arguments: str, bounds: GitBounds, road: GitRoad = HTTP_ROAD, given: GitInput = NOTHING
    ) -> tuple[int, bytes, str]:
        """Run git in a directory; return its exit code, output and the end of its error output.

        Raises GitTooSlow, GitTooMuch or GitMissing. When the run ends, also by cancellation, its whole process group
        has ended: git-remote-http is a child of git, and would otherwise continue alone. A login reaches the credential
        helper through a pipe; it is in neither argv nor the environment.
        """
        async with self._turns:
            self.under_way += 1
            try:
                async with asyncio.timeout(bounds.seconds_max):
                    return await self._run(directory, arguments, bounds, road, given)
            except TimeoutError as exc:
                message = f"git {arguments[0]} took over {bounds.seconds_max:g} seconds"
                raise GitTooSlow("git-too-slow", message) from exc
            finally:
                self.under_way -= 1

    async def _run(
        self, directory: str, arguments: tuple[str, ...], bounds: GitBounds, road: GitRoad, given: GitInput
    ) -> tuple[int, bytes, str]:
        with _credentials(given.login) as descriptor:
            helper = () if descriptor is None else (f"credential.helper={_HELPER.format(descriptor)}",)
            settings = (*road.settings, *helper)
            if shutil.which(self._program, path=self._path) is None:
                fix = "install it on the aggregator's machine: apt-get install git"
                raise GitMissing("git-missing", f"the program git is not in {self._path}", fix=fix)
            command = git_arguments(*arguments, program=self._program, protocols=road.protocols, settings=settings)
            process = await _started(command, directory, bounds, road, (descriptor, given))
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            async with asyncio.TaskGroup() as group:
                output = group.create_task(_whole(process.stdout, process.pid, bounds))
                error = group.create_task(_end_of(process.stderr))
                if process.stdin is not None:
                    group.create_task(_feed(process.stdin, given.content))
                # children may hold the pipes after git has ended; their output is of no use then
                group.create_task(_ended(process))
        finally:
            await _end(process)
        if output.result() is None:
            raise GitTooMuch("git-too-much", f"git printed over {bounds.output_bytes_max >> 20} MiB")
        return process.returncode or 0, output.result() or b"", error.result().decode("utf-8", "replace")


async def _started(
    command: list[str], directory: str, bounds: GitBounds, road: GitRoad, given: tuple[int | None, GitInput]
) -> Process:
    """Start git as the leader of its own session and group; if cancelled meanwhile, end the group."""
    descriptor, more = given
    sizes = (bounds.file_bytes_max, bounds.file_bytes_max)
    # only what a server sends is large; without the function the process is started five times as fast
    limit = (lambda: resource.setrlimit(resource.RLIMIT_FSIZE, sizes)) if road.protocols else None
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *command,
            cwd=directory,
            env={**git_environment(protocols=road.protocols), **road.variables},
            stdin=PIPE if more.content else DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            start_new_session=True,
            preexec_fn=limit,
            pass_fds=(*more.held, *(() if descriptor is None else (descriptor,))),
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        starting.add_done_callback(_end_started)
        done, _ = await asyncio.wait({starting}, timeout=_END_SECONDS_MAX)
        if done and starting.exception() is None:
            await _end(starting.result())
        raise


def _end_started(starting: asyncio.Future[Process]) -> None:
    if not starting.cancelled() and starting.exception() is None:
        _kill(starting.result().pid)


async def _feed(stream: asyncio.StreamWriter, content: bytes) -> None:
    """Write the whole input; a process that does not read it ends the writing."""
    with suppress(BrokenPipeError, ConnectionResetError):
        stream.write(content)
        await stream.drain()
        stream.close()


async def _ended(process: Process) -> None:
    """Wait for git itself, then end its children.

    NOTE: not by `process.wait()`, which also waits for the pipes in some versions of Python; the children hold them.
    """
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        descriptor = -1
    if descriptor >= 0:
        loop, exited = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(descriptor, exited.set)
        try:
            await exited.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
    _kill(process.pid)


async def _end(process: Process) -> None:
    """End the process group, and wait for its leader and for its pipes to close.

    The group's id is not given to another process while a member lives; a group that has ended is not an error.
    """
    _kill(process.pid)
    with suppress(TimeoutError):
        async with asyncio.timeout(_END_SECONDS_MAX):
            for stream in (process.stdout, process.stderr):
                while stream is not None and await stream.read(_READ_BYTES):
                    pass
            await process.wait()


def _kill(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


async def _whole(stream: asyncio.StreamReader, group: int, bounds: GitBounds) -> bytes | None:
    """Return the output. If it is too long, end the group, and return its beginning, or None."""
    content, most, full = bytearray(), bounds.output_bytes_max, False
    while chunk := await stream.read(_READ_BYTES):
        if full:
            continue
        content += chunk
        if len(content) > most:
            full = True
            _kill(group)
    return bytes(content[:most]) if bounds.cut or not full else None


async def _end_of(stream: asyncio.StreamReader) -> bytes:
    """Return the end of the error output, which a server can make endless."""
    kept = b""
    while chunk := await stream.read(_READ_BYTES):
        kept = (kept + chunk)[-_ERROR_BYTES_MAX:]
    return kept


@contextmanager
def _credentials(login: Login | None) -> Iterator[int | None]:
    """Yield the read end of a pipe that holds the answer of a credential helper (git-credential(7))."""
    if login is None or not login.username:
        yield None
        return
    lines = f"username={login.username}\npassword={login.password}\n".encode()
    assert len(lines) < _PIPE_BYTES_MAX, "a login must fit into the buffer of a pipe"
    read_end, write_end = os.pipe()
    try:
        os.write(write_end, lines)
        os.close(write_end)
        yield read_end
    finally:
        os.close(read_end)
