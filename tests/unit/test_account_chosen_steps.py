"""Steps that are planned without those that they refer to: refused, since the values are not known."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.configuration.account import AccountSettings
from whence_aggregator.accounts.mistakes import mistakes_in
from whence_aggregator.accounts.planning import steps_missing
from whence_aggregator.accounts.steps.table import KINDS, STEPS
from whence_aggregator.accounts_command.planned import chosen_steps, with_needed


def _account(**settings: Any) -> ConfiguredAccount:
    section = {"id": "123456789012", "regions": ["eu-west-1"], "alias": None, **settings}
    return ConfiguredAccount(
        name="hello", account_id="123456789012", settings=msgspec.convert(section, AccountSettings)
    )


_NET = _account(vpc_net={"eu-west-1": {"cidr": "10.1.0.0/16", "zones": ["eu-west-1a"]}})


def test_a_step_without_the_one_that_it_refers_to_is_refused_by_name() -> None:
    (mistake,) = mistakes_in([_NET], chosen_steps(["nat"]))
    assert mistake.message == (
        "accounts.hello: eu-west-1/nat-gateway/eu-west-1a refers to eu-west-1/subnet/dmz-eu-west-1a, "
        "and the step vpc was not chosen"
    )
    assert mistake.fix == "add --step vpc"


@pytest.mark.parametrize("names", [(), ("vpc", "nat"), ("roles",), ("identity", "defaults")])
def test_steps_that_refer_to_chosen_ones_are_planned(names: tuple[str, ...]) -> None:
    assert mistakes_in([_NET], chosen_steps(names)) == []


def test_a_key_of_another_step_is_named_for_what_it_encrypts() -> None:
    account = _account(kms={"app": {}}, ebs_default_key="app")
    assert steps_missing(account, chosen_steps(["defaults"]), KINDS) == {
        "eu-west-1/ebs-encryption/account": ("eu-west-1/key/app", "keys")
    }
    assert steps_missing(account, STEPS, KINDS) == {}


def test_bootstrap_takes_the_steps_that_its_own_refer_to() -> None:
    own = tuple(one for one in STEPS if one.is_for_whence)
    mint = {"writer": "arn:aws:iam::123456789012:role/mint", "key": "app"}
    with_key = with_needed([_account(kms={"app": {}}, mint_bucket=mint)], own)
    assert {one.name for one in with_key} - {one.name for one in own} == {"keys"}
    assert with_needed([_account(kms={"app": {}})], own) == own
