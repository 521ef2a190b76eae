"""Judges what instances are of, once for all of them: versions, applications and AMIs; and accounts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

import msgspec

from whence_aggregator.compliance.evidence import AccountOfOrganisation, SubjectEvidence
from whence_aggregator.compliance.judging import evidence_now, views_in_force
from whence_aggregator.compliance.moving import StandingSubject, ended_all, judge_all, of_some_images
from whence_aggregator.compliance.own.rules import broken_rules
from whence_aggregator.compliance.recording import JudgedNow, Recording, worst_of
from whence_aggregator.compliance.resting import Unlogged, digest_of, entries_of, unlogged_of
from whence_aggregator.compliance.rows import DueSubject, ShownBy, due_subjects, seen_subjects, shown_by, stood_subjects
from whence_aggregator.compliance.rules.catalogue import RulesInForce
from whence_aggregator.compliance.views import SubjectKey, image_digests, view_of_account, with_scans
from whence_aggregator.findings.images import ImageScans, ScannedImages
from whence_aggregator.ledger.kinds import EVERY_ACCOUNT
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ports import Database, Transaction
from whence_aggregator.queries.compliance import (
    INSTANCE_OF_AMI,
    INSTANCE_OF_APPLICATION,
    INSTANCES_OF_VERSION,
    MARK_SUBJECT,
    SUBJECT_JUDGED,
    SUBJECTS_DUE,
    SUBJECTS_NAMED,
    SUBJECTS_SEEN,
    VERDICTS_OF_SUBJECTS,
    MarkSubjectParameters,
    SubjectJudgedParameters,
)
from whence_aggregator.queries.query import BoundCommand, BoundQuery, array, each, together
from whence_aggregator.trace.facts import Facts
from whence_aggregator.trace.listening import Listening
from whence_aggregator.trace.tracer import Tracer
from whence_common.clock import Now, to_instant

log = logging.getLogger(__name__)

PAGE_SUBJECTS = 16
DISCOVER_SWEEPS = 20
"""One in this many sweeps judges the accounts of the organisation: their listings are in no entry."""
IMAGES_OF_VERSION_MAX = 20
"""Different images that one version may run as: each is judged by the instance of it that spoke last.

With more, one more is judged, and the version passes by none.
"""
_SEVERAL = "several"
"""In place of the digest of what an instance shows: whichever of them is judged then marks the subject."""
NOTHING_LEFT = "subject gone: no instance of it lives"


class OrganisationAccounts(Protocol):
    """The accounts that the organisation's sources state, and whether each is read."""

    async def ids(self) -> Collection[str]: ...

    async def of(self, account_ids: Collection[str]) -> Mapping[str, AccountOfOrganisation]: ...


class SubjectEvaluator:
    """Judges subjects that are not instances; each is marked when the evidence of one of its instances differs."""

    def __init__(
        self,
        *,
        database: Database,
        ledger: Ledger,
        tracer: Tracer,
        now: Now,
        listening: Listening,
        rules: RulesInForce,
        recording: Recording,
        accounts: OrganisationAccounts | None,
        images: ScannedImages | None,
    ) -> None:
        """`images`: None where no scanner is configured."""
        self._database = database
        self._ledger = ledger
        self._tracer = tracer
        self._now = now
        self._listening = listening
        self._rules = rules
        self._recording = recording
        self._accounts = accounts
        self._images = images
        self._after: tuple[str, str] = ("", "")
        self._sweeps = 0

    async def discover(self) -> None:
        """Mark the accounts of the organisation now and then."""
        self._sweeps += 1
        if self._accounts is None or not self._rules.of_kind("account") or self._sweeps % DISCOVER_SWEEPS != 1:
            return
        rows: list[MarkSubjectParameters] = [{"kind": "account", "id": one} for one in await self._accounts.ids()]
        await self._database.write(MARK_SUBJECT.bind(rows))

    async def marks(self, shown: Mapping[SubjectKey, frozenset[str]]) -> BoundCommand:
        """Return what marks the subjects whose instances show something else than they were judged by.

        `shown`: the digests of what instances show.
        """
        if not shown:
            return MARK_SUBJECT.bind([])
        ids = array(sorted({name for _, name in shown}))
        seen = seen_subjects(await self._database.fetch(SUBJECTS_SEEN.bind({"ids": ids})))
        rows: list[MarkSubjectParameters] = [
            {"kind": kind, "id": name} for (kind, name), some in shown.items() if some != {seen.get((kind, name))}
        ]
        return MARK_SUBJECT.bind(rows)

    async def work(self) -> int:
        """Judge the next page of marked subjects; return how many were judged. Raises StorageUnavailable."""
        kind, name = self._after
        rows = await self._database.fetch(
            SUBJECTS_DUE.bind({"after_kind": kind, "after_id": name, "limit": PAGE_SUBJECTS})
        )
        due = due_subjects(rows)
        self._after = (due[-1].kind, due[-1].id) if len(due) == PAGE_SUBJECTS else ("", "")
        if due:
            await self._evaluate(due)
        return len(due)

    async def _evaluate(self, due: Sequence[DueSubject]) -> None:
        shown = await self._instances_of([one for one in due if one.kind != "account"])
        every = sorted({name for names in shown.values() for name in names})
        gathered = await self._tracer.facts(every) if every else {}
        more = {key for key, names in shown.items() if len(names) > IMAGES_OF_VERSION_MAX}
        shown = {key: [name for name in names if name in gathered] for key, names in shown.items()}
        accounts = await self._of_accounts([one.id for one in due if one.kind == "account"])
        judged, written = list[JudgedNow](), list[SubjectJudgedParameters]()
        scans = [
            await self._scans({key: gathered[names[n]] for key, names in shown.items() if n < len(names)})
            for n in range(max(map(len, shown.values()), default=0))
        ]
        for one in due:
            names = shown.get((one.kind, one.id), [])
            if one.kind == "account":
                found = [accounts.get(one.id)]
            elif names:
                found = [await self._judged(one, gathered[each], scans[n].get(one.id)) for n, each in enumerate(names)]
            else:
                found = [await self._judged(one, None, None)]
            some = [each for each in found if each is not None]
            if (one.kind, one.id) in more:
                some = list(map(_of_some_images, some))
            judged += worst_of(some)
            digest = _SEVERAL if len(some) > 1 else _shown_digest(some[0].evidence) if some else ""
            written.append({"kind": one.kind, "id": one.id, "evidence": digest, "seen": one.due})
            await asyncio.sleep(0)
        await self._recording.prepare()
        async with self._ledger.writing() as writing:
            stood = await _stood(writing.transaction, due)
            for kind in sorted({one.evidence.kind for one in judged}):
                some = [one for one in judged if one.evidence.kind == kind]
                await self._recording.append(
                    writing, some, {name: one for (k, name), one in stood.items() if k == kind}
                )
            await writing.transaction.execute(SUBJECT_JUDGED.bind(written))

    async def _instances_of(self, due: Sequence[DueSubject]) -> dict[SubjectKey, list[str]]:
        """Return the instances that show each subject, in one round trip."""
        if not due:
            return {}
        asked = [_instance_of(one) for one in due]
        found = [shown_by(some) for some in await self._database.fetch_all(each(asked))]
        return {(one.kind, one.id): names for one, names in zip(due, found, strict=True)}

    async def _scans(self, facts: Mapping[SubjectKey, Facts]) -> Mapping[str, ImageScans]:
        """Return what scanners state of the images of versions."""
        if self._images is None:
            return {}
        digests = {
            name: image_digests(one.statement.predicate) for (kind, name), one in facts.items() if kind == "version"
        }
        return await self._images.of_versions(digests, now=self._now())

    async def _judged(self, one: DueSubject, facts: Facts | None, scans: ImageScans | None) -> JudgedNow | None:
        """Return the verdicts about one subject. Without an instance, it is gone."""
        if facts is None:
            gone = SubjectEvidence(kind=one.kind, id=one.id, now=to_instant(self._now()), settings=self._rules.settings)
            verdicts = ended_all(NOTHING_LEFT, gone, self._rules)
            return JudgedNow(evidence=gone, verdicts=verdicts, unlogged=Unlogged, entries=tuple)
        facts, lineage, evidence = evidence_now(facts, self._now(), rules=self._rules, listening=self._listening)
        view = views_in_force(facts, evidence, self._rules).get((one.kind, one.id))
        if view is None:
            return None
        scans = scans if one.kind == "version" else None
        view = with_scans(view, scans)
        answers = await self._rules.own_answers(view)
        return JudgedNow(
            evidence=view,
            verdicts=judge_all(view, self._rules, answers),
            broken=broken_rules(answers),
            unlogged=partial(unlogged_of, facts, evidence),
            entries=partial(entries_of, facts, lineage, scans.entries if scans is not None else ()),
            instance=evidence.id,
        )

    async def _of_accounts(self, account_ids: Sequence[str]) -> dict[str, JudgedNow]:
        if not account_ids or self._accounts is None:
            return {}
        found = {}
        for name, account in (await self._accounts.of(account_ids)).items():
            view = view_of_account(name, account, now=to_instant(self._now()), settings=self._rules.settings)
            answers = await self._rules.own_answers(view)
            found[name] = JudgedNow(
                evidence=view,
                verdicts=judge_all(view, self._rules, answers),
                broken=broken_rules(answers),
                unlogged=partial(Unlogged, account=account),
                entries=tuple,
            )
        return found


def _shown_digest(evidence: SubjectEvidence) -> str:
    """Return the digest of what an instance shows: findings have marks of their own."""
    return digest_of(msgspec.structs.replace(evidence, scans=None))


def _instance_of(one: DueSubject) -> BoundQuery[ShownBy]:
    """Return the query for the instance that shows a subject."""
    if one.kind == "ami":
        return INSTANCE_OF_AMI.bind({"image_id": one.id})
    if one.kind == "application":
        return INSTANCE_OF_APPLICATION.bind({"application_id": one.id})
    application, _, version = one.id.partition("@")
    return INSTANCES_OF_VERSION.bind(
        {"application_id": application, "application_version": version, "limit": IMAGES_OF_VERSION_MAX + 1}
    )


def _of_some_images(one: JudgedNow) -> JudgedNow:
    """Return what was judged of a version by some of its images."""
    verdicts = {name: replace(each, verdict=of_some_images(each.verdict)) for name, each in one.verdicts.items()}
    return replace(
        one, verdicts=verdicts, unlogged=lambda: msgspec.structs.replace(one.unlogged(), more_images=True)
    )  # fmt: skip


async def _stood(transaction: Transaction, due: Sequence[DueSubject]) -> dict[SubjectKey, StandingSubject]:
    """Return what stood before of each subject: nothing, of one that was never judged."""
    ids = array(sorted({one.id for one in due}))
    named, verdicts = await transaction.fetch_all(
        together(SUBJECTS_NAMED.bind({"ids": ids}), VERDICTS_OF_SUBJECTS.bind({"ids": ids}))
    )
    known = stood_subjects(named, verdicts)
    return {
        (one.kind, one.id): StandingSubject(
            account_id=one.id if one.kind == "account" else EVERY_ACCOUNT,
            rules=known[one.kind, one.id][0] if (one.kind, one.id) in known else {},
            verdicts=known[one.kind, one.id][1] if (one.kind, one.id) in known else {},
        )
        for one in due
    }
