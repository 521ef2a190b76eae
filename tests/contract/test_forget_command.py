"""whence-aggregator ledger forget: dry by default, beside a server that goes on, and honest about what it leaves."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

import pytest

from fakes.in_process import InProcess
from fakes.organisation import FakeOrganisation
from fakes.signing_authority import SigningAuthority
from landscape.installation import Installation
from whence_aggregator.commands.ledger import add_parsers, run_ledger
from whence_aggregator.organisation.recorder import OrganisationRecorder
from whence_aggregator.organisation.snapshots import StatedTeam, snapshot
from whence_common.ledger_entry import kind_of
from whence_common.settings_file import SettingsInvalid


@pytest.fixture(params=["sqlite", "postgres"])
async def place(
    request: pytest.FixtureRequest, tmp_path: Path, authority: SigningAuthority, postgres_dsn: str
) -> Installation:
    found = Installation(tmp_path, authority, postgres_dsn if request.param == "postgres" else None)
    await found.make()
    return found


async def read_members(house: InProcess, *members: str) -> None:
    house.clock.advance(60)
    source = FakeOrganisation(snapshot("file", teams=[StatedTeam(id="pay", members=list(members))]))
    await OrganisationRecorder(
        database=house.database, ledger=house.ledger, sources={"file": source}, now=house.clock
    ).read("file")


async def forget(place: Installation, *words: str) -> int:
    parser = argparse.ArgumentParser()
    add_parsers(parser.add_subparsers(), settings_file="aggregator.yaml")
    return await run_ledger(place.settings, parser.parse_args(["ledger", "forget", *words]), place.location)


async def test_it_lists_first_and_removes_beside_a_server_that_goes_on(
    place: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--person", "ada", "--reason", "request 7"]
    async with place.house() as house:
        await read_members(house, "ada", "bob")
        await read_members(house, "bob")
        await read_members(house, "bob", "Ada")
        index, newest = [one.ledger_index for one in await house.entries("team-members")][::2]
        assert await forget(place, *asked) == 1
        kept = (
            f"entry {newest} team-members pay by file: kept: it is the newest list of its source: remove the person there,"
            " and run this again after its next reading"
        )
        shown = capsys.readouterr()
        assert shown.out.splitlines() == [
            f"entry {index} team-members pay by file: to be removed", kept, "1 bodies to be removed, 1 kept",
        ]  # fmt: skip
        assert "nothing was removed: run it again with --remove" in shown.err
        assert "not searched: statements" in shown.err
        assert await house.entries("pruned") == []
        await read_members(house, "bob")
        assert await forget(place, *asked, "--remove") == 0
        assert capsys.readouterr().out.splitlines()[-1] == "2 bodies removed, 0 kept"
        await read_members(house, "bob", "eve")
        (stated,) = await house.entries("pruned")
        assert kind_of(stated.content or b"")[1]["reason"] == "request 7"
        assert await forget(place, *asked) == 0
    assert await place.findings() == []


@pytest.mark.parametrize(
    "words, says",
    [
        (["--person", "ada", "--reason", "Ada asked"], "the reason names the person, and stays in the public log"),
        (["--reason", "request 7"], "nothing is to be found"),
        (["--person", "ada", "--reason", "a\nb"], "one line of at most 500 characters"),
    ],
)
def test_what_would_write_the_name_again_or_find_nothing_is_refused(
    tmp_path: Path, authority: SigningAuthority, words: list[str], says: str
) -> None:
    with pytest.raises(SettingsInvalid, match=says):
        asyncio.run(forget(Installation(tmp_path, authority, None), *words))
