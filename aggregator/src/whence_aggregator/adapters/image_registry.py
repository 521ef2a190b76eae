"""Images in the registries that may be asked, every byte hashed. The address comes from an agent, so from outside."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping

import aiohttp

from whence_aggregator.adapters.answers import read_answer
from whence_aggregator.adapters.layer_stream import scan
from whence_aggregator.ports import SourceUnavailable
from whence_common.backoff import retry_after_seconds
from whence_common.digest import is_sha256_digest, sha256_digest
from whence_common.image_layers import LayerFinding
from whence_common.image_reference import is_loopback_registry
from whence_common.image_trust import EVIDENCE_BYTES_MAX
from whence_common.oci_manifest import ACCEPT, MANIFEST_BYTES_MAX

LAYER_BYTES_MAX = 8 * 1024**3
_MANIFEST_SECONDS_MAX = 30.0
_LAYER_SECONDS_MAX = 600.0
_CHUNK_BYTES = 256 * 1024
_FAILURES = (aiohttp.ClientError, TimeoutError, OSError)


class RegistryImages:
    """Asks the registries it is told to, and no others."""

    def __init__(self, *, session: aiohttp.ClientSession, plain_http: Mapping[str, bool]) -> None:
        self._session = session
        self._plain_http = plain_http

    async def manifest(self, repository: str, reference: str) -> bytes | None:
        """Give a manifest's bytes; None when there is none. Raises SourceUnavailable."""
        url = f"{self._base(repository)}/manifests/{reference}"
        content = await self._small(url, MANIFEST_BYTES_MAX, accept=ACCEPT)
        if content is not None and is_sha256_digest(reference) and sha256_digest(content) != reference:
            raise SourceUnavailable("registry-wrong-digest", f"{url}: the manifest is not the one that was asked for")
        return content

    async def blob(self, repository: str, digest: str) -> bytes | None:
        """Give a small blob's bytes; None when there is none. Raises SourceUnavailable."""
        url = f"{self._base(repository)}/blobs/{digest}"
        content = await self._small(url, EVIDENCE_BYTES_MAX, accept="*/*", redirects=3)
        if content is not None and sha256_digest(content) != digest:
            raise SourceUnavailable("registry-wrong-digest", f"{url}: the bytes are not those of the digest")
        return content

    async def referrers(self, repository: str, digest: str) -> bytes | None:
        """Give the index of what refers to a digest; None where the registry knows no referrers."""
        return await self._small(f"{self._base(repository)}/referrers/{digest}", MANIFEST_BYTES_MAX, accept=ACCEPT)

    async def layer(self, repository: str, digest: str) -> LayerFinding:
        """Scan a layer for its scm-source.json. Raises SourceUnavailable."""
        url = f"{self._base(repository)}/blobs/{digest}"
        hashed = hashlib.sha256()
        finding = await scan(self._chunks(url, hashed))
        if finding.outcome != "unreadable" and f"sha256:{hashed.hexdigest()}" != digest:
            raise SourceUnavailable("registry-wrong-digest", f"{url}: the bytes are not those of the digest")
        return finding

    async def _chunks(self, url: str, hashed: hashlib._Hash) -> AsyncIterator[bytes]:
        timeout, left = aiohttp.ClientTimeout(total=_LAYER_SECONDS_MAX), LAYER_BYTES_MAX
        try:
            async with self._session.get(url, timeout=timeout, max_redirects=3) as answer:
                _check(answer, url)
                async for chunk in answer.content.iter_chunked(_CHUNK_BYTES):
                    left -= len(chunk)
                    if left < 0:
                        raise SourceUnavailable("image-layer-too-large", f"{url}: the layer is too large")
                    hashed.update(chunk)
                    yield chunk
        except _FAILURES as exc:
            raise _unreachable(url, exc) from exc

    async def _small(self, url: str, bytes_max: int, *, accept: str, redirects: int = 0) -> bytes | None:
        timeout = aiohttp.ClientTimeout(total=_MANIFEST_SECONDS_MAX)
        try:
            async with self._session.get(
                url, headers={"Accept": accept}, timeout=timeout, allow_redirects=redirects > 0,
                max_redirects=redirects or 1,
            ) as answer:  # fmt: skip
                if answer.status == 404:
                    return None
                _check(answer, url)
                content = await read_answer(answer, bytes_max)
        except _FAILURES as exc:
            raise _unreachable(url, exc) from exc
        if content is None:
            raise SourceUnavailable("registry-no-manifest", f"{url}: the answer is too large")
        return content

    def _base(self, repository: str) -> str:
        registry, _, path = repository.partition("/")
        if registry not in self._plain_http:
            raise SourceUnavailable(
                "registry-not-configured", f"{registry} is not among the registries in the aggregator's settings"
            )
        plain = self._plain_http[registry] or is_loopback_registry(registry)
        return f"{'http' if plain else 'https'}://{registry}/v2/{path}"


def _check(answer: aiohttp.ClientResponse, url: str) -> None:
    if answer.status != 200:
        seconds = retry_after_seconds(answer.headers.get("Retry-After", ""))
        raise SourceUnavailable("registry-error", f"{url}: HTTP {answer.status}", retry_after_seconds=seconds)


def _unreachable(url: str, exc: BaseException) -> SourceUnavailable:
    return SourceUnavailable("registry-unreachable", f"{url}: the registry does not answer ({type(exc).__name__})")
