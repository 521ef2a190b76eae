"""The alias of an account, on moto: created once, and never changed."""

from __future__ import annotations

import pytest

from fakes.account_world import account_world
from landscape.aws import Aws
from whence_aggregator.accounts.planning import AccountMismatch
from whence_aggregator.accounts.steps import alias

_STEPS = (alias.STEP,)


async def test_an_account_without_alias_gets_it_and_is_converged(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings={"alias": "hello"}) as world:
        plan = await world.plan()
        assert [(one.address, one.action, one.after) for one in plan.changes] == [
            ("alias/account", "update", {"alias": "hello"})
        ]
        assert world.aws.writes == []
        await world.converge()
        assert world.client("iam").list_account_aliases()["AccountAliases"] == ["hello"]
        report = await world.apply(plan)
        assert [one.outcome for one in report.changes] == ["already"]
        assert world.aws.writes == []


async def test_an_account_with_another_alias_is_refused_before_any_write(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS, settings={"alias": "hello"}) as world:
        world.client("iam").create_account_alias(AccountAlias="someone-else")
        with pytest.raises(AccountMismatch, match="has the alias someone-else, not hello") as refused:
            await world.plan()
        assert refused.value.fix == "check that it is the right account, then write alias: someone-else"
        assert world.aws.writes == []


async def test_a_configuration_without_alias_changes_none(moto: Aws) -> None:
    async with account_world(moto.url, steps=_STEPS) as world:
        assert (await world.plan()).changes == ()
