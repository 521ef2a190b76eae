"""Makes the evidence of an application's credentials, and of those that an instance holds. Pure."""

from __future__ import annotations

from whence_aggregator.compliance.evidence import CredentialInUse, HeldByInstance, MintedForApplication
from whence_aggregator.trace.credentials import CredentialName, KnownCredentials

_KINDS: tuple[CredentialName, ...] = ("client", "user")


def minted_for(found: KnownCredentials | None) -> MintedForApplication | None:
    """Return what mint makes for the application; None if it was not read."""
    if found is None:
        return None
    current = [one for one in map(found.current, _KINDS) if one is not None]
    return MintedForApplication(
        current=tuple(
            CredentialInUse(
                kind=one.kind, generation=one.generation, intended_at=one.intended_at,
                committed_at=one.committed_at, is_read=one.is_read, has_secret=one.has_secret,
                is_tampered=one.is_tampered,
                follows_tampered=any(
                    each.is_tampered for each in found.live if each.kind == one.kind and each is not one
                ),
            )
            for one in current
        ),
        kinds=tuple(
            kind for kind in _KINDS if found.live and {kind} & {*found.wanted, *(one.kind for one in found.live)}
        ),
        has_readers=found.readers > 0,
        restored_at=found.restored_at,
    )  # fmt: skip


def held_by(found: KnownCredentials | None) -> tuple[HeldByInstance, ...] | None:
    """Return the objects that the agent states; None if it states none."""
    if found is None or found.held is None:
        return None
    return tuple(
        HeldByInstance(
            kind=one.kind, generation=one.generation, version_id=one.version_id, since=one.since,
            is_minted=one.is_minted, is_written=one.is_written, intended_at=one.intended_at,
        )
        for one in found.held
    )  # fmt: skip
