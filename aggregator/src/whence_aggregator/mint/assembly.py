"""The rotation, put together from its ports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from whence_aggregator.mint.calls import MintProvider, ProviderCalls
from whence_aggregator.mint.key import MintKey
from whence_aggregator.mint.looking import Looking
from whence_aggregator.mint.making import Making
from whence_aggregator.mint.pace import ProviderPace
from whence_aggregator.mint.ports import CredentialBuckets, CredentialHolders, KnownApplications
from whence_aggregator.mint.publishing import Publishing
from whence_aggregator.mint.rotation import Rotation
from whence_aggregator.mint.rules import MintRules
from whence_aggregator.mint.store import MintStore
from whence_aggregator.mint.syncing import Syncing
from whence_common.backoff import Backoff
from whence_common.clock import Now


@dataclass(frozen=True, slots=True, kw_only=True)
class MintOutside:
    """What a rotation reaches outside."""

    providers: Mapping[str, MintProvider]
    buckets: CredentialBuckets
    holders: CredentialHolders
    known: KnownApplications


def rotation_of(
    store: MintStore,
    outside: MintOutside,
    key: MintKey,
    *,
    rules: MintRules,
    pace: ProviderPace,
    backoff: Backoff,
    now: Now,
    random_hex: Callable[[], str],
    restored_at: str = "",
) -> Rotation:
    """Return the rotation. `random_hex` returns 32 hexadecimal digits, for the id of a generation.

    `restored_at`: when mint first ran on a database that was restored from a backup; empty: it was not.
    """
    calls = ProviderCalls(providers=outside.providers, pace=pace, rules=rules, key=key)
    making = Making(store=store, calls=calls, backoff=backoff, now=now, random_hex=random_hex)
    return Rotation(
        store=store,
        calls=calls,
        making=making,
        publishing=Publishing(
            store=store, making=making, buckets=outside.buckets, rules=rules, restored_at=restored_at, now=now
        ),
        looking=Looking(store=store, buckets=outside.buckets, rules=rules, restored_at=restored_at, now=now),
        syncing=Syncing(store=store, calls=calls, rules=rules, now=now),
        holders=outside.holders,
        known=outside.known,
        rules=rules,
        backoff=backoff,
        now=now,
    )
