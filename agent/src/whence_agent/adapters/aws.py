"""Clients of the SDK (aiobotocore) for what few machines need: one for each call, so that nothing stays in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_REQUEST_SECONDS_MAX = 10.0
_ATTEMPTS_MAX = 3


class AwsClients:
    """Makes clients in the instance's region, known once they are needed, with the instance role's credentials."""

    def __init__(self, *, endpoint_url: str | None, metadata_url: str, region: Callable[[], str]) -> None:
        self._region = region
        self._endpoint_url = endpoint_url
        self._metadata_url = metadata_url

    def once(self, service: str) -> Any:
        """Give a client for one use, as an async context. Entering it raises what botocore raises."""
        from aiobotocore.config import AioConfig
        from aiobotocore.session import get_session

        session = get_session()
        session.set_config_variable("ec2_metadata_service_endpoint", self._metadata_url)
        config = AioConfig(
            connect_timeout=_REQUEST_SECONDS_MAX,
            read_timeout=_REQUEST_SECONDS_MAX,
            retries={"max_attempts": _ATTEMPTS_MAX, "mode": "standard"},
        )
        return session.create_client(
            service, region_name=self._region(), endpoint_url=self._endpoint_url, config=config
        )
