"""Which broken link of the lineage a verdict folds under, so that one cause is one violation. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from whence_aggregator.compliance.evidence import SubjectEvidence
from whence_aggregator.compliance.rule import Rule, Verdict
from whence_aggregator.compliance.rules.catalogue import RulesInForce
from whence_aggregator.trace.lineage import LinkName

DEPENDS_ON: Mapping[LinkName, tuple[LinkName, ...]] = MappingProxyType({
    "team": ("user_data", "application"),
    "application": ("user_data",),
    "version": ("user_data",),
    "approval": ("user_data", "application", "image"),
    "image": ("user_data",),
    "source": ("user_data", "image"),
    "commit": ("user_data", "image", "source"),
    "review": ("user_data", "image", "source", "commit"),
    "ticket": ("user_data", "image", "source", "commit"),
    "specification": ("user_data", "application"),
})  # fmt: skip
"""The links that each link rests on, the first of the chain first. The others rest on none."""
BROKEN = ("missing", "contradicted")


def folded_under(rule: Rule, verdict: Verdict, evidence: SubjectEvidence, in_force: RulesInForce) -> LinkName | None:
    """Return the first broken link that a failed or unknown verdict depends on; None where it stands for itself.

    A link that no rule in force is about hides nothing, nor one whose break a rule would show that is switched off.
    """
    if verdict.outcome not in ("fail", "unknown") or rule.link is None:
        return None
    for name in DEPENDS_ON.get(rule.link, ()):
        link = evidence.links.get(name)
        if link is not None and link.state in BROKEN and name in in_force.links:
            return name
    return None
