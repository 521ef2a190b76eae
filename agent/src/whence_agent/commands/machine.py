"""whence-agent machine: the helper that needs root. systemd starts one a connection, with the socket as input."""

from __future__ import annotations

import sys
from pathlib import Path

from whence_agent.commands.files import read_settings
from whence_agent.machine.place import Place
from whence_agent.machine.serve import serve


def machine(config: str, *, dev: str, root: str, wait_seconds: float) -> int:
    """Serve one request from standard input to standard output: 0 done, 1 refused or failed, 78 for wrong settings."""
    settings = read_settings(config)
    if settings is None:
        return 78
    place = Place(dev=Path(dev), mounts=Path(settings.mounts_directory), root=Path(root), wait_seconds_max=wait_seconds)
    return serve(sys.stdin.buffer, sys.stdout.buffer, place=place, allowed_sysctls=tuple(settings.allowed_sysctls))
