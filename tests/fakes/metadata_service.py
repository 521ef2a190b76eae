"""The EC2 instance metadata service, version 2, for one instance: session tokens by PUT, 401 without one.

Identity documents are signed by a SigningAuthority, as AWS signs them. Role credentials are for moto, which takes any.
"""

from __future__ import annotations

import json
import secrets
import socket
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from aiohttp import web

from fakes.signing_authority import SigningAuthority, launched_now
from whence_agent.adapters.sigv4 import AwsKeys

_TTL_SECONDS_MAX = 21_600
_ROLE = "app-demo"
_KEYS = AwsKeys("ASIADEMODEMODEMODEMO", "not-a-secret-moto-takes-any", "not-a-secret-either")


@dataclass
class MetadataService:
    """What one instance sees at 169.254.169.254. `requests` records the paths that were asked, in order."""

    instance_id: str
    user_data: bytes | None
    authority: SigningAuthority
    document: bytes = b""
    tags: Mapping[str, str] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    version_1_only: bool = False
    spot_action: bytes | None = None
    rebalance: bytes | None = None
    lifecycle_state: bytes | None = b"InService"
    role_document: bytes | None = b"as on an instance"
    identity_credentials: bytes | None = b"as on an instance"
    away: bool = False
    """Whether it answers nothing but 503."""
    faults: dict[str, list[int]] = field(default_factory=dict)
    """Statuses of the next answers, by the end of the path; afterwards it answers as it should."""
    url: str = ""

    def __post_init__(self) -> None:
        self.document = self.document or launched_now(self.instance_id)
        self._tokens: dict[str, float] = {}

    @asynccontextmanager
    async def serve(self, *, port: int = 0, listening: socket.socket | None = None) -> AsyncIterator[MetadataService]:
        """Serve on a loopback port, or a socket that is bound, for the block's duration; `url` says where."""
        application = web.Application()
        application.router.add_put("/latest/api/token", self._token)
        application.router.add_get("/latest/{path:.*}", self._get)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", port) if listening is None else web.SockSite(runner, listening)
            await site.start()
            self.url = "http://{}:{}".format(*runner.addresses[0])
            yield self
        finally:
            await runner.cleanup()

    async def _token(self, request: web.Request) -> web.Response:
        self.requests.append(request.path)
        if self.away:
            return web.Response(status=503)
        if (fault := self._fault(request.path)) is not None:
            return fault
        if self.version_1_only:
            return web.Response(status=404)
        if "X-Forwarded-For" in request.headers:
            return web.Response(status=403)
        ttl = request.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "")
        if not ttl.isdigit() or not 1 <= int(ttl) <= _TTL_SECONDS_MAX:
            return web.Response(status=400)
        token = secrets.token_urlsafe(40)
        self._tokens[token] = time.monotonic() + int(ttl)
        return web.Response(text=token, headers={"X-aws-ec2-metadata-token-ttl-seconds": ttl})

    async def _get(self, request: web.Request) -> web.Response:
        self.requests.append(request.path)
        if (fault := self._fault(request.path)) is not None:
            return fault
        token = request.headers.get("X-aws-ec2-metadata-token", "")
        if self.away:
            return web.Response(status=503)
        if self._tokens.get(token, 0.0) < time.monotonic():
            return web.Response(status=401)
        content = self._content(request.match_info["path"].rstrip("/"))
        return web.Response(status=404) if content is None else web.Response(body=content, content_type="text/plain")

    def forget_tokens(self) -> None:
        """End every session token, whatever time was granted."""
        self._tokens.clear()

    def _fault(self, path: str) -> web.Response | None:
        for end, statuses in self.faults.items():
            if path.endswith(end) and statuses:
                return web.Response(status=statuses.pop(0))
        return None

    def _role(self) -> bytes | None:
        return credentials() if self.role_document == b"as on an instance" else self.role_document

    def _content(self, path: str) -> bytes | None:
        document = json.loads(self.document)
        tag = path.removeprefix("meta-data/tags/instance/")
        if tag != path:
            return self.tags[tag].encode() if tag in self.tags else None
        contents: dict[str, bytes | None] = {
            "user-data": self.user_data,
            "dynamic/instance-identity/document": self.document,
            "dynamic/instance-identity/rsa2048": self.authority.sign(self.document).encode(),
            "meta-data/instance-id": self.instance_id.encode(),
            "meta-data/ami-id": document["imageId"].encode(),
            "meta-data/instance-type": document["instanceType"].encode(),
            "meta-data/placement/region": document["region"].encode(),
            "meta-data/placement/availability-zone": document["availabilityZone"].encode(),
            "dynamic/instance-identity/pkcs7": self.authority.sign(self.document).encode(),
            "meta-data/local-ipv4": b"10.0.0.7",
            "meta-data/spot/instance-action": self.spot_action,
            "meta-data/events/recommendations/rebalance": self.rebalance,
            "meta-data/autoscaling/target-lifecycle-state": self.lifecycle_state,
            "meta-data/tags/instance": "\n".join(self.tags).encode(),
            "meta-data/iam/security-credentials": _ROLE.encode(),
            f"meta-data/iam/security-credentials/{_ROLE}": self._role(),
            "meta-data/identity-credentials/ec2/security-credentials/ec2-instance": (
                credentials() if self.identity_credentials == b"as on an instance" else self.identity_credentials
            ),
        }
        return contents.get(path)


def credentials(keys: AwsKeys = _KEYS, *, ends: datetime | None = None) -> bytes:
    """Return keys as the service does."""
    now = datetime.now(UTC)
    ends = ends or now + timedelta(hours=6)
    return json.dumps(
        {
            "Code": "Success",
            "LastUpdated": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "Type": "AWS-HMAC",
            "AccessKeyId": keys.access_key,
            "SecretAccessKey": keys.secret_key,
            "Token": keys.token,
            "Expiration": ends.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
    ).encode()
