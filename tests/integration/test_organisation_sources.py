"""Sources of the organisation over the wire: moto's Organizations, a stub for what it lacks, STUPS's team service, a file."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from fakes.organizations import DENIED, THROTTLED, Organizations
from landscape.aws import Aws, moto_server
from whence_aggregator.adapters.aws_organization import AwsOrganization
from whence_aggregator.adapters.organisation_file import OrganisationFileSource
from whence_aggregator.adapters.team_service import ANSWER_BYTES_MAX, TeamServiceSource
from whence_aggregator.organisation.values import Account
from whence_aggregator.ports import SourceUnavailable

pytestmark = pytest.mark.usefixtures("own_credentials")

A, B = "111111111111", "222222222222"
ROLE = "arn:aws:iam::123456789012:role/whence-organisation"


async def _at_once(_seconds: float) -> None:
    """Wait for nothing: the pace is for AWS."""


def organization(url: str, *, role: str | None = None, tags_seconds_max: float = 1e9) -> AwsOrganization:
    ticks = itertools.count()
    return AwsOrganization(
        region="us-east-1", role_arn=role, session_name="whence-aggregator", owner_tag="team", tags=("cost",),
        endpoint_url=url, wait=_at_once, clock=lambda: float(next(ticks)), tags_seconds_max=tags_seconds_max,
        attempts_max=1,
    )  # fmt: skip


@pytest.fixture(scope="module")
async def aws(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Aws]:
    async with moto_server(tmp_path_factory.mktemp("moto")) as running:
        yield running


async def test_accounts_of_moto_are_read_with_state_unit_and_owner(aws: Aws) -> None:
    def make() -> tuple[str, str, str]:
        client = aws.client("organizations")
        client.create_organization(FeatureSet="ALL")
        root = client.list_roots()["Roots"][0]["Id"]
        unit = client.create_organizational_unit(ParentId=root, Name="prod/eu")["OrganizationalUnit"]["Id"]
        made = [
            client.create_account(AccountName=name, Email=f"{name}@example.org")["CreateAccountStatus"]["AccountId"]
            for name in ("payments", "closed")
        ]
        client.move_account(AccountId=made[0], SourceParentId=root, DestinationParentId=unit)
        client.tag_resource(
            ResourceId=made[0], Tags=[{"Key": "team", "Value": "Payments"}, {"Key": "cost", "Value": "7"}]
        )
        client.close_account(AccountId=made[1])
        return made[0], made[1], client.describe_organization()["Organization"]["MasterAccountId"]

    payments, closed, management = await asyncio.to_thread(make)
    read = await organization(aws.url, role=ROLE).read()
    accounts = {one.account_id: one for one in read.accounts}
    assert accounts[payments] == Account(
        account_id=payments, name="payments", status="ACTIVE", path="Root/prod%2Feu", owner="Payments",
        tags=(("cost", "7"),),
    )  # fmt: skip
    assert accounts[closed].status == "SUSPENDED"
    assert (accounts[management].path, accounts[management].owner) == ("Root", "")
    assert (read.complete, read.notes) == (True, ())
    assert "example.org" not in str([one.to_wire() for one in read.accounts])


def whole(**changed: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    pages: dict[str, list[dict[str, Any]]] = {
        "ListAccounts": [
            {"Accounts": [{"Id": A, "Name": "one", "Email": "a@example.org", "State": "ACTIVE", "Status": "SUSPENDED"}]}
        ],
        "ListRoots": [{"Roots": [{"Id": "r-abcd", "Name": "Root"}]}],
        "ListAccountsForParent": [{"Accounts": [{"Id": A}]}],
        "ListOrganizationalUnitsForParent": [{"OrganizationalUnits": []}],
        "ListTagsForResource": [{"Tags": [{"Key": "team", "Value": "pay"}]}],
    }
    return {**pages, **changed}


@asynccontextmanager
async def stub(refusals: dict[str, str] | None = None, **changed: list[dict[str, Any]]) -> AsyncIterator[Organizations]:
    async with Organizations(pages=whole(**changed), refusals=refusals or {}).serve() as served:
        yield served


async def test_state_comes_before_status_and_an_unknown_state_is_kept_as_it_is() -> None:
    accounts = [{"Id": A, "State": "FROZEN", "Status": "ACTIVE"}, {"Id": B, "Status": "ACTIVE"}]
    async with stub(ListAccounts=[{"Accounts": accounts}]) as served:
        read = await organization(served.url).read()
    assert [one.status for one in read.accounts] == ["FROZEN", "ACTIVE"]


async def test_an_empty_page_with_a_token_is_not_the_end() -> None:
    pages: list[dict[str, Any]] = [
        {"Accounts": [], "NextToken": "one"},
        {"Accounts": [{"Id": A}], "NextToken": "two" * 30_000},
        {"Accounts": [{"Id": B}]},
    ]
    async with stub(ListAccounts=pages) as served:
        read = await organization(served.url).read()
    assert [one.account_id for one in read.accounts] == [A, B]
    asked = [body for action, body in served.bodies if action == "ListAccounts"]
    assert (asked[0], asked[1]) == ({"MaxResults": 20}, {"MaxResults": 20, "NextToken": "one"})
    assert all("MaxResults" not in body for action, body in served.bodies if action == "ListTagsForResource")


async def test_a_list_without_an_end_is_given_up() -> None:
    async with stub(ListAccounts=[{"Accounts": [{"Id": A}], "NextToken": "again"}]) as served:
        with pytest.raises(SourceUnavailable, match="the list of Accounts has no end"):
            await organization(served.url).read()


@pytest.mark.parametrize(
    "refused, code",
    [
        (DENIED, "aws-organization-denied"),
        (THROTTLED, "aws-organization-throttled"),
        ("AWSOrganizationsNotInUseException", "aws-organization-unavailable"),
    ],
)
async def test_a_refusal_says_which_and_reads_nothing(refused: str, code: str) -> None:
    async with stub({"ListAccounts": refused}) as served:
        with pytest.raises(SourceUnavailable) as caught:
            await organization(served.url).read()
    assert (caught.value.code, refused in caught.value.message) == (code, True)


async def test_a_member_account_that_is_shown_nothing_deletes_nothing() -> None:
    async with stub(ListAccounts=[{"Accounts": []}]) as served:
        with pytest.raises(SourceUnavailable, match="lists no account at all"):
            await organization(served.url).read()


async def test_tags_that_are_denied_leave_owners_as_they_were() -> None:
    async with stub({"ListTagsForResource": DENIED}) as served:
        read = await organization(served.url).read()
    assert read.accounts[0].unread == ("owner", "tags")
    assert read.notes == ("tags of 1 accounts were not read: AccessDeniedException: no",)
    assert served.asked["ListTagsForResource"] == 1


async def test_units_that_are_throttled_leave_paths_as_they_were() -> None:
    async with stub({"ListRoots": THROTTLED}) as served:
        read = await organization(served.url).read()
    assert read.accounts[0].unread == ("path",)
    assert (read.accounts[0].owner, read.complete) == ("pay", True)


async def test_units_in_a_circle_are_walked_once() -> None:
    circle = [{"OrganizationalUnits": [{"Id": "r-abcd", "Name": "again"}, {"Id": "ou-1", "Name": "deep"}]}]
    async with stub(ListOrganizationalUnitsForParent=circle) as served:
        await organization(served.url).read()
    assert served.asked["ListOrganizationalUnitsForParent"] == 2


async def test_tags_are_read_as_far_as_time_goes_and_the_others_next_time() -> None:
    accounts = [{"Id": f"{number:012d}"} for number in range(6)]
    async with stub(ListAccounts=[{"Accounts": accounts}]) as served:
        source = organization(served.url, tags_seconds_max=6.0)
        first, second = await source.read(), await source.read()
    unread = [[one.account_id[-1] for one in read.accounts if "owner" in one.unread] for read in (first, second)]
    assert unread == [["3", "4", "5"], ["0", "1", "2"]]
    assert first.notes == ("tags of 3 accounts are left for the next readings",)


def team_service(answers: dict[str, Any], seen: list[tuple[str, str]] | None = None) -> web.Application:
    """STUPS's team service, as it answers: JSON values, bytes as they are, statuses."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if seen is not None:
            seen.append((request.path, request.headers.get("Authorization", "")))
        found = answers.get(request.path, 404)
        if isinstance(found, int):
            return web.Response(status=found)
        if isinstance(found, bytes):
            return web.Response(body=found, content_type="application/json")
        if isinstance(found, web.StreamResponse):
            await found.prepare(request)
            await found.write(b'[{"id": "pay"')
            assert request.transport is not None
            request.transport.abort()
            return found
        return web.json_response(found)

    application = web.Application()
    application.router.add_get("/{path:.*}", answer)
    return application


@asynccontextmanager
async def reading(application: web.Application, token_file: Path | None = None) -> AsyncIterator[TeamServiceSource]:
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with aiohttp.ClientSession() as session:
            yield TeamServiceSource(
                session=session, url=url, token_file=str(token_file) if token_file is not None else None, wait=_at_once
            )
    finally:
        await runner.cleanup()


TEAMS = [
    {"id": "stups", "id_name": "STUPS", "name": "stups", "alias": ["stups-test"]},
    {"name": "an entry without an id"},
    {"id": "pay"},
]
ACCOUNTS = [
    {"id": A, "name": "stups", "type": "aws", "owner": "stups", "description": "x"},
    {"id": B, "name": "old", "owner": "pay", "disabled": True},
    {"id": "123456789", "name": "a mock"},
]


async def test_the_team_service_is_read_with_its_token_and_the_team_s_own_page(tmp_path: Path) -> None:
    seen: list[tuple[str, str]] = []
    file = tmp_path / "token"
    file.write_text("hunter2hunter2\n")
    pay = {"id": "pay", "name": "Payments", "alias": ["billing"], "member": ["ada"]}
    answers = {"/teams": TEAMS, "/accounts/aws": ACCOUNTS, "/teams/pay": pay}
    async with reading(team_service(answers, seen), file) as source:
        read = await source.read()
    assert [(one.team_id, one.name, one.aliases, one.members) for one in read.teams] == [
        ("pay", "Payments", ("billing",), ("ada",)), ("stups", "stups", ("stups-test",), None),
    ]  # fmt: skip
    assert [(one.account_id, one.status, one.owner) for one in read.accounts] == [
        (A, "", "stups"), (B, "DISABLED", "pay"),
    ]  # fmt: skip
    assert read.notes == ("'123456789' is not an account id",)
    assert [one[0] for one in seen] == ["/teams", "/accounts/aws", "/teams/pay"]
    assert {one[1] for one in seen} == {"Bearer hunter2hunter2"}


@pytest.mark.parametrize(
    "answers, says",
    [
        ({"/teams": 500}, "answers /teams with HTTP 500"),
        ({"/teams": 401}, "answers /teams with HTTP 401"),
        ({"/teams": b"<html>"}, "/teams is not JSON"),
        ({"/teams": {"teams": []}}, "/teams is not a list of objects"),
        ({"/teams": ["pay"]}, "/teams is not a list of objects"),
        ({"/teams": 404}, "/teams is not a list of objects"),
        ({"/teams": TEAMS, "/accounts/aws": 503}, "answers /accounts/aws with HTTP 503"),
        ({"/teams": b"[" * 100_000}, "/teams is not JSON"),
        ({"/teams": b" " * (ANSWER_BYTES_MAX + 1)}, "/teams is larger than 16777216 bytes"),
        ({"/teams": TEAMS, "/accounts/aws": [], "/teams/pay": 500}, "answers /teams/pay with HTTP 500"),
    ],
)
async def test_what_did_not_come_whole_is_not_used(answers: dict[str, Any], says: str) -> None:
    async with reading(team_service(answers)) as source:
        with pytest.raises(SourceUnavailable, match=says):
            await source.read()


async def test_an_answer_that_breaks_off_is_not_used() -> None:
    async with reading(team_service({"/teams": web.StreamResponse(headers={"Content-Length": "1000"})})) as source:
        with pytest.raises(SourceUnavailable, match="does not answer"):
            await source.read()


async def test_ids_of_teams_that_are_paths_are_never_asked_for() -> None:
    seen: list[tuple[str, str]] = []
    teams = [{"id": "../accounts"}, {"id": "a/b"}, {"id": "pа"}, {"id": ".."}]
    async with reading(team_service({"/teams": teams, "/accounts/aws": []}, seen)) as source:
        read = await source.read()
    assert ([one[0] for one in seen], read.teams, len(read.notes)) == (["/teams", "/accounts/aws"], (), 4)


async def test_a_file_is_read_again_each_time_and_names_every_mistake(tmp_path: Path) -> None:
    file = tmp_path / "organisation.yaml"
    file.write_text('teams: [{id: pay}]\naccounts: [{id: "111111111111", owner: pay, allows: [Ship]}]\n')
    source = OrganisationFileSource(str(file))
    assert (await source.read()).accounts == (Account(account_id=A, owner="pay", allows=("ship",)),)
    file.write_text("teams: [{id: a/b}]\naccounts: [{id: 12}]\n")
    with pytest.raises(SourceUnavailable) as caught:
        await source.read()
    assert "organisation.yaml:1:10" in caught.value.message
    assert "organisation.yaml:2:" in caught.value.message
    file.unlink()
    with pytest.raises(SourceUnavailable, match="cannot be read: No such file"):
        await source.read()
