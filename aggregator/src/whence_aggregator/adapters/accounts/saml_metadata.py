"""Metadata of identity providers, read by HTTPS before a plan is made."""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

import aiohttp

from whence_aggregator.accounts.saml import METADATA_CHARACTERS_MAX
from whence_aggregator.adapters.answers import read_answer
from whence_common.errors import RoadError, one_line

_SECONDS_MAX = 30.0
_BYTES_MAX = 4 * METADATA_CHARACTERS_MAX
_FIX = "check the URL, or write the metadata itself in saml_providers"


class HttpMetadata:
    """Reads documents. `session` has no cookies and no login of anything else. Redirects are not followed."""

    def __init__(self, session: aiohttp.ClientSession, *, seconds_max: float = _SECONDS_MAX) -> None:
        self._session = session
        self._seconds_max = seconds_max

    async def __call__(self, url: str) -> str:
        """Return the text of a URL. Raises RoadError, which names the host and not the whole URL."""
        place = one_line(urlsplit(url).netloc.rpartition("@")[2], 200)
        try:
            async with asyncio.timeout(self._seconds_max), self._session.get(url, allow_redirects=False) as answer:
                if answer.status != 200:
                    raise self._failed(place, f"answers with {answer.status}")
                content = await read_answer(answer, _BYTES_MAX)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as exc:
            raise self._failed(place, f"cannot be read: {type(exc).__name__}") from exc
        if content is None:
            raise self._failed(place, f"sends more than {_BYTES_MAX} bytes")
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as exc:
            raise self._failed(place, "sends a document that is not UTF-8") from exc

    def _failed(self, place: str, what: str) -> RoadError:
        return RoadError("saml-metadata", f"the SAML metadata of {place} {what}", fix=_FIX)
