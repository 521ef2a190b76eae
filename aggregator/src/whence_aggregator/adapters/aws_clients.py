"""Clients of AWS's services by region and role, each kept open until the credentials of its role expire."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession

from whence_aggregator.adapters.aws_refusals import FAILURES, refusal, why
from whence_aggregator.ports import SourceUnavailable

CALL_FAILURES = (*FAILURES, aiohttp.ClientError)
"""Exceptions of a call, and of reading the body of its answer."""
_REQUEST_SECONDS_MAX = 40.0
"""Longer than SQS's long poll, which takes 20 seconds."""
_CONNECT_SECONDS_MAX = 10.0
_ATTEMPTS_MAX = 4
"""Of a request; the SDK waits between them."""
_ROLE_SECONDS = 3600
_SPARE_SECONDS = 300
_CONNECTIONS_MAX = 32
_OLD_SECONDS = 600.0
"""After which nobody uses a client whose credentials have expired: longer than the attempts of a request."""


@dataclass(frozen=True, slots=True)
class AssumedRole:
    """A role to assume. The external id is not a secret by AWS's definition, and is not shown either."""

    arn: str
    external_id: str | None = None

    def __repr__(self) -> str:
        return f"AssumedRole({self.arn})"


@dataclass(slots=True)
class _Open:
    client: Any
    stack: AsyncExitStack
    until: float


@dataclass(frozen=True, slots=True)
class _Given:
    """Keys of a role, and until when they are used."""

    keys: dict[str, str] = field(repr=False)
    until: float


_OWN_KEYS = _Given({}, float("inf"))
"""The SDK finds them itself."""


class ServiceClients:
    """Opens clients; the SDK finds our own credentials as usual, or those of a profile of its configuration.

    `clock` is in seconds and never set back. `prepare` is given each new client.
    """

    def __init__(
        self,
        *,
        endpoint_url: str | None,
        session_name: str,
        clock: Callable[[], float],
        attempts_max: int = _ATTEMPTS_MAX,
        profile: str | None = None,
        prepare: Callable[[Any], None] = lambda _: None,
    ) -> None:
        self._endpoint_url = endpoint_url
        self._prepare = prepare
        self._session_name = session_name
        self._clock = clock
        self._session = AioSession(profile=profile)
        self._config = AioConfig(
            connect_timeout=_CONNECT_SECONDS_MAX,
            read_timeout=_REQUEST_SECONDS_MAX,
            max_pool_connections=_CONNECTIONS_MAX,
            retries={"total_max_attempts": attempts_max, "mode": "standard"},
        )
        self._open: dict[tuple[str, str, str], _Open] = {}
        self._locks: dict[tuple[str, str, str], asyncio.Lock] = {}
        self._old: list[tuple[AsyncExitStack, float]] = []
        """Replaced clients, which may be in use still, and when each is closed."""
        self._given: dict[AssumedRole, _Given] = {}
        self._role_locks: dict[AssumedRole, asyncio.Lock] = {}

    async def get(self, service: str, region: str, role: AssumedRole | None) -> Any:
        """Return an open client. Raises what the SDK raises when the role cannot be assumed."""
        key = service, region, role.arn if role is not None else ""
        async with self._locks.setdefault(key, asyncio.Lock()):
            found = self._open.get(key)
            if found is not None and self._clock() < found.until:
                return found.client
            if found is not None:
                self._retire(found)
                del self._open[key]
            await self._close_old()
            given = await self._keys_of(region, role) if role is not None else _OWN_KEYS
            stack = AsyncExitStack()
            client = await stack.enter_async_context(self._client(service, region, given.keys))
            self._prepare(client)
            if service == "s3control" and self._endpoint_url is not None:
                client.meta.events.register("before-sign.s3-control", self._keep_host)
            self._open[key] = _Open(client, stack, given.until)
            return client

    def drop(self, service: str, region: str, role: AssumedRole | None) -> None:
        """Open the next client with new credentials, as AWS does not accept these."""
        found = self._open.pop((service, region, role.arn if role is not None else ""), None)
        if found is not None:
            self._retire(found)
        if role is not None:
            self._given.pop(role, None)

    def failed(
        self, service: str, region: str, role: AssumedRole | None, place: str, exc: Exception
    ) -> SourceUnavailable:
        """Return the error for a failed call: denied, throttled, or unavailable, with what to do."""
        error = refusal(exc)
        kind = error.kind if error is not None else None
        if kind in ("keys", "clock"):
            self.drop(service, region, role)
        if error is not None and kind == "denied":
            fix = (
                f"allow it, or check the trust policy and external id of {role.arn}" if role is not None else "allow it"
            )
            return SourceUnavailable("trail-denied", f"{place}: AWS denies the request: {error}", fix=fix)
        if error is not None and kind == "throttled":
            return SourceUnavailable(
                "trail-throttled", f"{place}: AWS throttles requests: {error}",
                retry_after_seconds=error.retry_after_seconds,
            )  # fmt: skip
        fix = error.fix if error is not None and kind == "clock" else ""
        if kind == "keys":
            fix = f"check the credentials, and that {region} is enabled for the account"
        return SourceUnavailable("trail-unavailable", f"{place} cannot be read: {why(exc)}", fix=fix)

    async def release(self, role: AssumedRole) -> None:
        """Close the clients of a role, of which none is in use: each holds about a megabyte. Its keys are kept."""
        for stack in [self._open.pop(key).stack for key in list(self._open) if key[2] == role.arn]:
            await stack.aclose()

    async def close(self) -> None:
        """Close all clients."""
        stacks = [*(stack for stack, _ in self._old), *(one.stack for one in self._open.values())]
        self._old, self._open = [], {}
        for stack in stacks:
            await stack.aclose()

    def _retire(self, replaced: _Open) -> None:
        self._old.append((replaced.stack, self._clock() + _OLD_SECONDS))

    async def _close_old(self) -> None:
        now = self._clock()
        closed = [stack for stack, at in self._old if at <= now]
        self._old = [(stack, at) for stack, at in self._old if at > now]
        for stack in closed:
            await stack.aclose()

    async def _keys_of(self, region: str, role: AssumedRole) -> _Given:
        """Return the keys of a role, which all its clients share: they are valid in every region."""
        async with self._role_locks.setdefault(role, asyncio.Lock()):
            found = self._given.get(role)
            if found is None or self._clock() >= found.until:
                keys = await self._assume(region, role)
                found = _Given(keys, self._clock() + _ROLE_SECONDS - _SPARE_SECONDS)
                self._given[role] = found
            return found

    async def _assume(self, region: str, role: AssumedRole) -> dict[str, str]:
        external = {"ExternalId": role.external_id} if role.external_id is not None else {}
        async with self._client("sts", region, {}) as sts:
            answer = await sts.assume_role(
                RoleArn=role.arn, RoleSessionName=self._session_name, DurationSeconds=_ROLE_SECONDS, **external
            )
        given = answer["Credentials"]
        return {
            "aws_access_key_id": given["AccessKeyId"],
            "aws_secret_access_key": given["SecretAccessKey"],
            "aws_session_token": given["SessionToken"],
        }

    def _keep_host(self, request: Any, **_: Any) -> None:
        """Call the endpoint as it was given: S3 Control's rules put the account id before the host, for AWS only."""
        host = urlsplit(self._endpoint_url or "").netloc
        request.url = urlunsplit(urlsplit(request.url)._replace(netloc=host))

    def _client(self, service: str, region: str, keys: dict[str, str]) -> Any:
        return self._session.create_client(
            service, region_name=region, endpoint_url=self._endpoint_url, config=self._config, **keys
        )
