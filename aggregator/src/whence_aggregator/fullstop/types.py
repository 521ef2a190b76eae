"""Violation types as they are served: fullstop.'s own, one for each rule without one, and reported ones. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from whence_aggregator.compliance.fullstop_types import FULLSTOP_TYPES, SEVERITY_SERVED_OF
from whence_aggregator.compliance.rule import Rule
from whence_aggregator.fullstop.type_table import SHIPPED_TYPES

TITLE_CHARACTERS_MAX = 32
SHIPPED_AT = "2015-01-01T00:00:00.000Z"
"""When types that nobody reported were made: the clients print a time for each."""
_BY_RULE = {rule: name for name, rules in reversed(list(FULLSTOP_TYPES.items())) for rule in rules}
"""Of several types of one rule, the first."""


def type_of_rule(rule: str) -> str:
    """Return the id of the type that a rule's violations are served with."""
    return _BY_RULE.get(rule, rule.upper().replace("-", "_"))


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
    """The types that the rules have, and those that were only reported."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        by_type: dict[str, list[Rule]] = {name: [] for name in SHIPPED_TYPES}
        for rule in rules:
            by_type.setdefault(type_of_rule(rule.id), []).append(rule)
        self.known: Mapping[str, ViolationType] = {name: _type(name, found) for name, found in by_type.items()}
        self._rules = {name: tuple(rule.id for rule in found) for name, found in by_type.items()}

    def get(self, type_id: str) -> ViolationType:
        """Return a type; one that nobody has described has severity 0, as fullstop. made it."""
        return self.known.get(type_id) or unknown_type(type_id)

    def rules(self, types: Iterable[str] | None) -> list[str]:
        """Return the rules whose violations are of these types; None: of any."""
        names = self._rules if types is None else types
        return sorted({rule for name in names for rule in self._rules.get(name, ())})

    def severity(self, type_id: str) -> int:
        """Return the severity of a type as Whence counts: from 1, worst, to 4."""
        return max(1, min(4, SEVERITY_SERVED_OF - self.get(type_id).violation_severity))

    def served(self, reported: Mapping[str, str]) -> list[ViolationType]:
        """Return all types by id; `reported`: types of reports, with the time of the first of each."""
        unknown = [unknown_type(name, at) for name, at in reported.items() if name not in self.known]
        return sorted([*self.known.values(), *unknown], key=lambda one: one.id)


def unknown_type(type_id: str, created: str = SHIPPED_AT) -> ViolationType:
    """Return the type of a report that names one that is not known."""
    text = "Reported by another program; not described."
    return ViolationType(
        id=type_id, help_text=text, violation_severity=0, audit_relevant=False, title=type_id[:TITLE_CHARACTERS_MAX],
        priority=None, created=created,
    )  # fmt: skip


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
