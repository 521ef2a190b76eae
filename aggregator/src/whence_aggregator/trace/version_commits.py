"""Reads which commits came with a version since the one before, and who wrote them, by the time asked about."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from whence_aggregator.approvals.people import Authors
from whence_aggregator.approvals.previous import VERSIONS_MAX, PreviousVersion, previous_of, recorded_at
from whence_aggregator.approvals.reading import read_versions
from whence_aggregator.approvals.rows import names_of
from whence_aggregator.approvals.values import Version, VersionKey
from whence_aggregator.approvals.version_commits import VersionCommits
from whence_aggregator.ports import Database
from whence_aggregator.queries.approvals import (
    COMMIT_AUTHORS,
    COMMITS_STATED_OF_IMAGES,
    VERSIONS_REGISTERED_BEFORE,
    VERSIONS_STATED_BEFORE,
)
from whence_aggregator.queries.query import array, each, together
from whence_aggregator.trace.commit_details import not_proved
from whence_aggregator.trace.facts import RANGE_KIND, Answer
from whence_aggregator.trace.moment import Moment
from whence_aggregator.trace.rows import merged, questions
from whence_aggregator.trace.version_rows import authors_by_subject, stated_commits


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionAsked:
    """A version with the digests and the commit of the image that runs, or would run. `head` is `host/path@commit`."""

    version: Version
    digests: frozenset[str]
    head: str
    team: str
    """The team that owns the application."""
    account_id: str = ""

    @property
    def repository(self) -> str:
        return self.head.rpartition("@")[0]

    @property
    def commit_id(self) -> str:
        return self.head.rpartition("@")[2]


class VersionCommitsReader:
    """Reads from storage, in a constant number of round trips. `git_hosts` are those that are read; None: any."""

    def __init__(self, *, database: Database, git_hosts: Container[str] | None = None) -> None:
        self._database = database
        self._git_hosts = git_hosts

    async def of(self, asked: Sequence[VersionAsked], moment: Moment) -> list[VersionCommits]:
        """Return the commits of versions, in the order asked."""
        if not asked:
            return []
        previous = await self._previous(asked, moment)
        subjects = [_question(one, before) for one, before in zip(asked, previous, strict=True)]
        wanted = sorted({one for one in subjects if one is not None})
        ranges: dict[str, Answer] = {}
        if wanted:
            found, waiting = await self._database.fetch_all(together(*questions(RANGE_KIND, wanted, moment)))
            ranges = merged(wanted, found, waiting, moment)
        known = [
            self._known(one, before, subject, ranges.get(subject or ""))
            for one, before, subject in zip(asked, previous, subjects, strict=True)
        ]
        return await self._with_authors(known, moment)

    async def authors(self, subjects: Collection[str], moment: Moment) -> dict[str, Authors]:
        """Return the authors of commits that were read, by the subjects of their facts."""
        if not subjects:
            return {}
        asked = COMMIT_AUTHORS.bind({"subjects": array(sorted(subjects)), "past": moment.known_past})
        return authors_by_subject(await self._database.fetch(asked))

    async def _previous(self, asked: Sequence[VersionAsked], moment: Moment) -> list[PreviousVersion]:
        """Return the version before each."""
        pasts = [_past(one, moment) for one in asked]
        registered = await self._database.fetch_all(each([
            VERSIONS_REGISTERED_BEFORE.bind({
                "application_id": one.version.application_id, "not_version": one.version.version, "past": past,
                "team": one.team, "limit": VERSIONS_MAX,
            })
            for one, past in zip(asked, pasts, strict=True)
        ]))  # fmt: skip
        stated = await self._database.fetch_all(each([
            VERSIONS_STATED_BEFORE.bind({
                "application_id": one.version.application_id, "not_version": one.version.version, "past": past,
                "account_id": one.account_id, "limit": VERSIONS_MAX,
            })
            for one, past in zip(asked, pasts, strict=True)
        ]))  # fmt: skip
        names = [(names_of(a), names_of(b)) for a, b in zip(registered, stated, strict=True)]
        keys = {
            (one.version.application_id, name)
            for one, lists in zip(asked, names, strict=True) for some in lists for name in some
        }  # fmt: skip
        teams = {one.version.application_id: one.team for one in asked}
        known = await read_versions(self._database, sorted(keys), teams=teams, past=moment.past)
        digests = sorted({seen.digest for version in known.values() for seen in version.digests})
        rows = await self._database.fetch(
            COMMITS_STATED_OF_IMAGES.bind({"digests": array(digests), "past": moment.known_past})
        )
        return [
            previous_of(
                _named(known, one, lists[0]), _named(known, one, lists[1]), past=past, digests=one.digests,
                account_id=one.account_id, commits=stated_commits(rows, one.repository),
            )
            for one, past, lists in zip(asked, pasts, names, strict=True)
        ]  # fmt: skip

    def _known(
        self, asked: VersionAsked, previous: PreviousVersion, subject: str | None, answer: Answer | None
    ) -> VersionCommits:
        head = VersionCommits(previous=previous, commits=(asked.head,))
        if not previous.exists:
            return head
        host = asked.head.partition("/")[0]
        known = answer is not None and answer.ledger_index is not None
        if not known and self._git_hosts is not None and host not in self._git_hosts:
            return replace(head, why=f"{host} is not in `git_servers` of the aggregator's settings")
        if not previous.version:
            why = f"the commit of version {previous.unread}, which came before, is not known"
            return replace(head, extent="unknown", why=why)
        if subject is None:  # built from the same commit again
            return replace(head, extent="all", why="")
        assert answer is not None, "every question has an answer"
        found = replace(
            head, question=subject, asked=known, observed_at=answer.observed_at, ledger_index=answer.ledger_index
        )
        why, commits = _commits_in(answer)
        if why:
            return replace(found, extent="unknown", why=why)
        named = (f"{asked.repository}@{one}" for one in commits)
        return replace(found, extent="all", why="", commits=tuple(dict.fromkeys((asked.head, *named))))

    async def _with_authors(self, known: Sequence[VersionCommits], moment: Moment) -> list[VersionCommits]:
        """Return the commits with their authors, and as unknown where one of the commits was not read."""
        wanted = {subject for one in known if one.extent == "all" for subject in one.commits}
        authors = await self.authors(wanted, moment)
        return [_with_authors(one, authors) for one in known]


def _with_authors(one: VersionCommits, authors: Mapping[str, Authors]) -> VersionCommits:
    if one.extent == "head":
        return one
    if one.extent == "unknown":
        return replace(one, authors=Authors(unknown=one.note, unproved=one.note))
    read = [authors[subject] for subject in one.commits if subject in authors]
    emails = frozenset[str]().union(*{found.emails for found in read})
    unproved = _unproved(one, authors)
    why = next(filter(None, (_unknown(subject, authors.get(subject)) for subject in one.commits)), "")
    if why:
        found = replace(one, extent="unknown", why=why)
        return replace(found, authors=Authors(emails=emails, unknown=found.note, unproved=unproved))
    return replace(one, authors=Authors(emails=emails, unproved=unproved))


def _unproved(one: VersionCommits, authors: Mapping[str, Authors]) -> str:
    """Return why the authors of the commits beside the image's own are not proved; empty if they are."""
    for subject in one.commits[1:]:
        found = authors.get(subject)
        if found is not None and found.unproved:
            return not_proved(subject.rpartition("@")[2], found.unproved)
    return ""


def _unknown(subject: str, authors: Authors | None) -> str:
    """Return why the authors of a commit are not known; empty if they are."""
    if authors is None:
        return f"commit {_short(subject)} was not read"
    return f"commit {_short(subject)}: {authors.unknown}" if authors.unknown else ""


def _commits_in(answer: Answer) -> tuple[str, Sequence[str]]:
    """Return why not all commits are known, or nothing, and the commits."""
    side: Any = answer.value.get("ahead")
    if answer.outcome != "found" or side is None:
        return answer.waits or answer.reason or "they were not read", ()
    commits = side["commits"]
    if not side["counted_whole"] or side["count"] > len(commits):
        more = "" if side["counted_whole"] else "more than "
        return f"there are {more}{side['count']} commits, and {len(commits)} of them are kept", ()
    return "", commits


def _past(asked: VersionAsked, moment: Moment) -> int:
    recorded = recorded_at(asked.version, asked.digests, asked.account_id)
    return min(recorded, moment.past) if recorded is not None else moment.past


def _named(known: Mapping[VersionKey, Version], asked: VersionAsked, names: Iterable[str]) -> list[Version]:
    return [known[asked.version.application_id, name] for name in names]


def _question(asked: VersionAsked, previous: PreviousVersion) -> str | None:
    """Return the subject of the question about the commits in between; None if there are none.

    It is asked of the repository that the newer commit is of: a commit id names the same commit in each.
    """
    if not previous.commit_id or previous.commit_id == asked.commit_id:
        return None
    return f"{asked.repository}@{previous.commit_id}..{asked.commit_id}"


def _short(subject: str) -> str:
    return subject.rpartition("@")[2][:12]
