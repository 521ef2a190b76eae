"""Who asks, and what that caller may do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

USER_DATA = "user-data"
"""The right to read user data, masked as it is kept."""
RIGHTS = frozenset({USER_DATA})


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks: a name for the record, and the teams it may write for; None means every team, and every right."""

    name: str
    teams: frozenset[str] | None
    rights: frozenset[str] = frozenset()
    """Rights beside reading and writing, of RIGHTS."""

    @property
    def may_read_user_data(self) -> bool:
        """Whether answers show more of user data than its digest and what the trace names: also what proves it."""
        return self.teams is None or USER_DATA in self.rights

    def may_write(self, team_id: str) -> bool:
        return self.teams is None or team_id in self.teams


class KnownCallers(Protocol):
    """Callers by the hash of their token."""

    def get(self, token_hash: str, /) -> Caller | None: ...
