"""When a generation ends that has a successor. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from whence_aggregator.mint.rules import MintRules
from whence_aggregator.mint.state import MintState, StoredGeneration
from whence_aggregator.mint.values import CredentialHolder, CredentialKind
from whence_common.clock import parse_instant

_LATER = 0.25
"""By which part of the time that a generation has already waited for its readers it waits until they are looked at."""


def superseded(
    state: MintState, kind: CredentialKind, rules: MintRules, now: datetime
) -> Iterator[tuple[StoredGeneration, StoredGeneration]]:
    """Yield each generation that has a successor, with the successor.

    The successor is committed; or all buckets hold it, and the provider could not be told so for a long time.
    """
    chain = state.published(kind)
    newest = [place for place, one in enumerate(chain) if one.phase == "committed" or is_stuck(one, state, rules, now)]
    if newest:
        yield from ((old, chain[newest[-1]]) for old in chain[: newest[-1]])


def is_stuck(one: StoredGeneration, state: MintState, rules: MintRules, now: datetime) -> bool:
    """Return whether all buckets hold a generation that could not be committed: another then follows it."""
    if one.phase != "published":
        return False
    is_late = parse_instant(one.published_at) + timedelta(seconds=rules.bound_seconds) <= now
    return is_late or state.is_revoked(one)


def end_at(
    old: StoredGeneration,
    successor: StoredGeneration,
    state: MintState,
    rules: MintRules,
    holders: Sequence[CredentialHolder],
) -> datetime:
    """Return when the old generation ends: its readers hold the successor, or the bound is over."""
    since = parse_instant(successor.committed_at or successor.published_at)
    if state.is_revoked(old):
        return since
    if holders and all(_holds(one, successor) for one in holders):
        return since + timedelta(seconds=rules.poll_seconds_max)
    return since + timedelta(seconds=rules.bound_seconds)


def readers_look_at(successor: StoredGeneration, rules: MintRules, now: datetime) -> datetime:
    """Return when to ask again who holds a successor: not before it may matter, then more and more rarely.

    Thousands of applications may have readers that never report, and those that do have reported by then.
    """
    first = parse_instant(successor.committed_at or successor.published_at) + timedelta(seconds=rules.poll_seconds_max)
    if now < first:
        return first
    later = (now - first).total_seconds() * _LATER
    return now + timedelta(seconds=max(rules.readers_seconds, later))


def _holds(holder: CredentialHolder, successor: StoredGeneration) -> bool:
    """Return whether an instance no longer uses the generation before; what is not known is no.

    One that holds no credential of the kind reads the newest first.
    """
    held = holder.generations.get(successor.kind)
    return holder.is_heard and held in ("", successor.id.generation)
