"""Reading of the facts about instances: statements, and what registries, Git servers and others answered about them."""

from __future__ import annotations

import asyncio
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from whence_aggregator.approvals.rule import ApprovalPolicy
from whence_aggregator.ledger.rows import PackedEntry, packed
from whence_aggregator.ports import Database, NotFound
from whence_aggregator.queries.query import array, together
from whence_aggregator.queries.trace import APPLICATIONS_AT, IMAGE_JOBS, TAG_DIGESTS, USER_DATA_LISTED
from whence_aggregator.trace.ami_rows import with_ami_statements
from whence_aggregator.trace.approved import ApprovalFacts, KnownVersions
from whence_aggregator.trace.credential_rows import CredentialsRead, credential_queries
from whence_aggregator.trace.facts import (
    AMI_KIND,
    BRANCH_KIND,
    NOT_ASKED,
    SIGNATURE_KIND,
    Answer,
    Facts,
    InventoryFacts,
    Registered,
)
from whence_aggregator.trace.imagined import NOBODY, imagined_statement
from whence_aggregator.trace.listening import Listening
from whence_aggregator.trace.moment import NOW, Moment
from whence_aggregator.trace.owner_facts import KnownOwners, OwnershipFacts
from whence_aggregator.trace.pushing_job import PushingJob
from whence_aggregator.trace.recorded import counts, read_recorded
from whence_aggregator.trace.rows import (
    LateStatements,
    LifeFacts,
    applications,
    by_tag,
    commit_in_statement,
    heard_of,
    merged,
    names_of,
    pushing_jobs,
    questions,
    subject_of_ami,
    subject_of_commit,
    subject_of_image,
)
from whence_aggregator.trace.session_rows import with_sessions
from whence_aggregator.trace.start_event import StartEvent
from whence_aggregator.trace.start_rows import start_events, starts
from whence_aggregator.trace.stored_statement import Binding, Later, ReportedLater, StoredStatement
from whence_aggregator.trace.tags import TagHistory, TagSeen
from whence_aggregator.trace.tracked import with_tracked, with_withheld
from whence_aggregator.trace.version_commits import VersionCommitsReader
from whence_aggregator.trace.with_commits import with_version_commits
from whence_aggregator.trackers.places import KnownTrackers
from whence_common.clock import Now
from whence_common.image_reference import tag_reference
from whence_common.ledger_entry import kind_of
from whence_common.statement import ApplicationFacts, ImageFacts

_BRIEF_INSTANCES = 2


class Log(Protocol):
    """Returns bodies of entries, and the newest checkpoint."""

    def content(self, entry: PackedEntry) -> bytes: ...

    async def content_of(self, entry: PackedEntry) -> bytes | None: ...

    @property
    def note(self) -> str: ...


class FactReader:
    """Reads facts from storage only, in a constant number of round trips."""

    def __init__(
        self,
        *,
        database: Database,
        log: Log,
        now: Now,
        listening: Listening,
        organisation: Mapping[str, float],
        approvals: ApprovalPolicy | None,
        trackers: KnownTrackers,
        git_hosts: Container[str] | None,
        ami_builders: frozenset[tuple[str, str]],
    ) -> None:
        """The arguments have the meanings of those of `Tracer`."""
        self.commits = VersionCommitsReader(database=database, git_hosts=git_hosts)
        self._approvals = ApprovalFacts(database=database, policy=approvals)
        self._owners = OwnershipFacts(database=database, sources=organisation, now=now)
        self._database = database
        self._log = log
        self._listening = listening
        self._trackers = trackers
        self._ami_builders = ami_builders

    async def of(self, instance_ids: Sequence[str], *, moment: Moment = NOW) -> dict[str, Facts]:
        """Return the facts of instances, by id; those without a statement about that time are left out."""
        silent_before = self._listening.silent_before
        found = await read_recorded(
            self._database, list(instance_ids), moment, brief=len(instance_ids) <= _BRIEF_INSTANCES
        )
        recorded = {record.instance_id for record in found.statements}
        late = {name: one.records[0] for name, one in found.later.items() if name not in recorded}
        stored = {}
        for record in (*found.statements, *late.values()):
            stored[record.instance_id] = StoredStatement.of(record, await self._content(record.packed))
            await asyncio.sleep(0)  # a question about one instance does not wait for a page of them
        bound: dict[str, list[Binding]] = {}
        for name, entry in found.enrolments:
            if entry.ledger_index < moment.known_past:
                stated = kind_of(self._log.content(entry))[1]
                bound.setdefault(name, []).append(Binding.of(stated, entry.ledger_index))
        newest = {name: next(one for one in bound[name] if one.number == stored[name].enrolment) for name in stored}
        amis = {name: subject_of_ami(one.identity) for name, one in newest.items()}
        outside = await self._outside(list(stored.values()), sorted(set(amis.values()) - {""}), moment)
        gathered = {}
        for name, statement in stored.items():
            image = statement.predicate.image
            tag = tag_reference(image.source) if image is not None else None
            heard, life = found.heard.get(name), found.lives.get(name, LifeFacts())
            last_seen = heard.last_seen if heard is not None else None
            gathered[name] = Facts(
                statement=statement,
                binding=newest[name],
                ami=outside.amis.get(amis[name], NOT_ASKED),
                bindings=[one for one in bound[name] if counts(one, statement, moment)],
                application=outside.applications.get(statement.predicate.application_id or ""),
                ownership=outside.owners.of(statement.predicate.instance.account_id),
                approved=outside.versions.approved(
                    statement.predicate.application_id, statement.predicate.application_version
                ),
                image_source=outside.images[subject_of_image(image)] if image else NOT_ASKED,
                tag=TagHistory.of(outside.tags.get(tag or "", ()), account_id=statement.predicate.instance.account_id),
                commit=NOT_ASKED,
                last_seen=last_seen,
                heard_clock=heard.clock if heard is not None else None,
                listed=found.inventory_of(name),
                start=outside.starts.get(name),
                life=life.life,
                life_since=life.since,
                credentials=outside.credentials.of(name, statement.predicate.application_id) if moment.is_now else None,
                heard=heard_of(last_seen, silent_before) if moment.is_now else None,
                reported_later=await self._reported_later(found.later.get(name)),
                late=name in late,
                job=next((outside.jobs[one] for one in names_of([image]) if one in outside.jobs), None)
                if image is not None
                else None,
            )
        for name, one in gathered.items():
            if one.user_data_differs:
                document, index = await self._listed_document(name, one.listed)
                listing = replace(one.listed, user_data=document, user_data_index=index)
                gathered[name] = replace(one, listed=listing)
        return await self._with_commits(gathered, outside, moment)

    async def imagined(self, image: ImageFacts, application: ApplicationFacts, *, now: str) -> Facts:
        """Return the facts about an image that no instance runs, as if one did that is in no account."""
        statement, binding = imagined_statement(image, application, now=now)
        outside = await self._outside([statement], [], NOW)
        tag = tag_reference(image.source)
        facts = Facts(
            statement=statement,
            binding=binding,
            application=outside.applications.get(application.id),
            ownership=outside.owners.of(""),
            approved=outside.versions.approved(application.id, statement.predicate.application_version),
            image_source=outside.images[subject_of_image(image)],
            tag=TagHistory.of(outside.tags.get(tag or "", ()), account_id=""),
            commit=NOT_ASKED,
            last_seen=None,
            job=next((outside.jobs[one] for one in names_of([image]) if one in outside.jobs), None),
        )
        return (await self._with_commits({NOBODY: facts}, outside, NOW))[NOBODY]

    async def _listed_document(self, name: str, listed: InventoryFacts) -> tuple[Mapping[str, Any] | None, int | None]:
        """Return the masked document in the first entry with this digest, and its index; later ones have none."""
        past = (listed.ledger_index or 0) + 1
        rows = await self._database.fetch(
            USER_DATA_LISTED.bind({"instance_id": name, "user_data_digest": listed.user_data_digest, "past": past})
        )
        entry = packed(rows[0]) if rows else None
        content = await self._log.content_of(entry) if entry is not None else None
        found = kind_of(content)[1]["value"].get("user_data") if content is not None else None
        return (found if isinstance(found, dict) else None), (entry.ledger_index if entry is not None else None)

    async def _reported_later(self, late: LateStatements | None) -> ReportedLater:
        """Return the statements recorded after the time asked about; pruned ones have no digest."""
        if late is None:
            return ReportedLater()
        statements = []
        for record in late.records:
            statements.append(Later.of(record, await self._log.content_of(record.packed)))
            await asyncio.sleep(0)
        return ReportedLater(total=late.total, statements=statements)

    async def _content(self, entry: PackedEntry) -> bytes:
        """Return a statement's bytes, also from the archive. Raises NotFound when they are in neither place."""
        content = await self._log.content_of(entry)
        if content is None:
            raise NotFound("entry-pruned", f"the body of entry {entry.ledger_index} was pruned; its hash remains")
        return content

    async def _outside(self, statements: Sequence[StoredStatement], amis: Sequence[str], moment: Moment) -> _Outside:
        """Return the facts about statements from the application registry, image registries and Git servers.

        They are read in one round trip.
        """
        named = sorted({one.predicate.application_id or "" for one in statements})
        found_images = [one.predicate.image for one in statements if one.predicate.image is not None]
        images = sorted({subject_of_image(image) for image in found_images})
        tags = sorted({tag for tag in (tag_reference(image.source) for image in found_images) if tag is not None})
        commits = sorted({one for one in map(commit_in_statement, statements) if one is not None})
        accounts = {one.predicate.instance.account_id for one in statements}
        names = array(names_of(found_images))
        (
            rows,
            tag_rows,
            image_facts,
            image_tasks,
            commit_facts,
            commit_tasks,
            branch_facts,
            branch_tasks,
            job_rows,
            ami_facts,
            ami_tasks,
            start_rows,
            held_rows,
            live_rows,
        ) = await self._database.fetch_all(
            together(
                APPLICATIONS_AT.bind({"application_ids": array(named), "past": moment.past}),
                TAG_DIGESTS.bind({"references": array(tags), "past": moment.past}),
                *questions("image-source", images, moment),
                *questions("commit", commits, moment),
                *questions(BRANCH_KIND, commits, moment),
                IMAGE_JOBS.bind({"images": names, "past": moment.known_past}),
                *questions(AMI_KIND, amis, moment),
                starts(statements, moment),
                *credential_queries(statements, named, self._listening.silent_before, moment),
            ),
            brief=len(statements) <= _BRIEF_INSTANCES,
        )
        registered = applications(rows)
        teams = {name: str(one.kio.get("team_id") or "") for name, one in registered.items()}
        stated = [(one.predicate.application_id, one.predicate.application_version) for one in statements]
        return _Outside(
            applications=registered,
            versions=await self._approvals.of(stated, teams, past=moment.past),
            owners=await self._owners.of(accounts, set(teams.values()), moment),
            tags=by_tag(tag_rows),
            images=merged(images, image_facts, image_tasks, moment),
            commits=merged(commits, commit_facts, commit_tasks, moment),
            branches=merged(commits, branch_facts, branch_tasks, moment),
            jobs=pushing_jobs(job_rows),
            amis=merged(amis, ami_facts, ami_tasks, moment),
            starts=start_events(start_rows, moment),
            credentials=CredentialsRead(held_rows, live_rows),
        )

    async def _with_commits(self, gathered: dict[str, Facts], outside: _Outside, moment: Moment) -> dict[str, Facts]:
        """Return the facts with those of their commits; commits that only a registry named are read now."""
        subjects = {name: subject_of_commit(facts.source) for name, facts in gathered.items()}
        commits, branches = outside.commits, outside.branches
        wanted = sorted({one for one in subjects.values() if isinstance(one, str) and one not in commits})
        if wanted:
            found, waiting, branch_facts, branch_tasks = await self._database.fetch_all(
                together(*questions("commit", wanted, moment), *questions(BRANCH_KIND, wanted, moment))
            )
            commits = {**commits, **merged(wanted, found, waiting, moment)}
            branches = {**branches, **merged(wanted, branch_facts, branch_tasks, moment)}
        for name, subject in subjects.items():
            if isinstance(subject, str):
                gathered[name] = replace(gathered[name], commit=commits[subject], branch=branches[subject])
            else:
                gathered[name] = replace(gathered[name], commit=subject, branch=subject)
        gathered = await with_sessions(gathered, self._database, moment)
        gathered = await with_ami_statements(gathered, self._database, moment, self._ami_builders)
        gathered = with_withheld(gathered, self._trackers)
        gathered = await self._with_signatures(gathered, subjects, moment)
        gathered = await with_tracked(gathered, self._database, moment, self._trackers)
        return await with_version_commits(gathered, self.commits, self._database, moment)

    async def _with_signatures(
        self, gathered: dict[str, Facts], subjects: Mapping[str, str | Answer], moment: Moment
    ) -> dict[str, Facts]:
        """Return the facts with those of signatures, which are read only if a commit carries one."""
        signed = {
            name: subject
            for name, subject in subjects.items()
            if isinstance(subject, str) and gathered[name].commit.value.get("signature_form", "none") != "none"
        }
        if not signed:
            return gathered
        wanted = sorted(set(signed.values()))
        found, waiting = await self._database.fetch_all(together(*questions(SIGNATURE_KIND, wanted, moment)))
        known = merged(wanted, found, waiting, moment)
        return gathered | {name: replace(gathered[name], signature=known[one]) for name, one in signed.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outside:
    applications: dict[str, Registered]
    versions: KnownVersions
    tags: dict[str, list[TagSeen]]
    images: dict[str, Answer]
    commits: dict[str, Answer]
    branches: dict[str, Answer]
    jobs: dict[str, PushingJob]
    amis: dict[str, Answer]
    starts: dict[str, StartEvent]
    credentials: CredentialsRead
    owners: KnownOwners
