"""The id that a code host first had for a repository: a stranger can take a name that was given up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from whence_aggregator.collect.rows import standing_fact
from whence_aggregator.ports import Database
from whence_aggregator.queries.collect import FACTS_NOW
from whence_aggregator.queries.query import array

REPOSITORY_KIND = "repository-id"
"""Facts about the id of a repository on its host, recorded when it is first read and never again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstId:
    """The id that was read first, and when."""

    repository_id: str
    recorded_at: str


class KnownRepositories(Protocol):
    async def first(self, repository: str) -> FirstId | None:
        """Return the first id of `host/path`; None if none was recorded."""


class NoneKnown:
    """Knows no repository: each has the id that is read now."""

    async def first(self, repository: str) -> FirstId | None:
        return None


class RecordedRepositories:
    """Reads the recorded facts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def first(self, repository: str) -> FirstId | None:
        rows = await self._database.fetch(FACTS_NOW.bind({"kind": REPOSITORY_KIND, "subjects": array([repository])}))
        for one in map(standing_fact, rows):
            repository_id = str(one.value.get("repository_id") or "")
            if repository_id:
                return FirstId(repository_id=repository_id, recorded_at=one.observed_at)
        return None
