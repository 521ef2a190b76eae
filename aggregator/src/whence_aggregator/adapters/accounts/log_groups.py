"""Log groups, by CloudWatch Logs: that of the trail, and that of flow logs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from whence_aggregator.accounts.resources import (
    Json,
    ResourceKind,
    StandingResource,
    WantedResource,
    is_own,
    seen_tags,
)
from whence_aggregator.accounts.steps.cloudtrail import LOG_GROUP
from whence_aggregator.accounts.steps.flow_logs import FLOW_LOG_GROUP
from whence_aggregator.accounts.steps.found_ways import GROUP
from whence_aggregator.adapters.accounts.answers import answered
from whence_aggregator.adapters.accounts.calls import gathered, own_arns
from whence_aggregator.adapters.accounts.place import AwsPlace
from whence_aggregator.adapters.accounts.whole_lists import whole_list

_GONE = "ResourceNotFoundException"
_OF_GROUPS = ":log-group:"


class LogGroupProvider:
    """The log group of the trail, by the name that the configuration states, and others of ours by their tag."""

    kind: ResourceKind = LOG_GROUP

    def __init__(self, place: AwsPlace) -> None:
        self._place = place

    async def read(self, wanted: Sequence[WantedResource]) -> Sequence[StandingResource]:
        asked = {one.name: one for one in wanted}
        logs = await self._place.client("logs")
        names = sorted({*asked, *(await self._own_names())})
        found = await gathered(self._group(logs, one, asked.get(one)) for one in names)
        return [one for one in found if one is not None]

    async def find(self) -> Sequence[StandingResource]:
        """Return the groups that are ours: a trail names the group of another owner by itself."""
        return await self.read(())

    async def _own_names(self) -> frozenset[str]:
        """Return the names of groups that are ours and may be left over."""
        arns = await own_arns(self._place, "logs")
        return frozenset(one.partition(_OF_GROUPS)[2].removesuffix(":*") for one in arns) - {GROUP}

    async def _group(self, logs: Any, name: str, wanted: WantedResource | None) -> StandingResource | None:
        groups = await whole_list(logs, "describe_log_groups", "logGroups", logGroupNamePrefix=name)
        found = next((one for one in groups if one["logGroupName"] == name), None)
        if found is None:
            return None
        arn = str(found["arn"]).removesuffix(":*")
        listed = await answered(logs.list_tags_for_resource(resourceArn=arn), _GONE)
        if listed is None or (wanted is None and not is_own(listed["tags"])):
            return None
        return self._standing(found, arn, listed["tags"], wanted)

    def _standing(
        self, found: Mapping[str, Any], arn: str, tags: Mapping[str, str], wanted: WantedResource | None
    ) -> StandingResource:
        return StandingResource(
            kind=self.kind, name=found["logGroupName"], region=self._place.region, is_own=is_own(tags),
            state={"tags": seen_tags(tags, wanted), "retention_in_days": found.get("retentionInDays")},
            outputs={"arn": arn, "streams": f"{arn}:*"},
        )  # fmt: skip

    async def create(self, wanted: WantedResource) -> None:
        logs = await self._place.client("logs")
        await logs.create_log_group(logGroupName=wanted.name, tags=wanted.state["tags"])

    async def put(self, standing: StandingResource, aspect: str, value: Json) -> None:
        logs = await self._place.client("logs")
        if aspect == "tags":
            await logs.tag_resource(resourceArn=standing.outputs["arn"], tags=value)
        else:
            assert aspect == "retention_in_days", aspect
            await logs.put_retention_policy(logGroupName=standing.name, retentionInDays=value)

    async def delete(self, standing: StandingResource) -> None:
        logs = await self._place.client("logs")
        await answered(logs.delete_log_group(logGroupName=standing.name), _GONE)


class FlowLogGroupProvider(LogGroupProvider):
    """The one log group of flow logs, which always has the same name."""

    kind = FLOW_LOG_GROUP

    async def find(self) -> Sequence[StandingResource]:
        """Return the group, whoever made it."""
        asked = WantedResource(kind=FLOW_LOG_GROUP, name=GROUP, state={})
        found = await self._group(await self._place.client("logs"), GROUP, asked)
        return [found] if found is not None else []

    async def _own_names(self) -> frozenset[str]:
        return frozenset({GROUP})
