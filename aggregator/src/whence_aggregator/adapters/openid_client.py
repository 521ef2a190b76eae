"""HTTP to an identity provider that people sign in at: its discovery document, and tokens for a code.

Redirects are not followed; size and time of a response are limited. The settings name the provider.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import aiohttp

from whence_aggregator.adapters.answers import read_answer
from whence_aggregator.openid.metadata import ProviderMetadata
from whence_aggregator.openid.refusals import ProviderUnreachable, malformed, refusal
from whence_aggregator.openid.tokens import Tokens
from whence_common.loose_json import loose

_ANSWER_BYTES_MAX = 256 * 1024
_FAILURES = (aiohttp.ClientError, TimeoutError, OSError)
_TIMEOUT = aiohttp.ClientTimeout(total=10.0)
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}


class OpenIdClient:
    """An OAuth client at one issuer; with a secret, it authenticates by HTTP Basic (RFC 6749, 2.3.1)."""

    def __init__(self, *, session: aiohttp.ClientSession, issuer: str, client_id: str, secret: str | None) -> None:
        self._session = session
        self._issuer = issuer
        self._client_id = client_id
        self._secret = secret

    async def metadata(self) -> ProviderMetadata:
        """Read the discovery document. Raises RoadError."""
        url = f"{self._issuer.removesuffix('/')}/.well-known/openid-configuration"
        status, document = await self._request("GET", url, {}, {})
        if status != 200:
            raise malformed(f"the discovery document of {self._issuer} has HTTP status {status}")
        return ProviderMetadata.parse(document, issuer=self._issuer)

    async def tokens(self, metadata: ProviderMetadata, form: Mapping[str, str]) -> Tokens:
        """Exchange a code. Raises OAuthRefused, ProviderUnreachable or RoadError, without a secret."""
        headers = {}
        if self._secret is not None:
            credentials = f"{quote(self._client_id, safe='')}:{quote(self._secret, safe='')}"
            headers["Authorization"] = "Basic " + base64.b64encode(credentials.encode()).decode("ascii")
        status, document = await self._request("POST", metadata.token_endpoint, form, headers)
        if status != 200:
            raise refusal(self._issuer, status, document, form)
        return Tokens.parse(document)

    async def _request(
        self, method: str, url: str, form: Mapping[str, str], headers: Mapping[str, str]
    ) -> tuple[int, dict[str, Any]]:
        try:
            async with self._session.request(
                method, url, data=form or None, headers={**_HEADERS, **headers}, allow_redirects=False,
                timeout=_TIMEOUT,
            ) as answer:  # fmt: skip
                content = await read_answer(answer, _ANSWER_BYTES_MAX)
        except _FAILURES as exc:
            message = f"{self._issuer} does not answer ({type(exc).__name__})"
            raise ProviderUnreachable("sign-in-unreachable", message) from exc
        if content is None:
            raise malformed(f"it has more than {_ANSWER_BYTES_MAX} bytes")
        return answer.status, loose(content)
