"""The README's first command, as a newcomer runs it. It downloads: the base of an image, once a week, and wheels."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import tempfile
from pathlib import Path

import pytest

from landscape.images import clone_status
from landscape.whole import ROOT, Landscape
from whence_aggregator import __version__


@pytest.mark.timeout(600)  # the base of its image is made once a week, which downloads
async def test_the_demo_ends_by_itself_and_shows_five_instances(tmp_path: Path, scape: Landscape) -> None:
    changes = await clone_status(ROOT)
    process = await start(tmp_path, scape)
    output = (await process.communicate())[0].decode()
    assert process.returncode == 0, output
    for title in ("right", "five mistakes", "mutable image", "dirty tree"):
        assert title in output
    for place in ("3:22", "4:10", "5:9", "6:8", "8:12"):
        assert re.search(rf"│\s+{place} ", output), place
    own = output.partition("=== whence-aggregator itself, built from this checkout")[2].partition("\n===")[0]
    state = "contradicted" if changes else "confirmed"
    assert re.search(rf"─ . image +confirmed +\S+/platform/whence-aggregator:{__version__}  sha256:", own), own
    assert re.search(rf"─ . commit +{state} +{scape.sources.head}  ", own), own
    assert ("built from a tree with uncommitted changes" in own) is bool(changes)
    assert "export WHENCE_URL=" in output
    assert list(tmp_path.iterdir()) == []


async def test_an_interrupted_demo_leaves_nothing_behind(tmp_path: Path, scape: Landscape) -> None:
    process = await start(tmp_path, scape)
    assert process.stdout is not None
    seen = b""
    async with asyncio.timeout(60):
        while b"Git server" not in seen:
            line = await process.stdout.readline()
            assert line, seen.decode()
            seen += line
    process.send_signal(signal.SIGTERM)
    await process.communicate()
    assert process.returncode == 130
    assert list(tmp_path.iterdir()) == []


async def start(directory: Path, scape: Landscape) -> asyncio.subprocess.Process:
    """Start the demo without a terminal, with its temporary files in a place of its own."""
    assert tempfile.gettempdir() != str(directory)
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "landscape.demo",
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": "tests", "TMPDIR": str(directory), "DOCKER_HOST": scape.engine},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
