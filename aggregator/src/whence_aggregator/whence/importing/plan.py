"""What an import would change: each wanted application against the registry's record, field by field. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from whence_aggregator.whence.importing.fields import REQUIRED, WRITABLE
from whence_aggregator.whence.importing.values import Origin, SourceReading, Unmapped, WantedApplication

ImportAction = Literal["create", "change", "deactivate", "unchanged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldChange:
    """One field's change. `before` is None if the record has no value, or is new."""

    field: str
    before: object
    after: object

    def to_wire(self) -> dict[str, object]:
        return {"field": self.field, "from": self.before, "to": self.after}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedWrite:
    """What is to be done about one application; `document` is the body of the PUT."""

    application_id: str
    action: ImportAction
    origin: Origin | None
    changes: tuple[FieldChange, ...] = ()
    document: Mapping[str, Any]

    def to_wire(self) -> dict[str, object]:
        return {
            "id": self.application_id,
            "action": self.action,
            "changes": [one.to_wire() for one in self.changes],
            "origin": self.origin.to_wire() if self.origin is not None else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportPlan:
    writes: tuple[PlannedWrite, ...]
    """By id; `unchanged` included."""
    held_back: tuple[Unmapped, ...]
    """Changes that need an option."""


def plan_import(
    reading: SourceReading,
    records: Iterable[Mapping[str, Any]],
    *,
    hand_over: bool,
    reactivated: frozenset[str] = frozenset(),
    deactivated: Sequence[str] = (),
) -> ImportPlan:
    """Return the plan. `reactivated` were deactivated by an earlier import; `deactivated` are no longer in the source.

    A field that the source does not state is left as it is.
    """
    stored = {str(one.get("id")): one for one in records}
    writes, held_back = [], []
    for wanted in reading.applications:
        record = stored.get(wanted.application_id)
        if record is None:
            writes.append(_creation(wanted))
            continue
        changes = tuple(_changes(wanted, record, active=wanted.application_id in reactivated))
        if not hand_over and any(one.field == "team_id" for one in changes):
            held_back.append(_other_team(wanted, record))
            changes = tuple(one for one in changes if one.field != "team_id")
        writes.append(_update(record, "change" if changes else "unchanged", changes, wanted.origin))
    for application_id in deactivated:
        record = stored.get(application_id)
        if record is not None and record.get("active"):
            changes = (FieldChange(field="active", before=True, after=False),)
            writes.append(_update(record, "deactivate", changes, None))
    return ImportPlan(writes=tuple(sorted(writes, key=lambda one: one.application_id)), held_back=tuple(held_back))


def _creation(wanted: WantedApplication) -> PlannedWrite:
    document = {**wanted.initial, **wanted.fields}
    changes = tuple(FieldChange(field=one, before=None, after=document[one]) for one in WRITABLE if one in document)
    return PlannedWrite(
        application_id=wanted.application_id, action="create", origin=wanted.origin, changes=changes, document=document
    )


def _update(
    record: Mapping[str, Any], action: ImportAction, changes: tuple[FieldChange, ...], origin: Origin | None
) -> PlannedWrite:
    """Return a PUT of the changed fields only, and of those that Kio requires, as they are stored."""
    document = {**{name: record.get(name) for name in REQUIRED}, **{one.field: one.after for one in changes}}
    return PlannedWrite(
        application_id=str(record["id"]), action=action, origin=origin, changes=changes, document=document
    )


def _changes(wanted: WantedApplication, record: Mapping[str, Any], *, active: bool) -> Iterator[FieldChange]:
    stated = {**wanted.fields, **({"active": True} if active and "active" not in wanted.fields else {})}
    for name in WRITABLE:
        if name in stated and record.get(name) != stated[name]:
            yield FieldChange(field=name, before=record.get(name), after=stated[name])


def _other_team(wanted: WantedApplication, record: Mapping[str, Any]) -> Unmapped:
    team, stated = record.get("team_id"), wanted.fields["team_id"]
    return Unmapped(
        origin=wanted.origin, code="import-other-team", application_id=wanted.application_id,
        reason=f"the source states team {stated}, and the application belongs to {team}: its team is left as it is",
        fix="pass --hand-over to change the teams of existing applications",
    )  # fmt: skip
