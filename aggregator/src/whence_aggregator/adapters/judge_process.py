"""Judges backlogs in a process of its own, so that a second core evaluates rules while this one records verdicts.

A message is four octets of length and MessagePack; the first one is what the process judges by. A process ends when its
input ends, so none outlives its parent.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from whence_aggregator.compliance.judged_wire import PageAsked, PageWire
from whence_aggregator.compliance.judging import JudgedPage
from whence_aggregator.trace.listening import Listening
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

MESSAGE_BYTES_MAX = 256 * 1024 * 1024
PAGE_SECONDS_MAX = 60.0
"""For a page and those before it: far more than they take, so that a loaded machine ends nothing."""
AGAIN_SECONDS = 60.0
"""After a failure, backlogs are judged in this process for so long."""
IDLE_SECONDS = 60.0
"""A process that was asked nothing for so long is ended, which frees its memory."""
_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[PageWire | None] = msgspec.msgpack.Decoder(PageWire | None)


class JudgeProcess:
    """One process, started when a backlog is found, and ended when there is none. It answers in order."""

    def __init__(
        self, *, by: bytes, module: str, listening: Listening, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """`by`: the first message. `module` is run as the process."""
        self._by = by
        self._module = module
        self._listening = listening
        self._monotonic = monotonic
        self._process: Process | None = None
        self._starting = asyncio.Lock()
        self._turn = asyncio.Lock()
        """Held by the task that reads the next answer: tasks wait in the order in which they wrote."""
        self._failed_at = -AGAIN_SECONDS
        self._asked_at = 0.0
        self.failures = 0

    async def page(self, instance_ids: Sequence[str], now: datetime) -> JudgedPage | None:
        """Return a judged page; None where the process could not judge it, or is not asked because it failed lately."""
        self._asked_at = self._monotonic()
        if self._asked_at - self._failed_at < AGAIN_SECONDS:
            return None
        heard = self._listening
        asked = PageAsked(list(instance_ids), now, heard.since, heard.heard_until)
        process = None
        try:
            process = await self._running()
            async with asyncio.timeout(PAGE_SECONDS_MAX):
                found = await self._ask(process, _ENCODER.encode(asked))
        except (OSError, EOFError, TimeoutError, msgspec.MsgspecError) as exc:
            await self._end(process)
            self.failures += 1
            self._failed_at = self._monotonic()
            context = fields(error=type(exc).__name__, reason=str(exc)[:200], seconds=AGAIN_SECONDS)
            log.error("the process that judges backlogs ended: they are judged in this one", extra=context)
            return None
        except asyncio.CancelledError:
            await self._end(process)  # an unread answer must not be taken for that of the next page
            raise
        return found.page() if found is not None else None

    async def rest(self) -> None:
        """End the process if it was asked nothing for a while."""
        if self._process is not None and self._monotonic() - self._asked_at >= IDLE_SECONDS:
            await self.close()

    async def close(self) -> None:
        """End the process."""
        async with self._starting:
            await self._end(self._process)

    async def _running(self) -> Process:
        async with self._starting:
            if self._process is None or self._process.returncode is not None:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", self._module,
                    stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, start_new_session=True,
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},  # a package's folder
                )  # fmt: skip
                _send(self._process, self._by)
            return self._process

    async def _ask(self, process: Process, content: bytes) -> PageWire | None:
        source = process.stdout
        assert source is not None
        _send(process, content)
        async with self._turn:
            size = int.from_bytes(await source.readexactly(4), "big")
            return _DECODER.decode(await source.readexactly(min(size, MESSAGE_BYTES_MAX)))

    async def _end(self, process: Process | None) -> None:
        if process is not None and self._process is process:
            self._process = None
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()


def _send(process: Process, content: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(len(content).to_bytes(4, "big") + content)
