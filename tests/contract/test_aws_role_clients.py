"""Clients of roles: each call is signed with the keys of its role, though all roles use the connections of one client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from fakes.account_world import REGION, new_account_id
from fakes.counted_aws import CountedAws
from landscape.aws import Aws
from whence_aggregator.adapters.aws_clients import AssumedRole, ServiceClients

_HOUR_SECONDS = 3600.0


@dataclass
class Place:
    """Clients before a counting proxy, and their clock."""

    aws: CountedAws
    clients: ServiceClients
    now_seconds: float = 0.0

    async def accounts_of(self, *roles: AssumedRole | None) -> list[str]:
        """List VPCs once for each role, all at once, and return the accounts in which AWS saw these calls."""
        self.aws.forget()
        await asyncio.gather(*(self._list(role) for role in roles))
        return [one.account_id for one in self.aws.calls if one.name == "ec2:DescribeVpcs"]

    async def _list(self, role: AssumedRole | None) -> None:
        await (await self.clients.get("ec2", REGION, role)).describe_vpcs()

    def assumed(self) -> int:
        return [one.name for one in self.aws.calls].count("sts:AssumeRole")


@pytest.fixture
async def place(moto: Aws) -> AsyncIterator[Place]:
    async with CountedAws(moto.url).serve() as aws:
        clients = ServiceClients(endpoint_url=aws.url, session_name="test", clock=lambda: found.now_seconds)
        found = Place(aws, clients)
        yield found
        await clients.close()


def a_role() -> AssumedRole:
    return AssumedRole(f"arn:aws:iam::{new_account_id()}:role/somebody")


def account_of(role: AssumedRole) -> str:
    return role.arn.split(":")[4]


async def test_calls_that_are_made_at_once_are_each_in_the_account_of_their_role(place: Place) -> None:
    first, second = a_role(), a_role()
    asked = [first, second, None] * 5
    found = await place.accounts_of(*asked)
    assert sorted(found) == sorted(account_of(one) if one is not None else "" for one in asked)
    assert place.assumed() == 2


async def test_pages_are_read_in_the_account_of_the_role(place: Place) -> None:
    role = a_role()
    ec2 = await place.clients.get("ec2", REGION, role)
    async for page in ec2.get_paginator("describe_subnets").paginate():
        assert page["Subnets"]
    assert {one.account_id for one in place.aws.calls if one.name == "ec2:DescribeSubnets"} == {account_of(role)}


async def test_errors_are_those_of_the_service(place: Place) -> None:
    iam = await place.clients.get("iam", REGION, a_role())
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        await iam.get_role(RoleName="nobody")


async def test_keys_are_used_until_shortly_before_they_expire(place: Place) -> None:
    role = a_role()
    await place.accounts_of(role)
    place.now_seconds = _HOUR_SECONDS - 301
    assert (await place.accounts_of(role), place.assumed()) == ([account_of(role)], 0)
    place.now_seconds = _HOUR_SECONDS - 299
    assert (await place.accounts_of(role), place.assumed()) == ([account_of(role)], 1)


async def test_a_role_that_is_released_uses_its_keys_again_and_one_whose_keys_are_refused_does_not(
    place: Place,
) -> None:
    role, other = a_role(), a_role()
    await place.accounts_of(role, other)
    await place.clients.release(role)
    assert sorted(await place.accounts_of(role, other)) == sorted([account_of(role), account_of(other)])
    assert place.assumed() == 0
    place.clients.drop(role)
    assert sorted(await place.accounts_of(role, other)) == sorted([account_of(role), account_of(other)])
    assert place.assumed() == 1


async def test_roles_and_our_own_client_go_on_after_our_own_keys_were_refused(place: Place) -> None:
    role = a_role()
    await place.accounts_of(role, None)
    place.clients.drop(None)
    assert sorted(await place.accounts_of(role, None)) == ["", account_of(role)]
