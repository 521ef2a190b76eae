"""The process behind `landscape.forks`: it has a program's modules imported, and forks one process for each request.

    python fork_server.py MODULE FD

MODULE has `main`; FD is a socket that keeps messages apart. A request is a JSON object with `words`, `environment` and
`directory`, and three descriptors: standard output, standard error, and a socket that is told `started PID` and `ended CODE`.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import time
from typing import NoReturn, TextIO

_REQUEST_BYTES_MAX = 256 * 1024
_AHEAD = {"whence_agent.cli": ("whence_agent.commands.run",)}
"""What a program imports only when it needs it."""


def main(module: str, descriptor: int) -> NoReturn:
    """Serve until the other end of the socket is closed. A forked process leaves by running its program."""
    sys.path[0] = os.path.dirname(sys.executable)  # noqa: PTH120  # where the program stands, not this file
    program = importlib.import_module(module)
    for other in _AHEAD.get(module, ()):
        importlib.import_module(other)
    gc.collect()
    gc.freeze()  # what is imported is not looked at, and so not copied, by the collectors of the processes
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Server(socket.socket(fileno=descriptor)).serve()
    sys.exit(program.main())


class Server:
    """Forks, and reports how each process ends."""

    def __init__(self, requests: socket.socket) -> None:
        self._requests = requests
        self._reports: dict[int, socket.socket] = {}
        self._woken, self._waking = socket.socketpair()
        for one in (self._woken, self._waking):
            one.setblocking(False)

    def serve(self) -> None:
        """Return in a process that was forked, which then is as a new one would be."""
        signal.set_wakeup_fd(self._waking.fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        with selectors.DefaultSelector() as selector:
            selector.register(self._requests, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select()}
                if self._woken in ready:
                    self._woken.recv(4096)
                    self._reap()
                if self._requests in ready and self._fork():
                    return

    def _reap(self) -> None:
        while self._reports:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            with self._reports.pop(pid) as report:
                _tell(report, f"ended {os.waitstatus_to_exitcode(status)}")

    def _fork(self) -> bool:
        """Read a request and fork; return whether this is the new process."""
        message, descriptors, _, _ = socket.recv_fds(self._requests, _REQUEST_BYTES_MAX, 3)
        if not message:
            sys.exit(0)
        output, error, reporting = descriptors
        report = socket.socket(fileno=reporting)
        pid = os.fork()
        if pid != 0:
            self._reports[pid] = report
            os.close(output)
            os.close(error)
            return False
        self._become(json.loads(message), output, error)
        with report:
            if not _tell(report, f"started {os.getpid()}"):
                os._exit(1)
        return True

    def _become(self, request: dict[str, object], output: int, error: int) -> None:
        """Give this process what a new one is given, and nothing of the server's."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for one in (self._requests, self._woken, self._waking, *self._reports.values()):
            one.close()
        os.setsid()
        os.chdir(str(request["directory"]))
        environment, words = request["environment"], request["words"]
        assert isinstance(environment, dict)
        assert isinstance(words, list)
        os.environ.clear()
        os.environ.update(environment)
        time.tzset()
        with open(os.devnull, "rb") as nothing:  # noqa: PTH123  # before pathlib's objects are the program's
            os.dup2(nothing.fileno(), 0)
        for number, descriptor in ((1, output), (2, error)):
            os.dup2(descriptor, number)
        for descriptor in {output, error}:
            os.close(descriptor)
        sys.stdout, sys.stderr = _stream(1, sys.stdout, buffering=-1), _stream(2, sys.stderr, buffering=1)
        sys.argv = words


def _stream(number: int, before: TextIO, *, buffering: int) -> TextIO:
    """Open a descriptor as Python does at its start: the stream made for /dev/null seeks, which no pipe can."""
    return os.fdopen(number, "w", buffering, encoding=before.encoding, errors=before.errors, closefd=False)


def _tell(report: socket.socket, text: str) -> bool:
    try:
        report.send(text.encode("ascii"))
    except OSError:  # nobody waits for it any more
        return False
    return True


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
