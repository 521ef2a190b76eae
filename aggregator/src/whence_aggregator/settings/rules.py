"""The setting `rules_off`: which rules are switched off, and why."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from whence_aggregator.compliance.own.rule_file import PREFIX
from whence_aggregator.compliance.rules.catalogue import RULES
from whence_common.errors import one_line

REASON_CHARACTERS_MAX = 500
_IDS = tuple(one.id for one in RULES)


def wrong_in_rules_off(off: Mapping[str, str]) -> list[str]:
    """Return what is wrong, each with its place. Whether a rule of your own exists is known when they are read."""
    wrong = []
    for name, reason in off.items():
        if name not in _IDS and not name.startswith(PREFIX):
            close = difflib.get_close_matches(name, _IDS, n=1)
            hint = f": did you mean {close[0]}?" if close else ""
            wrong.append(f"rules_off.{one_line(name, 60)}: there is no such rule{hint}")
        elif not reason.strip() or len(reason) > REASON_CHARACTERS_MAX or not reason.isprintable():
            wrong.append(
                f"rules_off.{one_line(name, 60)} must state the reason in 1 to {REASON_CHARACTERS_MAX} characters"
            )
    if off and all(name in off for name in _IDS):
        wrong.append("rules_off: every rule is switched off, so that everything would pass: leave some in force")
    return wrong
