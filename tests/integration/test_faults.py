"""A sample of the faults that `make bench ARGS=kills` goes through: whatever ended, nothing acknowledged is missing."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

import pytest

from landscape.endurance import repeated
from landscape.kills import Place, traceable
from landscape.postgres import new_database, postgres

_FAULTS: list[tuple[str, int]] = [
    ("kill", 30),
    ("kill", 131),
    ("torn-kill", 160),
    ("torn-kill", 190),
    ("full", 90),
    ("full", 222),
    ("io", 145),
    ("io", 400),
    *(
        [
            ("kill@pwrite64", 40),
            ("kill@pwrite64", 560),
            ("kill@fdatasync", 20),
            ("kill@ftruncate", 1),
            ("full@pwrite64", 600),
            ("io@pwrite64", 560),
            ("io@fdatasync", 25),
        ]
        if traceable()
        else []
    ),
]


@pytest.mark.endurance
@pytest.mark.parametrize("fault, step", _FAULTS[:: repeated(sample=2, whole=1)])
async def test_a_ledger_on_sqlite_is_clean_after_a_fault_and_goes_on(tmp_path: Path, fault: str, step: int) -> None:
    place = Place(tmp_path)
    assert done(place, fault, step, *await place.life(step, fault))
    assert await place.sound() == ""
    assert (await place.life(0, "kill"))[0] == 0
    assert await place.sound() == ""


def done(place: Place, fault: str, step: int, code: int, said: str) -> bool:
    """Tell whether a life came to the step of its fault, and went on where that did not end it."""
    assert code == (-9 if "kill" in fault else 0), said
    if "kill" in fault:
        return True
    return "(INJECTED)" in (place.directory / "calls").read_text() if "@" in fault else int(said) >= step


@pytest.mark.endurance
async def test_a_ledger_on_postgresql_is_clean_after_faults_of_those_who_hold_the_sequencer(tmp_path: Path) -> None:
    cluster = Path("/tmp") / f"whence-faults-{uuid.uuid4().hex[:8]}"
    cluster.mkdir(mode=0o755)
    try:
        async with postgres(cluster, tmp_path) as dsn:
            faults = [("kill", 40), ("lost", 140), ("lost", 70), ("kill", 150)]
            for number, (fault, step) in enumerate(faults[: repeated(sample=2, whole=4)]):
                home = tmp_path / str(number)
                home.mkdir()
                place = Place(home, await new_database(dsn, f"f{number}"))
                assert done(place, fault, step, *await place.life(step, fault))
                assert await place.sound() == ""
                assert (await place.life(0, "kill"))[0] == 0
                assert await place.sound() == ""
    finally:
        shutil.rmtree(cluster)
