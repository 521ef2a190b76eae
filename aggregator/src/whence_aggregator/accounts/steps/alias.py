"""The account's alias: created where there is none. An account with another alias is refused before any write."""

from __future__ import annotations

import re
from collections.abc import Sequence

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.found import FoundAccount, StatedSection
from whence_aggregator.accounts.resources import ResourceKind, WantedResource
from whence_aggregator.accounts.step import AccountStep
from whence_common.errors import InputError, one_line

ALIAS = ResourceKind(
    name="alias", step="alias", reads=("iam:ListAccountAliases",), writes=("iam:CreateAccountAlias",), is_setting=True
)

_ALIAS = re.compile(r"(?=.{3,63}\Z)[a-z0-9]+(-[a-z0-9]+)*")
"""Source: IAM API, CreateAccountAlias."""


def wanted(account: ConfiguredAccount) -> Sequence[WantedResource]:
    """Return the alias. Raises InputError for one that IAM does not accept."""
    alias = account.settings.alias
    if alias is not None and _ALIAS.fullmatch(alias) is None:
        message = f"accounts.{account.name}.alias: {one_line(alias, 80)!r} is not an alias of an account"
        fix = "write 3 to 63 lower-case letters, digits and single dashes, or null to leave it as it is"
        raise InputError("accounts-alias", message, fix=fix)
    return () if alias is None else (WantedResource(kind=ALIAS, name="account", state={"alias": alias}),)


def stated(found: FoundAccount) -> StatedSection:
    return StatedSection(section={"alias": next((one.state["alias"] for one in found.of(ALIAS.name)), None)})


STEP = AccountStep(
    name="alias", summary="the account's alias", kinds=(ALIAS,), wanted=wanted, stated=stated, is_for_whence=True
)
