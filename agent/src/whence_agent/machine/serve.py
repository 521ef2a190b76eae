"""Reads, executes and answers one request. systemd starts a process for each connection."""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO, Literal

import msgspec

from whence_agent.machine.disks import Disks
from whence_agent.machine.host import Host
from whence_agent.machine.place import MachinePaths
from whence_agent.machine.programs import Programs
from whence_agent.machine.protocol import (
    REQUEST_BYTES_MAX,
    Failure,
    HelperReply,
    HostRequest,
    MachineFailed,
    PowerOffRequest,
    Request,
    StorageRequest,
)

Domain = Literal["disks", "host"]
"""What a helper serves: each has a unit with no more rights than its domain needs."""
REQUEST_SECONDS_MAX = 10.0
"""How long a connection may be open without a complete request: idle connections occupy the unit's limit."""


def serve(
    source: BinaryIO,
    sink: BinaryIO,
    *,
    place: MachinePaths,
    allowed_sysctls: tuple[str, ...],
    only: Domain | None = None,
    path: str | None = None,
    request_seconds_max: float = REQUEST_SECONDS_MAX,
) -> int:
    """Serve one request; return 0 on success, 1 if it was refused or failed. An invalid request raises nothing.

    `source` must be unbuffered. If the caller disconnects or does not read, the work ends before its next step.
    """

    def say(answer: HelperReply) -> None:
        sink.write(msgspec.json.encode(answer) + b"\n")
        sink.flush()

    try:
        request = _read(source, request_seconds_max)
        _check_domain(request, only)
        done = _do(request, place, allowed_sysctls, lambda text: say(HelperReply(progress=text)), path)
    except MachineFailed as exc:
        answer, code = HelperReply(failed=Failure(code=exc.code, message=exc.message, fix=exc.fix)), 1
    except OSError as exc:
        answer, code = HelperReply(failed=Failure(code="machine-error", message=f"{exc.strerror}: {exc.filename}")), 1
    else:
        answer, code = HelperReply(done=done), 0
    with suppress(OSError):  # the caller has disconnected
        say(answer)
    return code


_REQUESTS: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)


def _read(source: BinaryIO, seconds_max: float) -> Request:
    """Read one line within the limits of size and total time. Raises MachineFailed."""
    line, until = b"", time.monotonic() + seconds_max
    while not line.endswith(b"\n") and len(line) <= REQUEST_BYTES_MAX:
        if not _arrives(source, until - time.monotonic()):
            message = f"no complete request arrived within {seconds_max:g} seconds"
            raise MachineFailed("request-late", message, fix="send one line and read the response")
        part = source.read(REQUEST_BYTES_MAX + 1 - len(line))
        if not part:
            break
        line += part
    if len(line) > REQUEST_BYTES_MAX or not line.endswith(b"\n"):
        raise MachineFailed("request-malformed", f"a request must be one line of at most {REQUEST_BYTES_MAX} bytes")
    try:
        return _REQUESTS.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise MachineFailed("request-malformed", "the request is not an operation of this version") from exc


def _check_domain(request: Request, only: Domain | None) -> None:
    """Refuse a request of the other helper, whose unit alone has the rights for it."""
    domain: Domain = "disks" if isinstance(request, StorageRequest) else "host"
    if only not in (None, domain):
        setting = "disks_socket" if domain == "disks" else "machine_socket"
        message = f"this helper serves {only}, and the request is for {domain}"
        raise MachineFailed("request-elsewhere", message, fix=f"send it to the {setting}")


def _arrives(source: BinaryIO, seconds_max: float) -> bool:
    """Wait until data can be read, or the timeout; a source in memory is always readable."""
    try:
        descriptor = source.fileno()
    except OSError:
        return True
    waiting = select.poll()
    waiting.register(descriptor, select.POLLIN | select.POLLHUP)
    return seconds_max > 0 and bool(waiting.poll(seconds_max * 1000))


def _do(
    request: Request,
    place: MachinePaths,
    allowed_sysctls: tuple[str, ...],
    say: Callable[[str], None],
    path: str | None,
) -> list[str]:
    programs = Programs(say=say) if path is None else Programs(say=say, path=path)
    host = Host(place=place, programs=programs, allowed_sysctls=allowed_sysctls)
    if isinstance(request, StorageRequest):
        return Disks(place=place, programs=programs).prepare(request)
    if isinstance(request, HostRequest):
        return host.prepare(request)
    assert isinstance(request, PowerOffRequest)
    return host.power_off(request)
