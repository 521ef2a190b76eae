"""An OCI registry asked which digest a reference means, and what it holds about it. All bytes are hashed here."""

from __future__ import annotations

import json
import platform
from typing import Any

from whence_agent.adapters.registry_http import Access, Answer, RegistryHttp
from whence_agent.ports import RegistryRefused, ResolvedImage
from whence_common.backoff import retry_after_seconds
from whence_common.digest import is_sha256_digest, sha256_digest
from whence_common.errors import one_line
from whence_common.image_evidence import ImageEvidence, Unreadable, fallback_tag, gather
from whence_common.image_provenance import claims_of_index, claims_of_manifest
from whence_common.image_reference import ImageReference
from whence_common.image_trust import EVIDENCE_BYTES_MAX
from whence_common.oci_manifest import ACCEPT, INDEXES, MANIFEST_BYTES_MAX, MANIFESTS
from whence_common.referrer_pages import PAGES_MAX, merged
from whence_common.registry_address import referrers_closed
from whence_common.registry_sign_in import Login

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_READY_HEADERS = ("X-Production-Ready-Taupage", "X-Trusted")


class OciRegistry:
    """Resolves references; fetches signatures and attestations for the trust policy."""

    def __init__(self, *, http: RegistryHttp) -> None:
        self._http = http

    async def resolve(self, reference: ImageReference, login: Login | None) -> ResolvedImage:
        access = Access(registry=reference.registry, path=reference.path, login=login)
        answer, media_type = await self._manifest(access, reference, reference.digest or reference.tag or "")
        digest = sha256_digest(answer.content)
        ready = any(answer.headers.get(name) == "true" for name in _READY_HEADERS)
        if media_type not in INDEXES:
            own = claims_of_manifest(answer.content)
            return ResolvedImage(
                digest=digest, index_digest=None, login=access.accepted(), production_ready=ready, claims=tuple(own)
            )
        chosen = _choose(answer.content, reference)
        image, media_type = await self._manifest(access, reference, chosen)
        if media_type in INDEXES:
            raise _refused("registry-index-of-indexes", reference, "an image index leads to another index")
        claims = [*claims_of_manifest(image.content), *claims_of_index(answer.content, chosen)]
        return ResolvedImage(
            digest=chosen, index_digest=digest, login=access.accepted(), production_ready=ready, claims=tuple(claims)
        )

    async def evidence(self, reference: ImageReference, digest: str, login: Login | None) -> ImageEvidence:
        access = Access(registry=reference.registry, path=reference.path, login=login)
        return await gather(digest, await self._referrers(access, reference, digest), _Pieces(self._http, access))

    async def _referrers(self, access: Access, reference: ImageReference, digest: str) -> bytes | None:
        """Ask what refers to a manifest: OCI 1.1 referrers, or their fallback tag where that road is closed."""
        url, pages = f"referrers/{digest}", list[bytes]()
        for _ in range(PAGES_MAX):
            answer = await self._http.get(access, url, accept=ACCEPT, bytes_max=MANIFEST_BYTES_MAX, follow=False)
            if not pages and referrers_closed(answer.status, answer.content):
                return await self._by_tag(access, reference, digest)
            _check_status(answer, reference, digest)
            pages.append(answer.content)
            url = self._http.next_page(access, answer)
            if not url:
                return merged(pages)
        raise _refused("registry-referrers", reference, "the list of referrers is too long")

    async def _by_tag(self, access: Access, reference: ImageReference, digest: str) -> bytes | None:
        path = f"manifests/{fallback_tag(digest)}"
        answer = await self._http.get(access, path, accept=ACCEPT, bytes_max=MANIFEST_BYTES_MAX)
        if answer.status == 404:
            return None
        _check_status(answer, reference, digest)
        return answer.content

    async def _manifest(self, access: Access, reference: ImageReference, name: str) -> tuple[Answer, str]:
        answer = await self._http.get(access, f"manifests/{name}", accept=ACCEPT, bytes_max=MANIFEST_BYTES_MAX)
        _check_status(answer, reference, name)
        _check_digests(answer.content, name, answer.headers.get("Docker-Content-Digest"), reference)
        return answer, _media_type(answer.content, answer.content_type, reference)


class _Pieces:
    """One repository, piece by piece: what is refused, too large or has other bytes is unreadable."""

    def __init__(self, http: RegistryHttp, access: Access) -> None:
        self._http = http
        self._access = access

    async def manifest(self, name: str) -> bytes | None:
        return await self._read(f"manifests/{name}", ACCEPT, name, MANIFEST_BYTES_MAX)

    async def blob(self, digest: str) -> bytes | None:
        return await self._read(f"blobs/{digest}", "*/*", digest, EVIDENCE_BYTES_MAX)

    async def _read(self, path: str, accept: str, name: str, bytes_max: int) -> bytes | None:
        try:
            answer = await self._http.get(self._access, path, accept=accept, bytes_max=bytes_max)
        except RegistryRefused as exc:
            if exc.retryable:
                raise
            raise Unreadable(exc.message) from exc
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise Unreadable(f"HTTP {answer.status}")
        if is_sha256_digest(name) and sha256_digest(answer.content) != name:
            raise Unreadable("the bytes are not those of the digest")
        return answer.content


def _check_status(answer: Answer, reference: ImageReference, name: str) -> None:
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
    raise RegistryRefused(
        "registry-error",
        f"HTTP {answer.status} from {where}",
        retryable=answer.status == 429 or answer.status >= 500,
        retry_after_seconds=retry_after_seconds(answer.headers.get("Retry-After", "")),
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
    if isinstance(stated, str) and header in INDEXES + MANIFESTS and stated != header:
        raise _refused("registry-media-type", reference, "Content-Type and mediaType disagree")
    media_type = header if header in INDEXES + MANIFESTS else stated
    if media_type not in INDEXES + MANIFESTS:
        raise _refused("registry-media-type", reference, f"{one_line(str(media_type), 80)} is not an image manifest")
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
        raise _refused("registry-not-json", reference, "the manifest is not JSON") from exc
    if not isinstance(document, dict):
        raise _refused("registry-not-json", reference, "the manifest is not a JSON object")
    return document


def _refused(code: str, reference: ImageReference, why: str) -> RegistryRefused:
    return RegistryRefused(
        code,
        f"{reference}: {why}",
        retryable=False,
        fix="the registry or something before it is at fault; tell its owner",
    )
