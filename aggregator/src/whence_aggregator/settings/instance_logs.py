"""Settings of the logs that instances send without a signature."""

from __future__ import annotations

import msgspec

BYTES_MAX = 64 * 1024 * 1024 * 1024


class InstanceLogSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`POST /api/instance-logs`, as Taupage's agents send them."""

    credentials_file: str
    """Lines `sha256:HEX USER`: the SHA-256 of the password that the fleet shares."""
    account_day_bytes_max: int = 256 * 1024 * 1024
    """How much an account's instances may send in a day."""
    keep_days: int = 90
    """How long the contents of audit logs are kept; their digests stay in the log."""


def wrong_in_instance_logs(wanted: InstanceLogSettings) -> list[str]:
    """Return what is wrong."""
    wrong = []
    if not wanted.credentials_file:
        wrong.append("instance_logs.credentials_file must be the path of a file")
    if not 1024 * 1024 <= wanted.account_day_bytes_max <= BYTES_MAX:
        wrong.append(f"instance_logs.account_day_bytes_max must be from 1048576 to {BYTES_MAX}")
    if not 1 <= wanted.keep_days <= 3650:
        wrong.append("instance_logs.keep_days must be from 1 to 3650")
    return wrong
