"""Applied plans of accounts: recorded once, one entry an account, by those who may operate."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from fakes.auditor import checked
from fakes.in_process import InProcess
from fakes.served_house import served
from whence_aggregator.callers.caller import Caller
from whence_aggregator.changes.account_plans import AppliedPlans, parse_report
from whence_aggregator.http.account_plans import AccountPlanCalls
from whence_common.errors import InputError

ONE, TWO = "111111111111", "222222222222"
KNOWN = {
    "operator": Caller(name="ada", teams=frozenset(), rights=frozenset({"operate"})),
    "reader": Caller(name="eve", teams=frozenset({"hello"})),
}


def report(*accounts: str, outcome: str = "done", **changes: Any) -> dict[str, Any]:
    change = {"address": "role/fullstop", "step": "roles", "action": "create", "outcome": outcome}
    return {
        "format": "whence-account-report/1", "plan": f"sha256:{'0' * 64}", "configuration": "sha256:11",
        "begun_at": "2026-11-22T12:00:00Z", "ended_at": "2026-11-22T12:00:09Z",
        "accounts": [{"account": f"name-{one}", "account_id": one, "changes": [change]} for one in accounts or (ONE,)],
        **changes,
    }  # fmt: skip


class Calls:
    def __init__(self, url: str, client: aiohttp.ClientSession) -> None:
        self._url = f"{url}/v1/account-plans"
        self._client = client

    async def post(self, document: object, token: str = "operator") -> tuple[int, Any]:
        content = document if isinstance(document, bytes) else json.dumps(document).encode()
        given = {"Authorization": f"Bearer {token}"}
        async with self._client.post(self._url, data=content, headers=given) as answer:
            return answer.status, await answer.json()

    async def list(self, query: str = "") -> Any:
        given = {"Authorization": "Bearer operator"}
        async with self._client.get(f"{self._url}{query}", headers=given) as answer:
            return await answer.json()


@asynccontextmanager
async def calls(house: InProcess) -> AsyncIterator[Calls]:
    plans = AppliedPlans(database=house.database, ledger=house.ledger, now=house.clock, on_work=house.wake)
    async with served(house, AccountPlanCalls(plans).routes(), KNOWN) as url, aiohttp.ClientSession() as client:
        yield Calls(url, client)


async def test_a_report_is_one_entry_for_each_account_and_a_second_copy_adds_nothing(
    house: InProcess, tmp_path: Path
) -> None:
    async with calls(house) as api:
        status, first = await api.post(report(ONE, TWO))
        assert (status, first["new"], [one["account_id"] for one in first["accounts"]]) == (201, True, [ONE, TWO])
        status, again = await api.post(report(ONE, TWO))
        assert (status, again) == (200, {**first, "new": False})
        assert len(await house.entries("account-plan")) == 2
        assert (await checked(house, tmp_path)).findings == []


async def test_plans_are_listed_the_newest_first_and_by_account(house: InProcess) -> None:
    async with calls(house) as api:
        await api.post(report(ONE, TWO))
        await api.post(report(ONE, outcome="failed", ended_at="2026-11-22T12:00:10Z"))
        page = await api.list("?limit=2")
        assert [(one["account_id"], one["changed"], one["failed"], one["applied_by"]) for one in page["plans"]] == [
            (ONE, 0, 1, "ada"), (TWO, 1, 0, "ada"),
        ]  # fmt: skip
        rest = await api.list(f"?limit=2&cursor={page['next']}")
        assert [(one["account_id"], one["changed"]) for one in rest["plans"]] == [(ONE, 1)]
        assert rest["next"] is None
        assert len((await api.list(f"?account={TWO}"))["plans"]) == 1


async def test_who_may_not_operate_records_nothing(house: InProcess) -> None:
    async with calls(house) as api:
        status, problem = await api.post(report(), token="reader")
        assert (status, problem["code"]) == (403, "operate-forbidden")
        assert await house.entries("account-plan") == []


@pytest.mark.parametrize(
    "document, code",
    [
        (b"", "account-plan-invalid"),
        (b"[" * 100_000, "account-plan-invalid"),
        (report(format="whence-account-report/2"), "account-plan-invalid"),
        (report(plan="sha256:short"), "account-plan-invalid"),
        (report(begun_at="yesterday"), "account-plan-invalid"),
        (report(ended_at="2026-11-22T11:00:00Z"), "account-plan-invalid"),
        (report(ONE, ONE), "account-plan-invalid"),
        (report("1234"), "account-plan-invalid"),
        (report(accounts=[]), "account-plan-size"),
        (report(outcome="perhaps"), "account-plan-invalid"),
        (report(outcome="x" * 1_000_000), "account-plan-invalid"),
        (json.dumps({**report(), "\x1b[2J" * 100_000: 1}).encode(), "account-plan-invalid"),
        (report(begun_at="x" * 1_000_000), "account-plan-invalid"),
        (json.dumps(report()).replace('"done"', "NaN").encode(), "account-plan-invalid"),
        (json.dumps(report()).replace('"done"', '"\\ud800"').encode(), "account-plan-invalid"),
        (report(secret="s3cret"), "account-plan-invalid"),
        (report(*[f"{number:012}" for number in range(2_001)]), "account-plan-size"),
    ],
)
def test_what_is_no_report_is_refused_with_what_to_send(document: object, code: str) -> None:
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    with pytest.raises(InputError) as refused:
        parse_report(content)
    assert refused.value.code == code
    assert refused.value.fix
    assert refused.value.message.isprintable()
    assert len(refused.value.message) < 500


async def test_characters_that_no_database_stores_are_refused(house: InProcess) -> None:
    async with calls(house) as api:
        sent = report()
        sent["accounts"][0]["error"] = "a\x00b"
        assert (await api.post(sent))[0] == 400
        assert await house.entries("account-plan") == []


async def test_a_cursor_that_is_none_of_ours_is_refused(house: InProcess) -> None:
    async with calls(house) as api:
        assert (await api.list("?cursor=abc"))["code"] == "parameter-malformed"
