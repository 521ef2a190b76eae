"""The accounts of an organisation as the account tool lists them: with states and units, and without tags."""

from __future__ import annotations

import time
from typing import Any

import pytest

from fakes.organizations import DENIED, Organizations
from landscape.aws import Aws
from whence_aggregator.accounts.configuration.organization import ListedAccount, choose_accounts
from whence_aggregator.adapters.accounts.organization import list_accounts, organization_of_accounts
from whence_aggregator.ports import SourceUnavailable

pytestmark = pytest.mark.usefixtures("moto")
"""It sets the caller's own keys."""

A, B = "111111111111", "222222222222"


def _pages(*accounts: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    return {
        "ListAccounts": [{"Accounts": list(accounts)}],
        "ListRoots": [{"Roots": [{"Id": "r-abcd", "Name": "Root"}]}],
        "ListAccountsForParent": [{"Accounts": [{"Id": A}]}],
        "ListOrganizationalUnitsForParent": [{"OrganizationalUnits": []}],
    }


async def _list(url: str, role_arn: str | None = None) -> list[ListedAccount]:
    made = organization_of_accounts(
        role_arn=role_arn, region="us-east-1", endpoint_url=url, clock=time.monotonic
    )  # fmt: skip
    return await list_accounts(made)


async def test_accounts_are_listed_by_id_and_no_tag_is_asked_for() -> None:
    pages = _pages({"Id": B, "Name": "two", "Status": "SUSPENDED"}, {"Id": A, "Name": "one", "Status": "ACTIVE"})
    async with Organizations(pages=pages).serve() as served:
        assert await _list(served.url) == [
            ListedAccount(account_id=A, name="one", status="ACTIVE", path="Root"),
            ListedAccount(account_id=B, name="two", status="SUSPENDED", path=None),
        ]
        assert served.asked["ListTagsForResource"] == 0


async def test_the_accounts_of_moto_are_configured_but_the_closed_one(moto: Aws) -> None:
    client = moto.client("organizations")
    client.create_organization(FeatureSet="ALL")
    ids = {
        name: client.create_account(AccountName=name, Email="a@example.org")["CreateAccountStatus"]["AccountId"]
        for name in ("web", "closed")
    }
    client.close_account(AccountId=ids["closed"])
    found = choose_accounts({"web": ids["web"]}, await _list(moto.url), units=["Root"])
    assert (found.ids["web"], "closed" in found.ids) == (ids["web"], False)
    assert [(one.account_id, one.reason) for one in found.left_out] == [(ids["closed"], "it is SUSPENDED")]


async def test_units_that_are_denied_leave_the_paths_unknown() -> None:
    pages = _pages({"Id": A, "Name": "one", "Status": "ACTIVE"})
    async with Organizations(pages=pages, refusals={"ListRoots": DENIED}).serve() as served:
        (one,) = await _list(served.url)
        assert one.path is None


async def test_a_list_that_is_denied_is_an_error() -> None:
    async with Organizations(pages={}, refusals={"ListAccounts": DENIED}).serve() as served:
        with pytest.raises(SourceUnavailable, match="AWS Organizations denies it"):
            await _list(served.url)


async def test_an_id_that_is_listed_twice_is_an_error() -> None:
    pages = _pages({"Id": A, "Name": "one", "Status": "ACTIVE"}, {"Id": A, "Name": "two", "Status": "ACTIVE"})
    async with Organizations(pages=pages).serve() as served:
        with pytest.raises(SourceUnavailable, match="lists accounts twice"):
            await _list(served.url)


async def test_an_organisation_without_accounts_is_an_error() -> None:
    async with Organizations(pages=_pages()).serve() as served:
        with pytest.raises(SourceUnavailable, match="no account at all"):
            await _list(served.url)
