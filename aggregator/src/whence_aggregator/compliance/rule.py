"""A rule evaluates evidence and returns a verdict with its reason. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from whence_aggregator.compliance.evidence import (
    LinkOfEvidence,
    ListedByCloud,
    StatedByScanners,
    SubjectEvidence,
    SubjectOfRule,
)
from whence_aggregator.compliance.rule_settings import RuleSettings
from whence_aggregator.trace.lineage import LinkName

Outcome = Literal["pass", "fail", "unknown", "gone"]
"""`gone`: the subject ended, and its violations are closed; neither a pass nor a violation."""
ConfiguredSource = Literal[
    "inventory",
    "organisation",
    "reviews",
    "tickets",
    "approvals",
    "trust",
    "commit-trust",
    "ami-trust",
    "findings",
    "account-configuration",
    "mint",
]
"""What the settings may configure, and a rule may need."""
T = TypeVar("T")


class NotKnown(Exception):
    """A piece of evidence is absent; the message names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    outcome: Outcome
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleExample:
    """Evidence, as JSON has it, and the outcome of the rule."""

    outcome: Outcome
    given: Mapping[str, Any]

    def to_wire(self) -> dict[str, object]:
        return {"outcome": self.outcome, "given": dict(self.given)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """`severity` is from 1, worst, to 4. `rationale` states why it matters, `remedy` what the team can do."""

    id: str
    title: str
    severity: int
    rationale: str
    remedy: str
    judge: Callable[[SubjectEvidence], Verdict]
    examples: tuple[RuleExample, ...]
    kind: SubjectOfRule = "instance"
    link: LinkName | None = None
    """The link of the lineage that it is about; None where it is about none."""
    audit_relevant: bool = False
    source: ConfiguredSource | None = None
    """What the settings must configure for the rule to be in force."""
    setting: str = ""
    """The name in `rules` without which the rule is not in force; several are separated by commas, and one suffices."""
    version: int = 1
    """Increased whenever the rule may judge the same evidence differently; a verdict keeps the version of its rule."""
    earlier: Mapping[int, Callable[[SubjectEvidence], Verdict]] | None = None
    """The functions of earlier versions, by which old verdicts are replayed. None of them is ever taken away."""
    own: str = ""
    """The digest of its source where users wrote it; it is evaluated in a process of its own."""

    def why_not_in_force(self, settings: RuleSettings, sources: frozenset[ConfiguredSource]) -> str:
        """Return why the rule is not in force; empty when it is."""
        if self.source is not None and self.source not in sources:
            return f"the settings do not configure its source: {SETTING_OF_SOURCE[self.source]}"
        names = self.setting.split(",") if self.setting else []
        if names and all(getattr(settings, one) is None for one in names):
            return "the settings do not have " + " or ".join(f"rules.{one}" for one in names)
        return ""

    def to_wire(self) -> dict[str, object]:
        names = ("id", "version", "title", "severity", "rationale", "remedy", "audit_relevant", "kind", "link")
        return {
            **{name: getattr(self, name) for name in names},
            "examples": [one.to_wire() for one in self.examples],
            "own": bool(self.own),
            "digest": self.own or None,
        }


SETTING_OF_SOURCE: Mapping[ConfiguredSource, str] = {
    "inventory": "`inventory`",
    "organisation": "`organisation`, with a source of accounts",
    "reviews": "`trackers`, with a code host",
    "tickets": "`trackers`",
    "approvals": "`approvals`",
    "trust": "`trust`, with keys or builders",
    "commit-trust": "`commit_trust`",
    "ami-trust": "`ami_builders`",
    "findings": "`findings.scanners`",
    "account-configuration": "`account_configuration`",
    "mint": "`mint`",
}


def given(outcome: Outcome, **evidence: Any) -> RuleExample:
    """Return an example: what is known, as JSON has it, and the outcome."""
    return RuleExample(outcome=outcome, given=evidence)


def passed(reason: str) -> Verdict:
    return Verdict(outcome="pass", reason=reason)


def failed(reason: str) -> Verdict:
    return Verdict(outcome="fail", reason=reason)


def unknown(reason: str) -> Verdict:
    return Verdict(outcome="unknown", reason=reason)


def known(value: T | None, what: str) -> T:
    """Return a piece of evidence. Raises NotKnown, naming it, when it is absent."""
    if value is None:
        raise NotKnown(what)
    return value


def inventory_of(evidence: SubjectEvidence) -> ListedByCloud:
    """Return the instance as the EC2 API lists it. Raises NotKnown, with the reason, when it cannot be read now."""
    cloud = known(evidence.cloud, "the inventory")
    if cloud.unread:
        raise NotKnown(f"the inventory, which cannot be read: {cloud.unread}")
    return cloud


def link_of(evidence: SubjectEvidence, name: LinkName) -> LinkOfEvidence:
    """Return a link. Raises NotKnown when the evidence has none of this name."""
    return known(evidence.links.get(name), f"the link {name}")


def from_link(evidence: SubjectEvidence, name: LinkName) -> Verdict:
    """Return the verdict for a link's state: a gap that was checked fails; one that could not be checked is unknown."""
    link = link_of(evidence, name)
    if link.state in ("confirmed", "asserted"):
        return passed(f"{name} is {link.state}")
    outcome: Outcome = "unknown" if link.state == "unknown" else "fail"
    return Verdict(outcome=outcome, reason=link.reason or link.state)


def from_scanners(stated: StatedByScanners, right: str) -> Verdict:
    """Return the verdict for what scanners state; `right` is the reason of a pass."""
    if stated.outcome == "pass":
        return passed(right)
    if stated.outcome == "fail":
        return failed(stated.reason or "a scanner states a fault")
    return unknown(stated.reason or "no scanner has reported about this image")


def nothing_runs(evidence: SubjectEvidence) -> bool:
    """Return whether no container was started. Raises NotKnown without a statement."""
    return not known(evidence.machine, "a statement of the agent").runs


NOTHING_RUNS = unknown("nothing runs on the instance")
NOT_COLLECTED = unknown("the inventory of this account and region is not collected")
