"""`whence credentials` against mint's API: the list, one application, and what renews and revokes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fakes.mint_house import MintReplica, MintWorld, found_secrets
from fakes.served_mint import APP, BUCKET, SECOND, ServedMint, serving
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_aggregator.whence.cli import whence

Run = Callable[..., Awaitable[Result]]


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[ServedMint]:
    world = MintWorld()
    world.register("greeter")
    world.register("answerer")
    world.register("farewell", team_id="other")
    database = await SqliteDatabase.open(tmp_path / "ledger.db")
    mint = MintReplica(database, world)
    await mint.ledger.start()
    async with serving(mint) as running:
        for name, token in (("greeter", "ada"), ("answerer", "ada"), ("farewell", "bob")):
            assert (await running.ask("PUT", f"/mint/apps/{name}", APP, token=token)).status == 200
        yield running
    await database.close()


@pytest.fixture
def run(served: ServedMint) -> Run:
    async def ran(*words: str, token: str = "ada", text: str | None = None) -> Result:
        environment = {"WHENCE_URL": served.url, "WHENCE_TOKEN": token}
        return await asyncio.to_thread(CliRunner().invoke, whence, ["credentials", *words], env=environment, input=text)

    return ran


async def test_one_application_is_shown_with_its_generations_and_readers(served: ServedMint, run: Run) -> None:
    await served.mint.run("greeter")
    first = {one.kind: one.id.generation for one in (await served.mint.state("greeter")).generations}
    served.mint.world.hold("greeter", {"user": first["user"], "client": "0" * 32}, {"user": None, "client": None})
    served.mint.world.clock.advance(7_300)
    shown = await run("greeter")
    lines = shown.stdout.splitlines()
    assert shown.exit_code == 0
    assert "application greeter of hello (minted)" in lines
    assert "as of       2026-11-22T14:01:40.000Z" in lines
    assert "behind      i-0 in 123456789012 holds client generation 00000000" in lines
    rows = [line.split("  ") for line in lines if line.startswith(("client  ", "user  "))]
    assert [[one.strip() for one in row if one.strip()] for row in rows] == [
        ["client", first["client"][:8], "committed, current", "2 hours", "1 of 1", "0 of 2, 1 unknown"],
        ["user", first["user"][:8], "committed, current", "2 hours", "1 of 1", "1 of 2, 1 unknown"],
    ]
    document = json.loads((await run("greeter", "--json")).output)
    assert document["generations"][0]["generation"] == first["client"]


async def test_who_changed_what_is_shown_the_newest_first(served: ServedMint, run: Run) -> None:
    served.mint.world.clock.advance(60)
    more = {**APP, "s3_buckets": [BUCKET, SECOND], "redirect_url": None}
    assert (await served.ask("PUT", "/mint/apps/greeter", more, token="root")).status == 200
    assert (await run("greeter", "renew", "--yes")).exit_code == 0
    lines = [
        line.removeprefix("changed").strip()
        for line in (await run("greeter")).stdout.splitlines()
        if line[:7] == "changed"
    ]
    assert lines == [
        "2026-11-22T12:01:00.000Z renewal by ada",
        f"2026-11-22T12:01:00.000Z changed by root: buckets is {SECOND}, {BUCKET}; redirect_url is none",
        f"2026-11-22T12:00:00.000Z created by ada: buckets {BUCKET}, scopes sales-order.read",
    ]  # fmt: skip


async def test_the_list_has_those_with_problems_first(served: ServedMint, run: Run) -> None:
    await served.mint.run("answerer")
    served.mint.world.buckets.absent.add(BUCKET)
    await served.mint.run("greeter")
    listed = await run()
    first = [line.split(" ")[0] for line in listed.stdout.splitlines()]
    assert (listed.exit_code, first) == (1, ["application_id", "greeter", "answerer", "farewell"])
    assert "does not exist" in listed.output
    assert ": bucket-missing: bucket " in (await run("greeter")).output, "the manual is searched for the code"
    assert [line.split(" ")[0] for line in (await run("--problems")).stdout.splitlines()][1:] == ["greeter"]
    one = await run("--limit", "1", "--json")
    assert [row["application_id"] for row in json.loads(one.stdout)["applications"]] == ["greeter"]
    assert "1 shown, and there are more" in one.stderr
    assert "3 in total" in (await run("--limit", "3")).stderr
    assert "2 shown, and there are more" in (await run("--limit", "2")).stderr
    assert "1 in total" in (await run("--limit", "1", "--team", "other")).stderr
    shown = await run("greeter")
    assert shown.exit_code == 1
    assert "problem     " in shown.output
    assert (await run("--team", "other")).exit_code == 0


async def test_no_bucket_is_said_to_hold_a_generation_that_has_ended(served: ServedMint, run: Run) -> None:
    """Its version is still in the bucket, below the newest."""
    await served.mint.run("greeter")
    served.mint.world.clock.advance(100)
    await run("greeter", "revoke", "--yes")
    await served.mint.run("greeter")
    rows = [line for line in (await run("greeter")).stdout.splitlines() if line.startswith(("client  ", "user  "))]
    assert sorted(("ended" in row, " of 1 " in row) for row in rows) == [(False, True)] * 2 + [(True, False)] * 2


async def test_renew_and_revoke_are_recorded(served: ServedMint, run: Run) -> None:
    await served.mint.run("greeter")
    for action in ("renew", "revoke"):
        served.mint.world.clock.advance(100)
        done = await run("greeter", action, "--yes")
        assert done.exit_code == 0, done.output
        assert f"{action} is recorded" in done.stderr
    assert (await served.mint.state("greeter")).stored.renewal_reason == "revoked by ada"
    assert "revoked by ada" in (await run("greeter")).stdout
    await served.mint.run("greeter")
    assert "revoked by ada" not in (await run("greeter")).stdout, "it is done"


@pytest.mark.parametrize("action", ["renew", "revoke"])
async def test_without_a_terminal_nothing_is_done_that_was_not_confirmed(
    served: ServedMint, run: Run, action: str
) -> None:
    before = await served.mint.state("greeter")
    refused = await run("greeter", action, text="y\n")
    assert (refused.exit_code, "add --yes" in refused.output) == (2, True)
    assert await served.mint.state("greeter") == before


@pytest.mark.parametrize(
    ("words", "token", "code"),
    [
        (("nobody",), "ada", 4), (("greeter", "renew", "--yes"), "bob", 3), (("greeter", "drop"), "ada", 2),
        (("../apps",), "ada", 2), (("greeter", "--team", "hello"), "ada", 2), (("greeter",), "unknown", 3),
        (("Greeter",), "ada", 2), ((), "stranger", 3),
    ],
)  # fmt: skip
async def test_what_goes_wrong_ends_with_its_exit_code(
    served: ServedMint, run: Run, words: tuple[str, ...], token: str, code: int
) -> None:
    ended = await run(*words, token=token)
    assert ended.exit_code == code, ended.output


async def test_no_secret_is_printed(served: ServedMint, run: Run) -> None:
    await served.mint.run("greeter")
    served.mint.world.provider.weather = lambda request: "garbage" if request == "verify" else "fine"
    served.mint.world.clock.advance(100)
    await run("greeter", "renew", "--yes")
    await served.mint.run("greeter")
    printed = [(await run(*words)).output.encode() for words in ((), ("greeter",), ("greeter", "--json"))]
    assert found_secrets(iter(printed), list(served.mint.world.provider.secrets())) == []
