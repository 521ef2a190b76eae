"""Verification in separate processes, one a core: they read batches from standard input and answer on output.

A message is four octets of length and MessagePack. A process ends when its input ends, so none outlives its parent.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
from asyncio.subprocess import Process
from collections.abc import Sequence

import msgspec

from whence_aggregator.agents.verification import Refusal, Submitted, VerifiedStatement, check
from whence_common.errors import RoadError
from whence_common.runtime import logs
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

_MESSAGE_BYTES_MAX = 256 * 1024 * 1024
_BATCH_SECONDS_MAX = 30.0
_ENCODER = msgspec.msgpack.Encoder()
_REQUEST = msgspec.msgpack.Decoder(list[Submitted])


class _Answer(msgspec.Struct, array_like=True):
    checked: VerifiedStatement | None
    refusal: Refusal | None


_ANSWER = msgspec.msgpack.Decoder(list[_Answer])


class VerifierProcess:
    """One verifier process, started when it is first needed, and again after it has ended.

    It answers in order; further batches may be sent while it works on one, so that it never waits for this process.
    """

    def __init__(self) -> None:
        self._process: Process | None = None
        self._starting = asyncio.Lock()
        self._turn = asyncio.Lock()
        """Held by the task that reads the next answer: tasks wait in the order in which they wrote."""

    async def verify(self, submitted: Sequence[Submitted]) -> Sequence[VerifiedStatement | Refusal]:
        """Verify statements. Raises RoadError when the process has ended; the next call starts another."""
        content = _ENCODER.encode(list(submitted))
        try:
            process = await self._running()
        except OSError as exc:
            raise self._ended(exc) from exc
        try:
            async with asyncio.timeout(_BATCH_SECONDS_MAX):
                answer = await self._ask(process, content)
        except (OSError, EOFError, asyncio.IncompleteReadError, TimeoutError, msgspec.MsgspecError) as exc:
            await self._end(process)
            raise self._ended(exc) from exc
        except asyncio.CancelledError:
            await self._end(process)  # an unread answer must not be taken for that of the next batch
            raise
        return [one.checked or one.refusal for one in answer]  # type: ignore[misc]  # one of the two is there

    async def start(self) -> None:
        """Start the process before it is needed."""
        await self.verify([])

    async def close(self) -> None:
        async with self._starting:
            if self._process is not None:
                await self._end(self._process)

    async def _running(self) -> Process:
        if self._process is not None and self._process.returncode is None:
            return self._process
        async with self._starting:
            if self._process is None or self._process.returncode is not None:
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "whence_aggregator.adapters.verifiers",
                    stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, start_new_session=True,
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},  # a package's folder
                )  # fmt: skip
            return self._process

    async def _ask(self, process: Process, content: bytes) -> list[_Answer]:
        source, sink = process.stdout, process.stdin
        assert source is not None
        assert sink is not None
        sink.write(len(content).to_bytes(4, "big") + content)
        async with self._turn:
            size = int.from_bytes(await source.readexactly(4), "big")
            return _ANSWER.decode(await source.readexactly(min(size, _MESSAGE_BYTES_MAX)))

    async def _end(self, process: Process) -> None:
        if self._process is process:
            self._process = None
        if process.returncode is None:
            process.kill()
            await process.wait()

    def _ended(self, exc: Exception) -> RoadError:
        log.error("a verifier ended", extra=fields(error=type(exc).__name__, reason=str(exc)))
        return RoadError("verifier-ended", "statements cannot be verified now", retry_after_seconds=1.0)


def main() -> int:
    """Answer batches until the input ends."""
    logs.set_up(verbose=False)
    gc.freeze()
    gc.set_threshold(20_000, 50, 50)  # as in the server: there are hardly any cycles
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while len(head := source.read(4)) == 4:
        wanted = _REQUEST.decode(source.read(min(int.from_bytes(head, "big"), _MESSAGE_BYTES_MAX)))
        content = _ENCODER.encode(
            [(one, None) if isinstance(one, VerifiedStatement) else (None, one) for one in check(wanted)]
        )
        sink.write(len(content).to_bytes(4, "big") + content)
        sink.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
