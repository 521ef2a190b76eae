"""systemd: its notification socket (sd_notify), and whether the machine shuts down."""

from __future__ import annotations

import logging
import socket
from pathlib import Path

log = logging.getLogger(__name__)

_MACHINE_STOPS = Path("/run/whence-machine-stops")


class SystemdNotifier:
    """Sends READY, STOPPING, WATCHDOG and STATUS; does nothing without a socket."""

    def __init__(self, *, address: str | None) -> None:
        self._address = "\0" + address[1:] if address is not None and address.startswith("@") else address

    def notify(
        self, *, ready: bool = False, stopping: bool = False, alive: bool = False, status: str | None = None
    ) -> None:
        lines = ["READY=1"] if ready else []
        lines += ["STOPPING=1"] if stopping else []
        lines += ["WATCHDOG=1"] if alive else []
        lines += [f"STATUS={status.splitlines()[0]}"] if status else []
        if self._address is None or not lines:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
                channel.sendto("\n".join(lines).encode(), self._address)
        except OSError:
            log.warning("the service manager does not accept notifications")


def machine_is_stopping(flag: Path = _MACHINE_STOPS) -> bool:
    """Return whether the machine shuts down, and not only this service: whence-shutdown.service creates the flag.

    D-Bus is not used: it stops at the same time, and the system's state is `starting` until the end of the boot.
    """
    return flag.exists()
