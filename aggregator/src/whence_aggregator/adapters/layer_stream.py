"""A layer scanned while it streams by: bytes go through a pipe to a thread that inflates and reads the tar archive.

Each scan has a thread of its own: one that waits for a slow layer holds up nothing that other threads are for.
"""

from __future__ import annotations

import asyncio
import gzip
import os
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import BinaryIO, cast

import zstandard

from whence_aggregator.adapters.pace import LAYER_FLOOR, Floor, paced
from whence_common.image_layers import LayerFinding, read_layer

SCAN_SECONDS_MAX = 300.0
_ZSTD_WINDOW_MAX = 1 << 27
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


async def scan(chunks: AsyncIterator[bytes], *, floor: Floor = LAYER_FLOOR) -> LayerFinding:
    """Read a layer to its end, or until it is seen to be unreadable. Raises what the chunks raise, and TooSlow."""
    read_end, write_end = os.pipe()
    stopped, thread = threading.Event(), ThreadPoolExecutor(1, thread_name_prefix="whence-layer")
    loop = asyncio.get_running_loop()
    scanning = loop.run_in_executor(thread, _scan, read_end, stopped)
    try:
        sink = os.fdopen(write_end, "wb", buffering=0)
        transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, sink)
        try:
            writer = asyncio.StreamWriter(transport, protocol, None, loop)
            async for chunk in paced(chunks, floor, seconds=time.monotonic):
                if scanning.done():
                    break
                writer.write(chunk)
                with suppress(ConnectionError):
                    await writer.drain()
        except BaseException:
            transport.abort()  # what is not written yet must not keep the thread reading
            raise
        finally:
            transport.close()
        return await asyncio.shield(scanning)
    finally:
        stopped.set()
        scanning.add_done_callback(_seen)
        thread.shutdown(wait=False)


def _seen(scanning: asyncio.Future[LayerFinding]) -> None:
    if not scanning.cancelled():
        scanning.exception()


def _scan(descriptor: int, stopped: threading.Event) -> LayerFinding:
    with open(descriptor, "rb", buffering=1 << 20) as layer:
        return read_layer(cast("BinaryIO", _Timed(_inflated(layer), stopped)))


def _inflated(layer: BinaryIO) -> BinaryIO:
    """Tell by its first bytes how a layer is compressed."""
    magic = layer.peek(4)[:4]  # type: ignore[attr-defined]  # a buffered reader has it
    if magic == _ZSTD:
        reader = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_MAX)
        return cast("BinaryIO", _Zstd(reader.stream_reader(layer, read_across_frames=True)))
    if magic[:2] == _GZIP:
        return cast("BinaryIO", gzip.GzipFile(fileobj=layer))
    return layer


class _Zstd:
    """zstd's errors as those of any file."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source

    def read(self, size: int = -1) -> bytes:
        try:
            return self._source.read(size)
        except zstandard.ZstdError as exc:
            raise OSError(str(exc)) from exc


class _Timed:
    """A reader that gives up after a time, for small layers can inflate for long, and when nobody waits any more."""

    def __init__(self, source: BinaryIO, stopped: threading.Event) -> None:
        self._source = source
        self._stopped = stopped
        self._ends = time.monotonic() + SCAN_SECONDS_MAX

    def read(self, size: int = -1) -> bytes:
        if time.monotonic() > self._ends:
            raise OSError(f"takes longer than {SCAN_SECONDS_MAX:g} seconds")
        if self._stopped.is_set():
            raise OSError("is not waited for any more")
        return self._source.read(size)
