"""One run of each program, before the counting front: what it called, took and printed."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from fakes.aws_front import AwsFront

RUN_SECONDS_MAX = 1_800
_LOOK_SECONDS = 0.1
_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """What a run took. Memory is the peak of its processes, summed up where several run at once."""

    exit_code: int
    calls: Counter[str]
    cpu_seconds: float
    rss_mb: float
    wall_seconds: float
    output: str = ""
    found: Counter[str] = field(default_factory=Counter)
    """What it stated about instances: so many of each outcome."""

    def row(self, name: str) -> str:
        total = sum(self.calls.values())
        return f"{name:<22}{total:>8,}{self.cpu_seconds:>9.1f}{self.rss_mb:>9.0f}{self.wall_seconds:>9.0f}"


HEAD = f"{'':<22}{'calls':>8}{'CPU s':>9}{'RSS MB':>9}{'wall s':>9}"


async def ended(
    command: Sequence[str | Path], front: AwsFront, directory: Path, *, seconds_max: float = RUN_SECONDS_MAX
) -> Took:
    """Run a program to its end, or to its deadline: it is killed then, and its exit code is -9."""
    front.asked.clear()
    took = await run_to_end(command, front.url, directory, seconds_max=seconds_max)
    return replace(took, calls=Counter(front.asked))


async def run_to_end(
    command: Sequence[str | Path], endpoint_url: str, directory: Path, *, seconds_max: float = RUN_SECONDS_MAX
) -> Took:
    """Run a program as `ended` does, before an endpoint that counts elsewhere."""
    directory.mkdir(parents=True)
    return await asyncio.to_thread(_run_to_end, [str(one) for one in command], endpoint_url, directory, seconds_max)


def _run_to_end(command: list[str], endpoint_url: str, directory: Path, seconds_max: float) -> Took:
    log, began = directory / "output", time.monotonic()
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command, cwd=directory, stdin=subprocess.DEVNULL, stdout=sink, stderr=subprocess.STDOUT,
            env={**_ENVIRONMENT, "HOME": str(directory), "AWS_ENDPOINT_URL": endpoint_url},
        )  # fmt: skip
        deadline, peak = began + seconds_max, 0.0
        while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
            if time.monotonic() > deadline:
                process.kill()
            peak = max(peak, _peak_mb_now(process.pid))
            time.sleep(_LOOK_SECONDS)
        _, status, used = ended
        process.returncode = os.waitstatus_to_exitcode(status)
    return Took(
        exit_code=process.returncode, calls=Counter(), cpu_seconds=used.ru_utime + used.ru_stime,
        rss_mb=peak, wall_seconds=time.monotonic() - began,
        output=log.read_text(encoding="utf-8", errors="replace"),
    )  # fmt: skip


_ENVIRONMENT = {
    "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "eu-central-1", "NO_COLOR": "1",
}  # fmt: skip
"""Nothing else of this process reaches a program that is not ours."""


def together(runs: Sequence[Took]) -> Took:
    """Return runs that came one after another as one: the largest memory, and the sum of the rest."""
    calls, found = Counter[str](), Counter[str]()
    for one in runs:
        calls.update(one.calls)
        found.update(one.found)
    return Took(
        exit_code=max(one.exit_code for one in runs), calls=calls, cpu_seconds=sum(one.cpu_seconds for one in runs),
        rss_mb=max(one.rss_mb for one in runs), wall_seconds=sum(one.wall_seconds for one in runs),
        output="".join(one.output for one in runs), found=found,
    )  # fmt: skip


def tree_of(pid: int) -> list[int]:
    """Return a process and its descendants."""
    found = [pid]
    for one in found:
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            found += [int(child) for child in task.read_text(encoding="ascii").split()]
    return found


def cpu_seconds(pids: Sequence[int]) -> float:
    """Return what running processes have used of processors, their ended children included."""
    ticks = 0
    for pid in pids:
        stated = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        ticks += sum(int(one) for one in stated[11:15])
    return ticks / _CLOCK_TICKS


def _peak_mb_now(pid: int) -> float:
    """Return the peaks of a process and its descendants. Not `ru_maxrss`, which starts with the memory of this process."""
    try:
        return peak_mb(tree_of(pid))
    except (FileNotFoundError, ProcessLookupError):
        return 0.0  # one of them has ended: the next look is soon


def peak_mb(pids: Sequence[int]) -> float:
    """Return the sum of the processes' peaks: not less than the peak of the sum."""
    kilobytes = 0
    for pid in pids:
        rows = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
        kilobytes += sum(int(row.split()[1]) for row in rows if row.startswith("VmHWM:"))
    return kilobytes / 1024
