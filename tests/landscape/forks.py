"""Programs of ours as processes that are forked from one that has imported their modules, which takes most of a start.

A process is what `exec` would have started, with its own session, arguments, environment and output, but for its modules,
which are imported already, and for /proc/PID/cmdline. `landscape.processes.started` uses this where it is switched on.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

BIN = Path(sys.executable).parent
_MODULES = {
    str(BIN / "whence-aggregator"): "whence_aggregator.cli", str(BIN / "whence-agent"): "whence_agent.cli",
    str(BIN / "whence"): "whence_aggregator.whence.cli",
    str(BIN / "whence-accounts"): "whence_aggregator.accounts_command.cli",
}  # fmt: skip
_SERVER = Path(__file__).with_name("fork_server.py")
_PASSED_ON = ("WHENCE_", "AWS_", "COLUMNS", "FORCE_COLOR")
"""Beginnings of variables that a program reads when it runs; others may concern the interpreter or its libraries."""
_ANSWER_BYTES_MAX = 64


class ForkFailed(Exception):
    """The server did not answer: its own standard error, which is that of the tests, states why."""


class Forked:
    """One process, with the members of `asyncio.subprocess.Process` that tests use."""

    def __init__(self, pid: int, report: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._report = report
        self._ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(report, self._end)

    def _end(self) -> None:
        self._loop.remove_reader(self._report)
        with self._report:
            said = self._report.recv(_ANSWER_BYTES_MAX).decode("ascii").split()
        if not said:  # the server is gone, and nobody could tell when the process ends
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        self.returncode = int(said[1]) if said else -signal.SIGKILL
        self._ended.set()

    async def wait(self) -> int:
        """Wait until it has ended; return its exit code, or minus the number of the signal that ended it."""
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, which: int) -> None:
        """Send a signal. Raises ProcessLookupError when it has ended."""
        if self.returncode is not None:
            raise ProcessLookupError
        os.kill(self.pid, which)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Forks:
    """The servers of this test process, each started when its program is started first; they end with it."""

    def __init__(self) -> None:
        self.on = False
        self._servers: dict[str, tuple[socket.socket, subprocess.Popen[bytes]]] = {}

    def take(self, command: Sequence[str], environment: Mapping[str, str]) -> bool:
        """Return whether a command with these additional variables may be forked."""
        return self.on and command[0] in _MODULES and all(name.startswith(_PASSED_ON) for name in environment)

    async def start(
        self, command: Sequence[str], *, environment: Mapping[str, str], directory: Path, output: int, error: int
    ) -> Forked:
        """Start a command with the whole environment that is given. Raises ForkFailed."""
        if command[0] not in self._servers:
            self._servers[command[0]] = _served(_MODULES[command[0]])
        server, _ = self._servers[command[0]]
        report, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        report.setblocking(False)
        request = {"words": list(command), "environment": dict(environment), "directory": str(directory)}
        try:
            with theirs:
                socket.send_fds(server, [json.dumps(request).encode()], [output, error, theirs.fileno()])
            said = (await asyncio.get_running_loop().sock_recv(report, _ANSWER_BYTES_MAX)).decode("ascii").split()
            if not said or said[0] != "started":
                raise ForkFailed(f"{command[0]}: {' '.join(said) or 'no answer'}")
            return Forked(int(said[1]), report)
        except OSError as exc:
            report.close()
            raise ForkFailed(f"{command[0]}: {exc}") from exc
        except BaseException:
            report.close()
            raise

    def close(self) -> None:
        """End the servers. Processes that still run go on."""
        for server, process in self._servers.values():
            server.close()
            process.wait()
        self._servers.clear()


def _served(module: str) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, _SERVER, module, str(theirs.fileno())],
            pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip
    return ours, process


FORKS = Forks()
"""Switched on by tests/conftest.py; benchmarks and the demo start programs as an operator does."""
