"""All rules over a fleet: its first verdicts, and all of them again with nothing new; time, processor and memory.

The evaluator runs as in the program, on SQLite, without the pauses that it makes for ingest. Processor seconds are of all
threads: on a loaded machine, they are what can be compared. BENCH_JUDGED_INSTANCES sets the size of the fleet.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from pathlib import Path

from benchmarks.scale import speak
from fakes.in_process import InProcess
from fakes.signing_authority import SigningAuthority
from whence_aggregator.compliance.rule import SETTING_OF_SOURCE
from whence_aggregator.compliance.rule_settings import RuleSettings
from whence_aggregator.compliance.rules.catalogue import RulesInForce
from whence_aggregator.queries.compliance import UNJUDGE_EVERY
from whence_aggregator.storage.sqlite import SqliteDatabase

INSTANCES = int(os.environ.get("BENCH_JUDGED_INSTANCES", "100000"))
_SETTINGS = RuleSettings(
    ami_owners=("123456789012",), instance_days_max=30, image_days_max=30, evidence_days_max=30,
    regions=("eu-central-1",), registries=("registry.example.org",), signers=("release",), builders=("ci",),
    builder_levels={"ci": 3}, slsa_levels={"1": 3}, scm_owners={"git.example.org": ("demo",)},
)  # fmt: skip


async def measure(directory: Path, *, rounds: int, limit: Path) -> None:
    """Print how long it takes, and the memory after a tenth, half and all of it."""
    gc.freeze()
    gc.set_threshold(20_000, 50, 50)
    sys.setswitchinterval(0.0005)  # all three as the program does
    database = await SqliteDatabase.open(directory / "ledger.db")
    rules = RulesInForce.of(_SETTINGS, tuple(SETTING_OF_SOURCE))
    assert not rules.not_in_force
    house = InProcess(database, SigningAuthority.make(), rules=rules)
    await house.ledger.start()
    await speak(house, INSTANCES)
    print(f"{INSTANCES:,} instances have stated what they run", flush=True)
    await _judge_all(house, "first verdicts")
    for _ in range(rounds):
        await database.write(UNJUDGE_EVERY.bind([{}]))
        await _judge_all(house, "all of them again")
    await database.close()


async def _judge_all(house: InProcess, what: str) -> None:
    marks = [INSTANCES // 10, INSTANCES // 2, INSTANCES]
    began, used, judged = time.perf_counter(), time.process_time(), 0
    while some := await house.evaluator.work():
        judged += some
        while marks and judged >= marks[0]:
            share = 100 * marks.pop(0) // INSTANCES
            print(
                f"  {share} %: {_resident_megabytes()} MB resident after {time.perf_counter() - began:.0f} s",
                flush=True,
            )
    took, seconds = time.perf_counter() - began, time.process_time() - used
    each = 1000 * seconds / INSTANCES
    print(
        f"{what}: {judged:,} subjects in {took:.1f} s, {seconds:.1f} processor seconds ({each:.2f} ms each)", flush=True
    )


def _resident_megabytes() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) // 1024
