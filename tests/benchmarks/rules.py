"""All rules over a fleet: its first verdicts, and all of them again with nothing new; time, processor and memory.

The evaluator runs as in the program, on SQLite, without the pauses that it makes for ingest. Processor seconds are of all
threads: on a loaded machine, they are what can be compared. BENCH_JUDGED_INSTANCES sets the size of the fleet.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from benchmarks.scale import speak
from fakes.in_process import InProcess
from fakes.signing_authority import SigningAuthority
from whence_aggregator.compliance.rule import SETTING_OF_SOURCE
from whence_aggregator.compliance.rule_settings import RuleSettings
from whence_aggregator.compliance.rules.catalogue import RulesInForce
from whence_aggregator.queries.compliance import UNJUDGE_EVERY
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_aggregator.wiring.judging import TracedBy, load_judge_process
from whence_aggregator.wiring.rules import load_evaluator

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
    elsewhere = load_judge_process(f"sqlite://{directory}/ledger.db", TracedBy(), rules, house.listening)
    house.evaluator = load_evaluator(
        database, house.ledger, house.tracer, house.listening, rules, now=house.clock, elsewhere=elsewhere
    )
    await house.ledger.start()
    await speak(house, INSTANCES)
    print(f"{INSTANCES:,} instances have stated what they run", flush=True)
    await _judge_all(house, "first verdicts")
    for _ in range(rounds):
        await database.write(UNJUDGE_EVERY.bind([{}]))
        await _judge_all(house, "all of them again")
    await house.evaluator.close()
    await database.close()


async def _judge_all(house: InProcess, what: str) -> None:
    marks = [INSTANCES // 10, INSTANCES // 2, INSTANCES]
    began, used, judged, elsewhere = time.perf_counter(), time.process_time(), 0, _Elsewhere()
    while some := await house.evaluator.work():
        judged += some
        elsewhere.look()
        while marks and judged >= marks[0]:
            share = 100 * marks.pop(0) // INSTANCES
            print(
                f"  {share} %: {_resident_megabytes()} MB resident and {elsewhere.megabytes} in the other process,"
                f" after {time.perf_counter() - began:.0f} s",
                flush=True,
            )
    took, here = time.perf_counter() - began, time.process_time() - used
    each = 1000 * (here + elsewhere.seconds) / INSTANCES
    print(
        f"{what}: {judged:,} subjects in {took:.1f} s; {here:.1f} processor seconds here and {elsewhere.seconds:.1f} in"
        f" the other process ({each:.2f} ms each; by the busier one alone:"
        f" {max(here, elsewhere.seconds) / INSTANCES * 1e5:.0f} s for 100,000)",
        flush=True,
    )


class _Elsewhere:
    """Processor time and memory of the process that judges backlogs, since this was made."""

    def __init__(self) -> None:
        self._before = dict(self._found())
        self.seconds, self.megabytes = 0.0, 0

    def look(self) -> None:
        found = dict(self._found())
        if found:
            self.seconds = sum(seconds - self._before.get(pid, 0.0) for pid, seconds in found.items())
            self.megabytes = sum(_resident_megabytes(pid) for pid in found)

    def _found(self) -> Iterator[tuple[str, float]]:
        for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split():
            with suppress(FileNotFoundError, ProcessLookupError):
                if b"wiring.judging" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    status = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
                    yield pid, (int(status[11]) + int(status[12])) / os.sysconf("SC_CLK_TCK")


def _resident_megabytes(pid: str = "self") -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) // 1024
