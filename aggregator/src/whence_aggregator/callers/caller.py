"""Callers and their rights."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol

from whence_aggregator.callers.job_rules import covers
from whence_aggregator.callers.jobs import Job
from whence_aggregator.ports import Forbidden

USER_DATA = "user-data"
"""The right to read user data, masked as it is stored."""
OPERATE = "operate"
"""The right to change how the server runs."""
AUDIT = "audit"
"""The right to read everything, including user data and bundles."""
PERSON = "person"
"""Not a right to read or write: that a static token is one person's, who may therefore approve versions."""
FINDINGS = "findings"
"""The right to record findings of scanners, for the accounts that it is bounded to."""
AMIS = "amis"
"""The right to record statements about AMIs, which count by their signature."""
EVERY_ACCOUNT = "*"
"""In place of the accounts of the right `findings`."""
FULLSTOP = "fullstop"
"""The product of violations that are reported by fullstop.'s interface."""
RIGHTS = frozenset({USER_DATA, OPERATE, AUDIT, PERSON, FINDINGS, AMIS})
"""Rights that a line of the tokens file may grant in addition to reading and writing."""
WRITE_ALL = "write-all"
"""The right to write for every team. Unlike `teams=None`, it grants no other right."""
REPORT_VIOLATIONS = "report-violations"
"""The right to report violations of any account; a token service grants it by the scope fullstop.violation.write."""
WRITE_SENSITIVE = "write-sensitive"
"""The right of a service to write credentials of its teams; the scope application.write_sensitive grants it."""
WRITE_ALL_SENSITIVE = "write-all-sensitive"
"""The right of a service to write credentials of all teams if mint's settings name it; application.write_all_sensitive
grants it."""
Realm = Literal["people", "services", "unknown"]
Reads = Literal["organisation", "teams", "nothing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """An authenticated caller: its recorded name and the teams it may write for.

    `teams=None` means every team and every right.
    """

    name: str
    teams: frozenset[str] | None
    rights: frozenset[str] = frozenset()
    """Rights in addition to reading and writing: of RIGHTS, WRITE_ALL, REPORT_VIOLATIONS, and those of credentials."""
    subject: tuple[str, str] | None = None
    """Issuer and subject, which identify the user; names and e-mail addresses do not. None for a static token."""
    realm: Realm = "unknown"
    reads: Reads = "organisation"
    """The resources it may read: those of all teams, those of its own teams, or none."""
    not_written: str = ""
    """Why it may not write for other teams, if the reason is not just that it is not a member; otherwise empty."""
    until: datetime | None = None
    """The expiry of the presented token or session; None for a static token, or if the token service states none."""
    job: Job | None = None
    """The CI job; None for any other caller."""
    emails: tuple[str, ...] = ()
    """Its e-mail addresses that the issuer has verified: approvals record them."""
    accounts: frozenset[str] = frozenset()
    """The accounts that the right `findings` is bounded to; EVERY_ACCOUNT for all."""
    products: frozenset[tuple[str, str]] = frozenset()
    """Of these accounts, those bounded to products: account and product. An account without one has any product."""
    ami_names: frozenset[str] | None = None
    """The names, or patterns with `*` at the end, of the AMIs that the right `amis` is bounded to; None: any."""
    asks_with: str = field(default="", repr=False, compare=False)
    """Its token, if the team service must be queried with it for permission to write; otherwise empty."""

    @property
    def may_read_user_data(self) -> bool:
        """Return whether responses include user data and its evidence, not just its digest and the fields in traces."""
        return self.teams is None or bool(self.rights & {USER_DATA, AUDIT})

    @property
    def may_operate(self) -> bool:
        return self.teams is None or OPERATE in self.rights

    @property
    def records_amis(self) -> bool:
        return self.teams is None or AMIS in self.rights

    def may_record_ami(self, name: str) -> bool:
        """Return whether it may record the statement about an AMI of this name, and name AMIs that have it."""
        if not self.records_amis:
            return False
        return self.teams is None or self.ami_names is None or any(covers(one, name) for one in self.ami_names)

    @property
    def records_findings(self) -> bool:
        """Return whether it may record findings of any account."""
        return self.teams is None or (FINDINGS in self.rights and bool(self.accounts))

    def may_record_findings_of(self, account_id: str, product: str | None = None) -> bool:
        """Return whether it may record findings of an account; of no account in particular, if that is empty.

        `product`: the scanner; None: whether it may record those of any scanner at all.
        """
        if self.teams is None:
            return True
        covering = self.accounts & {EVERY_ACCOUNT, account_id}
        return FINDINGS in self.rights and any(self._covers(one, product) for one in covering)

    def _covers(self, account: str, product: str | None) -> bool:
        bounds = {one for of, one in self.products if of == account}
        return product is None or not bounds or product in bounds

    @property
    def reports_violations(self) -> bool:
        """Return whether it may report violations of any account."""
        return REPORT_VIOLATIONS in self.rights or (
            self.records_findings and (self.teams is None or any(self._covers(one, FULLSTOP) for one in self.accounts))
        )

    def may_report_violations_of(self, account_id: str) -> bool:
        """Return whether it may report violations of an account."""
        return REPORT_VIOLATIONS in self.rights or self.may_record_findings_of(account_id, FULLSTOP)

    @property
    def reads_everything(self) -> bool:
        """Return whether it may read the resources of every team."""
        return self.reads == "organisation" or self.teams is None or bool(self.rights & {AUDIT, OPERATE, WRITE_ALL})

    @property
    def readable_teams(self) -> frozenset[str] | None:
        """Return the teams whose resources it may read; None for all."""
        return None if self.reads_everything else self.teams or frozenset()

    def may_read(self, team_id: str) -> bool:
        """Return whether it may read the resources of a team."""
        own = self.teams is not None and team_id in self.teams
        return self.reads_everything or (self.reads == "teams" and own)

    def may_write(self, team_id: str) -> bool:
        return self.teams is None or WRITE_ALL in self.rights or team_id in self.teams

    def check_write(self, team_id: str) -> None:
        """Raise Forbidden if it may not write for a team."""
        if not self.may_write(team_id):
            why = f": {self.not_written}" if self.not_written else ""
            raise Forbidden("team-forbidden", f"{self.name} may not write for team {team_id}{why}")


class KnownCallers(Protocol):
    """A lookup of callers by the hash of their token."""

    def get(self, token_hash: str, /) -> Caller | None: ...
