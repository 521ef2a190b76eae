"""The client of the helpers that run as root, over their Unix sockets."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import msgspec

from whence_agent.machine.protocol import ANSWER_LINE_BYTES_MAX, HelperReply, MachineFailed, Request, StorageRequest
from whence_common.errors import one_line
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

_LINES_MAX = 10_000
_CONNECT_SECONDS_MAX = 5.0


class MachineSocket:
    """Sends each request over a new connection, one about disks to their helper. The caller sets the deadline."""

    def __init__(self, *, path: str, disks_path: str) -> None:
        self._path = path
        self._disks_path = disks_path

    async def prepare(self, request: Request) -> list[str]:
        path = self._disks_path if isinstance(request, StorageRequest) else self._path
        try:
            async with asyncio.timeout(_CONNECT_SECONDS_MAX):
                reader, writer = await asyncio.open_unix_connection(path, limit=ANSWER_LINE_BYTES_MAX)
        except (OSError, TimeoutError) as exc:
            fix = f"check systemctl status {Path(path).stem}.socket"
            message = f"the helper at {path} is unreachable ({type(exc).__name__})"
            raise MachineFailed("machine-helper-away", message, fix=fix, retryable=True) from exc
        try:
            writer.write(msgspec.json.encode(request) + b"\n")
            await writer.drain()
            return await _answer(reader)
        except (OSError, ValueError) as exc:
            message = f"the connection to the helper failed ({type(exc).__name__})"
            raise MachineFailed("machine-helper-broke-off", message, retryable=isinstance(exc, OSError)) from exc
        finally:
            writer.close()


async def _answer(reader: asyncio.StreamReader) -> list[str]:
    for _ in range(_LINES_MAX):
        line = await reader.readline()
        if not line:
            break
        try:
            answer = msgspec.json.decode(line, type=HelperReply)
        except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
            raise MachineFailed("machine-helper-malformed", "the helper's response is malformed") from exc
        if answer.failed is not None:
            raise MachineFailed(answer.failed.code, answer.failed.message, fix=answer.failed.fix)
        if answer.done is not None:
            return [one_line(done) for done in answer.done]
        log.info("machine", extra=fields(progress=one_line(answer.progress)))
    raise MachineFailed(
        "machine-helper-broke-off", "the helper ended without a response",
        fix="check journalctl -t whence-machine -t whence-disks", retryable=True,
    )  # fmt: skip
