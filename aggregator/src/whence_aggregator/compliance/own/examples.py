"""The examples of users' rules: each states the verdict that its evidence must have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from whence_aggregator.compliance.own.rule_file import evidence_of_example
from whence_aggregator.compliance.own.rules import JudgesByOwnRules, OwnRule
from whence_aggregator.compliance.rule import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedExample:
    """One example with its verdict. `number` counts from 1, as people do."""

    rule: OwnRule
    number: int
    expected: str
    found: Verdict

    @property
    def right(self) -> bool:
        return self.found.outcome == self.expected

    def __str__(self) -> str:
        where = f"{self.rule.id}, example {self.number}"
        if self.right:
            return f"{where}: {self.expected}"
        return f"{where}: {self.expected} was expected, but the rule returned {self.found.outcome}: {self.found.reason}"


async def judge_examples(engine: JudgesByOwnRules, rules: Sequence[OwnRule]) -> list[JudgedExample]:
    """Return all examples of some rules with their verdicts."""
    found = []
    for rule in rules:
        for number, example in enumerate(rule.source.examples, start=1):
            answers = await engine.judge([rule], evidence_of_example(rule.source, example))
            verdict = answers[rule.id].verdict
            found.append(JudgedExample(rule=rule, number=number, expected=example.expect, found=verdict))
    return found
