"""A user's rule as the program judges by it, and as the log records it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import msgspec

from whence_aggregator.compliance.evidence import SubjectEvidence
from whence_aggregator.compliance.own.checking import members_read
from whence_aggregator.compliance.own.rule_file import RuleInFile, condition_of
from whence_aggregator.compliance.own.syntax import parse
from whence_aggregator.compliance.rule import Rule, RuleExample, Verdict, unknown
from whence_common.digest import sha256_digest


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnRule:
    """A rule with its condition. `version` counts the changes of the rule in the log; 0 before it was recorded."""

    source: RuleInFile
    condition: str
    """As the engine evaluates it."""
    digest: str
    """Of the source."""
    version: int = 0

    @classmethod
    def of(cls, source: RuleInFile) -> OwnRule:
        """Return a rule from its source. Raises ExpressionWrong."""
        return cls(source=source, condition=condition_of(source), digest=sha256_digest(content_of(source)))

    @classmethod
    def from_entry(cls, stated: Mapping[str, Any]) -> OwnRule:
        """Return the rule that an entry of the log states. Raises msgspec.ValidationError and ExpressionWrong."""
        return replace(cls.of(msgspec.convert(stated["source"], RuleInFile)), version=int(stated["version"]))

    @property
    def id(self) -> str:
        return self.source.id

    @property
    def members(self) -> tuple[str, ...]:
        """The members of the evidence that it reads."""
        return members_read(parse(self.source.pass_when))

    @property
    def reads_time(self) -> bool:
        """Return whether time alone may change its verdict."""
        return "now" in self.members

    def to_rule(self) -> Rule:
        """Return it as the list of rules has it."""
        source = self.source
        return Rule(
            id=source.id, title=source.title, severity=source.severity, rationale=source.rationale,
            remedy=source.remedy, judge=_not_here, kind=source.kind, audit_relevant=source.audit_relevant,
            version=self.version, own=self.digest,
            examples=tuple(RuleExample(outcome=one.expect, given=one.given) for one in source.examples),
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnAnswer:
    """The verdict of a rule about one subject. `broken`: the engine ended, or took too long."""

    verdict: Verdict
    broken: bool = False


class JudgesByOwnRules(Protocol):
    """Evaluates conditions, apart from this program."""

    async def judge(self, rules: Sequence[OwnRule], evidence: SubjectEvidence) -> Mapping[str, OwnAnswer]:
        """Return each rule's answer, by id. What cannot be evaluated is unknown; nothing is raised for it."""
        ...

    @property
    def failing(self) -> Mapping[str, str]:
        """The rules that could not be evaluated lately, and why."""
        ...


class NoOwnRules:
    """Judges nothing: no rules of users are configured."""

    failing: Mapping[str, str] = {}

    async def judge(self, rules: Sequence[OwnRule], evidence: SubjectEvidence) -> Mapping[str, OwnAnswer]:
        return {one.id: OwnAnswer(verdict=unknown("no engine evaluates this rule"), broken=True) for one in rules}


NO_OWN_RULES = NoOwnRules()


def content_of(source: RuleInFile) -> bytes:
    """Return the source as it is digested and recorded."""
    return msgspec.json.encode(source, order="deterministic")


def broken_rules(answers: Mapping[str, OwnAnswer]) -> dict[str, str]:
    """Return the rules that could not be evaluated, and why: only then it is not repeatable."""
    return {name: one.verdict.reason for name, one in answers.items() if one.broken}


def _not_here(_: SubjectEvidence) -> Verdict:
    raise AssertionError("rules of users are evaluated in a process of their own")
