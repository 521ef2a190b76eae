"""Whether the approvals of what started count: not those of an author of a commit that came with the version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from whence_aggregator.approvals.people import Authors
from whence_aggregator.approvals.reading import read_versions
from whence_aggregator.approvals.rule import ApprovalPolicy, CountedApproval, judge
from whence_aggregator.approvals.values import Version
from whence_aggregator.ports import Database
from whence_aggregator.queries.query import EVERY_ENTRY
from whence_aggregator.trace.moment import NOW
from whence_aggregator.trace.version_commits import VersionAsked, VersionCommitsReader

NO_COMMIT = Authors(unknown="it is not known from which commit the image was built")
NOT_READ = Authors(unknown="the commit was not read")


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedVersion:
    """An image that started as a version. `head` is its commit as `host/path@commit`, empty if it is not known."""

    application_id: str
    version: str
    image: str
    head: str
    team: str
    account_id: str


class ApprovalCounts:
    """Judges approvals from storage, in a constant number of round trips; nothing where approvals are not judged."""

    def __init__(self, *, database: Database, reader: VersionCommitsReader, policy: ApprovalPolicy | None) -> None:
        self._database = database
        self._reader = reader
        self._policy = policy

    async def of(self, started: Sequence[StartedVersion]) -> dict[StartedVersion, dict[int, CountedApproval]]:
        """Return whether each approval counts, by the index of its entry, of what has approvals."""
        if self._policy is None or not started:
            return {}
        keys = {(one.application_id, one.version) for one in started}
        teams = {one.application_id: one.team for one in started}
        versions = await read_versions(self._database, sorted(keys), teams=teams, past=EVERY_ENTRY)
        approved = [one for one in started if _version(versions, one).approvals_of({one.image})]
        authors = await self._authors([one for one in approved if one.head], versions)
        found = {}
        for one in approved:
            given = _version(versions, one).approvals_of({one.image})
            judged = judge(given, (), authors.get(one, NO_COMMIT), self._policy, required=1)
            found[one] = {each.ledger_index: each for each in judged.approvals if each.ledger_index is not None}
        return found

    async def _authors(
        self, started: Sequence[StartedVersion], versions: Mapping[tuple[str, str], Version]
    ) -> dict[StartedVersion, Authors]:
        asked = [
            VersionAsked(
                version=_version(versions, one), digests=frozenset([one.image]), head=one.head, team=one.team,
                account_id=one.account_id,
            )
            for one in started
        ]  # fmt: skip
        commits = await self._reader.of(asked, NOW)
        heads = await self._reader.authors({one.head for one in started}, NOW)
        return {
            one: heads.get(one.head, NOT_READ).with_those_of(found.authors)
            for one, found in zip(started, commits, strict=True)
        }


def _version(versions: Mapping[tuple[str, str], Version], one: StartedVersion) -> Version:
    return versions[one.application_id, one.version]
