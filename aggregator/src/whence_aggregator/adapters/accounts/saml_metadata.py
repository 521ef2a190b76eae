"""Metadata of identity providers, read by HTTPS while a plan is made."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import urlsplit

import aiohttp

from whence_aggregator.accounts.resources import Json, StandingResource, WantedResource
from whence_aggregator.accounts.saml import METADATA_CHARACTERS_MAX, metadata_form
from whence_aggregator.accounts.steps.identity import SAML_METADATA
from whence_aggregator.adapters.accounts.calls import gathered
from whence_aggregator.adapters.answers import read_answer
from whence_common.errors import RoadError, one_line

_SECONDS_MAX = 30.0
_BYTES_MAX = 4 * METADATA_CHARACTERS_MAX
_FIX = "check the URL, or write the metadata itself in saml_providers"


class SamlMetadataProvider:
    """Reads the documents that SAML providers refer to. `fetch` returns the text of a URL, or raises RoadError."""

    def __init__(self, fetch: Callable[[str], Awaitable[str]]) -> None:
        self._fetch = fetch

    async def read(self, wanted: Sequence[WantedResource]) -> Sequence[StandingResource]:
        return await gathered(self._document(one.name) for one in wanted)

    async def _document(self, url: str) -> StandingResource:
        document = metadata_form(await self._fetch(url), f"the document at {url}")
        return StandingResource(kind=SAML_METADATA, name=url, state={}, is_own=True, outputs={"xml": document})

    async def create(self, wanted: WantedResource) -> None:
        raise AssertionError("a document is only read")

    async def put(self, standing: StandingResource, aspect: str, value: Json) -> None:
        raise AssertionError("a document is only read")

    async def delete(self, standing: StandingResource) -> None:
        raise AssertionError("a document is only read")


async def read_document(url: str, *, seconds_max: float = _SECONDS_MAX) -> str:
    """Return the text of a URL, without cookies, logins and redirects. Raises RoadError that names the host only."""
    place = one_line(urlsplit(url).netloc.rpartition("@")[2], 200)
    try:
        async with (
            asyncio.timeout(seconds_max), aiohttp.ClientSession() as session,
            session.get(url, allow_redirects=False) as answer,
        ):  # fmt: skip
            if answer.status != 200:
                raise _failed(place, f"answers with {answer.status}")
            content = await read_answer(answer, _BYTES_MAX)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as exc:
        raise _failed(place, f"cannot be read: {type(exc).__name__}") from exc
    if content is None:
        raise _failed(place, f"sends more than {_BYTES_MAX} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise _failed(place, "sends a document that is not UTF-8") from exc


def _failed(place: str, what: str) -> RoadError:
    return RoadError("saml-metadata", f"the SAML metadata of {place} {what}", fix=_FIX)
