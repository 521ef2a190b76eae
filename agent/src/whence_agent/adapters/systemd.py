"""The service manager's notification socket (sd_notify)."""

from __future__ import annotations

import asyncio
import logging
import socket

from whence_common.errors import one_line
from whence_common.logs import fields
from whence_common.pause import pause

log = logging.getLogger(__name__)

_ASK_SECONDS_MAX = 5.0
_ASKED_MAX = 3
_ASK_AGAIN_SECONDS = 0.3


class SystemdNotifier:
    """Sends READY, STOPPING and STATUS; does nothing when no socket was given."""

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
            log.warning("the service manager does not take notifications")


async def machine_is_stopping() -> bool:
    """Ask systemd whether the whole machine goes down, rather than this service alone.

    The shutdown target is asked, not the system's state: that says `starting` until the boot is over, whatever comes.
    A bus that is busy going down may need to be asked again.
    """
    for attempt in range(1, _ASKED_MAX + 1):
        answer = await _shutdown_target()
        values = dict(line.partition("=")[::2] for line in answer.splitlines())
        if values.get("ActiveState") in ("active", "activating") or values.get("Job", "0") not in ("", "0"):
            return True
        log.info("the machine does not go down", extra=fields(attempt=attempt, systemd=one_line(answer)))
        await pause(_ASK_AGAIN_SECONDS)
    return False


async def _shutdown_target() -> str:
    question = ("systemctl", "show", "--property=ActiveState", "--property=Job", "shutdown.target")
    try:
        process = await asyncio.create_subprocess_exec(
            *question, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        async with asyncio.timeout(_ASK_SECONDS_MAX):
            output, _ = await process.communicate()
    except (OSError, TimeoutError) as exc:
        return f"no answer ({type(exc).__name__})"
    return output.decode("utf-8", "replace")
