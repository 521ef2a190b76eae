"""Write a plan to a registry of applications, one PUT at a time: a refused one does not stop the rest."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from whence_aggregator.whence.client import Client, Refused, segment
from whence_aggregator.whence.importing.pace import Pace
from whence_aggregator.whence.importing.plan import PlannedWrite
from whence_aggregator.whence.importing.values import Origin, Unmapped
from whence_common.errors import RoadError, WhenceError

_UNAVAILABLE = 503


class RegistryOfApplications(Protocol):
    """Where applications are written, as the caller. Raises Refused or RoadError."""

    def records(self) -> Sequence[Mapping[str, Any]]:
        """Return every application with all fields."""
        ...

    def write(self, application_id: str, document: Mapping[str, Any]) -> None: ...


def carry_out(
    registry: RegistryOfApplications,
    writes: Sequence[PlannedWrite],
    *,
    written: Callable[[PlannedWrite], None],
    progress: Callable[[int, int], None],
) -> Iterator[Unmapped]:
    """Write what is to be written; yield what the registry refused. Raises RoadError if it is unreachable.

    A refusal of the caller as such (401) ends the run too: it holds for every record.
    """
    pending = [one for one in writes if one.action != "unchanged"]
    for number, one in enumerate(pending, start=1):
        progress(number, len(pending))
        try:
            registry.write(one.application_id, one.document)
        except Refused as exc:
            if exc.status == 401:
                raise
            yield Unmapped(
                origin=one.origin or Origin(file="the aggregator"),
                code=f"refused-{exc.code}",
                reason=f"the aggregator refuses it: {exc.message}",
                fix=exc.fix,
                application_id=one.application_id,
            )
        else:
            written(one)


class AppsOverHttp:
    """Kio's paths of an aggregator: GET /apps and PUT /apps/{id}."""

    def __init__(self, client: Client, *, pace: Pace) -> None:
        self._client = client
        self._pace = pace

    def records(self) -> Sequence[Mapping[str, Any]]:
        content = self._pace.tried(lambda: self._client.get_bytes("/apps"), retried=_is_busy)
        try:
            found = json.loads(content)
        except (ValueError, RecursionError):
            found = content
        rows = [] if found is None else found  # Kio states an empty list as null
        if not isinstance(rows, list) or not all(
            isinstance(one, dict) and isinstance(one.get("id"), str) for one in rows
        ):
            raise RoadError("answer-not-list", "the response to /apps is not a list: is this a whence-aggregator?")
        return rows

    def write(self, application_id: str, document: Mapping[str, Any]) -> None:
        self._pace.tried(lambda: self._client.put(f"/apps/{segment(application_id)}", document), retried=_is_busy)


def _is_busy(exc: WhenceError) -> bool:
    return isinstance(exc, Refused) and exc.status == _UNAVAILABLE
