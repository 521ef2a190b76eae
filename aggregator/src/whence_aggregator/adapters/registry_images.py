"""Images in the configured registries, every byte hashed. An agent names the address, so it is untrusted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp

from whence_aggregator.adapters.answers import read_answer
from whence_aggregator.adapters.layer_stream import Windows, scan_layer
from whence_aggregator.adapters.registry_session import FAILURES, RegistrySession
from whence_aggregator.ports import SourceUnavailable
from whence_common.backoff import retry_after_seconds
from whence_common.clock import utc_now
from whence_common.digest import sha256_digest
from whence_common.errors import one_line
from whence_common.image_layers import LayerFinding
from whence_common.image_reference import ImageReferenceInvalid, registry_name
from whence_common.image_trust import EVIDENCE_BYTES_MAX
from whence_common.oci_manifest import ACCEPT, MANIFEST_BYTES_MAX
from whence_common.referrer_pages import ListEndless, Page, whole_list
from whence_common.registry_address import RedirectRefused
from whence_common.registry_answers import is_missing, is_other, referrers_closed
from whence_common.registry_requests import read_headers, url_of
from whence_common.registry_sign_in import scope_of

_MANIFEST_TIMEOUT = aiohttp.ClientTimeout(total=30.0)
_LAYER_SECONDS_MAX = 540.0
_CHUNK_BYTES = 256 * 1024


class RegistryImages:
    """Reads from the registries of `sessions` only."""

    def __init__(self, *, sessions: Mapping[str, RegistrySession], windows: Windows) -> None:
        self._sessions = sessions
        self._windows = windows

    async def manifest(self, repository: str, reference: str) -> bytes | None:
        """Return a manifest's bytes; None when it does not exist. Raises SourceUnavailable."""
        url = f"{repository}/manifests/{reference}"
        content = await self._small(repository, "manifests", reference, MANIFEST_BYTES_MAX, accept=ACCEPT)
        if content is not None and is_other(reference, content):
            raise SourceUnavailable("registry-wrong-digest", f"{url}: the manifest does not have the requested digest")
        return content

    async def blob(self, repository: str, digest: str) -> bytes | None:
        """Return a small blob's bytes; None when it does not exist. Raises SourceUnavailable."""
        url = f"{repository}/blobs/{digest}"
        content = await self._small(repository, "blobs", digest, EVIDENCE_BYTES_MAX, accept="*/*")
        if content is not None and sha256_digest(content) != digest:
            raise SourceUnavailable("registry-wrong-digest", f"{url}: the bytes do not have this digest")
        return content

    async def referrers(self, repository: str, digest: str) -> bytes | None:
        """Return the index of a digest's referrers; None when the registry does not support referrers."""
        session, named = self._session(repository)

        async def read(url: str, first: bool) -> Page | None:
            async with self._asked(session, named, url, accept=ACCEPT, follow=False) as answer:
                content = await read_answer(answer, MANIFEST_BYTES_MAX)
                if first and content is not None and referrers_closed(answer.status, content):
                    return None
                _check(answer, url)
                if content is None:
                    raise ListEndless(f"a page of more than {MANIFEST_BYTES_MAX} bytes")
                return content, answer.headers.get("Link", "")

        try:
            return await whole_list(session.place, _url(session, repository, "referrers", digest), read)
        except FAILURES as exc:
            raise _unreachable(repository, exc) from exc
        except RedirectRefused as exc:
            raise SourceUnavailable(exc.code, exc.message, fix=exc.fix) from exc
        except ListEndless as exc:
            message = f"{repository}: the list of referrers of {digest} has {exc}"
            raise SourceUnavailable("registry-no-manifest", message) from exc

    async def layer(self, repository: str, digest: str) -> LayerFinding:
        """Scan a layer for its scm-source.json. Raises SourceUnavailable."""
        return await scan_layer(
            self._chunks(repository, digest), digest, place=f"{repository}/blobs/{digest}", windows=self._windows
        )

    async def _chunks(self, repository: str, digest: str) -> AsyncIterator[bytes]:
        url = f"{repository}/blobs/{digest}"
        timeout = aiohttp.ClientTimeout(total=_LAYER_SECONDS_MAX)
        try:
            session, named = self._session(repository)
            place = _url(session, repository, "blobs", digest)
            async with self._asked(session, named, place, accept="*/*", timeout=timeout) as answer:
                _check(answer, url)
                async for chunk in answer.content.iter_chunked(_CHUNK_BYTES):
                    yield chunk
        except FAILURES as exc:
            raise _unreachable(url, exc) from exc

    async def _small(self, repository: str, part: str, name: str, bytes_max: int, *, accept: str) -> bytes | None:
        url = f"{repository}/{part}/{one_line(name, 80)}"
        try:
            session, named = self._session(repository)
            place = _url(session, repository, part, name)
            async with self._asked(session, named, place, accept=accept) as answer:
                if is_missing(answer.status, answer.content_type):
                    return None
                _check(answer, url)
                content = await read_answer(answer, bytes_max)
        except FAILURES as exc:
            raise _unreachable(url, exc) from exc
        if content is None:
            raise SourceUnavailable("registry-no-manifest", f"{url}: the answer is larger than {bytes_max} bytes")
        return content

    @asynccontextmanager
    async def _asked(
        self, session: RegistrySession, named: str, url: str, *, accept: str,
        timeout: aiohttp.ClientTimeout = _MANIFEST_TIMEOUT, follow: bool = True,
    ) -> AsyncIterator[aiohttp.ClientResponse]:  # fmt: skip
        async with session.ask(
            "GET", url, scopes=(scope_of(named),), timeout=timeout, headers=read_headers(accept), follow=follow
        ) as answer:
            yield answer

    def _session(self, repository: str) -> tuple[RegistrySession, str]:
        """Return the session of a repository's registry, and the repository's path there. Raises SourceUnavailable."""
        registry, _, name = repository.partition("/")
        session = self._sessions.get(registry_name(registry))
        if session is None:
            raise SourceUnavailable(
                "registry-not-configured", f"{registry} is not in `registries` of the aggregator's settings"
            )
        return session, session.place.path(name)


def _url(session: RegistrySession, repository: str, part: str, name: str) -> str:
    """Return the URL of a part of a repository; the names are checked. Raises SourceUnavailable."""
    try:
        return url_of(session.place, repository.partition("/")[2], part, name)
    except ImageReferenceInvalid as exc:
        raise SourceUnavailable(exc.code, exc.message, fix=exc.fix, retryable=False) from exc


def _check(answer: aiohttp.ClientResponse, url: str) -> None:
    if answer.status in (401, 403):
        raise SourceUnavailable(
            "registry-denied",
            f"{url}: the registry answers HTTP {answer.status}",
            fix="set login_file of the registry to a login that may pull, and check that the repository exists",
        )
    if answer.status != 200:
        seconds = retry_after_seconds(answer.headers.get("Retry-After", ""), now=utc_now())
        raise SourceUnavailable("registry-error", f"{url}: HTTP {answer.status}", retry_after_seconds=seconds)


def _unreachable(url: str, exc: BaseException) -> SourceUnavailable:
    return SourceUnavailable("registry-unreachable", f"{url}: the registry does not answer ({type(exc).__name__})")
