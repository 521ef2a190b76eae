"""Flow logs, by EC2."""

from __future__ import annotations

from collections.abc import Sequence

from whence_aggregator.accounts.resources import Json, StandingResource, WantedResource, is_own, seen_tags
from whence_aggregator.accounts.steps.flow_logs import FLOW_LOG
from whence_aggregator.adapters.accounts.network_reads import Item, matched, put_tags, tagged, tags_of
from whence_aggregator.adapters.accounts.place import AwsPlace
from whence_aggregator.adapters.accounts.vpcs import vpc_ids_for
from whence_aggregator.adapters.accounts.whole_lists import whole_list
from whence_common.errors import RoadError

_TYPES = {"s3": "s3", "firehose": "kinesis-data-firehose"}
"""LogDestinationType by the service in a destination's ARN."""


class FlowLogProvider:
    def __init__(self, place: AwsPlace) -> None:
        self._place = place

    async def read(self, wanted: Sequence[WantedResource]) -> Sequence[StandingResource]:
        ec2 = await self._place.client("ec2")
        vpc_ids = await vpc_ids_for(ec2, wanted)
        logs = await whole_list(ec2, "describe_flow_logs", "FlowLogs")
        found = matched(
            wanted, logs,
            lambda one, item: (
                (item["ResourceId"], _destination(item)) == (vpc_ids.get(one.name), one.state.get("destination"))
            ),
        )  # fmt: skip
        return [self._standing(*one) for one in found]

    async def find(self) -> Sequence[StandingResource]:
        """Return all flow logs, named by their ids."""
        logs = await whole_list(await self._place.client("ec2"), "describe_flow_logs", "FlowLogs")
        return [self._standing(one["FlowLogId"], None, one) for one in logs]

    def _standing(self, name: str, wanted: WantedResource | None, log: Item) -> StandingResource:
        return StandingResource(
            kind=FLOW_LOG, name=name, region=self._place.region, is_own=is_own(tags_of(log)),
            state={
                "tags": seen_tags(tags_of(log), wanted), "vpc": log["ResourceId"], "destination": _destination(log),
                "role": log.get("DeliverLogsPermissionArn"), "traffic": log["TrafficType"],
            },
            outputs={"id": log["FlowLogId"]},
        )  # fmt: skip

    async def create(self, wanted: WantedResource) -> None:
        """Create a flow log. Raises RoadError for what AWS refuses within an answer of success."""
        ec2 = await self._place.client("ec2")
        state, destination = wanted.state, str(wanted.state["destination"])
        where: dict[str, Json] = {"LogDestinationType": "cloud-watch-logs", "LogGroupName": destination}
        if destination.startswith("arn:"):
            where = {"LogDestinationType": _TYPES[destination.split(":")[2]], "LogDestination": destination}
        if state["role"] is not None:
            where["DeliverLogsPermissionArn"] = state["role"]
        answer = await ec2.create_flow_logs(
            ResourceIds=[state["vpc"]], ResourceType="VPC", TrafficType=state["traffic"],
            TagSpecifications=tagged("vpc-flow-log", state["tags"]), **where,
        )  # fmt: skip
        for one in answer.get("Unsuccessful", []):
            reason = one.get("Error", {}).get("Message", "AWS names no reason")
            fix = "create the destination, and allow delivery.logs.amazonaws.com to write there"
            raise RoadError("flow-log-refused", f"AWS creates no flow log to {destination}: {reason}"[:1_500], fix=fix)

    async def put(self, standing: StandingResource, aspect: str, value: Json) -> None:
        await put_tags(await self._place.client("ec2"), standing.outputs["id"], value)

    async def delete(self, standing: StandingResource) -> None:
        ec2 = await self._place.client("ec2")
        await ec2.delete_flow_logs(FlowLogIds=[standing.outputs["id"]])


def _destination(log: Item) -> str:
    """Return the log group or the ARN that a flow log writes to. AWS names no log group where it is another kind."""
    return str(log.get("LogGroupName") or log.get("LogDestination") or "")
