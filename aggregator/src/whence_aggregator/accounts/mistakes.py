"""What is wrong in a configuration that is valid as a document: values that steps refuse. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.planning import steps_missing
from whence_aggregator.accounts.step import AccountStep
from whence_aggregator.accounts.steps.table import KINDS
from whence_common.errors import InputError


def mistakes_in(accounts: Sequence[ConfiguredAccount], steps: Sequence[AccountStep]) -> list[InputError]:
    """Return what is wrong in every account's configuration, to be known before the first call.

    Wrong is a reference to a resource of a step that was not chosen too: its value is then not known.
    """
    found: list[InputError] = []
    for one in accounts:
        try:
            missing = steps_missing(one, steps, KINDS)
        except InputError as exc:
            found += [wrong for step in steps if (wrong := _mistake(one, step)) is not None] or [exc]
            continue
        if missing:
            address, (needed, name) = next(iter(missing.items()))
            message = f"accounts.{one.name}: {address} refers to {needed}, and the step {name} was not chosen"
            names = dict.fromkeys(each for _, each in missing.values())
            fix = f"add {' '.join(f'--step {each}' for each in names)}"
            found.append(InputError("step-missing", message, fix=fix))
    return found


def _mistake(account: ConfiguredAccount, step: AccountStep) -> InputError | None:
    try:
        step.wanted(account)
    except InputError as exc:
        return exc
    return None
