"""The accounts of the configuration, with their ids: from the file, AWS Organizations, or a file of accounts."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.configuration.read import Configuration, read_configuration
from whence_aggregator.accounts_command.ending import say
from whence_aggregator.accounts_command.running import endpoint_of
from whence_aggregator.adapters.accounts.account_list import listed_accounts
from whence_common.errors import InputError
from whence_common.problems import render


def configured_accounts(content: bytes, patterns: Sequence[str], *, name: str) -> tuple[ConfiguredAccount, ...]:
    """Return the accounts whose names match shell patterns; all without one. Raises WhenceError.

    Warnings about keys of version 10 are printed.
    """
    configuration = read_configuration(content, name=name)
    if configuration.remarks:
        say(render(configuration.remarks, name=name, lines=()))
    try:
        chosen = _chosen(configuration, patterns)
    except InputError as exc:
        if not exc.message.startswith("accounts."):
            raise  # it is about a pattern, or the list of accounts
        raise configuration.invalid([exc]) from exc
    if not chosen:
        raise InputError("accounts-none", f"{name} configures no account", fix="add one below accounts:")
    return chosen


def _chosen(configuration: Configuration, patterns: Sequence[str]) -> tuple[ConfiguredAccount, ...]:
    if configuration.organizations is None:
        return configuration.accounts(*patterns)
    listed = asyncio.run(
        listed_accounts(configuration.organizations, configuration.stated, endpoint_url=endpoint_of(os.environ))
    )
    for note in listed.notes:
        say(f"whence-accounts: {note}")
    return configuration.accounts(*patterns, account_list=listed.ids, organization_id=listed.organization_id)
