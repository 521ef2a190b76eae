"""Versions and approvals as the ledger has them: read at any time, stated and approved by people."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from whence_aggregator.approvals.artifacts import Artifact, checked_notes
from whence_aggregator.approvals.asking import Approver, approving_teams, check_approver, checked_type, person_of
from whence_aggregator.approvals.projection import APPROVAL, VERSION, approval_writes, version_writes
from whence_aggregator.approvals.reading import ReadsTogether, read_versions
from whence_aggregator.approvals.rows import application_body, names_of, newest_digest, types_of
from whence_aggregator.approvals.rule import ApprovalPolicy
from whence_aggregator.approvals.values import Approval, Version
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ledger.writing import NewEntry
from whence_aggregator.ports import Conflict, Database, NotFound
from whence_aggregator.queries.approvals import APPROVAL_TYPES_OF, VERSIONS_AFTER, VersionsAfterParameters
from whence_aggregator.queries.query import EVERY_ENTRY, BoundCommand, array, together
from whence_aggregator.queries.trace import APPLICATIONS_AT, TAG_DIGESTS
from whence_common.clock import Now, to_instant
from whence_common.digest import is_sha256_digest
from whence_common.errors import InputError
from whence_common.identifiers import is_application_id, is_application_version
from whence_common.ledger_entry import event

PAGE_MAX = 200


class BytesLimit(Protocol):
    """A rate limit, in bytes."""

    def take(self, name: str, amount: float = 1.0, /) -> None:
        """Raise Overloaded where the name has used it up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalAsked:
    """What a request to approve states. `digest` is None where its client does not know of digests, as Kio's."""

    type: object
    notes: object = None
    digest: object = None


class Versions:
    """Reads and writes versions. `front` is the registry front's host, or empty; `policy`: None if not configured."""

    def __init__(
        self,
        *,
        database: Database,
        ledger: Ledger,
        policy: ApprovalPolicy | None,
        front: str,
        limits: Sequence[BytesLimit],
        now: Now,
        asked: Callable[[str, str, datetime], BoundCommand],
    ) -> None:
        """`limits`: of the caller's bytes, and of the team's. `asked` has the commits of a version read."""
        self._asked = asked
        self._database = database
        self._ledger = ledger
        self.policy = policy
        self._front = front
        self._caller_bytes, self._team_bytes = limits
        self._now = now

    async def application(self, application_id: str, *, past: int = EVERY_ENTRY) -> dict[str, Any]:
        """Return an application's fields. Raises NotFound."""
        return await _application(self._database, application_id, past)

    async def body(self, application_id: str, *, past: int = EVERY_ENTRY) -> dict[str, Any]:
        """Return all that is stored of an application, with the form of its tickets. Raises NotFound."""
        return await _record(self._database, application_id, past)

    async def read(self, application_id: str, version: str, *, past: int = EVERY_ENTRY) -> Version:
        """Return one version. Raises NotFound, or InputError for a malformed name."""
        kio = await self.application(application_id, past=past)
        found = await _version(self._database, application_id, version, str(kio["team_id"]), past)
        if not found.known:
            raise NotFound("version-unknown", f"application {application_id} has no version {version[:100]!r}")
        return found

    async def page(self, application_id: str, *, after: str, limit: int, past: int = EVERY_ENTRY) -> list[Version]:
        """Return versions of an application in the order of their names. Raises NotFound."""
        kio = await self.application(application_id, past=past)
        team = str(kio["team_id"])
        wanted: VersionsAfterParameters = {
            "application_id": application_id, "past": past, "team": team, "after": after, "limit": min(limit, PAGE_MAX),
        }  # fmt: skip
        rows = await self._database.fetch(VERSIONS_AFTER.bind(wanted))
        keys = [(application_id, name) for name in names_of(rows)]
        found = await read_versions(self._database, keys, teams={application_id: team}, past=past)
        return [found[key] for key in keys]

    async def pages(self, application_id: str, *, past: int = EVERY_ENTRY) -> AsyncIterator[list[Version]]:
        """Return all versions of an application, a page at a time."""
        after = ""
        while page := await self.page(application_id, after=after, limit=PAGE_MAX, past=past):
            yield page
            after = page[-1].version

    async def types_of(self, application_id: str, *, past: int = EVERY_ENTRY) -> list[str]:
        """Return the types of approvals that an application's versions were given. Raises NotFound."""
        await self.application(application_id, past=past)
        rows = await self._database.fetch(APPROVAL_TYPES_OF.bind({"application_id": application_id, "past": past}))
        return types_of(rows)

    async def state(self, application_id: str, version: str, artifact: object, notes: object, caller: Approver) -> None:
        """Store what somebody states about a version; nothing is stored where it is the same as before.

        Raises InputError, NotFound or Forbidden.
        """
        _check_version(version)
        stated, text = Artifact.parse(artifact, front=self._front), checked_notes(notes)
        async with self._ledger.writing() as writing:
            kio = await _application(writing.transaction, application_id, EVERY_ENTRY)
            team = str(kio["team_id"])
            caller.check_write(team)
            found = await _version(writing.transaction, application_id, version, team, EVERY_ENTRY)
            digest = stated.digest
            if stated.reference:
                named = TAG_DIGESTS.bind({"references": array([stated.reference]), "past": EVERY_ENTRY})
                digest = newest_digest(await writing.transaction.fetch(named))
            newest = found.revisions[-1] if found.revisions else None
            known = found.current.digest if found.current is not None else ""
            if newest is not None and (newest.artifact, newest.notes) == (stated.text, text) and digest in ("", known):
                return
            body = {
                "application_id": application_id, "version": version, "artifact": stated.text,
                "reference": stated.reference, "digest": digest, "notes": text,
                "recorded_at": to_instant(self._now()), "recorded_by": caller.name,
            }  # fmt: skip
            content = event(VERSION, body)
            self._take(team, caller, content)
            ((index, _),) = await writing.append([NewEntry(kind=VERSION, content=content)])
            writing.writes += [*version_writes([(index, body)]), self._asked(application_id, version, self._now())]

    async def approve(self, application_id: str, version: str, asked: ApprovalAsked, caller: Approver) -> Approval:
        """Store one person's approval of the version's current digest; return it, also where it was given before.

        Raises InputError, NotFound, Forbidden, or Conflict where no digest is known or another one was meant.
        """
        _check_version(version)
        approval_type, notes = checked_type(asked.type, self.policy), checked_notes(asked.notes)
        async with self._ledger.writing() as writing:
            kio = await _application(writing.transaction, application_id, EVERY_ENTRY)
            team = str(kio["team_id"])
            check_approver(caller, approving_teams(approval_type, team, self.policy))
            found = await _version(writing.transaction, application_id, version, team, EVERY_ENTRY)
            digest, person = approved_digest(found, asked.digest), person_of(caller)
            for one in found.approvals:
                if (one.digest, one.type, one.person) == (digest, approval_type, person):
                    return one
            approved_at = to_instant(self._now())
            body = {
                "application_id": application_id, "version": version, "digest": digest,
                "approval_type": approval_type, "person": person, "user_id": caller.name,
                "emails": list(caller.emails), "notes": notes, "approved_at": approved_at,
            }  # fmt: skip
            content = event(APPROVAL, body)
            self._take(team, caller, content)
            ((index, _),) = await writing.append([NewEntry(kind=APPROVAL, content=content)])
            writing.writes += approval_writes([(index, body)])
        return Approval(
            digest=digest, type=approval_type, person=person, user_id=caller.name, emails=tuple(caller.emails),
            notes=notes, approved_at=approved_at, ledger_index=index,
        )  # fmt: skip

    def _take(self, team: str, caller: Approver, content: bytes) -> None:
        self._team_bytes.take(team, len(content))
        self._caller_bytes.take(caller.name, len(content))


def approved_digest(found: Version, named: object) -> str:
    """Return the digest that an approval is of. Raises Conflict unless it is plain which one that is."""
    name = f"{found.application_id} {found.version}"
    if not found.known:
        raise NotFound("version-unknown", f"there is no version {name}", fix="push its image, or PUT its artifact")
    if named is not None and (not isinstance(named, str) or not is_sha256_digest(named)):
        raise InputError("approval-digest", "digest must be sha256: and 64 lower-case hex digits")
    current = found.current
    if current is None:
        raise Conflict(
            "version-unbound", f"no image of {name} is known yet, so there is nothing to approve",
            fix="push the image, or PUT an artifact with its digest: docker://registry/team/name@sha256:…",
        )  # fmt: skip
    if named is None and found.is_ambiguous:
        digests = ", ".join(sorted({one.digest for one in found.digests})[:5])
        raise Conflict(
            "version-ambiguous", f"instances state different images of {name}: {digests}",
            fix="PUT the version's artifact, or send the digest that is approved",
        )  # fmt: skip
    if named is None and not found.registered:
        raise Conflict(
            "version-unregistered", f"only instances state the image of {name}, which is {current.digest} by them",
            fix="push the image, PUT an artifact with its digest, or send the digest that is approved",
        )  # fmt: skip
    known = {one.digest for one in found.digests}
    if named is not None and found.is_ambiguous and named in known:
        return str(named)
    if named is not None and named != current.digest:
        code, was = ("approval-superseded", "was") if named in known else ("approval-other-digest", "never was")
        raise Conflict(
            code, f"{str(named)[:80]} {was} the image of {name}, which is {current.digest} now",
            fix="look at the version again, and approve what it is now",
        )  # fmt: skip
    return current.digest


def _check_version(version: str) -> None:
    if not is_application_version(version):
        raise InputError("version-malformed", "a version has letters and digits, joined by . _ and -")


async def _application(reads: ReadsTogether, application_id: str, past: int) -> dict[str, Any]:
    kio: dict[str, Any] = (await _record(reads, application_id, past))["kio"]
    return kio


async def _record(reads: ReadsTogether, application_id: str, past: int) -> dict[str, Any]:
    if is_application_id(application_id):
        asked = APPLICATIONS_AT.bind({"application_ids": array([application_id]), "past": past})
        (rows,) = await reads.fetch_all(together(asked))
        if rows:
            return application_body(rows[0])
    raise NotFound("application-unknown", f"there is no application {application_id[:100]!r}")


async def _version(reads: ReadsTogether, application_id: str, version: str, team: str, past: int) -> Version:
    _check_version(version)
    key = application_id, version
    return (await read_versions(reads, [key], teams={application_id: team}, past=past))[key]
