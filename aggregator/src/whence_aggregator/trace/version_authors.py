"""Tells somebody who is about to approve a version whether the approval of its code will count."""

from __future__ import annotations

from whence_aggregator.approvals.asking import Approver, person_of
from whence_aggregator.approvals.people import Authors
from whence_aggregator.approvals.rule import ApprovalPolicy
from whence_aggregator.approvals.values import Version
from whence_aggregator.ports import Database
from whence_aggregator.trace.approval import note_of
from whence_aggregator.trace.moment import Moment
from whence_aggregator.trace.version_commits import VersionCommitsReader
from whence_aggregator.trace.version_heads import versions_asked

AUTHOR = "you are an author of a commit of the version"
NO_IMAGE = "no image of the version is known"
NO_COMMIT = "it is not known from which commit the image was built"


class VersionAuthors:
    """Compares a caller with the authors of a version, as far as they are known."""

    def __init__(self, *, database: Database, reader: VersionCommitsReader, policy: ApprovalPolicy | None) -> None:
        self._database = database
        self._reader = reader
        self._policy = policy

    async def told(self, version: Version, team: str, caller: Approver, moment: Moment) -> dict[str, object] | None:
        """Return whether the caller's approval of the code counts, and why not; None where approvals are not judged."""
        if self._policy is None:
            return None
        if version.current is None:
            return _told(None, NO_IMAGE, None)
        asked = await versions_asked(
            self._database, version, [version.current], team=team, past=moment.known_past
        )  # fmt: skip
        if not asked:
            return _told(None, NO_COMMIT, None)
        (commits,) = await self._reader.of(asked, moment)
        head = await self._reader.authors([asked[0].head], moment)
        authors = head.get(asked[0].head, Authors(unknown="the commit was not read")).with_those_of(commits.authors)
        people = self._policy.people
        others = [people.somebody(one.person, one.user_id, one.emails) for one in version.standing]
        who = people.somebody(person_of(caller), caller.name, caller.emails)
        is_author = people.is_author(who, authors, others)
        reason = AUTHOR if is_author else authors.unknown or "nobody known has the address of an author"
        return _told(is_author, reason, note_of(commits, authors))


def _told(is_author: bool | None, reason: str, note: str | None) -> dict[str, object]:
    counts = {True: "no", False: "yes", None: "unknown"}[is_author]
    return {"counts": counts, "reason": None if counts == "yes" else reason, "note": note}
