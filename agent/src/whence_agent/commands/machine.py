"""whence-agent machine: the helpers that run as root. systemd starts one for each connection, which is its input."""

from __future__ import annotations

import os
import socket
import struct
import sys
from contextlib import suppress
from pathlib import Path

from whence_agent.commands.files import read_settings
from whence_agent.machine.place import MachinePaths
from whence_agent.machine.serve import Domain, serve

ANSWER_SECONDS_MAX = 10


def machine(config: str, *, dev: str, root: str, wait_seconds: float, only: Domain | None) -> int:
    """Serve one request on standard input, of one domain if it is given.

    Returns 0 on success, 1 if it was refused or failed, 78 for invalid settings.
    """
    settings = read_settings(config)
    if settings is None:
        return 78
    place = MachinePaths(
        dev=Path(dev), mounts=Path(settings.mounts_directory), root=Path(root), wait_seconds_max=wait_seconds
    )
    _bound_answers(sys.stdout.fileno())
    with (
        open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as source,
        open(sys.stdout.fileno(), "wb", buffering=0, closefd=False) as sink,
    ):
        return serve(source, sink, place=place, allowed_sysctls=tuple(settings.allowed_sysctls), only=only)


def _bound_answers(descriptor: int) -> None:
    """Set a send timeout for a caller that does not read; does nothing if the descriptor is not a socket."""
    with suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as answers:
        answers.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", ANSWER_SECONDS_MAX, 0))
