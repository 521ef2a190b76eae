"""What findings are about, as Whence knows it, and which team answers for that.

A finding is tied to the instance, the application version or the application that it names, if its own account has
that; otherwise to the account. So a scanner of one account can say nothing about what runs in another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from whence_aggregator.findings.rows import (
    MachineOf,
    StoredFinding,
    VersionOfImage,
    accounts_by_application,
    machines_by_id,
    versions_by_digest,
)
from whence_aggregator.organisation.directory import OrganisationDirectory
from whence_aggregator.organisation.listing import owned
from whence_aggregator.ports import Database
from whence_aggregator.queries.findings import (
    ACCOUNTS_OF_APPLICATIONS,
    APPLICATIONS_OF_INSTANCES,
    VERSIONS_OF_IMAGES,
)
from whence_aggregator.queries.query import array, together
from whence_aggregator.queries.trace import APPLICATIONS_AT
from whence_aggregator.trace.rows import applications

SUBJECTS_MAX = 20
"""Of one finding: an image may be many versions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingSubject:
    """What a finding is about. `team` is the application's, else the account's; None where neither is known."""

    kind: str
    id: str
    account_id: str = ""
    application_id: str = ""
    team: str | None = None

    def to_wire(self) -> dict[str, object]:
        return {"kind": self.kind, "id": self.id, "application_id": self.application_id or None, "team": self.team}


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownResources:
    """What is known about the resources of some findings."""

    versions: Mapping[str, Sequence[VersionOfImage]] = field(default_factory=dict)
    instances: Mapping[str, MachineOf] = field(default_factory=dict)
    accounts: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Of applications: where they were seen running."""

    def subjects(self, finding: StoredFinding) -> list[FindingSubject]:
        """Return what a finding is about, without teams; nothing if it names no account and nothing that is known."""
        account_id = finding.account_id
        instance = self.instances.get(finding.instance_id)
        if instance is not None and instance.account_id == account_id:
            return [_subject("instance", finding.instance_id, account_id, instance.application_id)]
        seen = self.versions.get(finding.image_digest, ())
        named = {(one.application_id, one.version) for one in seen if account_id in ("", one.account_id)}
        if named:
            return [_subject("version", f"{a}@{v}", account_id, a) for a, v in sorted(named)[:SUBJECTS_MAX]]
        application_id = finding.application_id
        if application_id and (not account_id or account_id in self.accounts.get(application_id, ())):
            return [_subject("application", application_id, account_id, application_id)]
        return [_subject("account", account_id, account_id, "")] if account_id else []


class Subjects:
    """Reads what findings are about. `past` bounds the entries that count."""

    def __init__(self, *, database: Database, directory: OrganisationDirectory) -> None:
        self._database = database
        self._directory = directory

    async def of(self, findings: Sequence[StoredFinding], *, past: int) -> list[list[FindingSubject]]:
        """Return the subjects of each finding, with the teams that answer for them."""
        known = await self._known(findings, past)
        found = [known.subjects(one) for one in findings]
        return await self._owned(found, past)

    async def _known(self, findings: Sequence[StoredFinding], past: int) -> KnownResources:
        digests = sorted({one.image_digest for one in findings if one.image_digest})
        instances = sorted({one.instance_id for one in findings if one.instance_id})
        named = sorted({one.application_id for one in findings if one.application_id})
        versions, machines, places = await self._database.fetch_all(
            together(
                VERSIONS_OF_IMAGES.bind({"digests": array(digests), "past": past}),
                APPLICATIONS_OF_INSTANCES.bind({"instance_ids": array(instances), "past": past}),
                ACCOUNTS_OF_APPLICATIONS.bind({"application_ids": array(named)}),
            )
        )
        return KnownResources(
            versions=versions_by_digest(versions),
            instances=machines_by_id(machines),
            accounts=accounts_by_application(places),
        )

    async def _owned(self, found: Sequence[Sequence[FindingSubject]], past: int) -> list[list[FindingSubject]]:
        every = [subject for one in found for subject in one]
        named = sorted({one.application_id for one in every if one.application_id})
        rows = await self._database.fetch(APPLICATIONS_AT.bind({"application_ids": array(named), "past": past}))
        teams = {name: str(one.kio.get("team_id") or "") or None for name, one in applications(rows).items()}
        account_ids = sorted({one.account_id for one in every if one.account_id})
        accounts = {one.account.account_id: one.owner for one in await owned(self._directory, account_ids, past=past)}
        return [
            [
                FindingSubject(
                    kind=one.kind, id=one.id, account_id=one.account_id, application_id=one.application_id,
                    team=teams.get(one.application_id) or accounts.get(one.account_id),
                )
                for one in subjects
            ]
            for subjects in found
        ]  # fmt: skip


def _subject(kind: str, name: str, account_id: str, application_id: str) -> FindingSubject:
    return FindingSubject(kind=kind, id=name, account_id=account_id, application_id=application_id)
