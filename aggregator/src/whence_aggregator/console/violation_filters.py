"""The filters of violations, as the address of a page has them and as the API takes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from whence_aggregator.console.form_times import to_api_instant

CHOICES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "status": (
        ("", "not fixed"), ("open,reopened", "open or reopened"), ("acknowledged", "acknowledged"),
        ("exempted", "exempted"), ("fixed", "fixed"), ("any", "any"),
    ),
    "severity": (("", "any"), ("1", "critical"), ("2", "high"), ("3", "medium"), ("4", "low")),
    "verdict": (("", "any"), ("fail", "confirmed now"), ("unknown", "not confirmed now")),
    "kind": (
        ("", "any"), ("version", "version"), ("application", "application"), ("account", "account"), ("ami", "AMI"),
        ("report", "report"),
    ),
    "sort": (
        ("", "severity, worst first"), ("-since", "newest first"), ("since", "oldest first"),
        ("-last_seen", "seen last"), ("-first_seen", "first seen last"), ("first_seen", "first seen"), ("rule", "rule"),
        ("team", "team"), ("application", "application"), ("-severity", "severity, least first"),
    ),
}  # fmt: skip
"""What a select offers: each value with its word."""
TEXTS: Mapping[str, str] = {
    "application": "Application", "version": "Version, of an application", "account": "Account",
    "instance": "Instance", "region": "Region", "ami": "AMI", "exemption": "Exemption",
}  # fmt: skip
TIMES: Mapping[str, str] = {
    "since": "Opened since", "until": "Opened before", "at": "As it was at", "known_at": "As known at",
}  # fmt: skip
FILTERS = ("status", "severity", "team", "rule", "verdict", "kind", *TEXTS, *TIMES, "sort")
NOT_NARROWING = ("status", "sort", "at", "known_at")
"""What does not make the list a part of what there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ViolationFilters:
    """What a visitor asks for. `given` has no empty values; `stated_otherwise` if the address can be shorter."""

    given: Mapping[str, str]
    cursor: str
    stated_otherwise: bool

    @classmethod
    def of(cls, query: Mapping[str, str]) -> ViolationFilters:
        """Read the address of a page; what no filter takes is left out."""
        given = {name: query[name].strip() for name in FILTERS if query.get(name, "").strip()}
        given = {name: to_api_instant(text) if name in TIMES else text for name, text in given.items()}
        named = {name: text for name, text in query.items() if name != "cursor"}
        return cls(given=given, cursor=query.get("cursor", ""), stated_otherwise=named != given)

    def is_narrow(self, only_team: str | None) -> bool:
        """Return whether the visitor could see more; `only_team` is the team that it may not leave out."""
        free = NOT_NARROWING if only_team is None else (*NOT_NARROWING, "team")
        return any(name not in free for name in self.given)

    def to_api(self, **further: str) -> dict[str, str]:
        """Return the parameters of the API."""
        cursor = {"cursor": self.cursor} if self.cursor else {}
        return {"grouped": "true", **self.given, **cursor, **further}
