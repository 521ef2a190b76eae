"""Which modules an agent loads before its status answers, and how much memory it uses after the boot."""

from __future__ import annotations

import asyncio
import mmap
import re
import subprocess
import sys
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

import pytest

from whence_agent.progress.progress import Progress
from whence_agent.report.at_rest import AtRest
from whence_common.runtime.memory import FileMapping, give_back, resident_bytes, unwritten_mappings

_EARLY = """
import sys
import whence_agent.cli, whence_agent.commands.run
print(*sys.modules, sep="\\n")
"""
_SAME_WORK_AFTER = """
import hashlib, ssl, sys
import whence_agent.wiring.agent
from whence_common.keys import key_id
from whence_common.runtime.memory import give_back, resident_bytes, unwritten_mappings
from cryptography.hazmat.primitives.asymmetric import ec
key = ec.generate_private_key(ec.SECP256R1())
before = resident_bytes()
named = key_id(key.public_key())
give_back(unwritten_mappings())
after = resident_bytes()
assert key_id(key.public_key()) == named
ssl.create_default_context()
print(before >> 10, after >> 10)
"""
_HEAVY = ("docker", "requests", "urllib3", "botocore", "aiobotocore", "cryptography", "whence_agent.wiring", "tarfile")


def _modules(code: str) -> set[str]:
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_what_the_status_does_not_need_is_loaded_after_it_answers() -> None:
    loaded = _modules(_EARLY)

    assert "whence_agent.status.endpoint" in loaded
    assert sorted(loaded & set(_HEAVY)) == []


def test_a_whole_agent_loads_neither_an_sdk_nor_what_verifies_certificates() -> None:
    loaded = _modules("import sys, whence_agent.wiring.agent\nprint(*sys.modules, sep='\\n')")

    assert sorted(loaded & {"docker", "requests", "botocore", "aiobotocore", "cryptography.x509"}) == []


def test_an_idle_agent_uses_less_than_six_times_pythons_memory_and_continues_to_work() -> None:
    run = subprocess.run([sys.executable, "-c", _SAME_WORK_AFTER], capture_output=True, text=True, check=True)
    before, after = map(int, run.stdout.split())
    bare_code = "from pathlib import Path; print(Path('/proc/self/statm').read_text().split()[1])"
    bare = int(subprocess.run([sys.executable, "-c", bare_code], capture_output=True, text=True, check=True).stdout) * 4

    assert after < before
    assert after < 6 * bare


def test_code_whose_memory_was_released_runs_again() -> None:
    before = resident_bytes()

    give_back(unwritten_mappings())

    assert sum(range(10)) == 45
    assert 0 < resident_bytes() < before + 8 * 1024 * 1024


def test_written_and_anonymous_memory_is_never_released(tmp_path: Path) -> None:
    page, place = mmap.PAGESIZE, tmp_path / "library"
    place.write_bytes(b"a" * page * 2)
    with place.open("rb") as file:
        clean, written = (
            mmap.mmap(file.fileno(), page, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | prot)
            for prot in (0, mmap.PROT_WRITE)
        )
    written[0:1] = b"b"

    mapped = [one for one in unwritten_mappings() if one.path == str(place)]
    give_back(unwritten_mappings())

    assert [one.length for one in mapped] == [page]
    assert (clean[0:1], written[0:1]) == (b"a", b"b")
    clean.close()
    written.close()


def test_later_mappings_are_not_released(tmp_path: Path) -> None:
    place = tmp_path / "library"
    place.write_bytes(b"a" * mmap.PAGESIZE)
    before = unwritten_mappings()
    with place.open("rb") as file, mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ) as young:
        assert young[0:1] == b"a"
        give_back(before)
        (smaps,) = re.findall(rf"{place}\nSize:.*?\nRss:\s+(\d+) kB", Path("/proc/self/smaps").read_text(), re.DOTALL)
    assert int(smaps) > 0


async def test_memory_is_released_once_and_only_after_the_boot() -> None:
    given: list[Collection[FileMapping]] = []
    mapping = FileMapping(4096, 4096, "/lib/x.so")
    progress = Progress(
        now=lambda: datetime(2026, 1, 1, tzinfo=UTC), monotonic=lambda: 0.0, boot_id="b",
        started_at="2026-01-01T00:00:00.000Z", on_stage=lambda _: None,
    )  # fmt: skip
    gave = asyncio.Event()

    def back(stable: Collection[FileMapping]) -> None:
        given.append(stable)
        gave.set()

    service = AtRest(
        progress=progress, mappings=lambda: [mapping], give_back=back, resident_bytes=lambda: 1, settle_seconds=0.0
    )
    running = asyncio.create_task(service.run())
    await asyncio.sleep(0)
    assert given == []
    progress.boot.booted.set()
    async with asyncio.timeout(10):
        await gave.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert given == [[mapping]]
