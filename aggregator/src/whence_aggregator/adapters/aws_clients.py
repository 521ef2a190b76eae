"""Clients of AWS's services by region and role. Each request is signed with the newest keys of its role.

A request that AWS refuses because the keys have expired is signed with new ones and sent once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import aiohttp
from aiobotocore.config import AioConfig
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import ClientError, ConnectTimeoutError, ReadTimeoutError

from whence_aggregator.adapters.aws_refusals import FAILURES, refusal, why
from whence_aggregator.adapters.aws_session import aws_session
from whence_aggregator.ports import SourceUnavailable
from whence_common.aws_errors import AwsError
from whence_common.clock import utc_now

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
_SILENT_ATTEMPTS_MAX = 2
"""Of a request that gets no answer in time: each takes as long as the timeout."""
_RENEWED = "whence_renewed"


@dataclass(frozen=True, slots=True)
class AssumedRole:
    """A role to assume. The external id is not a secret by AWS's definition, and is not shown either."""

    arn: str
    external_id: str | None = None

    def __repr__(self) -> str:
        return f"AssumedRole({self.arn})"


class RoleNotAssumed(ClientError):  # type: ignore[misc]  # the SDK has no types
    """AWS does not let us assume a role."""

    def __init__(self, exc: ClientError, role: AssumedRole) -> None:
        super().__init__(exc.response, exc.operation_name)
        self.role = role


@dataclass(slots=True)
class _Open:
    client: Any
    stack: AsyncExitStack


@dataclass(frozen=True, slots=True)
class _Given:
    """Keys of a role, and until when they are used."""

    keys: ReadOnlyCredentials = field(repr=False)
    until: float

    async def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """Return the keys, as the SDK asks for them when it signs a request."""
        return self.keys


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
        request_seconds_max: float = _REQUEST_SECONDS_MAX,
        profile: str | None = None,
        prepare: Callable[[Any], None] = lambda _: None,
    ) -> None:
        self._endpoint_url = endpoint_url
        self._prepare = prepare
        self._session_name = session_name
        self._clock = clock
        self._session = aws_session(profile)
        self._config = AioConfig(
            connect_timeout=_CONNECT_SECONDS_MAX,
            read_timeout=request_seconds_max,
            max_pool_connections=_CONNECTIONS_MAX,
            retries={"total_max_attempts": attempts_max, "mode": "standard"},
        )
        self._open: dict[tuple[str, str, str], _Open] = {}
        self._locks: dict[tuple[str, str, str], asyncio.Lock] = {}
        self._given: dict[AssumedRole, _Given] = {}
        self._role_locks: dict[AssumedRole, asyncio.Lock] = {}

    async def get(self, service: str, region: str, role: AssumedRole | None) -> Any:
        """Return an open client. Raises what the SDK raises when the role cannot be assumed."""
        key = service, region, role.arn if role is not None else ""
        async with self._locks.setdefault(key, asyncio.Lock()):
            given = await self._keys_of(region, role) if role is not None else None
            if key in self._open:
                return self._open[key].client
            stack = AsyncExitStack()
            client = await stack.enter_async_context(self._client(service, region, given))
            if role is not None:
                self._sign_as(client, region, role)
            client.meta.events.register("needs-retry", _given_up)
            self._prepare(client)
            if service == "s3control" and self._endpoint_url is not None:
                client.meta.events.register("before-sign.s3-control", self._keep_host)
            self._open[key] = _Open(client, stack)
            return client

    def drop(self, role: AssumedRole | None) -> None:
        """Sign the next request with new keys, as AWS does not accept these."""
        if role is not None:
            self._given.pop(role, None)

    def failed(self, region: str, role: AssumedRole | None, place: str, exc: Exception) -> SourceUnavailable:
        """Return the error for a failed call: denied, throttled, or unavailable, with what to do."""
        error = refusal(exc)
        kind = error.kind if error is not None else None
        if kind in ("keys", "clock"):
            self.drop(role)
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
        stacks = [one.stack for one in self._open.values()]
        self._open = {}
        for stack in stacks:
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

    async def _assume(self, region: str, role: AssumedRole) -> ReadOnlyCredentials:
        external = {"ExternalId": role.external_id} if role.external_id is not None else {}
        async with self._client("sts", region, None) as sts:
            sts.meta.events.register("needs-retry", _given_up)
            try:
                answer = await sts.assume_role(
                    RoleArn=role.arn, RoleSessionName=self._session_name, DurationSeconds=_ROLE_SECONDS, **external
                )
            except ClientError as exc:
                raise RoleNotAssumed(exc, role) from exc
        given = answer["Credentials"]
        return ReadOnlyCredentials(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"])

    def _sign_as(self, client: Any, region: str, role: AssumedRole) -> None:
        """Have every request of a client signed with the newest keys of a role."""

        async def sign(request: Any, **_: Any) -> None:
            given = await self._keys_of(region, role)
            request.context.setdefault("signing", {})["request_credentials"] = given

        async def renew(*, response: Any, request_dict: dict[str, Any], **_: Any) -> float | None:
            """Return 0 for a request to repeat with new keys, None for any other."""
            context = request_dict["context"]
            if response is None or "Error" not in response[1] or context.get(_RENEWED):
                return None
            if not AwsError.of_sdk(response[1], now=utc_now()).is_expired:
                return None
            context[_RENEWED] = True
            if self._given.get(role) is context.get("signing", {}).get("request_credentials"):
                self.drop(role)  # nobody else has renewed them since
            return 0.0

        client.meta.events.register("before-sign", sign)
        client.meta.events.register("needs-retry", renew)

    def _keep_host(self, request: Any, **_: Any) -> None:
        """Call the endpoint as it was given: S3 Control's rules put the account id before the host, for AWS only."""
        host = urlsplit(self._endpoint_url or "").netloc
        request.url = urlunsplit(urlsplit(request.url)._replace(netloc=host))

    def _client(self, service: str, region: str, given: _Given | None) -> Any:
        names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
        keys = dict(zip(names, given.keys, strict=False)) if given is not None else {}
        return self._session.create_client(
            service, region_name=region, endpoint_url=self._endpoint_url, config=self._config, **keys
        )


def _given_up(*, attempts: int, caught_exception: Exception | None, **_: Any) -> None:
    """End a request that got no answer in time so often, in place of the SDK's own number of attempts."""
    if attempts >= _SILENT_ATTEMPTS_MAX and isinstance(caught_exception, (ConnectTimeoutError, ReadTimeoutError)):
        raise caught_exception
