"""What caused faults of instances, by the events of their accounts' trails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from whence_aggregator.events.rows import CoveredRegion, TrailChange, covered_regions, event_shown
from whence_aggregator.ports import Database
from whence_aggregator.queries.events import EVENTS_OF_INSTANCE, TRAIL_COVERAGES_OF
from whence_aggregator.queries.query import EVERY_ENTRY, array, each
from whence_aggregator.violations.causing import CausedBy, InstanceFault
from whence_common.clock import from_millis, parse_instant, to_millis


class TrailCauses:
    """Reads the newest event before each fault. `configured` is whether events are read at all."""

    def __init__(self, *, database: Database, configured: bool) -> None:
        self._database = database
        self._configured = configured

    async def causes(self, faults: Sequence[InstanceFault]) -> Sequence[CausedBy]:
        """Return what caused each fault, in their order. Raises StorageUnavailable."""
        accounts = array(sorted({one.account_id for one in faults}))
        rows = await self._database.fetch(TRAIL_COVERAGES_OF.bind({"accounts": accounts}))
        read = {(one.account_id, one.region): one for one in covered_regions(rows)}
        found = await self._database.fetch_all(
            each([
                EVENTS_OF_INSTANCE.bind(
                    {"instance_id": one.instance_id, "past": EVERY_ENTRY, "before": _millis(one) + 1, "limit": 1,
                     "after_at": EVERY_ENTRY, "after": EVERY_ENTRY}
                )
                for one in faults
            ])
        )  # fmt: skip
        events = [event_shown(some[0]) if some else None for some in found]
        return [self._caused(one, event, read) for one, event in zip(faults, events, strict=True)]

    def _caused(
        self, fault: InstanceFault, event: TrailChange | None, read: Mapping[tuple[str, str], CoveredRegion]
    ) -> CausedBy:
        unread = self._unread(fault, read.get((fault.account_id, fault.region)))
        if event is not None:
            return CausedBy(state="asserted", value=event.to_wire(), reason=unread)
        return CausedBy(reason=unread or "no recorded event names the instance before its fault")

    def _unread(self, fault: InstanceFault, covered: CoveredRegion | None) -> str | None:
        """Return what was not read of the events before a fault; None if nothing is known to lack."""
        where = f"account {fault.account_id} in {fault.region}"
        if not self._configured:
            return "events of CloudTrail are not read: cloud_trail is not configured"
        if covered is None or covered.newest_at is None:
            failed = f": {covered.failure}" if covered is not None and covered.failure else ""
            return f"no log file of the trail of {where} was read{failed}"
        if covered.newest_at < _millis(fault):
            return f"the trail of {where} is read up to {from_millis(covered.newest_at)}, before the fault"
        return None


def _millis(fault: InstanceFault) -> int:
    return to_millis(parse_instant(fault.since))
