"""What the agent needs from its AWS account, as protocols. They mention no third-party type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from whence_common.errors import RoadError
from whence_common.image_reference import ImageReference


class CloudRefused(RoadError):
    """An AWS API does not answer, or denies the request; the message names the missing permission."""


class NobodyWaits(CloudRefused):
    """The stack, hook or target does not wait for this instance any more: it has completed, or does not exist."""

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
        """Return the volumes in this zone with this Name tag, available or attached here. Raises CloudRefused."""

    async def attach(self, volume_id: str, *, instance_id: str, device: str) -> None:
        """Attach a volume. Raises CloudRefused."""

    async def forget_erase_tag(self, volume_id: str) -> None:
        """Delete the tag that requests one formatting. Raises CloudRefused."""


class Signals(Protocol):
    async def stack(self, stack: str, resource: str, *, unique_id: str, success: bool) -> None:
        """Signal a CloudFormation resource. Raises CloudRefused or NobodyWaits, as all of these methods do."""

    async def lifecycle(self, group: str, hook: str, *, instance_id: str, proceed: bool) -> None:
        """Complete an Auto Scaling lifecycle action."""

    async def unhealthy(self, instance_id: str) -> None:
        """Mark this instance as unhealthy, so that its Auto Scaling group replaces it."""

    async def terminate(self, instance_id: str) -> None:
        """Terminate this instance."""


class LoadBalancers(Protocol):
    async def in_service(self, kind: Literal["classic", "target-group"], name: str, *, instance_id: str) -> str:
        """Return an empty text if the instance is in service, else its state and the reason. Raises CloudRefused."""

    async def deregister(self, kind: Literal["classic", "target-group"], name: str, *, instance_id: str) -> None:
        """Deregister the instance. Raises CloudRefused; NobodyWaits if it is not registered."""


class Repositories(Protocol):
    async def tags_move(self, reference: ImageReference) -> str:
        """Return ECR's tag mutability if the repository's tags may change, an empty text if they are immutable."""

    async def sign_in(self, registry: str) -> tuple[str, str]:
        """Return ECR's user name and password for a registry. Raises CloudRefused."""


class WebIdentity(Protocol):
    async def token(self, audience: str) -> str:
        """Return a JWT about the instance's role, which AWS signs. Raises SecretUnavailable."""


class MetricSink(Protocol):
    async def put(self, namespace: str, values: Mapping[str, float], *, dimensions: Mapping[str, str]) -> None:
        """Publish percentages as CloudWatch metrics. Raises CloudRefused."""
