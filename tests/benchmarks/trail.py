"""Reading CloudTrail's log files, beside gunzip and json of the same bytes in one process, in turns; then in processes."""

from __future__ import annotations

import gzip
import json
import multiprocessing
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from fakes.cloud_trail import log_file, record
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
        turns = [(_in_processes(files, 1), _in_processes(files, processes)) for _ in range(max(rounds, 3))]
        cost = statistics.median(many.cpu_seconds / one.cpu_seconds for one, many in turns)
        wall = statistics.median(one.seconds / many.seconds for one, many in turns)
        possible = statistics.median(_burnt(1) / _burnt(processes) for _ in turns)
        print(
            f"{processes} processes: {cost:.2f} times the CPU time an event of one; {wall:.2f} times the events/s,"
            f" where a loop without any data has {possible:.2f} times on this machine now"
        )


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@dataclass(frozen=True)
class _Took:
    """What it took to read all files: until the last was read, and of processors."""

    seconds: float
    cpu_seconds: float


def _in_processes(files: list[bytes], processes: int) -> _Took:
    """Read files in processes at the same time, as `cloud_trail.processes` does."""
    with _pool(processes) as pool:
        list(pool.map(len, files))
        began = time.perf_counter()
        spent = list(pool.map(_read, (files[number % len(files)] for number in range(_FILES))))
        return _Took(seconds=time.perf_counter() - began, cpu_seconds=sum(spent))


def _read(content: bytes) -> float:
    began = time.process_time()
    read_log_file(content)
    return time.process_time() - began


def _burnt(processes: int) -> float:
    """Return how long loops take that share nothing: what this machine has left for processes."""
    with _pool(processes) as pool:
        list(pool.map(_burn, range(processes * 2)))
        began = time.perf_counter()
        list(pool.map(_burn, range(_FILES)))
        return time.perf_counter() - began


def _burn(_: int) -> int:
    return sum(number * number for number in range(600_000))


def _pool(processes: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("forkserver"))
