"""`whence accounts check`: the role is assumed with its external id, and each call tried, account by account."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from fakes.in_process import ROOT
from fakes.known_caller import called_by
from whence_aggregator.adapters.aws_probe import AwsRoleProbe
from whence_aggregator.http.errors import guarded
from whence_aggregator.http.role_checks import RoleCheckCalls
from whence_aggregator.ports import ProbedCall
from whence_aggregator.reports.role_checks import PLACES_OF_PAGE, RoleChecks

pytestmark = pytest.mark.usefixtures("own_credentials")

ACCOUNT, REGION, EXTERNAL_ID = "123456789012", "eu-central-1", "whence-7c52"
ASSUMED = (
    "<AssumeRoleResponse xmlns='https://sts.amazonaws.com/doc/2011-06-15/'><AssumeRoleResult><Credentials>"
    "<AccessKeyId>ASIAEXAMPLE</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>"
    "<Expiration>2036-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"
)
NAMES = ("role", "inventory", "user data", "AMIs")


@asynccontextmanager
async def aws(**refused: tuple[int, str, str]) -> AsyncIterator[tuple[str, list[dict[str, str]]]]:
    """Serve STS and EC2, which refuse actions with a status, a code and a message; return the URL and what was asked."""
    asked: list[dict[str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        form = dict(parse_qsl((await request.read()).decode()))
        asked.append(form)
        action = form["Action"]
        if action == "AssumeRole":
            if form.get("ExternalId") != EXTERNAL_ID:
                return _refusal(action, 403, "AccessDenied", f"not authorized to perform: sts:{action}")
            if action not in refused:
                return web.Response(text=ASSUMED, content_type="text/xml")
        status, code, message = refused.get(action, (412, "DryRunOperation", "would have succeeded"))
        return _refusal(action, status, code, message)

    application = web.Application()
    application.router.add_post("/", answer)
    async with TestServer(application) as server:
        yield str(server.make_url("")).rstrip("/"), asked


def _refusal(action: str, status: int, code: str, message: str) -> web.Response:
    error = f"<Code>{code}</Code><Message>{message}</Message>"
    if action == "AssumeRole":
        text = f"<ErrorResponse><Error><Type>Sender</Type>{error}</Error><RequestId>r</RequestId></ErrorResponse>"
    else:
        text = f"<Response><Errors><Error>{error}</Error></Errors><RequestID>r</RequestID></Response>"
    return web.Response(text=text, status=status, content_type="text/xml")


async def probed(url: str, external_id: str | None = EXTERNAL_ID) -> dict[str, ProbedCall]:
    probe = AwsRoleProbe(
        role_name="whence-inventory", session_name="whence-aggregator", external_id=external_id, endpoint_url=url
    )
    found = {one.source: one for one in await probe.probe(ACCOUNT, REGION)}
    assert tuple(found) == NAMES
    return found


async def test_each_call_is_a_dry_run_and_what_is_allowed_is_stated() -> None:
    async with aws() as (url, asked):
        found = await probed(url)
    assert {one.outcome for one in found.values()} == {"allowed"}
    assert (asked[0]["RoleArn"], asked[0]["ExternalId"]) == (
        f"arn:aws:iam::{ACCOUNT}:role/whence-inventory", EXTERNAL_ID
    )  # fmt: skip
    assert [one["DryRun"] for one in asked[1:]] == ["true"] * 3, "nothing is read"


async def test_an_expired_external_id_is_named_and_nothing_else_is_asked() -> None:
    async with aws() as (url, asked):
        found = await probed(url, external_id="expired")
    assert (found["role"].outcome, found["role"].permission) == ("denied", "sts:AssumeRole")
    assert "check the trust policy of the role and its external id" in found["role"].reason
    assert {found[name].outcome for name in NAMES[1:]} == {"not asked"}
    assert [one["Action"] for one in asked] == ["AssumeRole"]


async def test_one_denied_call_is_named_and_the_others_are_still_tried() -> None:
    denied = (403, "UnauthorizedOperation", "You are not authorized to perform this operation.")
    async with aws(DescribeInstanceAttribute=denied) as (url, _):
        found = await probed(url)
    assert {name: one.outcome for name, one in found.items()} == {
        "role": "allowed", "inventory": "allowed", "user data": "denied", "AMIs": "allowed",
    }  # fmt: skip
    assert found["user data"].permission == "ec2:DescribeInstanceAttribute"


async def test_an_instance_that_is_not_there_proves_that_its_user_data_may_be_asked_for() -> None:
    async with aws(DescribeInstanceAttribute=(400, "InvalidInstanceID.NotFound", "does not exist")) as (url, _):
        assert (await probed(url))["user data"].outcome == "allowed"


@pytest.mark.parametrize("code", ["AuthFailure", "OptInRequired"])
async def test_a_region_that_is_not_enabled_is_unavailable_and_no_pass(code: str) -> None:
    async with aws(DescribeInstances=(401, code, "no")) as (url, _):
        found = await probed(url)
    assert (found["inventory"].outcome, "is the region enabled" in found["inventory"].reason) == ("unavailable", True)


class Probe:
    """Allows everything, but for accounts that hang or fail."""

    def __init__(self, denied: Sequence[str] = ()) -> None:
        self._denied = denied
        self.asked: list[tuple[str, str]] = []

    async def probe(self, account_id: str, region: str) -> Sequence[ProbedCall]:
        self.asked.append((account_id, region))
        outcome = "denied" if account_id in self._denied else "allowed"
        return [ProbedCall(source="role", permission="sts:AssumeRole", outcome=outcome)]  # type: ignore[arg-type]  # one of two outcomes


async def nothing() -> list[str]:
    return []


async def pages(checks: RoleChecks, path: str = "/v1/accounts/check") -> list[dict[str, object]]:
    application = web.Application(middlewares=[called_by(ROOT)])
    routes = RoleCheckCalls(checks).routes()
    application.add_routes(web.route(one.method, one.path, guarded(one.handler, None)) for one in routes)
    found: list[dict[str, object]] = []
    async with TestClient(TestServer(application)) as client:
        cursor = ""
        while True:
            parameters = {"cursor": cursor} if cursor else {}
            async with client.post(path, params=parameters) as answer:
                document = await answer.json(content_type=None)
                assert answer.status == 200, document
            found.append(document)
            if document["next"] is None:
                return found
            cursor = document["next"]


async def test_every_place_is_checked_once_page_by_page_whatever_one_account_answers() -> None:
    accounts = [f"{number:012}" for number in range(PLACES_OF_PAGE)]
    probe = Probe(denied=accounts[:1])
    found = await pages(
        RoleChecks(probe=probe, accounts=lambda: accounts, stated=nothing, regions=[REGION, "eu-west-1"])
    )
    assert len(found) == 2
    checks: list[dict[str, str]] = [row for one in found for row in one["checks"]]  # type: ignore[attr-defined]  # a list of rows
    assert sorted(probe.asked) == sorted((one, region) for one in accounts for region in (REGION, "eu-west-1"))
    assert [one["account_id"] for one in checks if one["outcome"] == "denied"] == accounts[:1] * 2


async def test_without_an_inventory_nothing_is_assumed_and_the_answer_says_so() -> None:
    (found,) = await pages(RoleChecks(probe=None, accounts=lambda: [ACCOUNT], stated=nothing, regions=()))
    assert found == {"configured": False, "checks": [], "next": None}


async def test_no_role_of_an_account_that_the_settings_do_not_have_is_assumed() -> None:
    probe = Probe()
    checks = RoleChecks(probe=probe, accounts=lambda: [ACCOUNT], stated=nothing, regions=[REGION])
    (document,) = await pages(checks, "/v1/accounts/check?account=999999999999")
    assert probe.asked == []
    assert document["checks"] == [{
        "account_id": "999999999999", "region": "", "source": "role", "outcome": "not asked",
        "permission": "sts:AssumeRole",
        "reason": "the setting accounts does not have this account: it is not read, and no role of it is assumed",
    }]  # fmt: skip


async def test_accounts_of_the_organisation_that_the_settings_lack_are_listed_as_not_asked() -> None:
    lacking = [f"9{number:011}" for number in range(PLACES_OF_PAGE)]

    async def stated() -> list[str]:
        return [*lacking, ACCOUNT]

    probe = Probe()
    found = await pages(RoleChecks(probe=probe, accounts=lambda: [ACCOUNT], stated=stated, regions=[REGION]))
    checks: list[dict[str, str]] = [row for one in found for row in one["checks"]]  # type: ignore[attr-defined]  # a list of rows
    assert (len(found), probe.asked) == (2, [(ACCOUNT, REGION)])
    assert [(one["account_id"], one["outcome"]) for one in checks] == [
        (ACCOUNT, "allowed"), *((one, "not asked") for one in lacking)
    ]  # fmt: skip
    assert {one["reason"] for one in checks[1:]} == {
        "the setting accounts does not have this account: it is not read, and no role of it is assumed"
    }


async def test_a_malformed_cursor_is_refused() -> None:
    application = web.Application(middlewares=[called_by(ROOT)])
    routes = RoleCheckCalls(
        RoleChecks(probe=Probe(), accounts=lambda: [ACCOUNT], stated=nothing, regions=[REGION])
    ).routes()
    application.add_routes(web.route(one.method, one.path, guarded(one.handler, None)) for one in routes)
    async with TestClient(TestServer(application)) as client:
        for cursor in ("x", "1", "/", "1/"):
            async with client.post("/v1/accounts/check", params={"cursor": cursor}) as answer:
                assert answer.status == 400, cursor
