"""One request: read, checked, done, answered. systemd starts one of these for each connection."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

import msgspec

from whence_agent.machine.disks import Disks
from whence_agent.machine.host import Host
from whence_agent.machine.place import Place
from whence_agent.machine.programs import Programs
from whence_agent.machine.protocol import (
    REQUEST_BYTES_MAX,
    Answer,
    Failure,
    HostRequest,
    MachineFailed,
    PowerOffRequest,
    Request,
    StorageRequest,
)


def serve(
    source: BinaryIO, sink: BinaryIO, *, place: Place, allowed_sysctls: tuple[str, ...], path: str | None = None
) -> int:
    """Serve one request; give 0 when it was done, 1 when it was refused or failed. Never raises for what was asked."""

    def say(answer: Answer) -> None:
        sink.write(msgspec.json.encode(answer) + b"\n")
        sink.flush()

    try:
        request = _read(source)
        done = _do(request, place, allowed_sysctls, lambda text: say(Answer(progress=text)), path)
    except MachineFailed as exc:
        say(Answer(failed=Failure(code=exc.code, message=exc.message, fix=exc.fix)))
        return 1
    except OSError as exc:
        say(Answer(failed=Failure(code="machine-error", message=f"{exc.strerror}: {exc.filename}")))
        return 1
    say(Answer(done=done))
    return 0


_REQUESTS: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)


def _read(source: BinaryIO) -> Request:
    line = source.readline(REQUEST_BYTES_MAX + 1)
    if len(line) > REQUEST_BYTES_MAX or not line.endswith(b"\n"):
        raise MachineFailed("request-malformed", f"a request is one line of at most {REQUEST_BYTES_MAX} bytes")
    try:
        return _REQUESTS.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise MachineFailed("request-malformed", "the request is none that is known here") from exc


def _do(
    request: Request, place: Place, allowed_sysctls: tuple[str, ...], say: Callable[[str], None], path: str | None
) -> list[str]:
    programs = Programs(say=say) if path is None else Programs(say=say, path=path)
    host = Host(place=place, programs=programs, allowed_sysctls=allowed_sysctls)
    if isinstance(request, StorageRequest):
        return Disks(place=place, programs=programs).prepare(request)
    if isinstance(request, HostRequest):
        return host.prepare(request)
    assert isinstance(request, PowerOffRequest)
    return host.power_off(request)
