"""Which buckets are read, and whose events are accepted from them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from whence_aggregator.events.cloud_record import CloudRecord
from whence_aggregator.events.object_keys import TrailKey, TrailObject, parse_key
from whence_aggregator.events.refused import TrailRefused
from whence_aggregator.events.role_session import RoleSession


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedTrails:
    """`buckets`: by name, the accounts that it has files of; empty: all accepted ones. `accounts` are accepted now."""

    buckets: Mapping[str, Collection[str]]
    accounts: Callable[[], Collection[str]]

    def key_of(self, one: TrailObject) -> TrailKey | None:
        """Return what the key of an object states; None for one that is not a trail's.

        Raises TrailRefused for a bucket that is not in the settings, and an account that is not accepted.
        """
        if one.bucket not in self.buckets:
            fix = "add it to cloud_trail.buckets, and replay"
            raise TrailRefused("bucket-foreign", f"{one}: the bucket is not in the settings", fix=fix)
        key = parse_key(one.key)
        if key is not None:
            self.check_account(key.account_id, self.buckets[one.bucket], str(one))
        return key

    def check_account(self, account_id: str, only: Collection[str], place: str) -> None:
        """Raise TrailRefused for an account whose events are not accepted from a place."""
        if (only and account_id not in only) or account_id not in self.accounts():
            fix = "add it to the accounts in the settings, and replay"
            raise TrailRefused(
                "account-not-accepted", f"{place}: events of account {account_id} are not accepted", fix=fix
            )


def check_place(record: CloudRecord | RoleSession, account_id: str) -> None:
    """Raise TrailRefused for an event of another account than that of its file or envelope: it proves nothing."""
    if record.account_id != account_id:
        message = f"event {record.event_id} is of account {record.account_id}, in a place of account {account_id}"
        raise TrailRefused("account-foreign", message)
