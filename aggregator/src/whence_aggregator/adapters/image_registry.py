"""scm-source.json read out of an image in an OCI registry, layers from the top, every byte hashed."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import tempfile
from collections.abc import Mapping
from typing import IO, Any, BinaryIO, cast

import aiohttp

from whence_aggregator.ports import SourceUnavailable
from whence_common.digest import is_sha256_digest, sha256_digest
from whence_common.image_layers import LayerFinding, read_layer
from whence_common.image_reference import is_loopback_registry

MANIFEST_BYTES_MAX = 4 * 1024 * 1024
LAYER_BYTES_MAX = 8 * 1024**3
LAYERS_MAX = 200
_MANIFEST_SECONDS_MAX = 30.0
_LAYER_SECONDS_MAX = 600.0
_ACCEPT = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


class RegistryReader:
    """Asks the registries it is told to, and no others: the address comes from an agent, so from outside."""

    def __init__(self, *, session: aiohttp.ClientSession, plain_http: Mapping[str, bool]) -> None:
        self._session = session
        self._plain_http = plain_http

    async def scm_source(self, repository: str, digest: str) -> bytes | None:
        """Read the topmost layer's answer. Raises SourceUnavailable."""
        registry, _, path = repository.partition("/")
        if registry not in self._plain_http:
            raise SourceUnavailable(
                "registry-not-configured", f"{registry} is not among the registries in the aggregator's settings"
            )
        plain = self._plain_http[registry] or is_loopback_registry(registry)
        base = f"{'http' if plain else 'https'}://{registry}/v2/{path}"
        for layer in reversed(await self._layers(base, digest)):
            finding = await self._layer(base, layer)
            if finding.outcome == "found":
                return finding.content
            if finding.outcome == "hidden":
                return None
            if finding.outcome == "unreadable":
                raise SourceUnavailable("image-layer-unreadable", f"layer {layer}: {finding.reason}")
        return None

    async def _layers(self, base: str, digest: str) -> list[str]:
        content = await self._manifest(f"{base}/manifests/{digest}")
        if sha256_digest(content) != digest:
            raise SourceUnavailable("registry-wrong-digest", f"{base}: the manifest is not the one that was asked for")
        try:
            manifest: Any = json.loads(content)
            layers = [layer["digest"] for layer in manifest["layers"]]
        except (ValueError, RecursionError, KeyError, TypeError) as exc:
            raise SourceUnavailable("registry-no-manifest", f"{base}: this is no image manifest") from exc
        if len(layers) > LAYERS_MAX or not all(isinstance(one, str) and is_sha256_digest(one) for one in layers):
            raise SourceUnavailable("registry-no-manifest", f"{base}: the manifest's layers are malformed")
        return layers

    async def _manifest(self, url: str) -> bytes:
        timeout = aiohttp.ClientTimeout(total=_MANIFEST_SECONDS_MAX)
        try:
            async with self._session.get(
                url, headers={"Accept": _ACCEPT}, timeout=timeout, allow_redirects=False
            ) as answer:
                if answer.status == 404:
                    raise SourceUnavailable("registry-image-unknown", f"{url}: the registry does not have this image")
                _check(answer, url)
                content = await answer.content.read(MANIFEST_BYTES_MAX + 1)
                while len(content) <= MANIFEST_BYTES_MAX and (more := await answer.content.read(MANIFEST_BYTES_MAX)):
                    content += more
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise _unreachable(url, exc) from exc
        if len(content) > MANIFEST_BYTES_MAX:
            raise SourceUnavailable("registry-no-manifest", f"{url}: the manifest is too large")
        return content

    async def _layer(self, base: str, digest: str) -> LayerFinding:
        """Bring one layer to disk, hash it on the way, scan it in a thread."""
        with tempfile.TemporaryFile() as spool:
            await self._download(f"{base}/blobs/{digest}", digest, spool)
            return await asyncio.to_thread(_scan, spool)

    async def _download(self, url: str, digest: str, spool: IO[bytes]) -> None:
        timeout = aiohttp.ClientTimeout(total=_LAYER_SECONDS_MAX)
        hashed, left = hashlib.sha256(), LAYER_BYTES_MAX
        try:
            async with self._session.get(url, timeout=timeout, max_redirects=3) as answer:
                _check(answer, url)
                async for chunk in answer.content.iter_chunked(256 * 1024):
                    left -= len(chunk)
                    if left < 0:
                        raise SourceUnavailable("image-layer-too-large", f"{url}: the layer is too large")
                    hashed.update(chunk)
                    await asyncio.to_thread(spool.write, chunk)
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise _unreachable(url, exc) from exc
        if f"sha256:{hashed.hexdigest()}" != digest:
            raise SourceUnavailable("registry-wrong-digest", f"{url}: the bytes are not those of the digest")


def _scan(spool: IO[bytes]) -> LayerFinding:
    spool.seek(0)
    magic = spool.read(4)
    spool.seek(0)
    if magic == _ZSTD:
        return LayerFinding(outcome="unreadable", reason="zstd layers are not read yet")
    if magic[:2] == _GZIP:
        with gzip.GzipFile(fileobj=spool) as inflated:
            return read_layer(cast("BinaryIO", inflated))
    return read_layer(cast("BinaryIO", spool))


def _check(answer: aiohttp.ClientResponse, url: str) -> None:
    if answer.status != 200:
        retry_after = answer.headers.get("Retry-After", "")
        seconds = float(retry_after) if retry_after.isdigit() and len(retry_after) < 6 else None
        raise SourceUnavailable("registry-error", f"{url}: HTTP {answer.status}", retry_after_seconds=seconds)


def _unreachable(url: str, exc: BaseException) -> SourceUnavailable:
    return SourceUnavailable("registry-unreachable", f"{url}: the registry does not answer ({type(exc).__name__})")
