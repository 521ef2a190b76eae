"""What the organisation's sources stated of an account and its teams by the time asked about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from whence_aggregator.organisation.directory_rows import SourceState
from whence_aggregator.organisation.resolving import KnownAccount, TeamNames
from whence_aggregator.organisation.rows import WholeReading
from whence_common.clock import parse_instant

NOT_CONFIGURED = "no source of accounts is configured: who owns the account is not known"
LAPSED_SECONDS_MIN = 86_400.0
"""How long at least a source counts for the present after its last whole reading began."""
NEVER_READ = "no source of accounts was read yet: who owns the account is not known"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """What the organisation's sources stated by the time asked about."""

    account: KnownAccount | None = None
    names: TeamNames = field(default_factory=lambda: TeamNames(()))
    """Of the application's team, of the account's owners, and of those that it allows."""
    read: Mapping[str, WholeReading] = field(default_factory=dict)
    """The sources that had been read whole."""
    unread: str = NOT_CONFIGURED
    """Why nothing is known where no source had been read."""
    lapsed: str = ""
    """Why what was stated is not known to be true any more; empty if it is."""

    @property
    def states_teams(self) -> bool:
        return any(one.teams for one in self.read.values())

    @property
    def states_accounts(self) -> bool:
        return any(one.accounts for one in self.read.values())


def why_lapsed(states: Iterable[SourceState], seconds: Mapping[str, float], now: datetime) -> str:
    """Return why a source may deny by now what was stated; empty where each was read of late. Pure.

    `seconds` is how often each configured source is read: one counts for three readings, and for a day at least. The
    groups of tokens are left out, because a group that nobody signed in with denies nothing.
    """
    by_source = {one.source: one for one in states}
    for source in sorted(seconds.keys() - {"groups"}):
        state = by_source.get(source)
        read_at = state.read_at if state is not None else None
        bound = max(LAPSED_SECONDS_MIN, 3 * seconds[source])
        if read_at is not None and (now - parse_instant(read_at)).total_seconds() <= bound:
            continue
        failure = f": {state.failure}" if state is not None and state.failure else ""
        when = f"was last read at {read_at}" if read_at is not None else "was not read yet"
        return f"who owns the account is not known: the source {source} {when}{failure}"
    return ""
