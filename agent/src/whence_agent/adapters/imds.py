"""The EC2 instance metadata service, version 2 only: all requests use a session token."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote

import aiohttp

from whence_agent.adapters.bodies import ResponseTooLarge, read_bounded, read_first
from whence_agent.adapters.sigv4 import AwsKeys
from whence_agent.ports import IdentityForm, InstanceMetadata, MetadataUnavailable, Notices
from whence_common.backoff import retry_after_seconds
from whence_common.clock import parse_instant, utc_now
from whence_common.errors import one_line

_TOKEN_SECONDS = 300
_ANSWER_BYTES_MAX = 64 * 1024
_REQUEST_SECONDS_MAX = 5.0
_TOKEN = re.compile(r"[\x21-\x7e]{1,1024}\Z")
_AWAY_FIX = "check the metadata service from this machine, and the routes and firewalls to it"
_OK, _TOKEN_ENDED, _NOTHING_THERE, _TOO_MANY = 200, 401, 404, 429


class _Answer(NamedTuple):
    status: int
    content: bytes
    retry_after_seconds: float | None


class ImdsMetadata:
    """Reads with one token until it expires. A service that supports only version 1 is refused."""

    def __init__(
        self, *, session: aiohttp.ClientSession, url: str, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._session = session
        self._url = url.rstrip("/")
        self._monotonic = monotonic
        self._token = ""
        self._token_ends = 0.0
        self._timeout = aiohttp.ClientTimeout(total=_REQUEST_SECONDS_MAX)

    async def read(self) -> InstanceMetadata:
        document = await self._get("dynamic/instance-identity/document")
        signature = await self._get("dynamic/instance-identity/rsa2048")
        user_data = await self._get("user-data")
        if document is None or signature is None:
            raise MetadataUnavailable(
                "metadata-no-identity", "the metadata service has no identity document, or no rsa2048 signature of it"
            )
        return InstanceMetadata(document=document, signature=signature.decode("ascii", "replace"), user_data=user_data)

    async def notices(self) -> Notices:
        spot = await self._get("meta-data/spot/instance-action")
        rebalance = await self._get("meta-data/events/recommendations/rebalance")
        state = await self._get("meta-data/autoscaling/target-lifecycle-state")
        return Notices(
            spot_action=_action(spot),
            rebalance=rebalance is not None,
            lifecycle_state=one_line((state or b"").decode("ascii", "replace"), 40),
        )

    async def addresses(self) -> dict[str, str]:
        found = {}
        for name, path in (("local_ipv4", "local-ipv4"), ("public_ipv4", "public-ipv4")):
            address = await self._get(f"meta-data/{path}")
            if address is not None:
                found[name] = one_line(address.decode("ascii", "replace"), 40)
        return found

    async def signed_identity(self, form: IdentityForm) -> str:
        signed = await self._get(f"dynamic/instance-identity/{form}")
        if signed is None:
            raise MetadataUnavailable("metadata-no-identity", f"the metadata service has no {form} identity")
        return signed.decode("ascii", "replace")

    async def role_keys(self) -> tuple[AwsKeys, datetime] | None:
        """Return the instance role's keys and their expiry; None without a role. Raises MetadataUnavailable."""
        role = await self._get("meta-data/iam/security-credentials/")
        if role is None or not role.strip():
            return None
        name = role.decode("ascii", "replace").split()[0]
        return _keys(await self._get(f"meta-data/iam/security-credentials/{quote(name, safe='')}"))

    async def identity_keys(self) -> AwsKeys | None:
        """Return the instance identity role's keys, which have no permissions, or None. Raises MetadataUnavailable."""
        content = await self._get("meta-data/identity-credentials/ec2/security-credentials/ec2-instance")
        return _keys(content)[0] if content is not None else None

    async def _get(self, path: str) -> bytes | None:
        """Return the value of a path below /latest; None if it does not exist. Raises MetadataUnavailable.

        If the service reports an expired token (401), the request is repeated with a new one.
        """
        try:
            held = self._monotonic() < self._token_ends
            if not held:
                await self._renew()
            answer = await self._ask(path)
            if answer.status == _TOKEN_ENDED and held:
                await self._renew()
                answer = await self._ask(path)
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            self._token_ends = 0.0
            raise MetadataUnavailable(
                "metadata-unreachable",
                f"the metadata service at {self._url} is unreachable ({type(exc).__name__})",
                fix=_AWAY_FIX,
            ) from exc
        except ResponseTooLarge as exc:
            raise MetadataUnavailable(
                "metadata-too-large", f"a response of the metadata service has {exc}", retryable=False
            ) from exc
        if answer.status == _NOTHING_THERE:
            return None
        if answer.status != _OK:
            self._token_ends = 0.0
            raise MetadataUnavailable(
                "metadata-unreachable" if _is_passing(answer.status) else "metadata-refused",
                f"the metadata service returned HTTP {answer.status} for {path}",
                fix=_AWAY_FIX,
                retry_after_seconds=answer.retry_after_seconds,
            )
        return answer.content

    async def _ask(self, path: str) -> _Answer:
        headers = {"X-aws-ec2-metadata-token": self._token}
        url = f"{self._url}/latest/{path}"
        async with self._session.get(url, headers=headers, timeout=self._timeout, allow_redirects=False) as answer:
            return _Answer(
                status=answer.status,
                content=await read_bounded(answer, _ANSWER_BYTES_MAX) if answer.status == _OK else b"",
                retry_after_seconds=retry_after_seconds(answer.headers.get("Retry-After", ""), now=utc_now()),
            )

    async def _renew(self) -> None:
        headers = {"X-aws-ec2-metadata-token-ttl-seconds": str(_TOKEN_SECONDS)}
        url = f"{self._url}/latest/api/token"
        async with self._session.put(url, headers=headers, timeout=self._timeout, allow_redirects=False) as answer:
            if answer.status != 200:
                fix = "enable version 2 of the metadata service for this instance"
                raise MetadataUnavailable(
                    "metadata-no-token",
                    f"the metadata service returned no session token: HTTP {answer.status}",
                    fix=_AWAY_FIX if _is_passing(answer.status) else fix,
                    retry_after_seconds=retry_after_seconds(answer.headers.get("Retry-After", ""), now=utc_now()),
                )
            token = (await read_first(answer, 1025)).decode("ascii", "replace").strip()
        if _TOKEN.match(token) is None:
            message = f"the session token of {self._url} is malformed: something else may respond in its place"
            raise MetadataUnavailable("metadata-no-token", message, fix="check for a proxy or firewall before it")
        self._token = token
        self._token_ends = self._monotonic() + _TOKEN_SECONDS * 0.9


def _is_passing(status: int) -> bool:
    """Return whether a status means that the service is unavailable or overloaded."""
    return status >= 500 or status in (_TOKEN_ENDED, _TOO_MANY)


def _action(content: bytes | None) -> str:
    """Return the action in `{"action": "terminate", "time": …}`; a malformed notice counts as `terminate`."""
    if content is None:
        return ""
    try:
        action = json.loads(content)["action"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return "terminate"
    return one_line(str(action), 20)


def _keys(content: bytes | None) -> tuple[AwsKeys, datetime]:
    try:
        document = json.loads(content or b"")
        keys = AwsKeys(document["AccessKeyId"], document["SecretAccessKey"], document.get("Token", ""))
        return keys, parse_instant(document["Expiration"])
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        raise MetadataUnavailable("metadata-role", "the keys from the metadata service are malformed") from exc
