"""The keys that AWS requests are signed with: the instance role's, or those that were given."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from whence_agent.adapters.aws_http import NoKeys
from whence_agent.adapters.imds import ImdsMetadata
from whence_agent.adapters.sigv4 import AwsKeys
from whence_agent.ports import MetadataUnavailable

_SPARE = timedelta(minutes=5)


class RoleKeys:
    """Asks again shortly before the keys end; AWS has new ones there by then."""

    def __init__(self, *, metadata: ImdsMetadata, now: Callable[[], datetime]) -> None:
        self._metadata = metadata
        self._now = now
        self._held: tuple[AwsKeys, datetime] | None = None

    async def __call__(self) -> AwsKeys:
        """Give usable keys. Raises NoKeys."""
        if self._held is None or self._now() >= self._held[1] - _SPARE:
            try:
                found = await self._metadata.role_keys()
            except MetadataUnavailable as exc:
                raise NoKeys(exc.message) from exc
            if found is None:
                raise NoKeys("this instance has no role: attach an instance profile")
            self._held = found
        return self._held[0]


class GivenKeys:
    """Keys from a file or the environment."""

    def __init__(self, keys: AwsKeys | None) -> None:
        self._keys = keys

    async def __call__(self) -> AwsKeys:
        """Give them. Raises NoKeys when there are none."""
        if self._keys is None:
            raise NoKeys("there are no AWS credentials: name a file with -c, or set AWS_ACCESS_KEY_ID")
        return self._keys
