"""An OCI registry asked for one thing: which digest a reference means. The bytes are hashed here, never believed."""

from __future__ import annotations

import json
import platform
from typing import Any

import aiohttp

from whence_agent.adapters.bodies import BodyTooLarge, read_bounded
from whence_agent.ports import RegistryRefused, ResolvedImage
from whence_common.digest import is_sha256_digest, sha256_digest
from whence_common.errors import one_line
from whence_common.image_reference import ImageReference, is_loopback_registry

MANIFEST_BYTES_MAX = 4 * 1024 * 1024
_REQUEST_SECONDS_MAX = 30.0
_INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
_MANIFESTS = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class OciRegistry:
    """Resolves references over HTTPS; over HTTP only for loopback and registries the platform names."""

    def __init__(self, *, session: aiohttp.ClientSession, plain_http: frozenset[str]) -> None:
        self._session = session
        self._plain_http = plain_http
        self._timeout = aiohttp.ClientTimeout(total=_REQUEST_SECONDS_MAX)

    async def resolve(self, reference: ImageReference) -> ResolvedImage:
        content, media_type = await self._manifest(reference, reference.digest or reference.tag or "")
        digest = sha256_digest(content)
        if media_type not in _INDEXES:
            return ResolvedImage(digest=digest, index_digest=None)
        chosen = _choose(content, reference)
        content, media_type = await self._manifest(reference, chosen)
        if media_type in _INDEXES:
            raise _refused("registry-index-of-indexes", reference, "an image index leads to another index")
        return ResolvedImage(digest=chosen, index_digest=digest)

    async def _manifest(self, reference: ImageReference, name: str) -> tuple[bytes, str]:
        plain = reference.registry in self._plain_http or is_loopback_registry(reference.registry)
        url = f"{'http' if plain else 'https'}://{reference.registry}/v2/{reference.path}/manifests/{name}"
        headers = {"Accept": ", ".join(_INDEXES + _MANIFESTS)}
        try:
            async with self._session.get(url, headers=headers, timeout=self._timeout, allow_redirects=False) as answer:
                _check_status(answer, reference, name)
                content = await read_bounded(answer, MANIFEST_BYTES_MAX)
                media_type = answer.content_type
                stated = answer.headers.get("Docker-Content-Digest")
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            why = f"does not answer ({type(exc).__name__})"
            raise RegistryRefused("registry-unreachable", f"the registry {reference.registry} {why}") from exc
        except BodyTooLarge as exc:
            raise _refused("registry-manifest-too-large", reference, f"the manifest is {exc}") from exc
        _check_digests(content, name, stated, reference)
        return content, _media_type(content, media_type, reference)


def _check_status(answer: aiohttp.ClientResponse, reference: ImageReference, name: str) -> None:
    if answer.status == 200:
        return
    where = f"{reference.registry} for {reference.path}:{name}" if not is_sha256_digest(name) else reference.repository
    if answer.status in (401, 403):
        raise RegistryRefused(
            "registry-unauthorised", f"HTTP {answer.status} from {where}: sign-in is needed", retryable=False,
            fix="allow this instance to pull from the registry",
        )  # fmt: skip
    if answer.status == 404:
        raise RegistryRefused(
            "registry-image-unknown", f"{where}: the registry has no such image", retryable=False,
            fix="push the image, or correct source",
        )  # fmt: skip
    retry_after = answer.headers.get("Retry-After", "")
    raise RegistryRefused(
        "registry-error",
        f"HTTP {answer.status} from {where}",
        retryable=answer.status == 429 or answer.status >= 500,
        retry_after_seconds=float(retry_after) if retry_after.isdigit() and len(retry_after) < 6 else None,
    )


def _check_digests(content: bytes, name: str, stated: str | None, reference: ImageReference) -> None:
    actual = sha256_digest(content)
    if is_sha256_digest(name) and actual != name:
        raise _refused("registry-wrong-digest", reference, f"{name} was asked for, but the bytes are {actual}")
    if stated is not None and stated != actual:
        raise _refused(
            "registry-wrong-digest",
            reference,
            f"the registry states {one_line(stated, 80)}, but the bytes are {actual}",
        )


def _media_type(content: bytes, header: str, reference: ImageReference) -> str:
    """Give the manifest's media type; header and body must not disagree."""
    document = _json(content, reference)
    stated = document.get("mediaType")
    if isinstance(stated, str) and header in _INDEXES + _MANIFESTS and stated != header:
        raise _refused("registry-media-type", reference, "Content-Type and mediaType disagree")
    media_type = header if header in _INDEXES + _MANIFESTS else stated
    if media_type not in _INDEXES + _MANIFESTS:
        raise _refused("registry-media-type", reference, f"{one_line(str(media_type), 80)} is no image manifest")
    return str(media_type)


def _choose(content: bytes, reference: ImageReference) -> str:
    """Pick this machine's platform from an index."""
    wanted = _ARCHITECTURES.get(platform.machine(), platform.machine())
    manifests = _json(content, reference).get("manifests")
    for entry in manifests if isinstance(manifests, list) else []:
        place = entry.get("platform") if isinstance(entry, dict) else None
        if isinstance(place, dict) and place.get("os") == "linux" and place.get("architecture") == wanted:
            digest = entry.get("digest")
            if isinstance(digest, str) and is_sha256_digest(digest):
                return digest
    raise _refused("registry-no-platform", reference, f"the image index has nothing for linux/{wanted}")


def _json(content: bytes, reference: ImageReference) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as exc:
        raise _refused("registry-not-json", reference, "the manifest is no JSON") from exc
    if not isinstance(document, dict):
        raise _refused("registry-not-json", reference, "the manifest is no JSON object")
    return document


def _refused(code: str, reference: ImageReference, why: str) -> RegistryRefused:
    return RegistryRefused(
        code,
        f"{reference}: {why}",
        retryable=False,
        fix="the registry or something before it is at fault; tell its owner",
    )
