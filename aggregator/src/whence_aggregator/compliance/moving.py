"""Which verdicts of a subject changed, as the entry of the log that states it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from whence_aggregator.compliance.evidence import SubjectEvidence
from whence_aggregator.compliance.folding import folded_under
from whence_aggregator.compliance.own.rules import OwnAnswer
from whence_aggregator.compliance.rows import StandingVerdict
from whence_aggregator.compliance.rule import Verdict
from whence_aggregator.compliance.rules.catalogue import RulesInForce, judge
from whence_common.storable import cleaned, is_storable

_REASON_CHARACTERS_MAX = 1_000


MORE_IMAGES = "the version runs as more images than are judged"
"""The reason of verdicts that would pass by those that are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedVerdict:
    """A verdict by one rule, and the broken link that it folds under; empty: none."""

    verdict: Verdict
    folded_under: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingSubject:
    """What stood before: the versions of the rules that judged, and the verdicts that have rows."""

    account_id: str
    rules: Mapping[str, int]
    verdicts: Mapping[str, StandingVerdict]
    of_other_application: bool = False
    """Whether an instance was counted for another application than it is of now."""


def judge_all(
    evidence: SubjectEvidence, in_force: RulesInForce, answers: Mapping[str, OwnAnswer]
) -> dict[str, JudgedVerdict]:
    """Return the verdict of each rule that is in force for this kind of subject, by rule.

    `answers` are those of the rules that users wrote.
    """
    found = {}
    for rule in in_force.of_kind(evidence.kind):
        verdict = judge(rule, evidence, answer=answers.get(rule.id))
        fold = folded_under(rule, verdict, evidence, in_force)
        found[rule.id] = JudgedVerdict(verdict=storable_verdict(verdict), folded_under=fold or "")
    return found


def of_some_images(verdict: Verdict) -> Verdict:
    """Return a verdict about a version of whose images only some were judged: it passes by none of them."""
    return Verdict(outcome="unknown", reason=MORE_IMAGES) if verdict.outcome == "pass" else verdict


def ended_all(reason: str, evidence: SubjectEvidence, in_force: RulesInForce) -> dict[str, JudgedVerdict]:
    """Return for each rule that the subject is gone."""
    gone = JudgedVerdict(verdict=Verdict(outcome="gone", reason=reason))
    return {rule.id: gone for rule in in_force.of_kind(evidence.kind)}


def storable_verdict(verdict: Verdict) -> Verdict:
    """Return the verdict with a reason that every store accepts: old statements may contain unchecked text."""
    if len(verdict.reason) <= _REASON_CHARACTERS_MAX and is_storable(verdict.reason):
        return verdict
    return replace(verdict, reason=cleaned(verdict.reason)[:_REASON_CHARACTERS_MAX])


def moved_event(
    evidence: SubjectEvidence, verdicts: Mapping[str, JudgedVerdict], before: StandingSubject, in_force: RulesInForce,
    *, closes: bool = True,
) -> dict[str, Any] | None:  # fmt: skip
    """Return the entry of a subject whose verdicts changed: in outcome, in reason, in the rule's version, or in fold.

    None where nothing changed, for the same application. With `closes`, a rule that is no longer in force closes what
    it left open. `verdicts` may be those of some rules only.
    """
    versions = in_force.versions(evidence.kind)
    moved, first = [], []
    for rule in in_force.of_kind(evidence.kind):
        if rule.id not in verdicts:
            continue  # its verdict is from another instance, and in an entry of its own
        if before.rules.get(rule.id, 0) > rule.version:
            continue  # a newer version of the program has judged by this rule, and will do so again
        judged, stood = verdicts[rule.id], before.verdicts.get(rule.id)
        if rule.id not in before.rules:
            first.append(rule.id)
        elif judged.verdict.outcome == "pass" and stood is None:
            continue
        elif judged.verdict.outcome == "gone" and (stood is None or stood.outcome in ("pass", "gone")):
            continue  # no violation was open
        if stood != _standing(judged, rule.version):
            moved.append(_stated(rule.id, rule.version, judged))
    known = in_force.known
    idle = [one for one, version in before.rules.items() if one not in versions and version <= known.get(one, -1)]
    for name in idle if closes else ():
        stood = before.verdicts.get(name)
        if stood is not None and stood.outcome in ("fail", "unknown"):
            why = in_force.not_in_force.get(name, "the rule is about another kind of subject")
            gone = Verdict(outcome="gone", reason=f"the rule is not in force: {why}")
            moved.append(_stated(name, before.rules[name], JudgedVerdict(verdict=gone)))
    rules = dict(versions)
    if before.rules:
        kept = {name: version for name, version in before.rules.items() if name not in idle}
        rules = {**kept, **{name: max(version, kept.get(name, 0)) for name, version in versions.items()}}
    if not moved and dict(before.rules) == rules and not before.of_other_application:
        return None
    return {
        "subject": {"kind": evidence.kind, "id": evidence.id},
        "account_id": before.account_id,
        "at": evidence.now,
        "first": first,
        "rules": rules,
        "verdicts": moved,
    }


def _standing(judged: JudgedVerdict, version: int) -> StandingVerdict:
    return StandingVerdict(judged.verdict.outcome, judged.verdict.reason, version, judged.folded_under)


def _stated(rule: str, version: int, judged: JudgedVerdict) -> dict[str, Any]:
    stated = {"rule": rule, "version": version, "verdict": judged.verdict.outcome, "reason": judged.verdict.reason}
    return {**stated, "folded_under": judged.folded_under} if judged.folded_under else stated
