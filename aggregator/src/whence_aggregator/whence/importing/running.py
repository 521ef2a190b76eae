"""One run of an import: plan against the registry's records, confirm what is deactivated, write, and report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from whence_aggregator.whence.importing.carrying_out import RegistryOfApplications, carry_out
from whence_aggregator.whence.importing.plan import PlannedWrite, plan_import
from whence_aggregator.whence.importing.state import ImportState, vanished
from whence_aggregator.whence.importing.teams_file import TeamsFileChange
from whence_aggregator.whence.importing.values import Origin, SourceReading, Unmapped
from whence_common.errors import WhenceError

_PROGRESS_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    dry_run: bool = False
    hand_over: bool = False
    deactivate_missing: bool = False


@dataclass(slots=True, kw_only=True)
class ImportOutcome:
    """What a run planned and did."""

    reading: SourceReading
    dry_run: bool
    writes: Sequence[PlannedWrite] = ()
    written: set[str] = field(default_factory=set)
    problems: list[Unmapped] = field(default_factory=list)
    """What was not mapped, held back or refused."""
    refused: set[str] = field(default_factory=set)
    failure: WhenceError | None = None
    """The error that ended the run before all was written."""
    teams_file: TeamsFileChange = "none"


class ProgressLines:
    """Prints a line at times while many records are read or written."""

    def __init__(self, *, seconds: Callable[[], float], say: Callable[[str], None]) -> None:
        self._seconds = seconds
        self._say = say
        self._next = seconds() + _PROGRESS_SECONDS

    def __call__(self, what: str) -> None:
        now = self._seconds()
        if now >= self._next:
            self._next = now + _PROGRESS_SECONDS
            self._say(what)


def run_import(
    reading: SourceReading,
    registry: RegistryOfApplications,
    options: ImportOptions,
    *,
    state: ImportState | None,
    confirm: Callable[[Sequence[str]], bool],
    progress: ProgressLines,
) -> ImportOutcome:
    """Write a reading to the registry. Raises RoadError, Refused or OSError if nothing could be begun."""
    outcome = ImportOutcome(reading=reading, dry_run=options.dry_run, problems=list(reading.unmapped))
    present = reading.present()
    missing = _missing(reading, options, state, present, outcome)
    plan = plan_import(
        reading, registry.records(), hand_over=options.hand_over, deactivated=missing,
        reactivated=frozenset(state.deactivated & present) if state is not None else frozenset(),
    )  # fmt: skip
    outcome.problems += plan.held_back
    outcome.writes = plan.writes
    if options.dry_run:
        return outcome
    ending = [one.application_id for one in plan.writes if one.action == "deactivate"]
    if ending and not confirm(ending):
        outcome.writes = tuple(one for one in plan.writes if one.action != "deactivate")
        outcome.problems.append(_withheld(reading, "it was not confirmed", "answer y, or pass --yes"))
    _write(outcome, registry, state, progress)
    return outcome


def _write(
    outcome: ImportOutcome, registry: RegistryOfApplications, state: ImportState | None, progress: ProgressLines
) -> None:
    """Write, and save the state whatever happens, also on Ctrl-C."""

    def written(one: PlannedWrite) -> None:
        outcome.written.add(one.application_id)
        if state is None:
            return
        if one.action == "create":
            state.created.add(one.application_id)
        if one.action == "deactivate":
            state.deactivated.add(one.application_id)
        else:
            state.deactivated.discard(one.application_id)

    try:
        for refused in carry_out(
            registry, outcome.writes, written=written,
            progress=lambda number, total: progress(f"writing {number} of {total}"),
        ):  # fmt: skip
            outcome.problems.append(refused)
            outcome.refused.add(refused.application_id)
    except WhenceError as exc:
        outcome.failure = exc
    finally:
        if state is not None and outcome.written:
            state.save()


def _missing(
    reading: SourceReading, options: ImportOptions, state: ImportState | None, present: set[str], outcome: ImportOutcome
) -> tuple[str, ...]:
    """Return what has vanished from the source; nothing if a part of it could not be read, or if it is empty."""
    if not options.deactivate_missing or state is None:
        return ()
    missing = vanished(state, sorted(present))
    unread = next((one for one in reading.unmapped if one.unread), None)
    if missing and unread is not None:
        reason = f"a part of the source could not be read ({unread.origin})"
        outcome.problems.append(_withheld(reading, reason, "correct it, and run the import again"))
        return ()
    if missing and not reading.applications:
        outcome.problems.append(_withheld(reading, "the source has no application", "check the paths"))
        return ()
    return missing


def _withheld(reading: SourceReading, reason: str, fix: str) -> Unmapped:
    origin = Origin(file=reading.source)
    return Unmapped(origin=origin, code="import-not-deactivated", reason=f"nothing is deactivated: {reason}", fix=fix)
