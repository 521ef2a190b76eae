"""The judgement of a document as large as EC2 takes one, beside PyYAML's plain loading of it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import yaml

from whence_common.user_data.envelope import RAW_BYTES_MAX
from whence_common.user_data.judge import judge
from whence_common.user_data.platform import PlatformRules

_HEAD = (
    "#taupage-ami-config\napplication_id: bench\napplication_version: '1.0'\nruntime: Docker\n"
    "source: registry.example.org/pay/bench:1.0\nenvironment:\n"
)


async def measure(directory: Path, *, rounds: int, limit: Path) -> None:
    """Print the medians for one document without and one full of problems."""
    rules = PlatformRules(immutable=frozenset({"registry.example.org"}))
    for name, line in (("a right one", "  VARIABLE_{0}: 'value {0}'\n"), ("all lines wrong", "  VARIABLE_{0}: [x]\n")):
        text, number = _HEAD, 0
        while len(text) + 40 < RAW_BYTES_MAX:
            text += line.format(number)
            number += 1
        raw = text.encode()
        ours = _median(lambda raw=raw: judge(raw, rules))  # type: ignore[misc]
        loaded = _median(lambda text=text: yaml.load(text, Loader=yaml.CSafeLoader))  # type: ignore[misc]
        print(f"{name}, {len(raw)} bytes: judged in {ours:.1f} ms, loaded in {loaded:.1f} ms ({ours / loaded:.1f}×)")


def _median(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(15):
        began = time.perf_counter()
        work()
        taken.append((time.perf_counter() - began) * 1000)
    return statistics.median(taken)
