"""Projection of the objects of the mint bucket that agents state."""

from __future__ import annotations

from whence_aggregator.projections.stated import AppendedStatement
from whence_aggregator.queries.instance_credentials import PUT_INSTANCE_CREDENTIAL, PutInstanceCredentialParameters
from whence_aggregator.queries.query import BoundCommand
from whence_common.statement import CREDENTIAL_FILES


class HeldWrites:
    """The rows of one batch. Two statements of an instance are written one after the other."""

    def __init__(self) -> None:
        self._turns: list[list[PutInstanceCredentialParameters]] = []
        self._times: dict[int, int] = {}

    def add(self, one: AppendedStatement, instance: int) -> None:
        """Add a row for each object that an application may have; none if the statement states no objects."""
        rows = _rows(one, instance)
        if not rows:
            return
        turn = self._times.get(instance, 0)
        self._times[instance] = turn + 1
        if turn == len(self._turns):
            self._turns.append([])
        self._turns[turn] += rows

    @property
    def commands(self) -> list[BoundCommand]:
        """Return a command for each turn: none if no statement states objects."""
        return [PUT_INSTANCE_CREDENTIAL.bind(rows) for rows in self._turns]


def _rows(one: AppendedStatement, instance: int) -> list[PutInstanceCredentialParameters]:
    if one.stated.objects is None:
        return []
    held = {file: (generation, version_id) for file, generation, version_id in one.stated.objects}
    return [
        {
            "instance": instance, "file": file, "ledger_index": one.ledger_index, "held": int(file in held),
            "generation": held.get(file, ("", ""))[0], "version_id": held.get(file, ("", ""))[1],
            "since": one.stated.observed_at,
        }
        for file in CREDENTIAL_FILES
    ]  # fmt: skip
