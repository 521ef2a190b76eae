"""Every step of a commit, ended by kill -9, a full disk, an I/O error, a torn write or a lost connection: nothing that was
acknowledged is missing afterwards, and the ledger is clean. Faults are done at the connection, and by strace in the system
calls themselves where a machine lets us trace."""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path

from landscape.kills import Place, traceable
from landscape.postgres import drop_database, new_database, postgres

_SQLITE = int(os.environ.get("BENCH_KILLS_SQLITE", "200"))
_CALLS = int(os.environ.get("BENCH_KILLS_CALLS", "100"))
_POSTGRES = int(os.environ.get("BENCH_KILLS_POSTGRES", "50"))


async def measure(directory: Path, *, rounds: int, limit: Path) -> None:
    """Print how many distinct faults were survived."""
    await _at_the_connection(directory)
    if traceable():
        await _in_system_calls(directory)
    else:
        print("this machine lets nobody trace: no faults in system calls")
    await _on_postgres(directory)


async def _at_the_connection(directory: Path) -> None:
    home = directory / "sqlite"
    home.mkdir()
    steps = int((await Place(home).life(0, "kill"))[1])
    points = [(fault, step) for step in range(1, steps + 1) for fault in ("kill", "full", "io", "torn-kill")]
    survived = await _survive(directory, "s", points, _SQLITE)
    print(
        f"SQLite: {survived.total()} of {len(points)} points in {steps} steps, all clean: {dict(survived)}", flush=True
    )


async def _in_system_calls(directory: Path) -> None:
    home = directory / "calls"
    home.mkdir()
    made = await Place(home).calls()
    points = [
        (f"{fault}@{call}", step)
        for call, count in made.items()
        for step in range(1, count + 1)
        for fault in ("kill", "full", "io")
    ]
    survived = await _survive(directory, "c", points, _CALLS)
    print(
        f"SQLite: {survived.total()} of {len(points)} points in {dict(made)}, all clean: {dict(survived)}", flush=True
    )


async def _survive(directory: Path, name: str, points: list[tuple[str, int]], wanted: int) -> Counter[str]:
    """Survive so many of these points, drawn at random but the same each time."""
    survived = Counter[str]()
    random.Random(1).shuffle(points)
    for number, (fault, step) in enumerate(points):
        place = directory / f"{name}{number}"
        place.mkdir()
        survived[fault] += await _one(Place(place), step, fault, again=number % 10 == 0)
        if survived.total() == wanted:
            break
    return survived


async def _on_postgres(directory: Path) -> None:
    async with postgres(directory, directory) as dsn:
        name = "steps"
        home = directory / "pg"
        home.mkdir()
        steps = int((await Place(home, await new_database(dsn, name)).life(0, "kill"))[1])
        survived = Counter[str]()
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
