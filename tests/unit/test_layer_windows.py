"""What zstd's windows take of memory: ten kilobytes of a hostile image could ask for 128 MB, as often as it was looked at."""

from __future__ import annotations

import io
import tarfile
from collections.abc import AsyncIterator

import pytest
import zstandard

from whence_aggregator.adapters.layer_stream import Windows, scan
from whence_aggregator.ports import SourceUnavailable

MEGABYTE = 1 << 20


def archive(size: int) -> bytes:
    """Give a tar archive with one file of zeros."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as opened:
        file = tarfile.TarInfo("zeros")
        file.size = size
        opened.addfile(file, io.BytesIO(bytes(size)))
    return content.getvalue()


def framed(content: bytes, window_log: int) -> bytes:
    """Give a frame with a window of so many bits."""
    parameters = zstandard.ZstdCompressionParameters(window_log=window_log, compression_level=1)
    compressing = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return compressing.compress(content) + compressing.flush()


LAYER = archive(40_000_000)


async def scanned(content: bytes, windows: Windows) -> str:
    async def chunks() -> AsyncIterator[bytes]:
        yield content

    return (await scan(chunks(), windows=windows)).outcome


@pytest.mark.parametrize("window_log, outcome", [(20, "absent"), (23, "absent"), (25, "absent"), (27, "unreadable")])
async def test_a_layer_whose_window_is_larger_than_any_builders_is_not_read(window_log: int, outcome: str) -> None:
    assert await scanned(framed(LAYER, window_log), Windows()) == outcome


async def test_large_windows_are_bounded_over_all_layers_and_given_back() -> None:
    windows, large = Windows(64 * MEGABYTE), framed(LAYER, 25)
    with windows.held(32 * MEGABYTE):
        assert await scanned(large, windows) == "absent"
        with windows.held(32 * MEGABYTE):
            with pytest.raises(SourceUnavailable, match="large zstd windows"):
                await scanned(large, windows)
            assert await scanned(framed(LAYER, 23), windows) == "absent"
    assert await scanned(large, windows) == "absent"


async def test_a_second_frame_may_not_have_a_larger_window_than_the_first() -> None:
    content = framed(LAYER[:1_000], 20) + framed(LAYER[1_000:], 25)
    assert await scanned(content, Windows()) == "unreadable"
