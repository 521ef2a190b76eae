"""Clients of the SDK (aiobotocore) for rarely used services: one for each call, so that none stays in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from whence_agent.adapters.aws_http import dns_suffix
from whence_agent.adapters.role import KeySource
from whence_agent.adapters.sigv4 import AwsKeys
from whence_agent.proxies import Proxies

_REQUEST_SECONDS_MAX = 10.0
_HOSTS = {"elb": "elasticloadbalancing", "elbv2": "elasticloadbalancing", "ecr": "api.ecr", "cloudwatch": "monitoring"}
"""Services whose name in the SDK differs from their host name."""


class AwsClients:
    """Creates clients for the instance's region with the instance role's credentials.

    The SDK's retries, credential providers and proxy detection are switched off in favour of the agent's.
    """

    def __init__(
        self, *, keys: KeySource, endpoint_url: str | None, region: Callable[[], str], proxies: Proxies
    ) -> None:
        self.keys = keys
        self._region = region
        self._endpoint_url = endpoint_url
        self._proxies = proxies

    @asynccontextmanager
    async def once(self, service: str, keys: AwsKeys) -> AsyncIterator[Any]:
        """Create a client for one use. Raises botocore's exceptions."""
        from aiobotocore.config import AioConfig
        from aiobotocore.session import get_session

        region = self._region()
        host = f"{_HOSTS.get(service, service)}.{region}.{dns_suffix(region)}"
        proxy = self._proxies.url_for(self._endpoint_url or f"https://{host}")
        config = AioConfig(
            connect_timeout=_REQUEST_SECONDS_MAX,
            read_timeout=_REQUEST_SECONDS_MAX,
            retries={"total_max_attempts": 1, "mode": "standard"},
            proxies={"https": proxy, "http": proxy} if proxy else {},
        )
        async with get_session().create_client(
            service, region_name=region, endpoint_url=self._endpoint_url, config=config,
            aws_access_key_id=keys.access_key, aws_secret_access_key=keys.secret_key,
            aws_session_token=keys.token or None,
        ) as client:  # fmt: skip
            yield client
