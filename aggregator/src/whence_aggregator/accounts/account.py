"""An account as steps read it: its identity, and its effective configuration."""

from __future__ import annotations

from dataclasses import dataclass

from whence_aggregator.accounts.configuration.access import AccountAccess
from whence_aggregator.accounts.configuration.account import AccountSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfiguredAccount:
    """One account. `settings` is the account's section over the global one; `{account_id}` and `{account_name}` in its
    texts are replaced."""

    name: str
    account_id: str
    settings: AccountSettings
    admin_account_id: str | None = None
    """The account with the parent zone; None if none is configured."""
    organization_id: str | None = None

    @property
    def regions(self) -> tuple[str, ...]:
        return self.settings.regions

    @property
    def target(self) -> Target:
        return Target(
            name=self.name, account_id=self.account_id, access=self.settings.access, regions=self.settings.regions,
            alias=self.settings.alias,
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An account as providers reach it. `alias` is None if the configuration states none."""

    name: str
    account_id: str
    access: AccountAccess
    regions: tuple[str, ...]
    alias: str | None
