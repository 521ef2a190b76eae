"""Wiring of the process that judges backlogs: what it judges by, and the process itself (adapters/judge_process.py).

It reads the database as this program does, and writes nothing.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

import msgspec

from whence_aggregator.adapters.judge_process import MESSAGE_BYTES_MAX, JudgeProcess
from whence_aggregator.approvals.rule import ApprovalPolicy
from whence_aggregator.compliance.evidence import SUBJECTS_OF_RULES
from whence_aggregator.compliance.judged_wire import PageAsked, PageWire
from whence_aggregator.compliance.judging import PageJudge
from whence_aggregator.compliance.rule_settings import RuleSettings
from whence_aggregator.compliance.rules.catalogue import RULES, RulesInForce
from whence_aggregator.ledger.log_reader import LogReader
from whence_aggregator.ledger.rows import PackedEntry
from whence_aggregator.ports import Database
from whence_aggregator.trace.listening import Listening
from whence_aggregator.trace.search import Search
from whence_aggregator.trace.tracer import Tracer
from whence_aggregator.trackers.places import NO_TRACKERS, KnownTrackers
from whence_aggregator.wiring.parts import open_database
from whence_common.clock import utc_now
from whence_common.runtime import logs
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

_CONNECTIONS = 3
_CORES_MIN = 2
"""On a single core, a second process only takes memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgingBy:
    """What judges a backlog: the database, what the settings state, and the rules in force."""

    database: str
    silent_after_seconds: float
    organisation: dict[str, float] | None = None
    approvals: ApprovalPolicy | None = None
    trackers: KnownTrackers = NO_TRACKERS
    git_hosts: frozenset[str] | None = None
    ami_builders: frozenset[tuple[str, str]] = frozenset()
    rules: tuple[str, ...]
    settings: RuleSettings
    links: frozenset[str]

    def rules_in_force(self) -> RulesInForce:
        chosen = tuple(one for one in RULES if one.id in self.rules)
        assert len(chosen) == len(self.rules), "users' rules are judged elsewhere"
        return RulesInForce(
            rules=chosen,
            settings=self.settings,
            not_in_force={},
            by_kind={kind: tuple(one for one in chosen if one.kind == kind) for kind in SUBJECTS_OF_RULES},
            links=self.links,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedBy:
    """What the tracer of a program was made with, for one in another process."""

    organisation: Mapping[str, float] | None = None
    approvals: ApprovalPolicy | None = None
    trackers: KnownTrackers = NO_TRACKERS
    git_hosts: frozenset[str] | None = None
    ami_builders: frozenset[tuple[str, str]] = frozenset()


def load_judge_process(
    location: str, traced: TracedBy, rules: RulesInForce, listening: Listening, *, wanted: bool | None = None
) -> JudgeProcess | None:
    """Return the process that judges backlogs; None where it is not `wanted`, on a single core, or with users' rules.

    Users' rules are evaluated in a process of their own, which this program asks.
    """
    if rules.own or not (wanted if wanted is not None else (os.cpu_count() or 1) >= _CORES_MIN):
        return None
    by = JudgingBy(
        database=location,
        silent_after_seconds=listening.silent_after.total_seconds(),
        organisation=dict(traced.organisation) if traced.organisation is not None else None,
        approvals=traced.approvals,
        trackers=traced.trackers,
        git_hosts=traced.git_hosts,
        ami_builders=traced.ami_builders,
        rules=tuple(one.id for one in rules.rules),
        settings=rules.settings,
        links=rules.links,
    )
    return JudgeProcess(by=msgspec.msgpack.encode(by), module=__name__, listening=listening)


class _Log:
    """The log as tracing reads it, without the archive: a page that needs what is there is judged by the parent."""

    note = ""

    def __init__(self, database: Database) -> None:
        self._reader = LogReader(database)

    def content(self, entry: PackedEntry) -> bytes:
        return self._reader.content(entry)

    async def content_of(self, entry: PackedEntry) -> bytes | None:
        return await self._reader.content_of(entry)


class _Judging:
    """Answers pages, by the time of the question."""

    def __init__(self, by: JudgingBy, database: Database) -> None:
        self._now = utc_now()
        self._listening = Listening(lambda: self._now, silent_after_seconds=by.silent_after_seconds)
        tracer = Tracer(
            database=database, search=Search(database=database, listening=self._listening), log=_Log(database),
            now=lambda: self._now, listening=self._listening, organisation=by.organisation, approvals=by.approvals,
            trackers=by.trackers, git_hosts=by.git_hosts, ami_builders=by.ami_builders,
        )  # fmt: skip
        self._judge = PageJudge(tracer=tracer, rules=by.rules_in_force(), listening=self._listening)

    async def answer(self, asked: PageAsked) -> PageWire | None:
        """Return the page; None where it cannot be judged here, for whatever reason: the parent judges it then."""
        self._now = asked.now
        self._listening.follow(since=asked.since, heard_until=asked.heard_until)
        try:
            return PageWire.of(await self._judge.page(asked.instance_ids, asked.now))
        except Exception as exc:  # noqa: BLE001 - the parent judges the page, and logs what is wrong with it
            log.warning("a page is judged by the parent", extra=fields(error=type(exc).__name__, reason=str(exc)[:200]))
            return None


async def _answer(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer pages until the input ends."""
    by = msgspec.msgpack.decode(await asyncio.to_thread(_read, source), type=JudgingBy)
    database = await open_database(by.database, "read", connections_max=_CONNECTIONS)
    try:
        judging = _Judging(by, database)
        while content := await asyncio.to_thread(_read, source):
            answer = msgspec.msgpack.encode(await judging.answer(msgspec.msgpack.decode(content, type=PageAsked)))
            sink.write(len(answer).to_bytes(4, "big") + answer)
            sink.flush()
    finally:
        await database.close()


def _read(source: BinaryIO) -> bytes:
    head = source.read(4)
    return source.read(min(int.from_bytes(head, "big"), MESSAGE_BYTES_MAX)) if len(head) == 4 else b""


def main() -> int:
    logs.set_up(verbose=False)
    gc.freeze()
    gc.set_threshold(20_000, 50, 50)  # as in the server: there are hardly any cycles
    asyncio.run(_answer(sys.stdin.buffer, sys.stdout.buffer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
