"""Reading CloudTrail's log files, beside gunzip and json of the same bytes in one process, in turns; then in processes."""

from __future__ import annotations

import asyncio
import gzip
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

from fakes.cloud_trail import log_file, record
from whence_aggregator.adapters.log_file_readers import InProcesses
from whence_aggregator.events.log_file import read_log_file

_RECORDS = 5_000
_FILES = 24
_RATIO_MIN = 3.0
_READS = ("DescribeInstances", "DescribeVolumes", "GetObject", "AssumeRole", "ListBuckets", "Decrypt")
_WRITES = ("RunInstances", "StopInstances", "TerminateInstances", "CreateTags")


def a_file(seed: int) -> bytes:
    """Return a file as a busy account writes it: one event in fifty matters, and most bytes are of parameters."""
    random = Random(seed)
    return log_file(*(_record(random, seed * _RECORDS + number) for number in range(_RECORDS)))


def _record(random: Random, number: int) -> dict[str, Any]:
    if number % 50 == 0:
        return record(random.choice(_WRITES), number)
    values = {"items": [{"value": f"{random.getrandbits(64):016x}"} for _ in range(3)]}
    request = {"filterSet": {"items": [{"name": "tag:Name", "valueSet": values}]}, "maxResults": 100}
    return record(
        random.choice(_READS), number, requestParameters=request, readOnly=True,
        tlsDetails={"tlsVersion": "TLSv1.3", "cipherSuite": "TLS_AES_128_GCM_SHA256"},
        additionalEventData={"bytesTransferredIn": 0, "x-amz-id-2": f"{random.getrandbits(128):032x}"},
    )  # fmt: skip


async def measure(directory: Path, *, rounds: int, limit: Path) -> None:
    """Print events a second of both, and their ratio; the bound is 3. Then how ours scales with processes."""
    files = [a_file(seed) for seed in range(4)]
    found = read_log_file(files[0])
    assert found.total == _RECORDS
    assert not found.refused
    theirs, ours = [], []
    for number in range(max(rounds, 3) * 3):
        content = files[number % len(files)]
        theirs.append(_seconds(lambda content=content: json.loads(gzip.decompress(content))))  # type: ignore[misc]  # a bound default
        ours.append(_seconds(lambda content=content: read_log_file(content)))  # type: ignore[misc]  # a bound default
    plain, sound = _RECORDS / statistics.median(theirs), _RECORDS / statistics.median(ours)
    ratio = sound / plain
    print(f"gunzip and json: {plain:,.0f} events/s; read soundly: {sound:,.0f} events/s in one process")
    print(f"ratio {ratio:.1f} (at least {_RATIO_MIN:g}): {'kept' if ratio >= _RATIO_MIN else 'NOT KEPT'}")
    for processes in range(2, (os.cpu_count() or 1) + 1):
        ours_by, burnt_by = [], []
        for _ in range(max(rounds, 3)):
            ours_by.append(await _in_processes(files, processes) / await _in_processes(files, 1))
            burnt_by.append(_burnt(processes) / _burnt(1))
        scaled, possible = statistics.median(ours_by), statistics.median(burnt_by)
        print(
            f"{processes} processes: {scaled:.2f} times the events/s of one; a loop without any data scales by"
            f" {possible:.2f} on this machine now, so {scaled / possible:.0%} of what is possible"
        )


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


async def _in_processes(files: list[bytes], processes: int) -> float:
    """Return events a second of processes that read files at the same time."""
    reader = InProcesses(processes)
    try:
        await asyncio.gather(*(reader.read(files[0]) for _ in range(processes * 2)))  # they are started by then
        began = time.perf_counter()
        await asyncio.gather(*(reader.read(files[number % len(files)]) for number in range(_FILES)))
        return _FILES * _RECORDS / (time.perf_counter() - began)
    finally:
        await reader.close()


def _burnt(processes: int) -> float:
    """Return how many loops a second processes do that share nothing: what this machine has left for them."""
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("forkserver")) as pool:
        list(pool.map(_burn, range(processes * 2)))
        began = time.perf_counter()
        list(pool.map(_burn, range(_FILES)))
        return _FILES / (time.perf_counter() - began)


def _burn(_: int) -> int:
    return sum(number * number for number in range(600_000))
