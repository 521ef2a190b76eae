"""The guardrails of an account: the file in the documents states each, and no other file states any of them."""

from __future__ import annotations

from landscape.documents import blocks
from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.configuration.read import read_configuration
from whence_aggregator.accounts.planning import wanted_of
from whence_aggregator.accounts.steps.table import STEPS

_LEAST = 'version: 11\naccounts: {hello: {id: "123456789012", regions: [eu-central-1], alias: null}}\n'


def _addresses(text: str) -> list[str]:
    account: ConfiguredAccount
    (account,) = read_configuration(text.encode(), name="accounts.yaml").accounts()
    return [one.address for one in wanted_of(account, STEPS)]


def test_the_file_in_the_documents_states_each_guardrail() -> None:
    (text,) = [text for _, text in blocks("yaml") if text.startswith("# guardrails.yaml\n")]
    assert [one for one in _addresses(text) if one not in _addresses(_LEAST)] == [
        "alias/account", "root-user/account", "eu-central-1/guardduty-detector/detector",
        "service-linked-role/config.amazonaws.com", "eu-central-1/config-recorder/recorder", "budget/monthly",
    ]  # fmt: skip


def test_a_file_that_states_no_guardrail_has_none() -> None:
    assert _addresses(_LEAST) == ["eu-central-1/ebs-encryption/account"]
