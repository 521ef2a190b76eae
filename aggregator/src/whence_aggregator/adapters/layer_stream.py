"""Scans a layer while it streams: bytes go through a pipe to a thread that inflates and reads the tar archive.

Each scan has its own thread: one that waits for a slow layer does not delay the work of other threads.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import BinaryIO, cast

import zstandard

from whence_aggregator.adapters.pace import LAYER_FLOOR, Floor, paced
from whence_aggregator.ports import SourceUnavailable
from whence_common.image_layers import LayerFinding, read_layer

SCAN_SECONDS_MAX = 300.0
LAYER_BYTES_MAX = 8 * 1024**3
SMALL_WINDOW_BYTES = 8 * 1024 * 1024
"""Every decoder of zstd should support it (RFC 8878, 3.1.1.1.2), and most images use no more."""
_ZSTD_WINDOW_BYTES_MAX = 32 * 1024 * 1024
"""BuildKit's highest compression level uses windows of this size."""
_LARGE_WINDOWS_BYTES_MAX = 256 * 1024 * 1024
_HEADER_BYTES_MAX = 18
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


class Windows:
    """Bounds the memory for large windows of zstd, over all scans of a process: ten kilobytes can demand all of it."""

    def __init__(self, total_bytes: int = _LARGE_WINDOWS_BYTES_MAX) -> None:
        self._left = total_bytes
        self._lock = threading.Lock()

    @contextmanager
    def held(self, size: int) -> Iterator[None]:
        """Hold a window for the block's duration; small ones are not counted. Raises SourceUnavailable."""
        counted = size if size > SMALL_WINDOW_BYTES else 0
        with self._lock:
            if counted > self._left:
                raise SourceUnavailable("layer-window", "too many layers with large zstd windows at once")
            self._left -= counted
        try:
            yield
        finally:
            with self._lock:
                self._left += counted


async def scan_layer(
    chunks: AsyncIterator[bytes], digest: str, *, place: str, windows: Windows
) -> LayerFinding:  # fmt: skip
    """Scan a layer for its scm-source.json. `place` names it in errors. Raises SourceUnavailable, or as `scan`."""
    hashed = hashlib.sha256()
    finding = await scan(_hashed(chunks, hashed, place), windows=windows)
    if finding.outcome != "unreadable" and f"sha256:{hashed.hexdigest()}" != digest:
        raise SourceUnavailable("registry-wrong-digest", f"{place}: the bytes do not have this digest")
    return finding


async def scan(chunks: AsyncIterator[bytes], *, windows: Windows, floor: Floor = LAYER_FLOOR) -> LayerFinding:
    """Return what a layer's scan found; stop at its end, or when it proves unreadable.

    Raises what the chunks raise, TooSlow, and SourceUnavailable while there is no memory for a large window.
    """
    read_end, write_end = os.pipe()
    stopped, thread = threading.Event(), ThreadPoolExecutor(1, thread_name_prefix="whence-layer")
    loop = asyncio.get_running_loop()
    scanning = loop.run_in_executor(thread, _scan, read_end, stopped, windows)
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
            transport.abort()  # unwritten bytes must not keep the thread reading
            raise
        finally:
            transport.close()
        return await asyncio.shield(scanning)
    finally:
        stopped.set()
        scanning.add_done_callback(_seen)
        thread.shutdown(wait=False)


async def _hashed(chunks: AsyncIterator[bytes], hashed: hashlib._Hash, place: str) -> AsyncIterator[bytes]:
    left = LAYER_BYTES_MAX
    async for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            size = f"{LAYER_BYTES_MAX >> 30} GiB"
            raise SourceUnavailable("image-layer-too-large", f"{place}: the layer is larger than {size}")
        hashed.update(chunk)
        yield chunk


def _seen(scanning: asyncio.Future[LayerFinding]) -> None:
    if not scanning.cancelled():
        scanning.exception()


def _scan(descriptor: int, stopped: threading.Event, windows: Windows) -> LayerFinding:
    with open(descriptor, "rb", buffering=1 << 20) as layer, ExitStack() as stack:
        return read_layer(cast("BinaryIO", _Timed(_inflated(layer, windows, stack), stopped)))


def _inflated(layer: BinaryIO, windows: Windows, stack: ExitStack) -> BinaryIO:
    """Return a reader of the uncompressed layer; its first bytes name the compression."""
    head = layer.peek(_HEADER_BYTES_MAX)  # type: ignore[attr-defined]  # a buffered reader has it
    if head[:4] == _ZSTD:
        size = max(SMALL_WINDOW_BYTES, _window_bytes(head))
        stack.enter_context(windows.held(size))
        reader = zstandard.ZstdDecompressor(max_window_size=size)
        return cast("BinaryIO", _Zstd(reader.stream_reader(layer, read_across_frames=True)))
    if head[:2] == _GZIP:
        return cast("BinaryIO", gzip.GzipFile(fileobj=layer))
    return layer


def _window_bytes(head: bytes) -> int:
    """Return the window of the first frame, cut to the maximum; later frames must not have larger ones."""
    try:
        return min(zstandard.get_frame_parameters(head).window_size, _ZSTD_WINDOW_BYTES_MAX)
    except zstandard.ZstdError:
        return 0  # truncated in its first bytes, or not zstd: the decoder reports which


class _Zstd:
    """Raises zstd's errors as OSError, like any file."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source

    def read(self, size: int = -1) -> bytes:
        try:
            return self._source.read(size)
        except zstandard.ZstdError as exc:
            raise OSError(str(exc)) from exc


class _Timed:
    """Fails a read after a time, because small layers can take long to inflate, or after the scan was stopped."""

    def __init__(self, source: BinaryIO, stopped: threading.Event) -> None:
        self._source = source
        self._stopped = stopped
        self._ends = time.monotonic() + SCAN_SECONDS_MAX

    def read(self, size: int = -1) -> bytes:
        if time.monotonic() > self._ends:
            raise OSError(f"takes longer than {SCAN_SECONDS_MAX:g} seconds")
        if self._stopped.is_set():
            raise OSError("the scan was stopped")
        return self._source.read(size)
