"""The evidence of a verdict again: entries are projected into an empty database, which is traced as the real one is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec

from whence_aggregator.audit.replay import Replay
from whence_aggregator.compliance.evidence import SubjectEvidence
from whence_aggregator.compliance.gathering import InstanceEvidence, evidence_of
from whence_aggregator.compliance.resting import ANSWERS, Unlogged
from whence_aggregator.compliance.rule_settings import RuleSettings
from whence_aggregator.compliance.views import image_digests, view_of_account, views_of, with_scans
from whence_aggregator.findings.images import ScannedImages
from whence_aggregator.findings.scanners import Scanners
from whence_aggregator.ledger.log_reader import Stored
from whence_aggregator.ledger.rows import PackedEntry
from whence_aggregator.ports import Conflict, Database
from whence_aggregator.projections.findings import FINDINGS
from whence_aggregator.projections.kinds import KINDS, STATEMENT
from whence_aggregator.queries.ledger import APPEND_ENTRY, AppendEntryParameters
from whence_aggregator.trace.derive import derive
from whence_aggregator.trace.facts import Answer, AnswerOutcome, Facts
from whence_aggregator.trace.listening import Listening
from whence_aggregator.trace.moment import NOW
from whence_aggregator.trace.search import Search
from whence_aggregator.trace.tags import TagHistory, TagSeen
from whence_aggregator.trace.tracer import Tracer
from whence_aggregator.trackers.places import KnownTracker, KnownTrackers
from whence_common.clock import parse_instant
from whence_common.envelope import Envelope
from whence_common.ledger_entry import kind_of
from whence_common.statement import Statement

_PROJECTED = ("clock", "enrolment", "application", "fact", "push", FINDINGS, STATEMENT)
"""Kinds of entries whose projections are traced again. What the others show is recorded beside the verdict."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judging:
    """Who was judged, when, by which settings, and what was known that is in no other entry."""

    kind: str
    id: str
    at: str
    instance: str
    rules: Mapping[str, int]
    settings: RuleSettings
    trackers: KnownTrackers
    scanners: Scanners | None
    """None where the rules that rest on findings were not in force."""
    unlogged: Unlogged

    @classmethod
    def of(cls, subject: Mapping[str, str], evidence: Mapping[str, Any], settings: Mapping[str, Any]) -> Judging:
        """Return it from the entry of the evidence and that of the settings."""
        return cls(
            kind=subject["kind"],
            id=subject["id"],
            at=evidence["at"],
            instance=evidence["instance"] or "",
            rules=settings["rules"],
            settings=msgspec.convert(settings["settings"], RuleSettings),
            trackers=_trackers(settings["trackers"], settings.get("shared_git_hosts")),
            scanners=Scanners.from_wire(settings["scanners"]) if "scanners" in settings else None,
            unlogged=msgspec.convert(evidence["unlogged"], Unlogged),
        )

    @property
    def ended(self) -> bool:
        """Return whether no instance showed the subject any more."""
        return not self.instance and self.kind != "account"


async def gather(scratch: Database, entries: AsyncIterator[Stored], judging: Judging) -> SubjectEvidence:
    """Return the evidence of a subject from entries. `scratch` is an empty database. Raises Conflict."""
    if judging.kind == "account" and judging.unlogged.account is not None:
        return view_of_account(judging.id, judging.unlogged.account, now=judging.at, settings=judging.settings)
    if judging.ended:
        document = SubjectEvidence(id=judging.id, now=judging.at, settings=judging.settings)
        return msgspec.structs.replace(document, kind=judging.kind)
    contents = {one.ledger_index: one async for one in entries}
    await _project(scratch, contents, judging.instance)
    evidence, ami, digests = await _traced(scratch, contents, judging)
    if judging.kind == "instance":
        return evidence
    found = {(str(kind), name): view for (kind, name), view in views_of(evidence, ami).items()}
    view = found.get((judging.kind, judging.id))
    if view is None:
        raise Conflict("ledger-damaged", f"the entries do not show the {judging.kind} {judging.id}")
    if judging.kind != "version" or judging.scanners is None or not digests:
        return view
    images = ScannedImages(database=scratch, scanners=judging.scanners)
    return with_scans(view, await images.of_digests(digests, now=parse_instant(judging.at)))


async def _project(scratch: Database, contents: Mapping[int, Stored], instance: str) -> None:
    """Project entries as they are projected when they are appended. Statements of other instances are left out."""
    wrong: list[str] = []
    wanted = [one for one in contents.values() if one.kind in _PROJECTED and _concerns(one, instance)]
    rows: list[AppendEntryParameters] = [
        {"ledger_index": one.ledger_index, "kind": one.kind, "base": None, "body": b"", "digest_head": 0}
        for one in wanted
    ]

    async def each_one() -> AsyncIterator[Stored]:
        for one in wanted:
            yield one

    async with scratch.transaction() as transaction:
        await transaction.execute(APPEND_ENTRY.bind(rows))
        replay = Replay(transaction, kinds=KINDS, on_error=lambda index, message: wrong.append(f"{index}: {message}"))
        await replay.apply(each_one())
    if wrong:
        raise Conflict("ledger-damaged", f"an entry cannot be projected: {wrong[0]}")


def _concerns(one: Stored, instance: str) -> bool:
    if one.kind == STATEMENT and one.content is not None:
        payload = Envelope.parse(one.content).payload
        return Statement.from_wire(payload).predicate.instance.instance_id == instance
    if one.kind == "enrolment" and one.content is not None:
        return bool(kind_of(one.content)[1]["instance"]["instance_id"] == instance)
    return True


async def _traced(
    scratch: Database, contents: Mapping[int, Stored], judging: Judging
) -> tuple[SubjectEvidence, str, frozenset[str]]:
    """Return the evidence of the instance, its AMI, and the digests of the image that it runs."""
    unlogged, at = judging.unlogged, parse_instant(judging.at)
    silent_after = unlogged.heard.silent_after_seconds if unlogged.heard is not None else 300.0
    listening = Listening(lambda: at, silent_after_seconds=silent_after)
    tracer = Tracer(
        database=scratch, search=Search(database=scratch, listening=listening), log=_Contents(contents),
        now=lambda: at, listening=listening, trackers=judging.trackers,
    )  # fmt: skip
    traced = (await tracer.facts([judging.instance])).get(judging.instance)
    if traced is None:
        raise Conflict("ledger-damaged", f"the entries contain no statement of {judging.instance}")
    facts = with_unlogged(traced, unlogged)
    evidence = evidence_of(
        InstanceEvidence(
            facts=facts, lineage=derive(facts, moment=NOW), now=at, silent_after_seconds=silent_after,
            listening_since=_since(unlogged, at), settings=judging.settings,
        )
    )  # fmt: skip
    links = {**evidence.links, **unlogged.links}
    ami = str(facts.binding.identity.get("image_id") or "")
    digests = image_digests(facts.statement.predicate)
    minted = unlogged.minted or evidence.minted
    evidence = msgspec.structs.replace(
        evidence, heard=unlogged.heard, links=links, minted=minted, held=unlogged.held,
        ami_content=unlogged.ami_content or evidence.ami_content,
    )  # fmt: skip
    return evidence, ami, digests


def with_unlogged(facts: Facts, unlogged: Unlogged) -> Facts:
    """Return the facts with what was known and is in no other entry."""
    found: dict[str, Answer] = {name: getattr(facts, name) for name in ANSWERS}
    found |= {name: _answer(found[name], stated) for name, stated in unlogged.answers.items() if name in found}
    tickets = {**facts.tickets}
    for name, stated in unlogged.tickets.items():
        tickets[name] = _answer(tickets.get(name, Answer(outcome="unknown")), stated)
    seen = tuple(TagSeen(digest=digest, said_by=by, ledger_index=index) for digest, by, index in unlogged.tag)
    return replace(
        facts,
        image_source=found["image_source"],
        commit=found["commit"],
        branch=found["branch"],
        signature=found["signature"],
        review=found["review"],
        ami=found["ami"],
        tickets=tickets,
        commit_reviews=_other_reviews(unlogged),
        tag=TagHistory(in_front=unlogged.tag_in_front, seen=seen),
        listed=replace(facts.listed, listed_at=unlogged.listed_at, unread=unlogged.unread),
        life_since=unlogged.life_since,
        last_seen=(unlogged.heard.last_seen or None) if unlogged.heard is not None else None,
    )


def _answer(found: Answer, stated: Mapping[str, str]) -> Answer:
    if "outcome" in stated:
        outcome = msgspec.convert(stated["outcome"], AnswerOutcome)
        return replace(found, outcome=outcome, reason=stated["reason"], failed=stated.get("failed", ""))
    return replace(found, due_at=stated["due_at"])


def _other_reviews(unlogged: Unlogged) -> dict[str, Answer]:
    """Return one answer in place of those about the other commits: evidence states how all of them were read."""
    read = unlogged.other_reviews
    if read is None:
        return {}
    outcome: AnswerOutcome = "found" if read.outcome == "read" else "unknown"
    return {read.source: Answer(outcome=outcome, reason=read.reason, due_at=read.due_at)}


def _since(unlogged: Unlogged, at: datetime) -> datetime:
    return parse_instant(unlogged.heard.listening_since) if unlogged.heard is not None else at


def _trackers(stated: Mapping[str, Mapping[str, Any]], shared_git_hosts: Sequence[str] | None) -> KnownTrackers:
    """Return trackers as the settings were; old entries state neither what is shared nor ids of repositories."""
    return KnownTrackers(
        by_host={
            host: KnownTracker(
                host=host, type=one["type"], reviews=one["reviews"], tickets=one["tickets"],
                projects=tuple(one["projects"]), approved_states=tuple(one["approved_states"]),
                repositories={path: tuple(ids) for path, ids in one.get("repositories", {}).items()},
                shared=one.get("shared", False),
            )
            for host, one in stated.items()
        },
        shared_git_hosts=frozenset(shared_git_hosts) if shared_git_hosts is not None else None,
    )  # fmt: skip


class _Contents:
    """The bodies of entries, as tracing reads them."""

    note = ""

    def __init__(self, contents: Mapping[int, Stored]) -> None:
        self._contents = contents

    def content(self, entry: PackedEntry) -> bytes:
        content = self._contents[entry.ledger_index].content
        assert content is not None, "missing entries end a replay before"
        return content

    async def content_of(self, entry: PackedEntry) -> bytes | None:
        return self._contents[entry.ledger_index].content
