"""What an import reads and finds: places in sources, wanted applications, and what could not be mapped. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Origin:
    """A place in a source. `document` and `line` count from 1; 0 means the whole file."""

    file: str
    document: int = 0
    line: int = 0

    def __str__(self) -> str:
        document = f" document {self.document}" if self.document else ""
        line = f" line {self.line}" if self.line else ""
        return f"{self.file}{document}{line}"

    def to_wire(self) -> dict[str, object]:
        return {"file": self.file, "document": self.document, "line": self.line}


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmapped:
    """A record, document or file that cannot be imported. No value of an annotation is in `reason`."""

    origin: Origin
    code: str
    reason: str
    fix: str = ""
    application_id: str = ""
    unread: bool = False
    """Whether records may be hidden here: a file or document that could not be read."""

    def to_wire(self) -> dict[str, object]:
        return {
            "application_id": self.application_id or None,
            **self.origin.to_wire(),
            "code": self.code,
            "reason": self.reason,
            "fix": self.fix,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedApplication:
    """An application as a source states it. A field that is not in `fields` is not stated, and is left as it is."""

    application_id: str
    origin: Origin
    fields: Mapping[str, Any]
    initial: Mapping[str, Any] = field(default_factory=dict)
    """Fields that apply only when the application is created."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedMembers:
    """A team and its direct members, as a source states them."""

    team_id: str
    name: str
    members: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class SourceReading:
    """All that one run read from its source."""

    source: str
    """Names the source in the state file and in reports; it holds no secret."""
    applications: list[WantedApplication] = field(default_factory=list)
    unmapped: list[Unmapped] = field(default_factory=list)
    notes: list[Unmapped] = field(default_factory=list)
    """What was left out of a record that is imported."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Number of records of each kind that are no applications."""
    left_out: Counter[str] = field(default_factory=Counter)
    """Number of records with each key that has no equivalent."""
    teams: list[StatedMembers] = field(default_factory=list)
    filtered: set[str] = field(default_factory=set)
    """Ids that the source has and an option leaves out."""

    def present(self) -> set[str]:
        """Return the ids that the source has in any form, also those of records that could not be mapped."""
        stated = {one.application_id for one in self.applications} | {one.application_id for one in self.unmapped}
        return (stated | self.filtered) - {""}


def refuse_duplicates(reading: SourceReading) -> None:
    """Refuse every record whose id another record has too: no order decides between them."""
    places: dict[str, list[Origin]] = {}
    for one in reading.applications:
        places.setdefault(one.application_id, []).append(one.origin)
    kept = []
    for one in reading.applications:
        others = [str(place) for place in places[one.application_id] if place is not one.origin]
        if not others:
            kept.append(one)
            continue
        reading.unmapped.append(
            Unmapped(
                origin=one.origin,
                code="import-duplicate",
                reason=f"application {one.application_id} is stated more than once: also in {', '.join(others[:3])}",
                fix="keep one of them",
                application_id=one.application_id,
            )
        )
    reading.applications[:] = kept
