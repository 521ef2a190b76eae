"""Violation types as they are served: fullstop.'s own, one for each rule without one, and reported ones. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from whence_aggregator.compliance.fullstop_types import REPORTED, SEVERITY_SERVED_OF, type_of_rule
from whence_aggregator.compliance.rule import Rule
from whence_aggregator.fullstop.type_table import SHIPPED_TYPES

TITLE_CHARACTERS_MAX = 32
SHIPPED_AT = "2015-01-01T00:00:00.000Z"
"""When types that nobody reported were made: the clients print a time for each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ViolationType:
    """A type as it is served."""

    id: str
    help_text: str
    violation_severity: int
    audit_relevant: bool
    title: str
    priority: int | None
    created: str = SHIPPED_AT
    created_by: str = "whence"

    def to_wire(self) -> dict[str, object]:
        return {
            "id": self.id, "help_text": self.help_text, "violation_severity": self.violation_severity,
            "audit_relevant": self.audit_relevant, "title": self.title, "priority": self.priority, "version": 0,
            "created": self.created, "created_by": self.created_by, "last_modified": self.created,
            "last_modified_by": self.created_by,
        }  # fmt: skip


class ViolationTypes:
    """The types that the rules have; others are made of the violations that have them."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        by_type: dict[str, list[Rule]] = {name: [] for name in SHIPPED_TYPES}
        for rule in rules:
            by_type.setdefault(type_of_rule(rule.id), []).append(rule)
        self.known: Mapping[str, ViolationType] = {name: _type(name, found) for name, found in by_type.items()}

    def of_rule(self, rule: str, severity: int, created: str = SHIPPED_AT) -> ViolationType:
        """Return the type of a violation of a rule. One that was only reported has severity 0, as fullstop. made it."""
        name = type_of_rule(rule)
        return self.known.get(name) or ViolationType(
            id=name, help_text="Reported by another program; not described.", audit_relevant=False,
            violation_severity=0 if rule.startswith(REPORTED) else SEVERITY_SERVED_OF - severity,
            title=name[:TITLE_CHARACTERS_MAX], priority=None, created=created,
        )  # fmt: skip

    def severity(self, type_id: str) -> int:
        """Return the severity of a type as Whence counts: from 1, worst, to 4."""
        known = self.known.get(type_id)
        return max(1, min(4, SEVERITY_SERVED_OF - known.violation_severity)) if known is not None else 4

    def served(self, seen: Mapping[str, tuple[int, str]]) -> list[ViolationType]:
        """Return all types by id; `seen`: the rules that have violations, with severity and time of the first."""
        found = [self.of_rule(rule, severity, created) for rule, (severity, created) in seen.items()]
        return sorted({**{one.id: one for one in found}, **self.known}.values(), key=lambda one: one.id)


def _type(name: str, rules: list[Rule]) -> ViolationType:
    """Return a type with the severity of the worst of its rules; without rules, with the one that it shipped with."""
    shipped = SHIPPED_TYPES.get(name)
    severity = SEVERITY_SERVED_OF - min(rule.severity for rule in rules) if rules else None
    text = shipped.help_text if shipped is not None else rules[0].rationale
    return ViolationType(
        id=name,
        help_text=f"{text} {rules[0].remedy}" if rules else text,
        violation_severity=severity if severity is not None else shipped.severity if shipped is not None else 0,
        audit_relevant=any(rule.audit_relevant for rule in rules),
        title=(shipped.title if shipped is not None else rules[0].title)[:TITLE_CHARACTERS_MAX],
        priority=shipped.priority if shipped is not None else min(4, rules[0].severity),
    )
