"""Users' rules as the log has them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from whence_aggregator.compliance.own.rules import OwnRule


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRules:
    """Users' rules with their versions. `entries`: by rule, the entry with its source; `removed`: the last versions."""

    own: tuple[OwnRule, ...] = ()
    entries: Mapping[str, int] = field(default_factory=dict)
    removed: Mapping[str, int] = field(default_factory=dict)


NOTHING_RECORDED = RecordedRules()
