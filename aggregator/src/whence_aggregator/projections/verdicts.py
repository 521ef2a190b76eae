"""Projection of verdicts: about instances, and about subjects that have numbers of their own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from whence_aggregator.ports import Transaction
from whence_aggregator.projections.rows import (
    Stood,
    counted_instances,
    known_instances,
    last_number,
    rule_sets,
    rules_of_instances,
    rules_of_subjects,
    standing,
    standing_of_subjects,
    subject_numbers,
)
from whence_aggregator.projections.silences import silence_in
from whence_aggregator.projections.verdict_counts import (
    CountedInstance,
    CountedPlace,
    Form,
    VerdictCounts,
    form_of,
)
from whence_aggregator.queries.agents import INSTANCES_NAMED
from whence_aggregator.queries.compliance import (
    ADD_RULE_SET,
    ADD_SILENCE,
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
    AddSilenceParameters,
    AddSubjectParameters,
    FoldVerdictParameters,
    SetRulesOfSubjectParameters,
    SetRulesParameters,
    SetVerdictParameters,
    UnfoldVerdictParameters,
)
from whence_aggregator.queries.query import array, instance_ids, together
from whence_aggregator.queries.reports import (
    ADD_TO_VERDICT_COUNT,
    ADD_TO_VERDICT_TOTAL,
    COUNT_INSTANCE,
    COUNTED_INSTANCES,
    CountInstanceParameters,
)

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
    before: dict[VerdictSubject, dict[str, Stood]]
    """By subject and rule."""
    counted: dict[str, CountedInstance]
    forms: dict[VerdictSubject, dict[str, Form]] = field(default_factory=dict)
    """How the verdicts of a subject are counted, by rule."""
    recounted: set[str] = field(default_factory=set)
    """Instances that are counted for another application than before."""
    counts: VerdictCounts = field(default_factory=VerdictCounts)
    tally: dict[tuple[str, str], int] = field(default_factory=dict)
    moved: dict[tuple[str, int, str], SetVerdictParameters] = field(default_factory=dict)
    folds: dict[tuple[str, int, str], str] = field(default_factory=dict)
    silences: list[AddSilenceParameters] = field(default_factory=list)


async def project_verdicts(transaction: Transaction, entries: VerdictEntries) -> None:
    """Update the verdicts of subjects and their counts; store which rules have judged each."""
    keys = [_key(event) for _, event in entries]
    sets = {index: _rules_of(event) for index, event in entries}
    known, new_subjects, new_sets = await _read(transaction, keys, sorted(set(sets.values())))
    for index, event in entries:
        _take(known, index, event)
    of_instances: list[SetRulesParameters] = []
    counted: list[CountInstanceParameters] = [
        {"instance": known.numbers[INSTANCE, name], "application_id": known.counted[name].application_id}
        for name in sorted(known.recounted)
    ]
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
        ADD_SILENCE.bind(known.silences),
        SET_RULES.bind(of_instances),
        SET_RULES_OF_SUBJECT.bind(of_subjects),
        ADD_TO_TALLY.bind([{"account_id": a, "subject": s, "n": n} for (a, s), n in known.tally.items() if n]),
        COUNT_INSTANCE.bind(counted),
        ADD_TO_VERDICT_COUNT.bind(known.counts.rows()),
        ADD_TO_VERDICT_TOTAL.bind(known.counts.totals()),
    )


async def _read(
    transaction: Transaction, keys: Sequence[VerdictSubject], wanted_sets: Sequence[str]
) -> tuple[_Known, list[AddSubjectParameters], list[str]]:
    """Read what is stored of the subjects; return it, with the subjects and the sets of rules that are new."""
    names = instance_ids([name for kind, name in keys if kind == INSTANCE])
    ids = array(sorted({name for kind, name in keys if kind != INSTANCE}))
    instances, verdicts, sets_known, last_set, counted = await transaction.fetch_all(
        together(
            INSTANCES_NAMED.bind(names), VERDICTS_OF.bind(names), RULE_SETS.bind({"sets": array(wanted_sets)}),
            LAST_RULE_SET.bind({}), COUNTED_INSTANCES.bind(names),
        )
    )  # fmt: skip
    known, stood = known_instances(instances), standing(verdicts)
    found = _Known(
        numbers={(INSTANCE, name): one.number for name, one in known.items()},
        accounts={name: one.account_id for name, one in known.items()},
        sets=rule_sets(sets_known),
        before={(INSTANCE, name): some for name, some in stood.items()},
        counted=counted_instances(counted),
    )
    for name, rules in rules_of_instances(instances).items():
        found.forms[INSTANCE, name] = _forms(found, (INSTANCE, name), rules)
    added_sets = [one for one in wanted_sets if one not in found.sets]
    found.sets |= {one: last_number(last_set) + 1 + place for place, one in enumerate(added_sets)}
    others = list(dict.fromkeys(key for key in keys if key[0] != INSTANCE))
    if not others:
        return found, [], added_sets
    numbered, of_subjects, last = await transaction.fetch_all(
        together(SUBJECTS_NAMED.bind({"ids": ids}), VERDICTS_OF_SUBJECTS.bind({"ids": ids}), LAST_SUBJECT.bind({}))
    )
    found.numbers |= subject_numbers(numbered)
    found.before |= standing_of_subjects(of_subjects)
    for key, rules in rules_of_subjects(numbered).items():
        found.forms[key] = _forms(found, key, rules)
    added: list[AddSubjectParameters] = []
    for kind, name in others:
        if (kind, name) not in found.numbers:
            found.numbers[kind, name] = last_number(last) + 1 + len(added)
            number = found.numbers[kind, name]
            added.append({"number": number, "kind": kind, "id": name, "application_id": application_of(kind, name)})
    return found, added, added_sets


def _take(known: _Known, index: int, event: Mapping[str, Any]) -> None:
    """Apply one entry to what is known."""
    kind, name = key = _key(event)
    number = known.numbers[key]
    account = known.accounts[name] if kind == INSTANCE else str(event["account_id"])
    before, first = known.before.setdefault(key, {}), frozenset(event["first"])
    silence = silence_in(event)
    if silence is not None:
        known.silences.append({"instance": number, "ledger_index": index, **silence})
    for verdict in event["verdicts"]:
        rule, folded = verdict["rule"], str(verdict.get("folded_under") or "")
        stood = before.get(rule)
        outcome, since, was_folded = stood or Stood(None if rule in first else "pass", event["at"])
        if outcome != verdict["verdict"]:
            _count(known.tally, account, rule, outcome, -1)
            _count(known.tally, account, rule, verdict["verdict"], 1)
            since = event["at"]
        if verdict["verdict"] == "pass" and stood is None:
            continue
        before[rule] = Stood(verdict["verdict"], since, bool(folded))
        if folded or was_folded:
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
    _move_counts(known, key, account, event["rules"])


def _move_counts(known: _Known, key: VerdictSubject, account: str, rules: Collection[str]) -> None:
    """Count the subject as its verdicts are now, for the application that it is of."""
    kind, name = key
    if kind == INSTANCE:
        instance = known.counted[name]
        application = instance.application_id
        before = instance.counted if instance.counted is not None else application
        if instance.counted != application:
            known.counted[name] = CountedInstance(application_id=application, counted=application)
            known.recounted.add(name)
    else:
        before = application = application_of(kind, name)
    place = CountedPlace(account_id=account, application_id=application, kind=kind)
    forms = _forms(known, key, rules)
    known.counts.move((replace(place, application_id=before), known.forms.get(key, {})), (place, forms))
    known.forms[key] = forms


def _forms(known: _Known, key: VerdictSubject, rules: Collection[str]) -> dict[str, Form]:
    """Return how the subject's verdicts are counted. A rule without a row has always passed."""
    found, before = {}, known.before.get(key, {})
    for rule in rules:
        stood = before.get(rule)
        form = form_of(stood.outcome, stood.folded) if stood is not None else "passed"
        if form is not None:
            found[rule] = form
    return found


def application_of(kind: str, name: str) -> str:
    """Return the application of a subject that is not an instance; empty for AMIs and accounts."""
    return name.partition("@")[0] if kind in ("version", "application") else ""


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
