"""The list of rules, as `GET /v1/rules` returns it. Each rule is a function of the evidence."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from whence_aggregator.compliance.evidence import SUBJECTS_OF_RULES, SubjectEvidence, SubjectOfRule
from whence_aggregator.compliance.own.recorded import NOTHING_RECORDED, RecordedRules
from whence_aggregator.compliance.own.rules import NO_OWN_RULES, JudgesByOwnRules, OwnAnswer, OwnRule
from whence_aggregator.compliance.presence import ended
from whence_aggregator.compliance.rule import ConfiguredSource, NotKnown, Rule, Verdict, unknown
from whence_aggregator.compliance.rule_settings import NO_RULE_SETTINGS, RuleSettings
from whence_aggregator.compliance.rules.instance import INSTANCE_UNLISTED
from whence_aggregator.compliance.rules.of_agents import AGENT_RULES
from whence_aggregator.compliance.rules.of_commits import COMMIT_RULES
from whence_aggregator.compliance.rules.of_credentials import CREDENTIAL_RULES
from whence_aggregator.compliance.rules.of_images import IMAGE_RULES
from whence_aggregator.compliance.rules.of_instances import INSTANCE_RULES
from whence_aggregator.compliance.rules.of_owners import OWNER_RULES
from whence_aggregator.trace.lineage import LinkName

RULES: tuple[Rule, ...] = (*INSTANCE_RULES, *AGENT_RULES, *IMAGE_RULES, *COMMIT_RULES, *OWNER_RULES, *CREDENTIAL_RULES)
assert len({rule.id for rule in RULES}) == len(RULES)

SHOWN_BY: Mapping[LinkName, frozenset[str]] = MappingProxyType({
    "user_data": frozenset({"user-data-missing", "user-data-changed"}),
    "application": frozenset({"application-unregistered"}),
    "image": frozenset({"image-mutable", "boot-failed"}),
    "source": frozenset({"source-missing"}),
    "commit": frozenset({"commit-not-found", "commit-unmerged", "commit-rewritten", "commit-unsigned", "source-dirty"}),
})  # fmt: skip
"""The rules that fail when a link is missing or contradicted: if one is switched off, nothing folds under the link."""


class NoRules(ValueError):
    """An empty set of rules would pass everything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RulesInForce:
    """The rules that judge, by the settings; and why the others do not."""

    rules: tuple[Rule, ...]
    settings: RuleSettings = NO_RULE_SETTINGS
    not_in_force: Mapping[str, str]
    by_kind: Mapping[str, tuple[Rule, ...]]
    links: frozenset[str]
    """The links of the lineage whose breaks are shown: verdicts may fold under them."""
    every: tuple[Rule, ...] = RULES
    """All rules, also those that are not in force."""
    own: Mapping[str, OwnRule] = field(default_factory=dict)
    """The rules in force that users wrote, by id."""
    off: frozenset[str] = frozenset()
    """The rules that the settings switch off."""
    recorded: RecordedRules = NOTHING_RECORDED
    engine: JudgesByOwnRules = NO_OWN_RULES
    """What evaluates the rules that users wrote."""
    known: Mapping[str, int] = field(init=False)
    """The newest versions of all rules that this program knows, by id; also of removed ones."""
    _versions: Mapping[str, Mapping[str, int]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.rules:
            raise NoRules("no rule is in force: with an empty set of rules, everything would pass")
        # made once: each instance that is judged asks for both
        object.__setattr__(self, "known", {**self.recorded.removed, **{one.id: one.version for one in self.every}})
        versions = {
            kind: {one.id: one.version for one in sorted(some, key=lambda one: one.id)}
            for kind, some in self.by_kind.items()
        }
        object.__setattr__(self, "_versions", versions)

    @classmethod
    def of(
        cls,
        settings: RuleSettings = NO_RULE_SETTINGS,
        sources: Collection[ConfiguredSource] = (),
        *,
        rules: tuple[Rule, ...] = RULES,
        off: Mapping[str, str] = MappingProxyType({}),
        recorded: RecordedRules = NOTHING_RECORDED,
        engine: JudgesByOwnRules = NO_OWN_RULES,
    ) -> RulesInForce:
        """Return the rules that are in force. `off`: why rules are switched off, by id. Raises NoRules."""
        every = (*rules, *(one.to_rule() for one in recorded.own))
        reasons = dict.fromkeys(recorded.removed, "the rule was removed")
        reasons |= {one.id: one.why_not_in_force(settings, frozenset(sources)) for one in every}
        reasons |= {name: f"it is switched off: {reason}" for name, reason in off.items()}
        chosen = tuple(one for one in every if not reasons[one.id])
        return cls(
            rules=chosen,
            by_kind={kind: tuple(one for one in chosen if one.kind == kind) for kind in SUBJECTS_OF_RULES},
            links=frozenset(
                one.link
                for one in chosen
                if one.link is not None and not SHOWN_BY.get(one.link, frozenset()) & off.keys()
            ),
            settings=settings,
            not_in_force={name: reason for name, reason in reasons.items() if reason},
            every=every,
            own={one.id: one for one in recorded.own if not reasons[one.id]},
            off=frozenset(off),
            recorded=recorded,
            engine=engine,
        )

    @property
    def current(self) -> RulesInForce:
        """Return these rules: they are never replaced by themselves (see `live`)."""
        return self

    async def own_answers(self, evidence: SubjectEvidence) -> Mapping[str, OwnAnswer]:
        """Return what the rules that users wrote state of a subject, by id."""
        own = [one for one in self.own.values() if one.source.kind == evidence.kind]
        if not own or (evidence.kind == "instance" and ended(evidence) is not None):
            return {}
        return await self.engine.judge(own, evidence)

    def of_kind(self, kind: SubjectOfRule) -> tuple[Rule, ...]:
        return self.by_kind[kind]

    def versions(self, kind: SubjectOfRule) -> Mapping[str, int]:
        """Return the versions of the rules about a kind of subject, in the order of ids."""
        return self._versions[kind]

    def to_wire(self) -> list[dict[str, object]]:
        """Return all rules, also those that are not in force, with the reason."""
        return [
            {**one.to_wire(), "in_force": one.id not in self.not_in_force,
             "reason": self.not_in_force.get(one.id) or None, "failing": self.engine.failing.get(one.id)}
            for one in self.every
        ]  # fmt: skip


def judge(
    rule: Rule, evidence: SubjectEvidence, *, version: int | None = None, answer: OwnAnswer | None = None
) -> Verdict:
    """Return the verdict of one rule, by its present or an earlier version. What is absent makes it unknown.

    `answer` is that of a rule that users wrote.

    For an ended instance only `instance-unlisted` can fail. Raises KeyError for a version that never was.
    """
    gone = ended(evidence) if evidence.kind == "instance" and rule.id != INSTANCE_UNLISTED else None
    if gone is not None:
        return gone
    if rule.own:
        return answer.verdict if answer is not None else unknown("the rule was not evaluated")
    function = rule.judge if version in (None, rule.version) else dict(rule.earlier or {})[version or 0]
    try:
        return function(evidence)
    except NotKnown as exc:
        return unknown(f"not known: {exc}")
