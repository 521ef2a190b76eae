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

_MISTAKES_MAX = 25


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
        raise explained(configuration, [exc]) from exc
    if not chosen:
        raise InputError("accounts-none", f"{name} configures no account", fix="add one below accounts:")
    return chosen


def explained(configuration: Configuration, mistakes: Sequence[InputError]) -> InputError:
    """Return mistakes of a valid document as one error, each with its fix and the line of the key that it names."""
    texts = dict.fromkeys(configuration.explain(one) for one in mistakes)
    more = [f"{len(texts) - _MISTAKES_MAX} more mistakes"] if len(texts) > _MISTAKES_MAX else []
    return InputError(mistakes[0].code, "\n".join([*list(texts)[:_MISTAKES_MAX], *more]))


def _chosen(configuration: Configuration, patterns: Sequence[str]) -> tuple[ConfiguredAccount, ...]:
    if configuration.organizations is None:
        return configuration.accounts(*patterns)
    listed = asyncio.run(
        listed_accounts(configuration.organizations, configuration.stated, endpoint_url=endpoint_of(os.environ))
    )
    for note in listed.notes:
        say(f"whence-accounts: {note}")
    return configuration.accounts(*patterns, account_list=listed.ids, organization_id=listed.organization_id)
