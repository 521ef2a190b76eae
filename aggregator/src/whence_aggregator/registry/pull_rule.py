"""Which teams' images the instances of an account may pull: those of every team, or those of the account's own teams.

Who owns an account is what sources of the organisation state. What they stated last counts while a source is
unavailable, for a bounded time. An unknown owner, two owners, or a statement that is too old denies. The rule is pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from whence_aggregator.ports import Forbidden
from whence_common.clock import Now, to_instant

KEPT_SECONDS = 30.0
"""How long an answer that allows is cached, because each call of a pull needs it. Refusals are not cached."""
_KEPT_MAX = 10_000


class PullRule(Protocol):
    async def check(self, account_id: str, team: str) -> None:
        """Raise Forbidden unless instances of an account may pull images of a team, or StorageUnavailable."""


class EveryTeam:
    """Instances may pull the images of every team."""

    async def check(self, account_id: str, team: str) -> None:
        """Allow it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnersOfAccount:
    """What the sources of the organisation state about an account, with names of teams resolved to ids."""

    account_id: str
    team: str
    """The id of the team whose image is pulled."""
    owners: Mapping[str, str] = field(default_factory=dict)
    """The owning team by the source that names it."""
    allows: frozenset[str] = frozenset()
    """Other teams whose applications may run in the account."""
    read_at: Mapping[str, datetime | None] = field(default_factory=dict)
    """When each source that states the account was last read whole; None if never."""
    unclear: str = ""
    """Why the names lead to no single team; empty if they do."""


class AccountOwners(Protocol):
    async def of(self, account_id: str, team: str) -> OwnersOfAccount:
        """Return who owns an account, beside the team that a name leads to. Raises StorageUnavailable."""


class OwnTeams:
    """Instances may pull images of the team that owns their account, of teams allowed in it, and of `shared` teams.

    A statement counts for `seconds_max` after its source was last read.
    """

    def __init__(self, *, owners: AccountOwners, shared: frozenset[str], seconds_max: float, now: Now) -> None:
        self._owners = owners
        self._shared = shared
        self._seconds_max = seconds_max
        self._now = now
        self._allowed_until: dict[tuple[str, str], datetime] = {}

    async def check(self, account_id: str, team: str) -> None:
        """Raise Forbidden, with the reason, or StorageUnavailable."""
        if team in self._shared:
            return
        now, name = self._now(), (account_id, team)
        if self._allowed_until.get(name, now) > now:
            return
        refusal = why_not(await self._owners.of(account_id, team), now=now, seconds_max=self._seconds_max)
        if refusal is not None:
            raise refusal
        if len(self._allowed_until) >= _KEPT_MAX:
            self._allowed_until.clear()
        self._allowed_until[name] = now + timedelta(seconds=KEPT_SECONDS)


def why_not(stated: OwnersOfAccount, *, now: datetime, seconds_max: float) -> Forbidden | None:
    """Return the reason why instances of an account may not pull a team's images; None if they may."""
    account = f"account {stated.account_id}"
    if stated.unclear:
        return Forbidden(
            "account-owner-unclear", f"who owns {account} is unclear: {stated.unclear}, so its instances may not pull",
            fix="have the sources of `organisation` name one team by its id",
        )  # fmt: skip
    if not stated.owners:
        return Forbidden(
            "account-owner-unknown", f"no source states who owns {account}, so its instances may not pull",
            fix="name its owner in organisation.file, or tag the account; GET /v1/accounts shows what is known",
        )  # fmt: skip
    teams = set(stated.owners.values())
    if len(teams) > 1:
        differ = ", ".join(f"{source} states {team}" for source, team in stated.owners.items())
        return Forbidden(
            "account-owner-unclear", f"sources disagree about who owns {account}: {differ}; its instances may not pull",
            fix="correct one of the sources of `organisation`",
        )  # fmt: skip
    fresh = {one for one, read_at in stated.read_at.items() if _is_fresh(read_at, now, seconds_max)}
    if not fresh & stated.owners.keys():
        return Forbidden(
            "account-owner-outdated",
            f"who owns {account} was {_when(stated)}, and must have been within {seconds_max:g} seconds: "
            "its instances may not pull",
            fix="GET /v1/accounts shows why the sources of `organisation` cannot be read",
        )  # fmt: skip
    (owner,) = teams
    if stated.team == owner or (stated.team in stated.allows and fresh == stated.read_at.keys()):
        return None
    return Forbidden(
        "pull-other-team",
        f"{account} is of team {owner} ({_when(stated)}): its instances may not pull images of team {stated.team}",
        fix=f"push the image for team {owner}, list {stated.team} in the account's `allows` in organisation.file, "
        "or in registry_front.shared_teams",
    )  # fmt: skip


def _is_fresh(read_at: datetime | None, now: datetime, seconds_max: float) -> bool:
    return read_at is not None and (now - read_at).total_seconds() <= seconds_max


def _when(stated: OwnersOfAccount) -> str:
    """Return when a source that names the owner was last read."""
    times = [read_at for source in stated.owners if (read_at := stated.read_at.get(source)) is not None]
    return f"read at {to_instant(max(times))}" if times else "never read"
