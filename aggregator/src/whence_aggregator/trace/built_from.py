"""The commits that images were built from, and the tickets that these name, whether or not an image runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from whence_aggregator.ports import Database
from whence_aggregator.queries.approvals import COMMITS_OF_IMAGES
from whence_aggregator.queries.query import array
from whence_aggregator.queries.trace import FACTS_AT
from whence_aggregator.trace.registered import Tracker
from whence_aggregator.trace.rows import commits_of, found_commits
from whence_aggregator.trace.tickets import named_in

_COMMITS_MAX = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageCommit:
    """A commit that an image was built from, as far as its Git server was read."""

    commit: str
    repository: str
    subject: str = ""
    author: str = ""
    tickets: tuple[str, ...] = ()

    def to_wire(self) -> dict[str, object]:
        return {
            "commit": self.commit,
            "repository": self.repository,
            "subject": self.subject or None,
            "author": self.author or None,
            "tickets": list(self.tickets),
        }


async def built_from(
    database: Database, digests: Sequence[str], trackers: Sequence[Tracker], *, past: int,
    withheld: Callable[[str], str],
) -> list[ImageCommit]:  # fmt: skip
    """Return the commits of images; `trackers` are the application's. A commit that was not read has no subject.

    `withheld` returns why texts of a repository's commits are not shown; empty if they are.
    """
    rows = await database.fetch(COMMITS_OF_IMAGES.bind({"digests": array(list(digests)), "past": past}))
    named = commits_of(rows)[:_COMMITS_MAX]
    subjects = [f"{repository}@{commit}" for commit, repository in named]
    facts = FACTS_AT.bind({"kind": "commit", "subjects": array(subjects), "past": past})
    read = found_commits(await database.fetch(facts))
    return [
        _commit(
            commit, repository, read.get(f"{repository}@{commit}", {}) if not withheld(repository) else {}, trackers
        )
        for commit, repository in named
    ]


def _commit(commit: str, repository: str, value: Mapping[str, Any], trackers: Sequence[Tracker]) -> ImageCommit:
    named = named_in(str(value.get("message", "")), tuple(one.effective for one in trackers))
    return ImageCommit(
        commit=commit, repository=repository, subject=str(value.get("subject", "")),
        author=str(value.get("author", "")), tickets=tuple(one.id for one in named.tickets),
    )  # fmt: skip
