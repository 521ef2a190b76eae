"""The table of rules in the README: made from the rules, so that it shows what they are. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping

from whence_aggregator.compliance.rule import SETTING_OF_SOURCE, Rule
from whence_aggregator.compliance.rules.catalogue import RULES

_TITLE = "| rule | subject | severity | passes when | needs | fails with | unknown with |"


def table() -> str:
    """Return the rules as a table in Markdown: an example of evidence that fails, and of one that is not enough."""
    return "\n".join([_TITLE, "|---|---|---|---|---|---|---|", *map(_row, RULES)]) + "\n"


def _row(rule: Rule) -> str:
    audit = ", audit" if rule.audit_relevant else ""
    shown = {one.outcome: one.given for one in rule.examples}
    title = rule.title[:1].lower() + rule.title[1:] if not rule.title.startswith("The EC2") else rule.title
    cells = (
        f"`{rule.id}`", rule.kind, f"{rule.severity}{audit}", title, _needs(rule), _example(shown["fail"]),
        _example(shown["unknown"]),
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _needs(rule: Rule) -> str:
    settings = [f"`rules.{one}`" for one in rule.setting.split(",") if one]
    source = [SETTING_OF_SOURCE[rule.source]] if rule.source is not None else []
    return ", ".join([*source, " or ".join(settings)] if settings else source) or "nothing"


def _example(given: Mapping[str, object]) -> str:
    """Return evidence without the settings and the time, which the other cells state."""
    shown = {name: one for name, one in given.items() if name not in ("settings", "now") and one != {}}
    return f"`{json.dumps(shown, separators=(', ', ': '))}`" if shown else "no evidence"
