"""What moto lacks of STS: GetWebIdentityToken, with an issuer whose keys anybody may fetch.

The answers are those of STS's query protocol, held to botocore's service model by tests/contract/test_web_identity.py.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from xml.sax.saxutils import escape

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa

from fakes.counted_aws import AwsCall, CountedAws
from fakes.issuer import public_jwk, signed
from fakes.loopback import loopback

_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"


@dataclass
class WebIdentityOfRole:
    """Signs tokens about one role. `disabled`: the account has not enabled the federation."""

    role_arn: str
    disabled: bool = False
    denied: bool = False
    seconds_max: int = 3600
    """By the condition sts:DurationSeconds of the role's policy."""
    url: str = ""
    asked: list[dict[str, str]] = field(default_factory=list)
    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048), repr=False)

    def install(self, aws: CountedAws) -> None:
        """Answer in moto's place."""
        aws.extensions["sts:GetWebIdentityToken"] = self._answer

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[WebIdentityOfRole]:
        """Serve the issuer's description and keys on loopback for the block's duration."""
        application = web.Application()
        application.router.add_get("/.well-known/openid-configuration", self._described)
        application.router.add_get("/.well-known/jwks.json", self._keys)
        async with loopback(application) as host:
            self.url = f"http://{host}"
            yield self

    async def _described(self, _: web.Request) -> web.Response:
        return web.json_response({"issuer": self.url, "jwks_uri": f"{self.url}/.well-known/jwks.json"})

    async def _keys(self, _: web.Request) -> web.Response:
        return web.json_response({"keys": [public_jwk(self.key, kid="sts-1", use="sig", alg="RS256")]})

    def token(self, audience: str, *, seconds: int = 300, **changes: object) -> str:
        """Return a token as STS signs it; with changes, one that it would not sign."""
        now = int(time.time())
        claims = {
            "iss": self.url, "sub": self.role_arn, "aud": audience, "iat": now, "exp": now + seconds, **changes,
            "https://sts.amazonaws.com/": {"aws_account": self.role_arn.split(":")[4]},
        }  # fmt: skip
        header = json.dumps({"alg": "RS256", "kid": "sts-1", "typ": "JWT"}).encode()
        return signed(header, json.dumps(claims).encode(), self.key)

    def _answer(self, call: AwsCall) -> web.Response:
        form = call.form
        self.asked.append(form)
        if self.denied:
            return _refused(403, "AccessDenied", "not authorized to perform: sts:GetWebIdentityToken")
        if self.disabled:
            return _refused(403, "OutboundWebIdentityFederationDisabledException", "the federation is not enabled")
        audience, seconds = form.get("Audience.member.1", ""), int(form.get("DurationSeconds", "300"))
        if not audience or form.get("SigningAlgorithm") not in ("RS256", "ES384") or not 60 <= seconds <= 3600:
            return _refused(400, "ValidationError", "a parameter is missing or out of range")
        if seconds > self.seconds_max:
            return _refused(403, "SessionDurationEscalationException", "the duration is longer than the policy allows")
        ends = datetime.fromtimestamp(int(time.time()) + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        token = self.token(audience, seconds=seconds)
        return web.Response(
            text=f'<GetWebIdentityTokenResponse xmlns="{_NAMESPACE}"><GetWebIdentityTokenResult>'
            f"<WebIdentityToken>{token}</WebIdentityToken><Expiration>{ends}</Expiration>"
            "</GetWebIdentityTokenResult><ResponseMetadata><RequestId>1-2-3</RequestId></ResponseMetadata>"
            "</GetWebIdentityTokenResponse>",
            content_type="text/xml",
        )


def _refused(status: int, code: str, message: str) -> web.Response:
    text = (
        f'<ErrorResponse xmlns="{_NAMESPACE}"><Error><Type>Sender</Type><Code>{code}</Code>'
        f"<Message>{escape(message)}</Message></Error><RequestId>1-2-3</RequestId></ErrorResponse>"
    )
    return web.Response(status=status, text=text, content_type="text/xml")
