"""The report of an apply: what became of every change. The format is version 1 of Whence's own."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

_Text = Annotated[str, Meta(max_length=2_000)]
ChangeOutcome = Literal["done", "already", "failed", "refused", "skipped"]
"""done: written now. already: it stood as the plan wants it. failed: AWS refused. refused: it differs from the plan's
recorded state. skipped: a change that it needs did not succeed, or the account was refused."""


class Applied(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What became of one change."""

    address: _Text
    step: _Text
    action: Literal["create", "update", "delete"]
    outcome: ChangeOutcome
    message: _Text = ""
    fix: _Text = ""


class AccountReport(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The changes of one account. `error` states why the account as a whole was refused or not reached."""

    account: _Text
    account_id: Annotated[str, Meta(pattern=r"^[0-9]{12}$")]
    changes: tuple[Applied, ...]
    error: _Text = ""

    @property
    def succeeded(self) -> bool:
        return not self.error and all(one.outcome in ("done", "already") for one in self.changes)


class ApplyReport(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The report of one apply."""

    format: Literal["whence-account-report/1"] = "whence-account-report/1"
    plan: Annotated[str, Meta(pattern=r"^sha256:[0-9a-f]{64}$")]
    """Digest of the plan."""
    configuration: _Text
    begun_at: _Text
    ended_at: _Text
    accounts: tuple[AccountReport, ...]

    @property
    def succeeded(self) -> bool:
        return all(one.succeeded for one in self.accounts)

    @property
    def has_begun(self) -> bool:
        """Whether any change was tried."""
        return any(one.outcome != "skipped" for account in self.accounts for one in account.changes)
