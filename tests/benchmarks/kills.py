"""Every step of a commit, ended by kill -9, a full disk, an I/O error, a torn write or a lost connection: nothing that was
acknowledged is missing afterwards, and the ledger is clean."""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path

from landscape.kills import Place, drop_database, new_database
from landscape.postgres import postgres

_SQLITE = int(os.environ.get("BENCH_KILLS_SQLITE", "200"))
_POSTGRES = int(os.environ.get("BENCH_KILLS_POSTGRES", "50"))


async def measure(directory: Path, *, rounds: int, limit: Path) -> None:
    """Print how many distinct faults were survived."""
    home = directory / "sqlite"
    home.mkdir()
    steps = int((await Place(home).life(0, "kill"))[1])
    survived = Counter[str]()
    points = [(fault, step) for step in range(1, steps + 1) for fault in ("kill", "full", "io", "torn-kill")]
    random.Random(1).shuffle(points)
    for number, (fault, step) in enumerate(points):
        place = directory / f"s{number}"
        place.mkdir()
        survived[fault] += await _one(Place(place), step, fault, again=number % 10 == 0)
        if survived.total() == _SQLITE:
            break
    print(
        f"SQLite: {sum(survived.values())} of {len(points)} points in {steps} steps, all clean: {dict(survived)}",
        flush=True,
    )
    async with postgres(directory, directory) as dsn:
        name = "steps"
        home = directory / "pg"
        home.mkdir()
        steps = int((await Place(home, await new_database(dsn, name)).life(0, "kill"))[1])
        survived = Counter()
        points = [(fault, step) for step in range(1, steps + 1) for fault in ("kill", "lost")]
        random.Random(2).shuffle(points)
        for number, (fault, step) in enumerate(points):
            place = directory / f"p{number}"
            place.mkdir()
            survives = _one(Place(place, await new_database(dsn, f"k{number}")), step, fault, again=number % 10 == 0)
            survived[fault] += await survives
            await drop_database(dsn, f"k{number}")
            if survived.total() == _POSTGRES:
                break
        print(
            f"PostgreSQL: {sum(survived.values())} of {len(points)} points in {steps} steps, all clean: {dict(survived)}"
        )


async def _one(place: Place, step: int, fault: str, *, again: bool) -> bool:
    """Survive one fault; False when that life was over before the step, for batches are never the same twice."""
    code, said = await place.life(step, fault)
    if "kill" in fault and code == 0:
        return False
    allowed = (-9,) if "kill" in fault else (0, 1)  # a fault at the very start ends the start
    assert code in allowed, f"{fault} at {step}: {code} {said}"
    wrong = await place.sound()
    assert not wrong, f"{fault} at step {step}: {wrong}"
    if again:
        code, said = await place.life(0, "kill")
        assert code == 0, f"after {fault} at {step}: {said}"
        assert not await place.sound(), f"after {fault} at {step}"
    return True
