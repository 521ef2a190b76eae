"""Replays a verdict: the entries that it rests on are projected anew, and the rules of that time judge them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from whence_aggregator.compliance.evidence import SubjectEvidence
from whence_aggregator.compliance.moving import of_some_images, storable_verdict
from whence_aggregator.compliance.own.rule_file import PREFIX
from whence_aggregator.compliance.own.rules import NO_OWN_RULES, JudgesByOwnRules, OwnAnswer, OwnRule
from whence_aggregator.compliance.recording import EVIDENCE, RULE_SETTINGS, VERDICT
from whence_aggregator.compliance.resting import digest_of
from whence_aggregator.compliance.rule import Rule, Verdict, unknown
from whence_aggregator.compliance.rules.catalogue import RULES, judge
from whence_aggregator.ledger.log_reader import LogReader, Stored
from whence_aggregator.ledger.rows import clock_entries
from whence_aggregator.ports import Database, NotFound
from whence_aggregator.projections.rule_sets import RULE_SET
from whence_aggregator.queries.ledger import CLOCK_ENTRY_AT
from whence_aggregator.queries.query import each
from whence_aggregator.replays.gathered import Judging, gather
from whence_common.errors import InputError
from whence_common.ledger_entry import event, leaf_data, type_of
from whence_common.merkle import leaf_hash

ENTRIES_MAX = 500
"""More than any verdict rests on."""
_RULES = {rule.id: rule for rule in RULES}
ScratchDatabase = Callable[[], AbstractAsyncContextManager[Database]]
"""Opens an empty database that is removed afterwards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayedVerdict:
    """One rule's verdict as it was recorded, and as it is now from the same entries."""

    rule: str
    version: int
    recorded: Verdict
    replayed: Verdict | None
    """None where it cannot be replayed."""
    reason: str = ""
    """Why not."""

    @property
    def same(self) -> bool:
        return self.replayed == self.recorded

    def to_wire(self) -> dict[str, object]:
        replayed = self.replayed
        return {
            "rule": self.rule, "version": self.version, "verdict": self.recorded.outcome,
            "reason": self.recorded.reason, "replayed_verdict": replayed.outcome if replayed is not None else None,
            "replayed_reason": replayed.reason if replayed is not None else self.reason, "same": self.same,
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictReplay:
    """The replay of one entry of verdicts. `missing`: entries whose bodies retention took."""

    ledger_index: int
    subject: Mapping[str, str]
    at: str
    rests_on: Sequence[Mapping[str, Any]]
    missing: Sequence[int]
    verdicts: Sequence[ReplayedVerdict]

    def to_wire(self) -> dict[str, object]:
        return {
            "ledger_index": self.ledger_index, "subject": dict(self.subject), "at": self.at,
            "same": not self.missing and all(one.same for one in self.verdicts), "missing": list(self.missing),
            "rests_on": [dict(one) for one in self.rests_on], "verdicts": [one.to_wire() for one in self.verdicts],
        }  # fmt: skip


class ReplayedLog(Protocol):
    """The log that verdicts are replayed from."""

    async def entry(self, index: int) -> Stored:
        """Return an entry, without its content where that was removed. Raises NotFound."""

    async def clocks(self, indexes: Collection[int]) -> Collection[int]:
        """Return the indexes of the clock entries by which these entries were recorded."""


class StoredLog:
    """The log in the database."""

    def __init__(self, *, database: Database, log: LogReader) -> None:
        self._database = database
        self._log = log

    async def entry(self, index: int) -> Stored:
        return await self._log.entry(index)

    async def clocks(self, indexes: Collection[int]) -> Collection[int]:
        asked = each([CLOCK_ENTRY_AT.bind({"ledger_index": one}) for one in sorted(indexes)])
        return clock_entries(await self._database.fetch_all(asked))


class VerdictReplays:
    """Replays verdicts from the log."""

    def __init__(self, *, log: ReplayedLog, scratch: ScratchDatabase, engine: JudgesByOwnRules = NO_OWN_RULES) -> None:
        """`engine` evaluates the rules that users wrote."""
        self._engine = engine
        self._log = log
        self._scratch = scratch

    async def replay(self, index: int) -> VerdictReplay:
        """Return the replay of the verdicts in an entry.

        Raises NotFound when there is no such entry, its body was removed, or it states no evidence; and InputError when
        it is another entry.
        """
        kind, version, verdict = await self._event(index)
        if kind != VERDICT:
            raise InputError("verdict-unknown", f"entry {index} is a {kind}, not a verdict",
                             fix="pass `ledger_index` of a verdict")  # fmt: skip
        if version == 1:
            raise NotFound(
                "verdict-without-evidence", f"entry {index} was recorded before verdicts named their evidence"
            )
        place = int(verdict["evidence"]["ledger_index"])
        named = [int(one["ledger_index"]) for one in verdict["rests_on"]][:ENTRIES_MAX]
        entries = await self._entries([*named, place])
        missing = sorted(one for one in (*named, place) if entries.get(one) is None)
        if place in missing:
            return _result(index, verdict, missing, [_unreplayed(one) for one in verdict["verdicts"]])
        evidence = type_of(entries[place] or b"")[2]
        settings = await self._entries([int(evidence["settings"])])
        stated = type_of(settings[int(evidence["settings"])] or event(RULE_SETTINGS, {}))[2]
        places = stated.get("own_rules", {})
        sources = await self._entries([places[one["rule"]] for one in verdict["verdicts"] if one["rule"] in places])
        missing += [one for one, content in {**settings, **sources}.items() if content is None]
        if missing:
            return _result(index, verdict, missing, [_unreplayed(one) for one in verdict["verdicts"]])
        self._check(verdict, entries)
        judged = Judging.of(verdict["subject"], evidence, stated)
        document = await self._document(judged, entries)
        wrong = "" if digest_of(document) == evidence["document"] else "the entries show other evidence than was judged"
        own = [OwnRule.from_entry(type_of(content or b"")[2]) for content in sources.values()]
        answers = await self._answers(own, document, judged)
        rules = {**_RULES, **{one.id: one.to_rule() for one in own}}
        found = [
            _replayed(one, document, judged, wrong, rules.get(one["rule"]), answers.get(one["rule"]))
            for one in verdict["verdicts"]
        ]
        return _result(index, verdict, missing, found)

    async def _event(self, index: int) -> tuple[str, int, dict[str, Any]]:
        stored = await self._log.entry(index)
        if stored.content is None:
            raise NotFound("entry-pruned", f"the body of entry {index} was pruned; its hash remains")
        return type_of(stored.content)

    async def _entries(self, indexes: Sequence[int]) -> dict[int, bytes | None]:
        """Return the bodies of entries; None for those that were removed."""
        return {one: (await self._log.entry(one)).content for one in sorted(set(indexes))}

    async def _answers(
        self, own: Sequence[OwnRule], document: SubjectEvidence, judged: Judging
    ) -> dict[str, OwnAnswer]:
        """Return what users' rules state of the evidence; that one could not be evaluated then is recorded."""
        broken = judged.unlogged.broken_rules
        asked = [one for one in own if one.id not in broken]
        found = dict(await self._engine.judge(asked, document)) if asked and not judged.ended else {}
        return found | {name: OwnAnswer(verdict=unknown(reason)) for name, reason in broken.items()}

    def _check(self, verdict: Mapping[str, Any], entries: Mapping[int, bytes | None]) -> None:
        """Compare the entries with the leaves that the verdict names. Raises InputError."""
        for one in verdict["rests_on"]:
            content = entries.get(int(one["ledger_index"]))
            if content is None or leaf_hash(leaf_data(content)).hex() != one["leaf"]:
                raise InputError("ledger-damaged", f"entry {one['ledger_index']} is not the one that the verdict names",
                                 fix="run whence-aggregator ledger check")  # fmt: skip

    async def _document(self, judged: Judging, entries: Mapping[int, bytes | None]) -> SubjectEvidence:
        """Return the evidence again, from the entries alone."""
        named = sorted(one for one, content in entries.items() if content is not None)
        contents = {**await self._entries(sorted(await self._log.clocks(named))), **entries}
        async with self._scratch() as scratch:
            return await gather(scratch, _stored(contents), judged)


async def _stored(contents: Mapping[int, bytes | None]) -> AsyncIterator[Stored]:
    for index in sorted(contents):
        content = contents[index]
        if content is not None and (kind := type_of(content)[0]) not in (EVIDENCE, RULE_SET, RULE_SETTINGS, VERDICT):
            yield Stored(index, kind, content)


def _result(
    index: int, verdict: Mapping[str, Any], missing: Sequence[int], found: Sequence[ReplayedVerdict]
) -> VerdictReplay:
    return VerdictReplay(
        ledger_index=index, subject=verdict["subject"], at=verdict["at"], rests_on=verdict["rests_on"],
        missing=sorted(set(missing)), verdicts=found,
    )  # fmt: skip


def _unreplayed(stated: Mapping[str, Any], reason: str = "the evidence was removed from the log") -> ReplayedVerdict:
    recorded = Verdict(outcome=stated["verdict"], reason=stated["reason"])
    return ReplayedVerdict(
        rule=stated["rule"], version=stated["version"], recorded=recorded, replayed=None, reason=reason
    )


def _replayed(
    stated: Mapping[str, Any], document: SubjectEvidence, judged: Judging, wrong: str, rule: Rule | None,
    answer: OwnAnswer | None,
) -> ReplayedVerdict:  # fmt: skip
    """Judge again by the version of the rule that judged then."""
    name, version = stated["rule"], stated["version"]
    recorded = Verdict(outcome=stated["verdict"], reason=stated["reason"])
    if wrong or (rule is None and not name.startswith(PREFIX)):
        return _unreplayed(stated, wrong or "this program does not have the rule")
    if name not in judged.rules or judged.ended:
        replayed = recorded if recorded.outcome == "gone" else None
    elif rule is None or (rule.own and rule.version != version):
        return _unreplayed(stated, "the log does not have the source of the rule")
    elif answer is not None and answer.broken:
        return _unreplayed(stated, answer.verdict.reason)
    else:
        try:
            replayed = storable_verdict(judge(rule, document, version=version, answer=answer))
        except KeyError:
            return _unreplayed(stated, f"this program does not have version {version} of the rule")
        replayed = of_some_images(replayed) if judged.unlogged.more_images else replayed
    return ReplayedVerdict(rule=name, version=version, recorded=recorded, replayed=replayed)
