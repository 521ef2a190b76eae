"""Plans accounts for the aggregator: the configuration file, and AWS by a role that only reads."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.configuration.access import AccountAccess
from whence_aggregator.accounts.difference import Allowed
from whence_aggregator.accounts.drift import AccountDrift, DriftDoer, drift_of
from whence_aggregator.accounts.plan import AccountPlan
from whence_aggregator.accounts.planning import AccountMismatch, plan_account, verify
from whence_aggregator.accounts.step import AccountStep
from whence_aggregator.adapters.accounts.configuration_file import ConfigurationFile, ReadConfiguration
from whence_aggregator.adapters.accounts.doers import doers
from whence_aggregator.adapters.accounts.providers import AwsProviders
from whence_aggregator.ports import SourceUnavailable
from whence_common.errors import InputError, RoadError, WhenceError, one_line

_MESSAGE_CHARACTERS_MAX = 600


class ConfiguredPlanner:
    """Plans the accounts of a configuration file, which is read again each time. Makes no write call."""

    def __init__(
        self, *, file: ConfigurationFile, providers: AwsProviders, steps: Sequence[AccountStep],
        access: AccountAccess | None, at_once: int, asks_doers: bool,
    ) -> None:  # fmt: skip
        """`access`: how accounts are read, in place of what the configuration states. `asks_doers`: ask CloudTrail."""
        self._file = file
        self._providers = providers
        self._steps = steps
        self._access = access
        self._limit = asyncio.Semaphore(at_once)
        self._asks_doers = asks_doers

    async def account_ids(self) -> Sequence[str]:
        """Return the accounts that the configuration states. Raises SourceUnavailable where it cannot be read."""
        return sorted((await self._read()).accounts)

    async def digest(self) -> str:
        """Return the digest of the configuration's bytes. Raises SourceUnavailable where it cannot be read."""
        return (await self._read()).digest

    async def drift(self, account_id: str) -> AccountDrift | None:
        """Return what differs in an account; None if the configuration does not state it. Raises SourceUnavailable."""
        read = await self._read()
        account = read.accounts.get(account_id)
        if account is None:
            return None
        account = self._as_reader(account)
        async with self._limit:
            try:
                await verify(account.target, self._providers)
                plan = await plan_account(account, self._steps, self._providers, Allowed())
                return drift_of(plan, read.digest, await self._doers(account, plan))
            except AccountMismatch as exc:
                raise SourceUnavailable("account-mismatch", exc.message, fix=exc.fix) from exc
            except InputError as exc:
                raise SourceUnavailable("account-configuration", exc.message, fix=exc.fix) from exc
            except RoadError as exc:
                raise SourceUnavailable(exc.code, exc.message, fix=exc.fix) from exc
            finally:
                if account_id not in {one.admin_account_id for one in read.accounts.values()}:  # others read its zone
                    await self._providers.release(account.target)

    async def _read(self) -> ReadConfiguration:
        try:
            return await self._file.read()
        except WhenceError as exc:
            message = one_line(exc.message, _MESSAGE_CHARACTERS_MAX)  # a file's problems are a line each
            raise SourceUnavailable("account-configuration", message, fix=exc.fix) from exc

    async def _doers(self, account: ConfiguredAccount, plan: AccountPlan) -> Mapping[str, DriftDoer]:
        if not self._asks_doers or not plan.changes:
            return {}
        return await doers(plan, self._providers.place(account.target, None), regions=account.regions)

    def _as_reader(self, account: ConfiguredAccount) -> ConfiguredAccount:
        if self._access is None:
            return account
        return replace(account, settings=msgspec.structs.replace(account.settings, access=self._access))
