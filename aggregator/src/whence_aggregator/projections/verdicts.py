"""Projection of verdicts: about instances, and about subjects that have numbers of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from whence_aggregator.ports import Transaction
from whence_aggregator.projections.fullstop import VIOLATION, number, verdict_key
from whence_aggregator.projections.rows import (
    known_instances,
    last_number,
    rule_sets,
    standing,
    standing_of_subjects,
    subject_numbers,
)
from whence_aggregator.queries.agents import INSTANCES_NAMED
from whence_aggregator.queries.compliance import (
    ADD_RULE_SET,
    ADD_SUBJECT,
    ADD_TO_TALLY,
    FOLD_VERDICT,
    LAST_RULE_SET,
    LAST_SUBJECT,
    RULE_SETS,
    SET_RULES,
    SET_RULES_OF_SUBJECT,
    SET_VERDICT,
    SUBJECTS_NAMED,
    UNFOLD_VERDICT,
    VERDICTS_OF,
    VERDICTS_OF_SUBJECTS,
    AddSubjectParameters,
    FoldVerdictParameters,
    SetRulesOfSubjectParameters,
    SetRulesParameters,
    SetVerdictParameters,
    UnfoldVerdictParameters,
)
from whence_aggregator.queries.query import array, instance_ids, together

INSTANCE = "instance"
SUBJECT_KINDS = frozenset({INSTANCE, "version", "application", "ami", "account"})
VerdictSubject = tuple[str, str]
"""Kind and id."""
VerdictEntries = Sequence[tuple[int, Mapping[str, Any]]]


@dataclass(slots=True)
class _Known:
    """What was stored before, updated while entries are projected."""

    numbers: dict[VerdictSubject, int]
    accounts: dict[str, str]
    sets: dict[str, int]
    before: dict[tuple[str, str, str], tuple[str | None, str]]
    """Outcome and beginning, by kind, id and rule."""
    tally: dict[tuple[str, str], int] = field(default_factory=dict)
    moved: dict[tuple[str, int, str], SetVerdictParameters] = field(default_factory=dict)
    folds: dict[tuple[str, int, str], str] = field(default_factory=dict)
    failing: dict[VerdictSubject, set[str]] = field(default_factory=dict)
    """The rules that fail now, by subject."""
    numbered: dict[str, None] = field(default_factory=dict)
    """What is to have a number in fullstop.'s interface, in the order of the log."""


async def project_verdicts(transaction: Transaction, entries: VerdictEntries, *, numbered: bool = True) -> None:
    """Update the verdicts of subjects and their counts; store which rules have judged each.

    `numbered`: what fails gets a number. Entries of the first version give none, so that a database whose entries are
    older than the numbers has the same ones as a rebuild.
    """
    keys = [_key(event) for _, event in entries]
    sets = {index: _rules_of(event) for index, event in entries}
    known, new_subjects, new_sets = await _read(transaction, keys, sorted(set(sets.values())))
    for index, event in entries:
        _take(known, index, event)
    of_instances: list[SetRulesParameters] = []
    of_subjects: list[SetRulesOfSubjectParameters] = []
    for index, event in entries:
        key = _key(event)
        if key[0] == INSTANCE:
            of_instances.append({"instance": known.numbers[key], "rule_set": known.sets[sets[index]]})
        else:
            of_subjects.append({"number": known.numbers[key], "rule_set": known.sets[sets[index]]})
    unfolded: list[UnfoldVerdictParameters] = [
        {"subject_kind": kind, "subject": number, "rule": rule}
        for (kind, number, rule), link in known.folds.items()
        if not link
    ]
    folded: list[FoldVerdictParameters] = [
        {"subject_kind": kind, "subject": number, "rule": rule, "link": link}
        for (kind, number, rule), link in known.folds.items()
        if link
    ]
    await transaction.execute(
        ADD_SUBJECT.bind(new_subjects),
        ADD_RULE_SET.bind([{"number": known.sets[one], "rules": one} for one in new_sets]),
        SET_VERDICT.bind(list(known.moved.values())),
        UNFOLD_VERDICT.bind(unfolded),
        FOLD_VERDICT.bind(folded),
        SET_RULES.bind(of_instances),
        SET_RULES_OF_SUBJECT.bind(of_subjects),
        ADD_TO_TALLY.bind([{"account_id": a, "subject": s, "n": n} for (a, s), n in known.tally.items() if n]),
    )
    if numbered and known.numbered:
        await number(transaction, VIOLATION, list(known.numbered))


async def _read(
    transaction: Transaction, keys: Sequence[VerdictSubject], wanted_sets: Sequence[str]
) -> tuple[_Known, list[AddSubjectParameters], list[str]]:
    """Read what is stored of the subjects; return it, with the subjects and the sets of rules that are new."""
    names = instance_ids([name for kind, name in keys if kind == INSTANCE])
    ids = array(sorted({name for kind, name in keys if kind != INSTANCE}))
    instances, verdicts, sets_known, last_set = await transaction.fetch_all(
        together(
            INSTANCES_NAMED.bind(names), VERDICTS_OF.bind(names), RULE_SETS.bind({"sets": array(wanted_sets)}),
            LAST_RULE_SET.bind({}),
        )
    )  # fmt: skip
    known = known_instances(instances)
    found = _Known(
        numbers={(INSTANCE, name): one.number for name, one in known.items()},
        accounts={name: one.account_id for name, one in known.items()},
        sets=rule_sets(sets_known),
        before={(INSTANCE, name, rule): stood for (name, rule), stood in standing(verdicts).items()},
    )
    added_sets = [one for one in wanted_sets if one not in found.sets]
    found.sets |= {one: last_number(last_set) + 1 + place for place, one in enumerate(added_sets)}
    others = list(dict.fromkeys(key for key in keys if key[0] != INSTANCE))
    if not others:
        _note_failing(found)
        return found, [], added_sets
    numbered, stood, last = await transaction.fetch_all(
        together(SUBJECTS_NAMED.bind({"ids": ids}), VERDICTS_OF_SUBJECTS.bind({"ids": ids}), LAST_SUBJECT.bind({}))
    )
    found.numbers |= subject_numbers(numbered)
    found.before |= standing_of_subjects(stood)
    _note_failing(found)
    added: list[AddSubjectParameters] = []
    for kind, name in others:
        if (kind, name) not in found.numbers:
            found.numbers[kind, name] = last_number(last) + 1 + len(added)
            application = name.partition("@")[0] if kind in ("version", "application") else ""
            number = found.numbers[kind, name]
            added.append({"number": number, "kind": kind, "id": name, "application_id": application})
    return found, added, added_sets


def _take(known: _Known, index: int, event: Mapping[str, Any]) -> None:
    """Apply one entry to what is known."""
    kind, name = _key(event)
    number = known.numbers[kind, name]
    account = known.accounts[name] if kind == INSTANCE else str(event["account_id"])
    failing = known.failing.setdefault((kind, name), set())
    for verdict in event["verdicts"]:
        rule, folded = verdict["rule"], str(verdict.get("folded_under") or "")
        first = rule in event["first"]
        key = kind, name, rule
        outcome, since = known.before.get(key, (None if first else "pass", event["at"]))
        if outcome != verdict["verdict"]:
            _count(known.tally, account, rule, outcome, -1)
            _count(known.tally, account, rule, verdict["verdict"], 1)
            since = event["at"]
        if verdict["verdict"] == "pass" and key not in known.before:
            continue
        known.before[key] = verdict["verdict"], since
        failing.discard(rule)
        failing |= {rule} if verdict["verdict"] == "fail" else set()
        known.folds[kind, number, rule] = folded
        known.moved[kind, number, rule] = {
            "subject_kind": kind,
            "subject": number,
            "rule": rule,
            "rule_version": verdict["version"],
            "verdict": verdict["verdict"],
            "reason": verdict["reason"],
            "since": since,
            "ledger_index": index,
        }
    known.numbered |= dict.fromkeys(verdict_key(rule, kind, name) for rule in sorted(failing))


def _note_failing(known: _Known) -> None:
    for (kind, name, rule), (outcome, _) in known.before.items():
        if outcome == "fail":
            known.failing.setdefault((kind, name), set()).add(rule)


def _key(event: Mapping[str, Any]) -> VerdictSubject:
    kind = event["subject"]["kind"]
    if kind not in SUBJECT_KINDS:
        raise ValueError("unknown kind of subject of a verdict")
    return kind, event["subject"]["id"]


def _rules_of(event: Mapping[str, Any]) -> str:
    """Return the rules that judged, with their versions, as stored text."""
    return msgspec.json.encode(dict(event["rules"]), order="sorted").decode()


def _count(tally: dict[tuple[str, str], int], account: str, rule: str, outcome: str | None, by: int) -> None:
    if outcome is not None:
        key = account, f"{rule}/{outcome}"
        tally[key] = tally.get(key, 0) + by
