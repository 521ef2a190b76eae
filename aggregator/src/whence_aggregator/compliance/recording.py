"""Appends verdicts that changed to the log, each with the evidence that is in no other entry."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from whence_aggregator.compliance.evidence import SubjectEvidence
from whence_aggregator.compliance.moving import JudgedVerdict, StandingSubject, moved_event
from whence_aggregator.compliance.resting import Unlogged, digest_of
from whence_aggregator.compliance.rules.catalogue import RulesInForce
from whence_aggregator.findings.scanners import Scanners
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ledger.writing import NewEntry, Writing
from whence_aggregator.projections.verdicts import project_verdicts
from whence_aggregator.trackers.places import KnownTrackers
from whence_common.digest import sha256_digest
from whence_common.ledger_entry import event
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

VERDICT, EVIDENCE, RULE_SETTINGS = "verdict", "evidence", "rule-settings"
VERDICT_VERSION = 2
"""Since this version a verdict states what it rests on; version 1 is still read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedNow:
    """A subject that was judged: its evidence, the verdict of each rule, and what they rest on.

    What they rest on is made only when a verdict changed, which is rare.
    """

    evidence: SubjectEvidence
    verdicts: Mapping[str, JudgedVerdict]
    unlogged: Callable[[], Unlogged]
    entries: Callable[[], tuple[int, ...]]
    instance: str = ""
    """The instance that the evidence is from; empty where it is from none."""
    broken: Mapping[str, str] = field(default_factory=dict)
    """Rules that users wrote that could not be evaluated, and why."""
    document: str = ""
    """The digest of the evidence where another process made it: then the evidence is only kind, id and time."""
    further: bool = False
    """Whether it has some of the verdicts about a subject, and another one before it has the others."""


_WORST = ("gone", "pass", "unknown", "fail")


def worst_of(judged: Sequence[JudgedNow]) -> list[JudgedNow]:
    """Return the worst verdict of each rule, by the instance that it is from: one that is right hides no other.

    `judged` are of one subject. Of equal ones the first by the instance's id counts, whichever spoke last.
    """
    if len(judged) < 2:
        return list(judged)
    judged = sorted(judged, key=lambda one: one.instance, reverse=True)
    parts: dict[int, dict[str, JudgedVerdict]] = {}
    for rule in judged[0].verdicts:
        worst = max(range(len(judged)), key=lambda n: (_badness(judged[n].verdicts[rule]), n))
        parts.setdefault(worst, {})[rule] = judged[worst].verdicts[rule]
    found = [replace(judged[n], verdicts=parts[n]) for n in sorted(parts)]
    return [replace(one, further=place > 0) for place, one in enumerate(found)]


def _badness(one: JudgedVerdict) -> tuple[int, bool]:
    return _WORST.index(one.verdict.outcome), not one.folded_under


class Recording:
    """Writes verdicts. The settings that judge are an entry of their own, appended when they change."""

    def __init__(
        self, *, ledger: Ledger, rules: RulesInForce, trackers: KnownTrackers, scanners: Scanners | None = None
    ) -> None:
        self._ledger = ledger
        self._rules = rules
        self._settings_entry = settings_entry(rules, trackers, scanners)
        self._settings_index: int | None = None

    async def prepare(self) -> None:
        """Append the settings that judge, unless the log has them."""
        if self._settings_index is not None:
            return
        stored = await self._ledger.reader.find(sha256_digest(self._settings_entry))
        if stored is not None:
            self._settings_index = stored.ledger_index
            return
        async with self._ledger.writing() as writing:
            ((index, _),) = await writing.append([NewEntry(kind=RULE_SETTINGS, content=self._settings_entry)])
        self._settings_index = index

    async def append(
        self, writing: Writing[Any], judged: Sequence[JudgedNow], stood: Mapping[str, StandingSubject]
    ) -> None:
        """Append the verdicts that changed, and project them. Subjects that are not in `stood` are left out."""
        found = [
            (one, moved)
            for one in judged
            if one.evidence.id in stood
            and (
                moved := moved_event(
                    one.evidence, one.verdicts, stood[one.evidence.id], self._rules, closes=not one.further
                )
            )
            is not None
        ]
        if not found:
            return
        rests_on = [one.entries() for one, _ in found]
        leaves = await self._ledger.reader.leaves({index for some in rests_on for index in some})
        new = [NewEntry(kind=EVIDENCE, content=self._evidence(one, moved)) for one, moved in found]
        places = [index for index, _ in await writing.append(new)]
        stated = [
            {**moved, "evidence": {"ledger_index": index, "digest": sha256_digest(entry.content)},
             "rests_on": [{"ledger_index": one, "leaf": leaves[one].hex()} for one in some if one in leaves]}
            for (_, moved), some, index, entry in zip(found, rests_on, places, new, strict=True)
        ]  # fmt: skip
        entries = [NewEntry(kind=VERDICT, content=event(VERDICT, one, version=VERDICT_VERSION)) for one in stated]
        indexes = [index for index, _ in await writing.append(entries)]
        await writing.flush()
        await project_verdicts(writing.transaction, list(zip(indexes, stated, strict=True)))
        _log(stated)

    def _evidence(self, one: JudgedNow, moved: Mapping[str, Any]) -> bytes:
        found = msgspec.structs.replace(one.unlogged(), broken_rules=dict(one.broken))
        unlogged = msgspec.to_builtins(found)
        content = {
            "subject": moved["subject"], "account_id": moved["account_id"], "at": moved["at"],
            "instance": one.instance or None, "settings": self._settings_index, "unlogged": unlogged,
            "document": one.document or digest_of(one.evidence),
        }  # fmt: skip
        return event(EVIDENCE, content)


def settings_entry(rules: RulesInForce, trackers: KnownTrackers, scanners: Scanners | None = None) -> bytes:
    """Return the entry that states which rules are in force, and by which settings."""
    known = {
        host: {
            "type": one.type, "reviews": one.reviews, "tickets": one.tickets, "projects": list(one.projects),
            "approved_states": list(one.approved_states), "shared": one.shared,
            "repositories": {path: list(ids) for path, ids in sorted(one.repositories.items())},
        }
        for host, one in sorted(trackers.by_host.items())
    }  # fmt: skip
    versions = {one.id: one.version for one in sorted(rules.rules, key=lambda one: one.id)}
    settings = msgspec.to_builtins(rules.settings)
    hosts = trackers.shared_git_hosts
    stated: dict[str, Any] = {
        "rules": versions, "settings": settings, "trackers": known,
        "shared_git_hosts": sorted(hosts) if hosts is not None else None,
    }  # fmt: skip
    if scanners is not None:
        stated["scanners"] = scanners.to_wire()
    if rules.own:
        stated["own_rules"] = {name: rules.recorded.entries[name] for name in sorted(rules.own)}
    return event(RULE_SETTINGS, stated)


def _log(events: Sequence[Mapping[str, Any]]) -> None:
    wrong = [
        f"{stated['subject']['id']} {verdict['rule']}: {verdict['reason']}"
        for stated in events
        for verdict in stated["verdicts"]
        if verdict["verdict"] == "fail"
    ]
    if wrong:
        log.warning("violations", extra=fields(violations=wrong))
