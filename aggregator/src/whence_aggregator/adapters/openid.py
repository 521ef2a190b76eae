"""Fetches an issuer's key set (RFC 7517) over HTTP, at the address in its OpenID Connect Discovery 1.0 document.

Redirects are not followed; size and time of a response are limited. Addresses in tokens are never requested. A host
other than the issuer's is requested only if `jwks_url` of the settings names it.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from whence_aggregator.adapters.answers import read_answer
from whence_aggregator.adapters.jose import import_keys
from whence_aggregator.callers.key_cache import FetchedKeys
from whence_aggregator.ports import SourceUnavailable
from whence_common.loose_json import loose

_SECONDS_MAX = 5.0
_DISCOVERY_BYTES_MAX = 128 * 1024
_KEYS_BYTES_MAX = 512 * 1024
_FAILURES = (aiohttp.ClientError, TimeoutError, OSError, ValueError)
_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}
_MAX_AGE = re.compile(r"max-age\s*=\s*\"?([0-9]{1,9})")
_AT_ONCE = ("no-store", "no-cache")


class OpenIdKeys:
    """Fetches the key set of one issuer. If `jwks_url` is None, the issuer's discovery document states the address."""

    def __init__(self, *, session: aiohttp.ClientSession, issuer: str, jwks_url: str | None) -> None:
        self._session = session
        self._issuer = issuer
        self._jwks_url = jwks_url

    async def fetch(self) -> FetchedKeys:
        """Fetch the key set. Raises SourceUnavailable."""
        try:
            async with asyncio.timeout(_SECONDS_MAX):
                url = self._jwks_url or await self._discovered()
                document, max_age = await self._get(url, _KEYS_BYTES_MAX)
        except _FAILURES as exc:
            raise _unavailable(f"it does not answer ({type(exc).__name__})") from exc
        keys = import_keys(document)
        if not keys:
            raise _unavailable("its key set has no supported key")
        return FetchedKeys(keys=keys, max_age_seconds=max_age)

    async def _discovered(self) -> str:
        url = f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"
        document, _ = await self._get(url, _DISCOVERY_BYTES_MAX)
        if document.get("issuer") != self._issuer:
            raise _unavailable("its discovery document states another issuer")
        named = document.get("jwks_uri")
        if not isinstance(named, str) or not _is_its_own(named, self._issuer):
            raise _unavailable(
                "its discovery document has no jwks_uri on the issuer's own host: set jwks_url in sign_in"
            )
        return named

    async def _get(self, url: str, bytes_max: int) -> tuple[dict[str, Any], float | None]:
        async with self._session.get(url, headers=_HEADERS, allow_redirects=False) as answer:
            if answer.status != 200:
                raise _unavailable(f"it responds with HTTP {answer.status}")
            content = await read_answer(answer, bytes_max)
            if content is None:
                raise _unavailable(f"its response has more than {bytes_max} bytes")
            return loose(content), _max_age(answer.headers.get("Cache-Control", ""))


def _is_its_own(url: str, issuer: str) -> bool:
    """Return whether a URL has the issuer's origin.

    A compromised issuer could otherwise make this server send requests to other hosts.
    """
    parts, own = urlsplit(url), urlsplit(issuer)
    return (parts.scheme, parts.netloc) == (own.scheme, own.netloc) and not parts.fragment


def _max_age(header: str) -> float | None:
    if any(one in header.lower() for one in _AT_ONCE):
        return 0.0
    match = _MAX_AGE.search(header.lower())
    return float(match[1]) if match is not None else None


def _unavailable(why: str) -> SourceUnavailable:
    return SourceUnavailable("issuer-unavailable", why)
