"""The report of an import: as lines, or as one JSON document."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from whence_aggregator.whence.importing.plan import FieldChange, ImportAction, PlannedWrite
from whence_aggregator.whence.importing.running import ImportOutcome
from whence_aggregator.whence.importing.values import Unmapped
from whence_common.errors import one_line

_VALUE_CHARACTERS_MAX = 80
_WORDS: Mapping[ImportAction, str] = {
    "create": "created",
    "change": "changed",
    "deactivate": "deactivated",
    "unchanged": "unchanged",
}


def report_lines(outcome: ImportOutcome) -> Iterator[str]:
    """Yield the report's lines: what is or would be written, then what was left out, then what is not mapped."""
    for one in outcome.writes:
        if one.action != "unchanged" and (outcome.dry_run or one.application_id in outcome.written):
            yield f"{one.action:<10}  {one.application_id:<30}  {_changes(one)}"
    for kind, counted in (("skipped", outcome.reading.skipped), ("left out", outcome.reading.left_out)):
        if counted:
            yield f"{kind:<10}  {_counted(counted)}"
    for note in outcome.reading.notes:
        yield f"{'left out':<10}  {_placed(note)}"
    for problem in outcome.problems:
        yield f"{'not mapped':<10}  {_placed(problem)}"


def summary(outcome: ImportOutcome) -> str:
    """Return the numbers in one line."""
    done = Counter(one.action for one in outcome.writes if outcome.dry_run or _is_done(outcome, one))
    parts = [f"{done[action]} {word}" for action, word in _WORDS.items() if done[action] or action != "deactivate"]
    parts.append(f"{len(outcome.problems)} not mapped or refused")
    left = sum(not _is_done(outcome, one) and one.application_id not in outcome.refused for one in outcome.writes)
    if left and not outcome.dry_run:
        parts.append(f"{left} not reached")
    if outcome.teams_file != "none":
        parts.append(f"{len(outcome.reading.teams)} teams {outcome.teams_file}")
    return ("dry run, nothing was written: " if outcome.dry_run else "") + ", ".join(parts)


def report_document(outcome: ImportOutcome) -> dict[str, object]:
    """Return the report as JSON states it."""
    return {
        "source": outcome.reading.source,
        "dry_run": outcome.dry_run,
        "applications": [{**one.to_wire(), "result": _result(outcome, one)} for one in outcome.writes],
        "not_mapped": [one.to_wire() for one in outcome.problems],
        "notes": [one.to_wire() for one in outcome.reading.notes],
        "skipped": dict(sorted(outcome.reading.skipped.items())),
        "left_out": dict(sorted(outcome.reading.left_out.items())),
        "teams": [{"id": one.team_id, "name": one.name, "members": list(one.members)} for one in outcome.reading.teams],
        "teams_file": outcome.teams_file,
    }


def _result(outcome: ImportOutcome, one: PlannedWrite) -> str:
    if one.action == "unchanged":
        return "unchanged"
    if outcome.dry_run:
        return "planned"
    if one.application_id in outcome.written:
        return "written"
    return "refused" if one.application_id in outcome.refused else "not-reached"


def _is_done(outcome: ImportOutcome, one: PlannedWrite) -> bool:
    return one.action == "unchanged" or one.application_id in outcome.written


def _changes(one: PlannedWrite) -> str:
    if one.action == "create":
        return ", ".join(f"{change.field}={_value(change.after)}" for change in one.changes)
    return ", ".join(map(_change, one.changes))


def _change(change: FieldChange) -> str:
    return f"{change.field}: {_value(change.before)} -> {_value(change.after)}"


def _value(value: object) -> str:
    return repr(one_line(value, _VALUE_CHARACTERS_MAX)) if isinstance(value, str) else str(value)


def _counted(counted: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(counted.items()))


def _placed(one: Unmapped) -> str:
    named = f"{one.application_id}: " if one.application_id and one.application_id not in one.reason else ""
    fix = f" ({one.fix})" if one.fix else ""
    return f"{one.origin}: {named}{one.reason}{fix}"
