"""Who reads what belongs to their own teams alone: what is theirs is shown, and everything else is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from fakes.in_process import LIMITLESS, InProcess
from fakes.signing_authority import SigningAuthority
from whence_aggregator.callers.caller import AUDIT, Caller
from whence_aggregator.callers.limits import Limit
from whence_aggregator.callers.membership import Membership
from whence_aggregator.callers.sign_in import NOBODY, Authenticator
from whence_aggregator.callers.tokens import token_hash
from whence_aggregator.collect.accounts import Accounts
from whence_aggregator.compliance.violations import Violations
from whence_aggregator.http.accounts import AccountCalls
from whence_aggregator.http.kio import KioCalls
from whence_aggregator.http.queries import QueryCalls
from whence_aggregator.http.server import Server
from whence_aggregator.http.slots import Slots
from whence_aggregator.http.violations import ViolationCalls
from whence_aggregator.ledger.log_reader import LogReader
from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_aggregator.trace.moment import Moments
from whence_common.statement import ApplicationFacts

THEIRS, OTHERS = "i-00000000000000001", "i-00000000000000002"
KNOWN = {
    "ada": Caller(name="ada", teams=frozenset({"hello"}), subject=("https://i", "1"), reads="teams"),
    "lost": Caller(name="lost", teams=frozenset(), subject=("https://i", "2"), reads="teams", not_written="unknown teams"),
    "audit": Caller(
        name="audit", teams=frozenset(), subject=("https://i", "3"), reads="teams", rights=frozenset({AUDIT})
    ),
}  # fmt: skip
Ask = Callable[[str, str], Awaitable[tuple[int, Any]]]


@asynccontextmanager
async def served(house: InProcess) -> AsyncIterator[str]:
    """Serve the calls of queries and of Kio's paths; give the URL."""
    routes = QueryCalls(
        database=house.database, log=LogReader(house.database), search=house.search, tracer=house.tracer
    ).routes()
    routes += ViolationCalls(Violations(database=house.database, listening=house.listening)).routes()
    accounts = Accounts(database=house.database, accounts=["123456789012"], listening=house.listening)
    routes += AccountCalls(
        accounts, OrganisationDirectory(house.database), Moments(database=house.database, now=house.clock)
    ).routes()
    routes += KioCalls(
        applications=house.applications, streams=Slots("streams", 4), membership=Membership(None)
    ).routes()
    known = {token_hash(token): caller for token, caller in KNOWN.items()}
    sign_in = Authenticator(
        known=known, sources=NOBODY, sessions=None, attempts=Limit("address", LIMITLESS), now=house.clock
    )
    listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    server = Server(
        routes=routes, sign_in=sign_in, address="127.0.0.1", port=0, tls=None, listening=listening.set_result
    )
    running = asyncio.create_task(server.run())
    try:
        yield f"http://127.0.0.1:{await listening}"
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


@pytest.fixture
async def ask(tmp_path: Path, authority: SigningAuthority) -> AsyncIterator[Ask]:
    database = await SqliteDatabase.open(tmp_path / "ledger.db")
    async with InProcess(database, authority).running() as house, aiohttp.ClientSession() as session:
        await house.register("greeter", team_id="hello")
        await house.register("farewell", team_id="other")
        for instance_id, application in ((THEIRS, "greeter"), (OTHERS, "farewell")):
            machine = await house.machine(instance_id)
            await house.say(machine, application=ApplicationFacts(id=application, version="1.0"))
        house.clock.advance(10)
        async with served(house) as url:

            async def asked(token: str, path: str) -> tuple[int, Any]:
                async with session.get(url + path, headers={"Authorization": f"Bearer {token}"}) as answer:
                    return answer.status, await answer.json(content_type=None)

            yield asked
    await database.close()


async def test_what_belongs_to_their_teams_is_shown(ask: Ask) -> None:
    status, listed = await ask("ada", "/v1/instances?team=hello")
    assert (status, [one["instance_id"] for one in listed["instances"]]) == (200, [THEIRS])
    for path in (f"/v1/trace?instance={THEIRS}", f"/v1/instances/{THEIRS}", "/apps/greeter", "/v1/rules",
                 "/v1/violations?team=hello", "/apps?team_id=hello"):  # fmt: skip
        assert (await ask("ada", path))[0] == 200, path


@pytest.mark.parametrize(
    "path",
    [
        f"/v1/trace?instance={OTHERS}", f"/v1/instances/{OTHERS}", "/apps/farewell", "/apps", "/apps?team_id=other",
        "/v1/instances", "/v1/instances?team=other", "/v1/instances?team=hello&team=other", "/v1/violations",
        "/v1/violations?team=other", "/v1/summary", "/v1/accounts", "/v1/statements/sha256:" + "a" * 64, "/v1/nothing",
    ],
)  # fmt: skip
async def test_what_belongs_to_others_or_to_all_is_refused(ask: Ask, path: str) -> None:
    status, said = await ask("ada", path)
    assert (status, said["code"]) == (403, "read-own-teams")


async def test_a_list_of_traces_shows_theirs_alone(ask: Ask) -> None:
    for application, found in (("greeter", [THEIRS]), ("farewell", [])):
        status, said = await ask("ada", f"/v1/trace?application={application}")
        assert (status, [one["subject"]["instance"] for one in said["lineages"]]) == (200, found)


async def test_whose_teams_are_unknown_is_told_so(ask: Ask) -> None:
    status, said = await ask("lost", f"/v1/trace?instance={THEIRS}")
    assert (status, said["detail"]) == (403, "lost may not read resources of other teams: unknown teams")


async def test_auditors_read_everything(ask: Ask) -> None:
    for path in ("/v1/instances", "/v1/summary", "/v1/accounts", "/apps/farewell", f"/v1/trace?instance={OTHERS}"):
        assert (await ask("audit", path))[0] == 200, path
