"""Adds to facts the commits that came with their versions, and the reviews of these commits."""

from __future__ import annotations

from dataclasses import replace

from whence_aggregator.ports import Database
from whence_aggregator.queries.query import together
from whence_aggregator.trace.facts import REVIEW_KIND, Answer, Facts
from whence_aggregator.trace.moment import Moment
from whence_aggregator.trace.rows import merged, questions, subject_of_commit
from whence_aggregator.trace.version_commits import VersionAsked, VersionCommitsReader

REVIEWED_COMMITS_MAX = 200
"""The most commits of a version whose reviews are read to tell whether a reviewer wrote one of them."""


async def with_version_commits(
    gathered: dict[str, Facts], reader: VersionCommitsReader, database: Database, moment: Moment
) -> dict[str, Facts]:
    """Return the facts with the commits since the previous version, where approvals are judged."""
    asked = {name: one for name, facts in gathered.items() if (one := version_asked(facts)) is not None}
    different = list({_key(one): one for one in asked.values()}.values())
    found = dict(zip(map(_key, different), await reader.of(different, moment), strict=True))
    for name, one in asked.items():
        approved = replace(gathered[name].approved, commits=found[_key(one)])
        gathered[name] = replace(gathered[name], approved=approved)
    return await _with_reviews(gathered, database, moment)


def version_asked(facts: Facts) -> VersionAsked | None:
    """Return the question about the version that runs; None where approvals are not judged or no commit is known."""
    version, image = facts.approved.version, facts.statement.predicate.image
    head = subject_of_commit(facts.source)
    if facts.approved.policy is None or version is None or image is None or not isinstance(head, str):
        return None
    kio = facts.application.kio if facts.application is not None else {}
    return VersionAsked(
        version=version,
        digests=frozenset(one for one in (image.digest, image.index_digest) if one),
        head=head,
        team=str(kio.get("team_id") or ""),
        account_id=facts.statement.predicate.instance.account_id,
    )


async def _with_reviews(gathered: dict[str, Facts], database: Database, moment: Moment) -> dict[str, Facts]:
    wanted = {name: subjects for name, facts in gathered.items() if (subjects := _reviewed(facts))}
    every = sorted({one for subjects in wanted.values() for one in subjects})
    if not every:
        return gathered
    found, waiting = await database.fetch_all(together(*questions(REVIEW_KIND, every, moment)))
    answers: dict[str, Answer] = merged(every, found, waiting, moment)
    for name, subjects in wanted.items():
        gathered[name] = replace(gathered[name], commit_reviews={one: answers[one] for one in subjects})
    return gathered


def _reviewed(facts: Facts) -> tuple[str, ...]:
    """Return the commits whose reviews are read, beside the image's own; none if there are too many."""
    commits = facts.approved.commits
    if facts.withheld or commits.extent != "all" or len(commits.commits) > REVIEWED_COMMITS_MAX:
        return ()
    hosts = {one.partition("/")[0] for one in commits.commits}
    return commits.commits[1:] if all(map(facts.trackers.reads_reviews, hosts)) else ()


def _key(one: VersionAsked) -> tuple[str | frozenset[str], ...]:
    return (one.version.application_id, one.version.version, one.digests, one.head, one.account_id)
