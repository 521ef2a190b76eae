"""Records every change of a rule in the log: added, changed and removed rules, and those switched off and on."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec

from whence_aggregator.compliance.own.recorded import RecordedRules
from whence_aggregator.compliance.own.rules import OwnRule
from whence_aggregator.compliance.rows import RuleState, rule_states
from whence_aggregator.ledger.ledger import Ledger
from whence_aggregator.ledger.writing import NewEntry
from whence_aggregator.ports import Database
from whence_aggregator.projections.rule_sets import RULE_SET, project_rule_sets
from whence_aggregator.queries.compliance import RULE_STATES, UNJUDGE_EVERY
from whence_common.clock import to_instant
from whence_common.ledger_entry import event
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)


async def record_rules(
    database: Database, ledger: Ledger, own: Sequence[OwnRule], off: Mapping[str, str], *, at: datetime
) -> RecordedRules:
    """Append the changes since the last start, and return the rules with their versions. Raises StorageUnavailable."""
    states = rule_states(await database.fetch(RULE_STATES.bind({})))
    changes = changes_of(states, own, off, at=to_instant(at))
    if changes:
        async with ledger.writing() as writing:
            found = await writing.transaction.fetch(RULE_STATES.bind({}))  # another replica may start too
            states = rule_states(found)
            changes = changes_of(states, own, off, at=to_instant(at))
            entries = [NewEntry(kind=RULE_SET, content=event(RULE_SET, one)) for one in changes]
            places = [index for index, _ in await writing.append(entries)]
            await writing.flush()
            await project_rule_sets(writing.transaction, list(zip(places, changes, strict=True)))
            await writing.transaction.execute(UNJUDGE_EVERY.bind([{}]))  # subjects are found by their instances
            states = rule_states(await writing.transaction.fetch(RULE_STATES.bind({})))
    for one in changes:
        log.warning("a rule was changed", extra=fields(rule=one["rule"], change=one["change"], version=one["version"]))
    return RecordedRules(
        own=tuple(replace(one, version=states[one.id].version) for one in own),
        entries={one.id: states[one.id].source_index for one in own},
        removed={name: one.version for name, one in states.items() if one.version and not one.digest},
    )


def changes_of(
    states: Mapping[str, RuleState], own: Sequence[OwnRule], off: Mapping[str, str], *, at: str
) -> list[dict[str, Any]]:
    """Return what changed, as entries, in the order of ids. Each has the state of its rule after the change."""
    ours = {one.id: one for one in own}
    found: list[dict[str, Any]] = []
    for name in sorted({*states, *ours, *off}):
        stands = states.get(name) or RuleState(rule=name)
        rule, reason = ours.get(name), off.get(name, "")
        after = {"at": at, "rule": name, "version": stands.version, "digest": stands.digest,
                 "reason": stands.reason, "source": None, "source_entry": stands.source_index}  # fmt: skip
        if rule is not None and rule.digest != stands.digest:
            after |= {"version": stands.version + 1, "digest": rule.digest}
            change = "changed" if stands.digest else "added"
            # a switch in the same start is a second entry, with the same source
            found.append({**after, "change": change, "source": msgspec.to_builtins(rule.source), "source_entry": None})
        elif rule is None and stands.digest:
            after |= {"digest": ""}
            found.append({**after, "change": "removed"})
        if reason != stands.reason:
            switched = {**after, "change": "off" if reason else "on", "reason": reason}
            if rule is not None and after["version"] != stands.version:
                switched |= {"source": msgspec.to_builtins(rule.source), "source_entry": None}
            found.append(switched)
    return found
