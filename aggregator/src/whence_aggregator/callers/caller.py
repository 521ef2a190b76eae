"""Who asks, and what that caller may do."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from whence_aggregator.callers.jobs import Job
from whence_aggregator.ports import Forbidden

USER_DATA = "user-data"
"""The right to read user data, masked as it is kept."""
OPERATE = "operate"
"""The right to change how the server runs."""
AUDIT = "audit"
"""The right to read everything, user data and bundles too."""
RIGHTS = frozenset({USER_DATA, OPERATE, AUDIT})
"""What a line of the file of tokens may give beside reading and writing."""
WRITE_ALL = "write-all"
"""The right to write for every team; unlike `teams` None it is no other right."""
Realm = Literal["people", "services", "unknown"]
Reads = Literal["organisation", "teams", "nothing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks: a name for the record, and the teams it may write for; None means every team, and every right."""

    name: str
    teams: frozenset[str] | None
    rights: frozenset[str] = frozenset()
    """Rights beside reading and writing: RIGHTS and WRITE_ALL."""
    subject: tuple[str, str] | None = None
    """Issuer and subject, which are the person: names and e-mail addresses change hands. None for a static token."""
    realm: Realm = "unknown"
    reads: Reads = "organisation"
    """Of what belongs to teams: everything, what belongs to its own, or nothing."""
    not_written: str = ""
    """Why it does not write for more teams, where that is not just because it is not in them."""
    until: datetime | None = None
    """When what it presented ends."""
    job: Job | None = None
    """The pipeline's job, where it is one."""
    asks_with: str = field(default="", repr=False, compare=False)
    """Its token, where the team service is asked with it who may write."""

    @property
    def may_read_user_data(self) -> bool:
        """Whether answers show more of user data than its digest and what the trace names: also what proves it."""
        return self.teams is None or bool(self.rights & {USER_DATA, AUDIT})

    @property
    def may_operate(self) -> bool:
        return self.teams is None or OPERATE in self.rights

    @property
    def reads_everything(self) -> bool:
        """Whether it reads what belongs to any team."""
        return self.reads == "organisation" or self.teams is None or bool(self.rights & {AUDIT, OPERATE, WRITE_ALL})

    def may_read(self, team_id: str) -> bool:
        """Whether it reads what belongs to a team."""
        own = self.teams is not None and team_id in self.teams
        return self.reads_everything or (self.reads == "teams" and own)

    def may_write(self, team_id: str) -> bool:
        return self.teams is None or WRITE_ALL in self.rights or team_id in self.teams

    def check_write(self, team_id: str) -> None:
        """Raise Forbidden where it may not write for a team."""
        if not self.may_write(team_id):
            why = f": {self.not_written}" if self.not_written else ""
            raise Forbidden("team-forbidden", f"{self.name} may not write for team {team_id}{why}")


class KnownCallers(Protocol):
    """Callers by the hash of their token."""

    def get(self, token_hash: str, /) -> Caller | None: ...
