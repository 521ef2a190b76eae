"""Has the commits between a version and the one before it collected, as soon as both commits are known."""

from __future__ import annotations

from datetime import timedelta

from whence_aggregator.approvals.reading import read_versions
from whence_aggregator.approvals.values import Version
from whence_aggregator.ports import Database
from whence_aggregator.queries.query import EVERY_ENTRY, array
from whence_aggregator.queries.trace import APPLICATIONS_AT
from whence_aggregator.queries.work import TASKS_OF
from whence_aggregator.trace.facts import RANGE_KIND
from whence_aggregator.trace.moment import NOW
from whence_aggregator.trace.rows import applications
from whence_aggregator.trace.version_commits import VersionCommitsReader
from whence_aggregator.trace.version_heads import digests_of, versions_asked
from whence_aggregator.work.questions import SHARED_LANE, ask_ranges, question
from whence_aggregator.work.task import Again, Task
from whence_common.clock import Now, parse_instant, to_instant

SECONDS_MIN, SECONDS_MAX = 30.0, 3_600.0
"""How soon a version whose commit is not known is looked at again: the older it is, the later."""
FULL_SECONDS = 60.0
"""How soon a version whose range found no place in the queue is looked at again."""
WAITED_MAX = timedelta(days=14)


class VersionRanges:
    """Does the tasks about versions. Whatever becomes known later is asked for when an instance runs the version."""

    def __init__(self, *, database: Database, reader: VersionCommitsReader | None, now: Now) -> None:
        """`reader`: None where approvals are not judged; then nothing is done."""
        self._database = database
        self._reader = reader
        self._now = now

    async def do(self, task: Task) -> Again | None:
        if self._reader is None:
            return None
        application_id, _, name = task.subject.partition("/")
        rows = await self._database.fetch(
            APPLICATIONS_AT.bind({"application_ids": array([application_id]), "past": EVERY_ENTRY})
        )
        registered = applications(rows).get(application_id)
        if registered is None:
            return None
        team = str(registered.kio.get("team_id") or "")
        key = application_id, name
        version = (await read_versions(self._database, [key], teams={application_id: team}, past=EVERY_ENTRY))[key]
        digests = digests_of(version)
        asked = await versions_asked(self._database, version, digests, team=team, past=EVERY_ENTRY)
        found = await self._reader.of(asked, NOW)
        now = to_instant(self._now())
        wanted = dict.fromkeys(one.question for one in found if one.question is not None and not one.asked)
        await self._database.write(ask_ranges([
            question(RANGE_KIND, one, due_at=now, lane=SHARED_LANE) for one in wanted
        ]))  # fmt: skip
        waiting = await self._database.fetch(TASKS_OF.bind({"kind": RANGE_KIND, "subjects": array(list(wanted))}))
        if len(waiting) < len(wanted):
            return Again(seconds=FULL_SECONDS, reason="too many ranges wait to be collected")
        if len(asked) == len(digests) and not any(one.unsettled for one in found) and digests:
            return None
        return self._again(version)

    def _again(self, version: Version) -> Again | None:
        """Return when to look again: the commit of this version, or of one before it, is not known yet."""
        times = [one.recorded_at for one in version.digests if one.recorded_at]
        times += [one.recorded_at for one in version.revisions]
        age = self._now() - parse_instant(max(times)) if times else WAITED_MAX
        if age >= WAITED_MAX:
            return None
        seconds = min(max(age.total_seconds(), SECONDS_MIN), SECONDS_MAX)
        return Again(seconds=seconds, reason="awaits the commits of versions")
