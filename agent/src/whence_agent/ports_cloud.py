"""What the agent needs from the account it runs in. No third-party type crosses these lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from whence_common.errors import RoadError
from whence_common.image_reference import ImageReference


class CloudRefused(RoadError):
    """An AWS API does not answer, or does not allow what was asked; the message names the permission."""


class NobodyWaits(CloudRefused):
    """What was to be told is nobody's to hear any more: the stack is done, the hook has passed, the target is gone."""

    def __init__(self, message: str) -> None:
        super().__init__("nobody-waits", message, retryable=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """One EBS volume. `device` is set while it is attached to this instance."""

    volume_id: str
    device: str | None
    erase_tag: bool


class Volumes(Protocol):
    async def by_name(self, name: str, *, zone: str, instance_id: str) -> list[Volume]:
        """Give the volumes in this zone with this Name tag that are available or ours. Raises CloudRefused."""

    async def attach(self, volume_id: str, *, instance_id: str, device: str) -> None:
        """Attach a volume. Raises CloudRefused."""

    async def forget_erase_tag(self, volume_id: str) -> None:
        """Take the tag away that asked for the one formatting. Raises CloudRefused."""


class Signals(Protocol):
    async def stack(self, stack: str, resource: str, *, unique_id: str, success: bool) -> None:
        """Signal a CloudFormation resource. Raises CloudRefused, NobodyWaits among them, as all of these do."""

    async def lifecycle(self, group: str, hook: str, *, instance_id: str, proceed: bool) -> None:
        """Complete an Auto Scaling lifecycle action."""

    async def unhealthy(self, instance_id: str) -> None:
        """Have the Auto Scaling group replace this instance."""

    async def terminate(self, instance_id: str) -> None:
        """Terminate this instance."""


class LoadBalancers(Protocol):
    async def in_service(self, kind: Literal["classic", "target-group"], name: str, *, instance_id: str) -> str:
        """Give an empty text when the instance is in service, else the state and its reason. Raises CloudRefused."""

    async def deregister(self, kind: Literal["classic", "target-group"], name: str, *, instance_id: str) -> None:
        """Take the instance out. Raises CloudRefused; NobodyWaits when it is not in there."""


class Repositories(Protocol):
    async def tags_move(self, reference: ImageReference) -> str:
        """Give an empty text when ECR says that the repository's tags never move, else what it says."""

    async def sign_in(self, registry: str) -> tuple[str, str]:
        """Give ECR's user name and password for a registry. Raises CloudRefused."""


class MetricSink(Protocol):
    async def put(self, namespace: str, values: Mapping[str, float], *, dimensions: Mapping[str, str]) -> None:
        """Put percentages as CloudWatch metrics. Raises CloudRefused."""
