"""The account's alias: created where there is none. An account with another alias is refused before any write."""

from __future__ import annotations

from collections.abc import Sequence

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.found import FoundAccount, StatedSection
from whence_aggregator.accounts.resources import ResourceKind, WantedResource
from whence_aggregator.accounts.step import AccountStep

ALIAS = ResourceKind(
    name="alias", step="alias", reads=("iam:ListAccountAliases",), writes=("iam:CreateAccountAlias",), is_setting=True
)


def wanted(account: ConfiguredAccount) -> Sequence[WantedResource]:
    alias = account.settings.alias
    return () if alias is None else (WantedResource(kind=ALIAS, name="account", state={"alias": alias}),)


def stated(found: FoundAccount) -> StatedSection:
    return StatedSection(section={"alias": next((one.state["alias"] for one in found.of(ALIAS.name)), None)})


STEP = AccountStep(
    name="alias", summary="the account's alias", kinds=(ALIAS,), wanted=wanted, stated=stated, is_for_whence=True
)
