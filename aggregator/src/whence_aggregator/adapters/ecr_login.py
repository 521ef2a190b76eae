"""Passwords of ECR, asked for again before they expire."""

from __future__ import annotations

from datetime import datetime, timedelta

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError

from whence_aggregator.registry.refusals import unavailable
from whence_common.clock import Now

_REQUEST_SECONDS_MAX = 10.0
_KEPT = timedelta(hours=6)
"""A password of ECR holds for twelve hours."""


class EcrLogin:
    """Gives the Authorization header for ECR in one region."""

    def __init__(self, *, region: str, endpoint_url: str | None, now: Now) -> None:
        self._region = region
        self._endpoint_url = endpoint_url
        self._now = now
        self._known: tuple[datetime, str] | None = None

    async def __call__(self) -> str:
        """Give the header. Raises RegistryRefusal when ECR gives no password."""
        now = self._now()
        if self._known is None or self._known[0] < now:
            config = AioConfig(connect_timeout=_REQUEST_SECONDS_MAX, read_timeout=_REQUEST_SECONDS_MAX)
            try:
                async with get_session().create_client(
                    "ecr", region_name=self._region, endpoint_url=self._endpoint_url, config=config
                ) as ecr:
                    answer = await ecr.get_authorization_token()
                token = str(answer["authorizationData"][0]["authorizationToken"])
            except (ClientError, BotoCoreError, OSError, TimeoutError, LookupError) as exc:
                raise unavailable(f"ECR gives no password ({type(exc).__name__})") from exc
            self._known = now + _KEPT, f"Basic {token}"
        return self._known[1]
