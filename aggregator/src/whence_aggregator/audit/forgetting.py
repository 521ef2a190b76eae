"""Removing what the log holds about one person: bodies go, with the rows derived from them; hashes stay.

What an instance, a builder or a registry's client signed or pushed is never removed, nor what an answer of today needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from whence_aggregator.audit.naming import Persons
from whence_aggregator.audit.rows import RevisionPlace, fact_indexes, revision_places
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ledger.log_reader import Archive, Stored
from whence_aggregator.ledger.rows import record
from whence_aggregator.ledger.writing import NewEntry
from whence_aggregator.organisation.changes import MEMBERS
from whence_aggregator.organisation.rows import newest_members
from whence_aggregator.ports import Database, Transaction
from whence_aggregator.projections.applications import index_again
from whence_aggregator.projections.events import words_in
from whence_aggregator.projections.kinds import KINDS, STATEMENT
from whence_aggregator.projections.persons import persons_in
from whence_aggregator.projections.removals import VERSION, project_removal
from whence_aggregator.projections.rows import fact_events
from whence_aggregator.projections.search_names import names_in
from whence_aggregator.projections.subjects import subject_of
from whence_aggregator.queries.applications import REMOVE_APPLICATION_REVISION, REVISIONS_OF_ENTRIES
from whence_aggregator.queries.collect import (
    ADD_COMMIT_PERSON,
    ADD_COMMIT_WORD,
    ADD_REVIEW_NAME,
    FACTS_OF_COMMIT,
    FORGET_ANSWERS,
    INDEXES_OF_FACTS,
    REMOVE_COMMIT_PERSONS,
    REMOVE_COMMIT_WORDS,
    REMOVE_FACT,
    REMOVE_REVIEW_NAMES,
)
from whence_aggregator.queries.ledger import BODIES_OF_KINDS, PRUNE_ENTRY
from whence_aggregator.queries.organisation import REMOVE_TEAM_MEMBERS, TEAM_MEMBERS_REPLACED
from whence_aggregator.queries.query import BoundCommand, array
from whence_aggregator.trace.facts import REVIEW_KIND, SIGNATURE_KIND, TICKET_KIND
from whence_common.clock import Now, to_instant
from whence_common.ledger_entry import event, kind_of
from whence_common.merkle import TILE_HEIGHT, TILE_WIDTH

_PAGE_ENTRIES = 1_000
REMOVED_AT_ONCE_MAX = 64
"""Of one kind in one entry, so that the entry stays small."""
_SEARCHED = sorted(KINDS.keys() - {STATEMENT, "clock", "pruned", "log-key"})
_COMMIT = "commit"
_REMOVABLE = frozenset((_COMMIT, REVIEW_KIND, TICKET_KIND, SIGNATURE_KIND))
"""Kinds of facts whose bodies can go: of commits all at once, since one would bring back what the others named."""
_SIGNED = "an instance signed it: what others signed is not removed"
_WHY_KEPT = {
    STATEMENT: _SIGNED,
    "fact": "it is what an image, a registry or AWS states",
    "approval": "who approved a version is evidence: approvals are never removed",
    "handover": "who handed an application over, and who accepted it, is evidence",
    "version": "it states which image the version is",
    "push": "the registry front serves the image by it",
    "cloud-event": "AWS states who changed an instance: that is evidence",
    "role-session": "AWS states who assumed the role: that is evidence",
    "findings": "a scanner states it: rename the resource; retention.finding_days removes it once it is fixed",
    "untag": "the registry front knows by it that the tag was removed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NamingEntry:
    """An entry that names the person. `kept` is the reason why its body stays; empty if it can be removed."""

    ledger_index: int
    kind: str
    about: str
    """What the entry is about, without the person."""
    kept: str
    event: dict[str, Any] = field(repr=False)


class Forgetting:
    """Finds and removes bodies. `archive` has copies of old ones, which go too."""

    def __init__(self, *, database: Database, ledger: Ledger, archive: Archive | None, now: Now) -> None:
        self._database = database
        self._ledger = ledger
        self._archive = archive
        self._now = now

    async def find(self, persons: Persons, indexes: Sequence[int] = ()) -> list[NamingEntry]:
        """Return the entries that name the person, and those of `indexes`, in order. Raises NotFound."""
        found: dict[int, NamingEntry] = {}
        for index in indexes:
            stored = await self._ledger.reader.entry(index)
            if stored.content is not None:
                found[index] = _naming(stored)
        found |= await self._search(persons)
        return await self._judged(await self._with_others_of_a_commit(found))

    async def _search(self, persons: Persons) -> dict[int, NamingEntry]:
        found: dict[int, NamingEntry] = {}
        first = 0
        while not persons.nobody:
            rows = await self._database.fetch(
                BODIES_OF_KINDS.bind({"kinds": array(_SEARCHED), "first": first, "limit": _PAGE_ENTRIES})
            )
            for one in map(record, rows):
                content = self._ledger.reader.content(one.packed)
                if persons.named_by(one.kind, kind_of(content)[1]):
                    found[one.ledger_index] = _naming(Stored(one.ledger_index, one.kind, content))
                first = one.ledger_index + 1
            if len(rows) < _PAGE_ENTRIES:
                break
        return found

    async def remove(self, entries: Sequence[NamingEntry], *, reason: str) -> int:
        """Remove the bodies of those that are not kept; return how many. The log states the reason.

        The archive's copies go first: where it cannot be written, nothing is removed. Raises StorageUnavailable.
        """
        going = [one for one in entries if not one.kept]
        await self._remove_from_archive([one.ledger_index for one in going])
        for kind in sorted({one.kind for one in going}):
            of_kind = [one for one in going if one.kind == kind]
            for start in range(0, len(of_kind), REMOVED_AT_ONCE_MAX):
                await self._take(kind, of_kind[start : start + REMOVED_AT_ONCE_MAX], reason)
        return len(going)

    async def _with_others_of_a_commit(self, found: dict[int, NamingEntry]) -> dict[int, NamingEntry]:
        """Add other facts about the same: the rows of a commit are removed together, by the commit."""
        for kind in sorted(_REMOVABLE):
            subjects = sorted({
                subject_of(one.event) for one in found.values() if _is_removable(one) and one.event["kind"] == kind
            })  # fmt: skip
            rows = await self._database.fetch(INDEXES_OF_FACTS.bind({"kind": kind, "subjects": array(subjects)}))
            for index in fact_indexes(rows):
                if index not in found:
                    stored = await self._ledger.reader.entry(index)
                    if stored.content is not None:
                        found[index] = _naming(stored)
        return found

    async def _judged(self, found: dict[int, NamingEntry]) -> list[NamingEntry]:
        """Return the entries in order, each with the reason why it is kept, if it is."""
        members = [index for index, one in found.items() if one.kind == MEMBERS]
        newest = newest_members(await self._database.fetch(TEAM_MEMBERS_REPLACED.bind({"indexes": array(members)})))
        applications = [index for index, one in found.items() if one.kind == "application"]
        rows = await self._database.fetch(REVISIONS_OF_ENTRIES.bind({"indexes": array(applications)}))
        places = revision_places(rows)
        return [_with_why_kept(found[index], newest, places.get(index)) for index in sorted(found)]

    async def _remove_from_archive(self, indexes: Sequence[int]) -> None:
        if self._archive is None:
            return
        for number in sorted({index >> TILE_HEIGHT for index in indexes}):
            archived = await self._archive.load(number)
            if archived is None:
                continue
            contents = list(archived)
            for index in indexes:
                if index >> TILE_HEIGHT == number:
                    contents[index % TILE_WIDTH] = b""
            await self._archive.store(number, contents)

    async def _take(self, kind: str, entries: Sequence[NamingEntry], reason: str) -> None:
        indexes = [one.ledger_index for one in entries]
        stated = {
            "kind": kind,
            "first": indexes[0],
            "past": indexes[-1] + 1,
            "bodies": len(indexes),
            "indexes": indexes,
            "facts": [_without_name(one) for one in entries if _is_removable(one)],
            "reason": reason,
            "at": to_instant(self._now()),
        }
        async with self._ledger.writing() as writing:
            content = event("pruned", stated, version=VERSION)
            ((index, _),) = await writing.append([NewEntry(kind="pruned", content=content)])
            await writing.transaction.execute(
                PRUNE_ENTRY.bind([{"ledger_index": one} for one in indexes]), *_removes(kind, entries)
            )
            if kind == "fact":
                await _derive_again(writing.transaction, entries)
            if kind == "application":
                await index_again(writing.transaction, {one.event["application_id"] for one in entries})
            await project_removal(writing.transaction, index, stated)


def _naming(stored: Stored) -> NamingEntry:
    stated = kind_of(stored.content or b"")[1]
    return NamingEntry(
        ledger_index=stored.ledger_index, kind=stored.kind, about=_about(stored.kind, stated), kept="", event=stated
    )


def _about(kind: str, stated: dict[str, Any]) -> str:
    match kind:
        case "fact":
            return f"{stated.get('kind')} {stated.get('subject')}"
        case "handover":
            return f"{stated.get('application_id')}, {stated.get('action')}"
        case "application":
            return f"{stated.get('application_id')}, revision {stated.get('revision')}"
        case "push" | "untag":
            return str(stated.get("repository"))
        case "version" | "approval":
            return f"{stated.get('application_id')} {stated.get('version')}"
        case _:
            named = stated.get("team_id") or stated.get("account_id") or ""
            return f"{named} by {stated['source']}" if "source" in stated else str(named)


def _with_why_kept(one: NamingEntry, newest: set[int], place: RevisionPlace | None) -> NamingEntry:
    return NamingEntry(
        ledger_index=one.ledger_index, kind=one.kind, about=one.about, kept=_why_kept(one, newest, place),
        event=one.event,
    )  # fmt: skip


def _why_kept(one: NamingEntry, newest: set[int], place: RevisionPlace | None) -> str:
    match one.kind:
        case _ if one.kind == MEMBERS:
            fix = "remove the person there, and run this again after its next reading"
            return f"it is the newest list of its source: {fix}" if one.ledger_index in newest else ""
        case "application" if place is not None and place.newest:
            return "it is the newest revision: have somebody else save it without the name, and run this again"
        case "application" if place is not None and place.first:
            return "it states when and by whom the application was registered"
        case "application":
            return ""
        case "fact" if _is_removable(one):
            return ""
    return _WHY_KEPT.get(one.kind, f"entries of kind {one.kind} are not removed: rename what they name at its source")


def _is_removable(one: NamingEntry) -> bool:
    if one.kind != "fact" or one.event.get("kind") not in _REMOVABLE:
        return False
    return one.event["kind"] != _COMMIT or one.event.get("outcome") == "found"


def _without_name(one: NamingEntry) -> dict[str, object]:
    stated = one.event
    return {
        "index": one.ledger_index, "kind": stated["kind"], "subject": stated["subject"],
        "observed_at": stated["observed_at"],
    }  # fmt: skip


def _removes(kind: str, entries: Sequence[NamingEntry]) -> list[BoundCommand]:
    """Return what removes the rows that are derived from entries of one kind."""
    indexes = [one.ledger_index for one in entries]
    if kind == MEMBERS:
        return [REMOVE_TEAM_MEMBERS.bind([{"ledger_index": one} for one in indexes])]
    if kind == "application":
        return [REMOVE_APPLICATION_REVISION.bind([{"ledger_index": one} for one in indexes])]
    return [REMOVE_FACT.bind([{"ledger_index": one} for one in indexes]), FORGET_ANSWERS.bind([{}])]


async def _derive_again(transaction: Transaction, entries: Sequence[NamingEntry]) -> None:
    """Remove the rows by which searches find commits, and derive them again from the facts that are left."""
    subjects = sorted({subject_of(one.event) for one in entries if one.event["kind"] != TICKET_KIND})
    places = [one.rpartition("@") for one in subjects]
    await transaction.execute(
        REMOVE_COMMIT_WORDS.bind([{"repository": place, "commit_id": commit} for place, _, commit in places]),
        REMOVE_COMMIT_PERSONS.bind([{"repository": place, "commit_id": commit} for place, _, commit in places]),
        REMOVE_REVIEW_NAMES.bind([{"repository": place, "commit_id": commit} for place, _, commit in places]),
    )
    for subject in subjects:
        left = fact_events(await transaction.fetch(FACTS_OF_COMMIT.bind({"subject": subject})))
        for index, one in left:
            await transaction.execute(
                ADD_COMMIT_WORD.bind(words_in(one, index)), ADD_COMMIT_PERSON.bind(persons_in(one, index)),
                ADD_REVIEW_NAME.bind(names_in(one, index)),
            )  # fmt: skip
