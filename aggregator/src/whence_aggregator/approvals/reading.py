"""Reads versions as they were recorded before a bound in the log."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from whence_aggregator.approvals.rows import approvals_of, revisions_of, seen_digests, tag_digests_of, version_of
from whence_aggregator.approvals.values import Version, VersionKey
from whence_aggregator.queries.approvals import (
    APPROVALS_AT,
    VERSION_DIGESTS_AT,
    VERSION_REVISIONS_AT,
    VersionDigestsAtParameters,
)
from whence_aggregator.queries.query import BoundQueries, T_co, array, together
from whence_aggregator.queries.trace import TAG_DIGESTS


class ReadsTogether(Protocol):
    """A database, or a write transaction that must see what it is about to change."""

    async def fetch_all(self, asked: BoundQueries[T_co], /) -> T_co: ...


async def read_versions(
    reads: ReadsTogether, keys: Collection[VersionKey], *, teams: Mapping[str, str], past: int
) -> dict[VersionKey, Version]:
    """Return versions by application and version, recorded or not. `teams` own the applications."""
    if not keys:
        return {}
    asked: VersionDigestsAtParameters = {
        "application_ids": array(sorted({one for one, _ in keys})),
        "versions": array(sorted({one for _, one in keys})),
        "past": past,
    }
    digests, revisions, approvals = await reads.fetch_all(
        together(VERSION_DIGESTS_AT.bind(asked), VERSION_REVISIONS_AT.bind({**asked}), APPROVALS_AT.bind({**asked}))
    )
    stated, given, seen = revisions_of(revisions), approvals_of(approvals), seen_digests(digests, teams)
    named = {key: found[-1].reference for key, found in stated.items() if found[-1].reference}
    tags = {}
    if named:
        references = array(sorted(set(named.values())))
        (rows,) = await reads.fetch_all(together(TAG_DIGESTS.bind({"references": references, "past": past})))
        tags = tag_digests_of(rows)
    return {
        key: version_of(
            key, stated.get(key, ()), seen.get(key, ()), tags.get(named.get(key, ""), ()), given.get(key, ())
        )
        for key in keys
    }
