"""Who caused a violation: for each of its instances, the event that touched it last before its fault. Pure.

CloudTrail is one source: what it states is `asserted`. An event before a fault need not be its cause; it is the nearest
that is known. Where none is, the answer states why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

CAUSES_MAX = 50
"""Instances of one violation whose causes are read: those whose faults are the oldest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceFault:
    """Since when an instance breaks a rule."""

    instance_id: str
    account_id: str
    region: str
    since: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CausedBy:
    """The event, or why it is not known. `reason` may also state what was not read beside an event that is known."""

    state: Literal["asserted", "unknown"] = "unknown"
    value: Mapping[str, Any] | None = None
    reason: str | None = None

    def to_wire(self) -> dict[str, object]:
        return {"state": self.state, "value": self.value, "reason": self.reason}


class CauseReader(Protocol):
    """Reads events that touched instances."""

    async def causes(self, faults: Sequence[InstanceFault]) -> Sequence[CausedBy]:
        """Return what caused each fault, in their order."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Caused:
    """The causes of a violation: of its instances by id, and of the one whose fault is the oldest."""

    first: CausedBy | None = None
    by_instance: Mapping[str, CausedBy] = field(default_factory=dict)


def faults_of(instances: Sequence[Mapping[str, Any]], *, since: str) -> list[InstanceFault]:
    """Return the oldest faults of instances; one without a verdict of its own has the fault since the violation has."""
    found = [
        InstanceFault(
            instance_id=one["instance_id"], account_id=one["account_id"], region=one["region"],
            since=one.get("since") or since,
        )
        for one in instances
    ]  # fmt: skip
    return sorted(found, key=lambda one: (one.since, one.instance_id))[:CAUSES_MAX]


async def caused(instances: Sequence[Mapping[str, Any]], *, since: str, reader: CauseReader) -> Caused:
    """Return the causes of a violation by its instances. Raises StorageUnavailable."""
    faults = faults_of(instances, since=since)
    if not faults:
        return Caused()
    causes = await reader.causes(faults)
    by_instance = {one.instance_id: cause for one, cause in zip(faults, causes, strict=True)}
    return Caused(first=causes[0], by_instance=by_instance)


def with_causes(shown: Mapping[str, Any], found: Caused) -> dict[str, Any]:
    """Return a violation as it is shown, with `caused_by` for itself and for its instances."""
    instances = shown["instances"]
    if instances is not None:
        causes = {name: cause.to_wire() for name, cause in found.by_instance.items()}
        instances = [{**one, "caused_by": causes.get(one["instance_id"])} for one in instances]
    return {**shown, "instances": instances, "caused_by": found.first.to_wire() if found.first is not None else None}
