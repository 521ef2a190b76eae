"""The setting `account_configuration`: the declared state of accounts, which is compared with what stands."""

from __future__ import annotations

import re

import msgspec

from whence_aggregator.settings.cloud_trail import EXTERNAL_ID

_ROLE = re.compile(r"[A-Za-z0-9+=,.@_-]{1,64}\Z")
_SECONDS = (60.0, 30 * 86_400.0)
_AT_ONCE_MAX = 64


class AccountConfigurationSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The configuration of whence-accounts, and the role that reads accounts."""

    file: str
    """The configuration, as whence-accounts reads it. It is read again for every account."""
    role: str | None = None
    """Name of a role in each account that may only read; None: that of the configuration's `access`."""
    external_id: str | None = None
    """External id that the trust policy of `role` requires."""
    seconds: float = 21_600.0
    """The time from one reading of an account to the next."""
    accounts_at_once: int = 2
    """How many accounts are read at once."""
    doers: bool = True
    """Ask CloudTrail who changed what differs, which needs cloudtrail:LookupEvents."""


def wrong_in_account_configuration(wanted: AccountConfigurationSettings | None) -> list[str]:
    """Return what is wrong; each problem begins with its setting."""
    if wanted is None:
        return []
    wrong = []
    if not wanted.file:
        wrong.append("account_configuration.file must name a file")
    if wanted.role is not None and not _ROLE.match(wanted.role):
        wrong.append("account_configuration.role must be the name of a role, not its ARN")
    if wanted.external_id is not None and not EXTERNAL_ID.match(wanted.external_id):
        wrong.append("account_configuration.external_id must be 2 to 1224 letters, digits and +=,.@:/_-")
    if not _SECONDS[0] <= wanted.seconds <= _SECONDS[1]:
        wrong.append(f"account_configuration.seconds must be from {_SECONDS[0]:g} to {_SECONDS[1]:g}")
    if not 1 <= wanted.accounts_at_once <= _AT_ONCE_MAX:
        wrong.append(f"account_configuration.accounts_at_once must be from 1 to {_AT_ONCE_MAX}")
    return wrong
