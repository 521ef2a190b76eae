"""Finds the commits that a version's images were built from, whether or not an image runs."""

from __future__ import annotations

from collections.abc import Sequence

from whence_aggregator.approvals.values import SeenDigest, Version
from whence_aggregator.ports import Database
from whence_aggregator.queries.approvals import COMMITS_STATED_OF_IMAGES
from whence_aggregator.queries.query import array
from whence_aggregator.trace.version_commits import VersionAsked
from whence_aggregator.trace.version_rows import heads_of

DIGESTS_MAX = 5
"""The newest digests of a version, of those that its owner and those that instances stated, that are looked at."""


def digests_of(version: Version) -> list[SeenDigest]:
    """Return the newest digests, each once."""
    some: list[SeenDigest] = []
    for registered in (True, False):
        newest = {one.digest: one for one in version.digests if one.registered is registered}
        some += sorted(newest.values(), key=lambda one: -one.ledger_index)[:DIGESTS_MAX]
    return some


async def versions_asked(
    database: Database, version: Version, digests: Sequence[SeenDigest], *, team: str, past: int
) -> list[VersionAsked]:
    """Return the questions about a version's digests; one without exactly one commit is left out."""
    rows = await database.fetch(
        COMMITS_STATED_OF_IMAGES.bind({"digests": array([one.digest for one in digests]), "past": past})
    )
    heads = heads_of(rows)
    return [
        VersionAsked(
            version=version, digests=frozenset([one.digest]), head=heads[one.digest][0], team=team,
            account_id="" if one.registered else one.said_by,
        )
        for one in digests
        if len(heads.get(one.digest, ())) == 1
    ]  # fmt: skip
