"""A source of the organisation that says what a test has it say."""

from __future__ import annotations

from whence_aggregator.organisation.values import Snapshot
from whence_aggregator.ports import SourceUnavailable


class FakeOrganisation:
    """Returns `says`, or raises it."""

    def __init__(self, says: Snapshot | SourceUnavailable) -> None:
        self.says = says
        self.asked = 0

    async def read(self) -> Snapshot:
        self.asked += 1
        if isinstance(self.says, SourceUnavailable):
            raise self.says
        return self.says
