"""Finds the instances to judge again because of time or heartbeats, which append no entry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from whence_aggregator.compliance.evidence import SUBJECTS_OF_RULES, SubjectOfRule
from whence_aggregator.compliance.presence import ON_THE_WAY
from whence_aggregator.compliance.rows import Swept, fallen_silent, rule_sets, swept
from whence_aggregator.compliance.rules.catalogue import RulesInForce
from whence_aggregator.compliance.rules.clock import BY_HEARTBEATS, CLOCK_OFF
from whence_aggregator.compliance.rules.credentials import (
    CHECKED_LATER,
    CREDENTIALS_NOT_ROTATED,
    CREDENTIALS_TAMPERED,
    IN_BUCKET,
    SETTLED,
)
from whence_aggregator.compliance.rules.instance import INSTANCE_TOO_OLD, INSTANCE_UNLISTED
from whence_aggregator.ports import Database
from whence_aggregator.queries.compliance import (
    CLOCKS_GONE_WRONG,
    CLOCKS_SET_RIGHT,
    GROWN_OLD,
    JUDGED_BY_OTHERS,
    MARK_EVERY_SUBJECT,
    MARK_SUBJECTS_JUDGED_BY_OTHERS,
    RULE_SETS_ALL,
    SILENT_SINCE,
    SPEAKING_AGAIN,
    SPEAKING_THOUGH_ENDED,
    UNJUDGE,
    UNJUDGE_SHARE,
    MarkEverySubjectParameters,
    MarkSubjectsJudgedByOthersParameters,
)
from whence_aggregator.queries.instance_credentials import (
    BEHIND_IN_CREDENTIALS,
    CREDENTIALS_TO_CHECK,
    READING_MENDED_BUCKETS,
    READING_TAMPERED_BUCKETS,
)
from whence_aggregator.queries.query import BoundCommand, BoundQuery, array, each, instance_ids
from whence_aggregator.trace.listening import Listening
from whence_aggregator.trace.silences import AGENT_SILENT
from whence_common.clock import Now, to_instant, to_millis

SWEEP_INSTANCES_MAX = 1_000
ENDED_SWEEPS = 20
"""One in this many sweeps also reads ended instances: an old log has many, and they rarely speak."""
SUBJECT_SWEEPS = 240
"""One in this many sweeps judges versions and AMIs again, which grow old: an hour, at a sweep each 15 seconds.

Where a rule of users about instances reads `now`, each sweep judges one in so many instances again: each of them once
an hour, and never all of them at once, before new facts.
"""


class Sweeping:
    """Marks instances and other subjects to be judged again. Each query continues where its last page ended."""

    def __init__(self, *, database: Database, now: Now, listening: Listening, rules: RulesInForce) -> None:
        self._database = database
        self._now = now
        self._listening = listening
        self._rules = rules
        self._swept: tuple[int, str] = (0, "")
        self._swept_after: dict[str, int] = {}
        """By query: the number of the last instance of the last sweep, if there were more."""
        self._sweeps = 0

    async def sweep(self) -> int:
        """Mark what time and heartbeats changed; return how many instances.

        These are instances whose silence began or ended, whose clock became wrong or right, that grew old or speak
        after their end, and subjects judged by other rules.
        """
        sets = rule_sets(await self._database.fetch(RULE_SETS_ALL.bind({})))
        now = self._now()
        (silent, silent_last), asked = await self._fallen_silent(now), self._asked(now, self._lacking("instance", sets))
        found = [swept(rows) for rows in await self._database.fetch_all(each(asked))]
        names = sorted({*silent, *(name for some, _ in found for name in some)})
        async with self._database.transaction() as transaction:
            if names:
                await transaction.execute(UNJUDGE.bind([instance_ids(names)]))
            await transaction.execute(*self._marks(sets))
        self._sweeps += 1
        for query, (some, last) in zip(asked, found, strict=True):
            self._swept_after[query.name] = last if len(some) == SWEEP_INSTANCES_MAX else 0
        if silent_last is not None:
            self._swept = silent_last
        return len(names)

    def _marks(self, sets: Mapping[int, Mapping[str, int]]) -> list[BoundCommand]:
        """Return what marks subjects: by new rules, and now and then because of their age."""
        kinds = [kind for kind in SUBJECTS_OF_RULES if kind != "instance" and self._rules.of_kind(kind)]
        by_others: list[MarkSubjectsJudgedByOthersParameters] = [
            {"kind": kind, "sets": array(lacking)} for kind in kinds if (lacking := self._lacking(kind, sets))
        ]
        turn = self._sweeps % SUBJECT_SWEEPS
        aged: list[MarkEverySubjectParameters] = [{"kind": kind} for kind in kinds if turn == SUBJECT_SWEEPS - 1]
        marks = [MARK_SUBJECTS_JUDGED_BY_OTHERS.bind(by_others), MARK_EVERY_SUBJECT.bind(aged)]
        if any(one.source.kind == "instance" and one.reads_time for one in self._rules.own.values()):
            marks.append(UNJUDGE_SHARE.bind([{"shares": SUBJECT_SWEEPS, "share": turn}]))
        return marks

    async def _fallen_silent(self, now: datetime) -> tuple[list[str], tuple[int, str] | None]:
        """Return the next instances whose silence has begun, and the position of the last one."""
        until = to_millis(now - self._listening.silent_after)
        if to_millis(self._listening.since) > until:  # the silence may be the aggregator's fault
            return [], None
        since, after = self._swept
        rows = await self._database.fetch(
            SILENT_SINCE.bind({"since": since, "after": after, "until": until, "limit": SWEEP_INSTANCES_MAX})
        )
        return fallen_silent(rows)

    def _asked(self, now: datetime, sets: Sequence[int]) -> list[BoundQuery[Swept]]:
        """Return the queries for the next instances that changed otherwise."""
        until, late = to_millis(now - self._listening.silent_after), int(ON_THE_WAY.total_seconds() * 1000)
        limit, after = SWEEP_INSTANCES_MAX, self._swept_after
        asked: list[BoundQuery[Swept]] = [
            SPEAKING_AGAIN.bind(
                {"until": until, "rule": AGENT_SILENT, "limit": limit, "after": after.get(SPEAKING_AGAIN.name, 0)}
            ),
            CLOCKS_GONE_WRONG.bind(
                {"rule": CLOCK_OFF, "limit": limit, "after": after.get(CLOCKS_GONE_WRONG.name, 0)}
            ),
            CLOCKS_SET_RIGHT.bind(
                {"rule": CLOCK_OFF, "by_heartbeats": f"{BY_HEARTBEATS}%", "limit": limit,
                 "after": after.get(CLOCKS_SET_RIGHT.name, 0)}
            ),
            JUDGED_BY_OTHERS.bind(
                {"sets": array(sets), "limit": limit, "after": after.get(JUDGED_BY_OTHERS.name, 0)}
            ),
        ]  # fmt: skip
        days = self._rules.settings.instance_days_max
        if days is not None and INSTANCE_TOO_OLD not in self._rules.not_in_force:
            asked.append(
                GROWN_OLD.bind(
                    {"launched_before": to_instant(now - timedelta(days=days)), "rule": INSTANCE_TOO_OLD,
                     "limit": limit, "after": after.get(GROWN_OLD.name, 0)}
                )
            )  # fmt: skip
        asked += self._of_credentials(now)
        if self._sweeps % ENDED_SWEEPS == 0:
            asked.append(
                SPEAKING_THOUGH_ENDED.bind(
                    {"on_the_way": late, "rule": INSTANCE_UNLISTED, "limit": limit,
                     "after": after.get(SPEAKING_THOUGH_ENDED.name, 0)}
                )
            )  # fmt: skip
        return asked

    def _of_credentials(self, now: datetime) -> list[BoundQuery[Swept]]:
        """Return the queries about credentials: time alone makes these rules fail, or what mint finds in buckets."""
        after, asked, idle = self._swept_after, list[BoundQuery[Swept]](), self._rules.not_in_force
        minutes = self._rules.settings.credential_lag_minutes_max
        if minutes is not None and CREDENTIALS_NOT_ROTATED not in idle:
            asked.append(
                BEHIND_IN_CREDENTIALS.bind(
                    {"committed_before": to_instant(now - timedelta(minutes=minutes)),
                     "heard_since": to_millis(self._listening.silent_before), "rule": CREDENTIALS_NOT_ROTATED,
                     "limit": SWEEP_INSTANCES_MAX, "after": after.get(BEHIND_IN_CREDENTIALS.name, 0)}
                )
            )  # fmt: skip
        if CREDENTIALS_TAMPERED not in idle:
            asked += [
                CREDENTIALS_TO_CHECK.bind(
                    {"settled": to_millis(now - SETTLED), "rule": CREDENTIALS_TAMPERED,
                     "checked_later": f"{CHECKED_LATER}%", "limit": SWEEP_INSTANCES_MAX,
                     "after": after.get(CREDENTIALS_TO_CHECK.name, 0)}
                ),
                READING_TAMPERED_BUCKETS.bind(
                    {"rule": CREDENTIALS_TAMPERED, "settled": to_instant(now - SETTLED), "limit": SWEEP_INSTANCES_MAX,
                     "after": after.get(READING_TAMPERED_BUCKETS.name, 0)}
                ),
                READING_MENDED_BUCKETS.bind(
                    {"rule": CREDENTIALS_TAMPERED, "in_bucket": f"{IN_BUCKET}%",
                     "settled": to_instant(now - SETTLED), "limit": SWEEP_INSTANCES_MAX,
                     "after": after.get(READING_MENDED_BUCKETS.name, 0)}
                ),
            ]  # fmt: skip
        return asked

    def _lacking(self, kind: SubjectOfRule, sets: Mapping[int, Mapping[str, int]]) -> list[int]:
        """Return the rule sets whose subjects are judged again.

        They lack one of our rules about the kind, have an older version of it, or have one that is not in force.
        """
        ours, versions = self._rules.versions(kind), self._rules.known
        about = {one.id for one in self._rules.every if one.kind == kind} | self._rules.recorded.removed.keys()
        return [
            number
            for number, known in sets.items()
            if known.keys() & about
            and (
                any(known.get(one, 0) < version for one, version in ours.items())
                or any(one not in ours and version <= versions[one]
                       for one, version in known.items() if one in versions)
            )
        ]  # fmt: skip
