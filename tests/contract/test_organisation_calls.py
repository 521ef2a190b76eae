"""Teams and accounts over HTTP: our own paths, and those of STUPS's team service with its answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestClient, TestServer

from fakes.in_process import LIMITLESS, InProcess
from fakes.organisation import FakeOrganisation
from whence_aggregator.adapters.people import StupsTeams
from whence_aggregator.adapters.team_service import TeamServiceSource
from whence_aggregator.callers.caller import Caller
from whence_aggregator.callers.limits import Limit
from whence_aggregator.callers.sign_in import NOBODY, Authenticator
from whence_aggregator.callers.tokens import token_hash
from whence_aggregator.collect.accounts import Accounts
from whence_aggregator.events.coverage import TrailCoverage
from whence_aggregator.http.accounts import AccountCalls
from whence_aggregator.http.authentication import authentication
from whence_aggregator.http.errors import guarded
from whence_aggregator.http.organisation import OrganisationCalls
from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.organisation.recorder import OrganisationRecorder
from whence_aggregator.organisation.snapshots import StatedTeam, snapshot
from whence_aggregator.organisation.values import Account, Snapshot
from whence_aggregator.trace.moment import Moments
from whence_common.clock import to_instant

A, B = "111111111111", "222222222222"
CALLERS = {
    token_hash("root"): Caller(name="root", teams=None),
    token_hash("ada"): Caller(name="ada", teams=frozenset({"stups"})),
    token_hash("own"): Caller(name="own", teams=frozenset({"stups"}), reads="teams"),
}
FIRST = snapshot(
    "file",
    teams=[StatedTeam(id="STUPS", name="stups", aliases=["stups-test"], members=["ada"]), StatedTeam(id="old")],
    accounts=[
        Account(account_id=A, name="prod", owner="stups", status="ACTIVE"),
        Account(account_id=B, owner="old", status="SUSPENDED"),
    ],
)


class Asked:
    def __init__(self, client: Any) -> None:
        self._client = client

    @property
    def url(self) -> str:
        return str(self._client.make_url("")).rstrip("/")

    async def get(self, path: str, token: str = "ada", body: bytes | None = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        async with self._client.get(path, headers=headers, data=body) as answer:
            return answer.status, await answer.json(content_type=None)


@pytest.fixture
async def asked(house: InProcess) -> AsyncIterator[Asked]:
    await read(house, FIRST)
    async with served(house) as found:
        yield found


async def read(house: InProcess, says: Snapshot) -> None:
    house.clock.advance(60)
    recorder = OrganisationRecorder(
        database=house.database, ledger=house.ledger, sources={says.source: FakeOrganisation(says)}, now=house.clock
    )
    await recorder.read(says.source)


@asynccontextmanager
async def served(house: InProcess, *, lists_teams: bool = True) -> AsyncIterator[Asked]:
    calls = OrganisationCalls(database=house.database, now=house.clock, lists_teams=lists_teams).routes()
    accounts = Accounts(database=house.database, accounts=[A], listening=house.listening)
    calls += AccountCalls(
        accounts,
        OrganisationDirectory(house.database),
        Moments(database=house.database, now=house.clock),
        TrailCoverage(database=house.database, configured=False, now=house.clock),
        None,
    ).routes()
    application = web.Application()
    check = authentication(
        Authenticator(
            known=CALLERS, sources=NOBODY, sessions=None, attempts=Limit("address", LIMITLESS), now=house.clock
        )
    )
    application.add_routes(web.route(one.method, one.path, guarded(one.handler, check)) for one in calls)
    async with TestClient(TestServer(application)) as client:
        yield Asked(client)


STUPS = {"id": "stups", "id_name": "STUPS", "name": "stups", "alias": ["stups-test"]}


ACCOUNT = {
    "id": A, "name": "prod", "provider": "aws", "type": "aws", "description": "", "owner": "stups",
    "disabled": False, "members": [{"id": "ada", "account_id": A}],
}  # fmt: skip


@pytest.mark.parametrize("base", ["", "/api"])
async def test_yourturn_s_and_fullstop_s_requests_are_answered_with_either_base_url(asked: Asked, base: str) -> None:
    """As the clients of STUPS's team service send them: yourturn by its base URL, fullstop and kio with /api."""
    for name in ("stups", "STUPS", "stups-test"):
        assert await asked.get(f"{base}/teams/{name}") == (200, STUPS)
    assert (await asked.get(f"{base}/teams/nobody"))[0] == 404
    assert [one["id"] for one in (await asked.get(f"{base}/teams"))[1]] == ["old", "stups"]
    assert (await asked.get(f"{base}/teams"))[1][1] == STUPS
    assert await asked.get(f"{base}/teams?member=ada") == (200, [{"id": "stups"}])
    assert await asked.get(f"{base}/teams?member=eve") == (200, [])
    assert await asked.get(f"{base}/user/ada") == (200, [STUPS])
    assert await asked.get(f"{base}/user/eve") == (200, [])
    by_role = [await asked.get(f"{base}/accounts/aws?member=ada&role={role}") for role in ("PowerUser", "Deployer")]
    assert by_role == [(200, [ACCOUNT]), (200, [ACCOUNT])]
    assert await asked.get(f"{base}/accounts/aws?member=eve&role=Deployer") == (200, [])
    listed = (await asked.get(f"{base}/accounts/aws"))[1]
    assert [(one["id"], one["owner"], one["disabled"]) for one in listed] == [(A, "stups", False), (B, "old", True)]
    question = b'{"policy": "relaxed-radical-agility", "payload": {"team": "stups"}}'
    assert (await asked.get(f"{base}/auth", body=question))[0] == 200


async def test_beside_a_registry_front_the_list_of_teams_has_its_path_with_api_alone(house: InProcess) -> None:
    await read(house, FIRST)
    async with served(house, lists_teams=False) as asked:
        assert (await asked.get("/teams/stups"))[0] == (await asked.get("/api/teams"))[0] == 200
        async with ClientSession() as session, session.get(f"{asked.url}/teams") as answer:
            assert answer.status == 404


@pytest.mark.parametrize("base", ["", "/api"])
async def test_our_own_clients_of_a_team_service_read_ours(asked: Asked, tmp_path: Path, base: str) -> None:
    url = f"{asked.url}{base}"
    (tmp_path / "token").write_text("ada\n")
    async with ClientSession() as session:
        source = TeamServiceSource(session=session, url=url, token_file=str(tmp_path / "token"))
        found = await source.read()
        teams = StupsTeams(session=session, url=url, policy="relaxed-radical-agility")
        assert (await teams.may_write("ada", "stups"), await teams.may_write("ada", "old")) == (True, False)
    assert [(one.team_id, one.name, one.aliases) for one in found.teams] == [
        ("old", "old", ()), ("stups", "stups", ("stups-test",)),
    ]  # fmt: skip
    assert [(one.account_id, one.owner, one.status) for one in found.accounts] == [
        (A, "stups", ""), (B, "old", "DISABLED"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "path, status",
    [
        ("/teams/nobody", 404), ("/teams/..%2Fapi", 404), ("/teams/%00", 400), ("/teams/stup%D1%95", 404),
        ("/api/teams?who=x", 400), ("/teams/stups?x=1", 400), ("/v1/teams/nobody", 404), ("/v1/teams?limit=0", 400),
        ("/v1/teams?at=2999-01-01T00:00:00Z", 400), ("/v1/people/eve", 404), ("/v1/people/AD%25", 404),
        ("/v1/people/%00", 400), ("/v1/people/ada?x=1", 400), ("/v1/accounts/1", 400), ("/v1/accounts/999999999999", 404),
        (f"/v1/accounts/{A}?limit=1", 400), ("/v1/accounts?limit=0", 400), ("/v1/accounts?at=2026-11-22T12:00:00Z", 400),
    ],
)  # fmt: skip
async def test_what_is_not_there_or_malformed_is_refused(asked: Asked, path: str, status: int) -> None:
    assert (await asked.get(path))[0] == status


@pytest.mark.parametrize(
    "path",
    ["/teams", "/teams/stups", "/accounts/aws", "/user/ada", "/auth", "/api/teams", "/api/teams/stups",
     "/api/accounts/aws", "/api/user/ada", "/api/auth", "/v1/teams", "/v1/teams/stups", "/v1/accounts",
     f"/v1/accounts/{A}", "/v1/people/ada"],
)  # fmt: skip
async def test_every_path_is_behind_sign_in(asked: Asked, path: str) -> None:
    assert (await asked.get(path, token="stranger"))[0] == 401


@pytest.mark.parametrize(
    "path", ["/teams", "/teams/stups", "/accounts/aws", "/user/ada", "/api/teams", "/api/accounts/aws", "/api/user/ada",
             "/v1/teams", "/v1/accounts", f"/v1/accounts/{A}"],
)  # fmt: skip
async def test_who_reads_own_teams_alone_reads_nothing_of_the_whole_organisation(asked: Asked, path: str) -> None:
    assert (await asked.get(path, token="own"))[0] == 403
    question = b'{"policy": "x", "payload": {"team": "stups"}}'
    assert (await asked.get("/auth", token="own", body=question))[0] == 200


@pytest.mark.parametrize(
    "token, body, status",
    [
        ("ada", b'{"policy": "relaxed-radical-agility", "payload": {"team": "stups"}}', 200),
        ("ada", b'{"policy": "x", "payload": {"team": "Stups-Test"}}', 200),
        ("ada", b'{"policy": "x", "payload": {"team": "old"}}', 403),
        ("ada", b'{"policy": "x", "payload": {"team": "nobody"}}', 403),
        ("ada", '{"policy": "x", "payload": {"team": "stup\u0455"}}'.encode(), 403),
        ("root", b'{"policy": "x", "payload": {"team": "old"}}', 200),
        ("root", b'{"policy": "x", "payload": {"team": "nobody"}}', 403),
        ("ada", b'{"policy": "x", "payload": {}}', 400),
        ("ada", b"[" * 3000, 400),
        ("ada", b" " * 5000, 413),
        ("ada", None, 400),
    ],
)
async def test_auth_allows_a_team_that_is_known_to_who_writes_for_it(
    asked: Asked, token: str, body: bytes | None, status: int
) -> None:
    assert (await asked.get("/auth", token=token, body=body))[0] == status


async def test_teams_are_paged_and_one_has_its_members_and_history(house: InProcess, asked: Asked) -> None:
    status, page = await asked.get("/v1/teams?limit=1")
    assert (status, [one["team_id"] for one in page["teams"]], page["next"]) == (200, ["old"], "old")
    assert page["sources"] == [{"source": "file", "read_at": "2026-11-22T12:01:00.000Z", "failure": None, "notes": []}]
    assert [one["team_id"] for one in (await asked.get("/v1/teams?cursor=old"))[1]["teams"]] == ["stups"]
    house.clock.advance(10)
    then = to_instant(house.clock())
    await read(house, snapshot("file", teams=[StatedTeam(id="stups", aliases=["old"])]))
    _, team = await asked.get("/v1/teams/old")
    assert (team["team_id"], team["member_ids"]) == ("stups", ["ada"])
    assert [(one["team_id"], one["change"]) for one in team["history"]] == [
        ("old", "merged"), ("stups", "changed"), ("stups", "found"),
    ]  # fmt: skip
    _, before = await asked.get(f"/v1/teams/old?at={then}")
    assert (before["team_id"], before["status"]) == ("old", "active")


async def test_accounts_show_their_owners_and_those_that_only_a_source_knows(house: InProcess, asked: Asked) -> None:
    await read(house, snapshot("aws", accounts=[Account(account_id=A, owner="old", path="Root/prod")]))
    status, document = await asked.get("/v1/accounts")
    one, two = document["accounts"]
    assert (status, one["account_id"], one["owner"], one["owners"], one["path"]) == (
        200, A, None, {"file": "stups", "aws": "old"}, "Root/prod",
    )  # fmt: skip
    assert (two["account_id"], two["owner"], two["status"], two["regions"]) == (B, "old", "SUSPENDED", [])
    assert [source["source"] for source in document["sources"]] == ["aws", "file"]


async def test_accounts_are_paged(house: InProcess, asked: Asked) -> None:
    more = [Account(account_id=f"33333333333{number}", owner="old") for number in range(3)]
    await read(house, snapshot("aws", accounts=more))
    found, cursor = [], ""
    while True:
        _, page = await asked.get(f"/v1/accounts?limit=2{cursor}")
        found.append([one["account_id"] for one in page["accounts"]])
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert found == [[A, B], ["333333333330", "333333333331"], ["333333333332"]]


async def test_one_account_has_its_history_and_is_shown_as_of_any_time(house: InProcess, asked: Asked) -> None:
    house.clock.advance(10)
    then = to_instant(house.clock())
    await read(house, snapshot("file", accounts=[Account(account_id=A, owner="old")]))
    _, now = await asked.get(f"/v1/accounts/{A}")
    assert (now["owner"], now["instances_ever"], now["regions"]) == ("old", 0, [])
    assert [(one["change"], one["owner"]) for one in now["history"]] == [("changed", "old"), ("found", "stups")]
    _, before = await asked.get(f"/v1/accounts/{A}?at={then}")
    assert (before["owner"], [one["owner"] for one in before["history"]]) == ("stups", ["stups"])
    assert "regions" not in before
    assert (await asked.get(f"/v1/accounts/{B}"))[1]["status"] == "gone"
    assert (await asked.get(f"/v1/accounts/{A}?at=2026-11-22T12:00:00Z"))[0] == 404


async def test_a_person_is_in_the_teams_that_a_source_lists_them_in_and_was_in_others(
    house: InProcess, asked: Asked
) -> None:
    house.clock.advance(10)
    then = to_instant(house.clock())
    team = StatedTeam(id="STUPS", members=["ada", "bob", "AD%", 'e"'])
    await read(house, snapshot("file", teams=[team, StatedTeam(id="ship", members=["ada"])]))
    await read(house, snapshot("file", teams=[StatedTeam(id="STUPS", members=["bob"]), StatedTeam(id="ship")]))
    status, person = await asked.get("/v1/people/ada")
    stups = {
        "team_id": "stups", "source": "file", "since": "2026-11-22T12:01:00.000Z", "since_index": 5,
        "until": "2026-11-22T12:03:10.000Z", "until_index": 19,
    }  # fmt: skip
    assert (status, person["teams"], [one["team_id"] for one in person["memberships"]]) == (
        200,
        ["ship"],
        ["ship", "stups"],
    )
    assert person["memberships"][1] == stups
    _, before = await asked.get(f"/v1/people/ada?at={then}")
    assert before["memberships"] == [{**stups, "until": None, "until_index": None}]
    assert [one["since"] for one in (await asked.get("/v1/people/bob"))[1]["memberships"]] == [
        "2026-11-22T12:02:10.000Z"
    ]
    assert (await asked.get("/v1/people/AD%25"))[1]["teams"] == []
    assert (await asked.get("/v1/people/e%22"))[0] == 200
    assert (await asked.get("/v1/people/ADA"))[0] == 404


async def test_who_reads_own_teams_alone_sees_of_a_person_those_teams_alone(house: InProcess, asked: Asked) -> None:
    await read(house, snapshot("aws", teams=[StatedTeam(id="secret", members=["ada", "eve"])]))
    assert (await asked.get("/v1/people/ada"))[1]["teams"] == ["secret", "stups"]
    assert (await asked.get("/v1/people/ada", token="own"))[1]["teams"] == ["stups"]
    assert (await asked.get("/v1/people/eve", token="own"))[0] == 404
