"""Which team a name leads to, and what several sources together state of an account. Pure.

The id of a team comes first, then an alias that one team alone has, then what led to a team before. A name that several
teams have leads to none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from whence_aggregator.organisation.names import folded, is_team_id
from whence_aggregator.organisation.projection import HELD
from whence_aggregator.organisation.rows import HeldName, StatedAccount
from whence_aggregator.organisation.values import ACTIVE, SOURCES


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedBy:
    """That a source stated something, and where it stands in the ledger."""

    source: str
    observed_at: str
    ledger_index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundTeam:
    """The team that a name leads to. `over`: no source states it any more."""

    team_id: str
    name: str
    over: bool
    asked_as: str
    said: tuple[StatedBy, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ambiguous:
    """A name that several teams have."""

    asked_as: str
    teams: tuple[str, ...]


ResolvedTeam = FoundTeam | Ambiguous | None


class TeamNames:
    """Names of teams as of one moment."""

    def __init__(self, rows: Iterable[HeldName]) -> None:
        self._rows: dict[str, list[HeldName]] = {}
        for row in rows:
            self._rows.setdefault(row.name, []).append(row)

    def resolve(self, name: str) -> ResolvedTeam:
        """Return the team that a name leads to; None when it leads to none."""
        if not is_team_id(name):
            return None
        key = folded(name)
        rows = self._rows.get(key, ())
        live = sorted({row.team_id for row in rows if row.held == HELD and not row.over})
        if key in live:
            return _found(key, name, rows)
        if len(live) > 1:
            return Ambiguous(asked_as=name, teams=tuple(live))
        if live:
            return _found(live[0], name, rows)
        if not rows:
            return None
        newest = max(rows, key=lambda row: (row.ledger_index, row.held))
        return _found(newest.team_id, name, rows)


def _found(team_id: str, asked_as: str, rows: Sequence[HeldName]) -> FoundTeam:
    own = sorted((row for row in rows if row.team_id == team_id), key=_precedence)
    stated = [row for row in own if not row.over]
    first = (stated or own)[0]
    said = tuple(
        StatedBy(source=row.source, observed_at=row.observed_at, ledger_index=row.revised_index)
        for row in stated or own
    )
    return FoundTeam(team_id=team_id, name=first.team_name, over=not stated, asked_as=asked_as, said=said)


def _precedence(one: HeldName | StatedAccount) -> int:
    return [str(source) for source in SOURCES].index(one.source)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownAccount:
    """An account as its sources state it at one moment."""

    account_id: str
    name: str
    status: str
    """Empty where no source states it; `gone` where all that stated it no longer do."""
    path: str
    owners: Mapping[str, str]
    """As each source that names one writes it, in the order of SOURCES."""
    owner_unread: bool
    """Whether a source could not be asked yet who owns it."""
    allows: frozenset[str]
    tags: Mapping[str, str]
    said: tuple[StatedBy, ...] = ()

    @classmethod
    def of(cls, account_id: str, rows: Sequence[StatedAccount]) -> KnownAccount | None:
        """Join the newest rows of each source; None where there are none."""
        if not rows:
            return None
        ordered = sorted(rows, key=_precedence)
        stated = [row for row in ordered if not row.over]
        accounts = {row.source: row.account for row in stated or ordered}
        said = tuple(
            StatedBy(source=row.source, observed_at=row.observed_at, ledger_index=row.ledger_index)
            for row in stated or ordered
        )
        every = list(accounts.values())
        return cls(
            account_id=account_id,
            name=_first(one.name for one in every),
            status=_first(one.status for one in every) if stated else "gone",
            path=_first(one.path for one in every),
            owners={source: one.owner for source, one in accounts.items() if one.owner} if stated else {},
            owner_unread=any("owner" in one.unread for one in every),
            allows=frozenset(team for one in every for team in one.allows) if stated else frozenset(),
            tags=dict(pair for one in reversed(every) for pair in one.tags),
            said=said,
        )

    @property
    def active(self) -> bool:
        return self.status == ACTIVE


def _first(texts: Iterable[str]) -> str:
    return next((one for one in texts if one), "")


def accounts_of(rows: Iterable[StatedAccount]) -> dict[str, KnownAccount]:
    """Join rows by account."""
    grouped: dict[str, list[StatedAccount]] = {}
    for row in rows:
        grouped.setdefault(row.account.account_id, []).append(row)
    found = {account_id: KnownAccount.of(account_id, own) for account_id, own in grouped.items()}
    return {account_id: one for account_id, one in found.items() if one is not None}
