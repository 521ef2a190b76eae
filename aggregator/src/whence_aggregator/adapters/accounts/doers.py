"""Who changed a resource last: CloudTrail's LookupEvents, which answers for the last 90 days of management events.

AWS allows two calls a second for each account and region, so a bounded number of resources is asked about.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from whence_aggregator.accounts.drift import DriftDoer
from whence_aggregator.accounts.plan import AccountPlan, PlannedChange
from whence_aggregator.adapters.accounts.place import AwsPlace
from whence_aggregator.adapters.aws_clients import CALL_FAILURES
from whence_aggregator.adapters.aws_refusals import why
from whence_common.clock import to_instant
from whence_common.errors import one_line

RESOURCES_MAX = 10
"""About which events are looked up, of one account."""
_EVENTS_MAX = 10
_SECONDS_BETWEEN = 0.5
_GLOBAL = "us-east-1"
"""Where events of IAM, Route 53 and other services without regions are."""
_IDENTITIES = ("id", "arn", "name")


async def doers(plan: AccountPlan, place: AwsPlace, *, regions: Sequence[str]) -> Mapping[str, DriftDoer]:
    """Return who changed the first resources that a plan changes, by address."""
    outputs = {one.address: one.outputs for one in plan.standing}
    found: dict[str, DriftDoer] = {}
    for change in [one for one in plan.changes if one.action != "create"][:RESOURCES_MAX]:
        region = change.address.partition("/")[0]
        names = _names(change, outputs.get(change.address, {}))
        found[change.address] = await _doer(place, region if region in regions else _GLOBAL, names)
        if found[change.address].reason.startswith("AWS"):
            break  # the next call would be refused too
    return found


def _names(change: PlannedChange, outputs: Mapping[str, object]) -> list[str]:
    """Return the names under which CloudTrail may know a resource: ids first, then its own name."""
    ids = [str(outputs[one]) for one in _IDENTITIES if outputs.get(one)]
    return [*ids, change.address.rpartition("/")[2]]


async def _doer(place: AwsPlace, region: str, names: Sequence[str]) -> DriftDoer:
    for name in dict.fromkeys(names):
        try:
            client = await place.client("cloudtrail", region)
            answer = await client.lookup_events(
                LookupAttributes=[{"AttributeKey": "ResourceName", "AttributeValue": name}], MaxResults=_EVENTS_MAX
            )
        except CALL_FAILURES as exc:
            return DriftDoer(reason=one_line(f"AWS does not say who changed it: {why(exc)}", 300))
        for event in answer.get("Events", ()):  # the newest first
            if str(event.get("ReadOnly", "")).lower() != "true":
                return DriftDoer(
                    at=to_instant(event["EventTime"]), event=one_line(str(event.get("EventName", "")), 128),
                    event_id=one_line(str(event.get("EventId", "")), 64),
                    by=one_line(str(event.get("Username", "")), 300),
                )  # fmt: skip
        await asyncio.sleep(_SECONDS_BETWEEN)
    return DriftDoer(reason="no event of the last 90 days names it")
