"""Resolve references at an OCI registry, and read signatures and attestations. All content is hashed here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from whence_agent.adapters.processor import Processor
from whence_agent.adapters.registry_connection import RegistryReply
from whence_agent.adapters.registry_manifests import (
    check_no_page,
    check_runs_here,
    choose_image,
    layer_types,
    media_type_of,
    refused,
)
from whence_agent.adapters.registry_reads import RegistryReads, RepositorySignIn
from whence_agent.adapters.registry_refusals import AT_FAULT
from whence_agent.ports import RegistryRefused, ResolvedImage
from whence_common.digest import is_sha256_digest, sha256_digest
from whence_common.errors import one_line
from whence_common.image_evidence import ImageEvidence, Unreadable, fallback_tag, gather
from whence_common.image_provenance import SourceClaim, claims_of_index, claims_of_manifest
from whence_common.image_reference import ImageReference
from whence_common.image_trust import EVIDENCE_BYTES_MAX
from whence_common.loose_json import loose
from whence_common.oci_manifest import ACCEPT, INDEXES, MANIFEST_BYTES_MAX
from whence_common.registry_answers import is_missing, is_other, is_page, may_pass
from whence_common.registry_sign_in import Login

CONFIG_BYTES_MAX = 4 * 1024 * 1024
_READY_HEADERS = ("X-Production-Ready-Taupage", "X-Trusted")


class OciRegistry:
    """Resolves references to images for this processor; reads signatures and attestations for the trust policy."""

    def __init__(self, *, http: RegistryReads, processor: Processor) -> None:
        self._http = http
        self._processor = processor

    async def resolve(self, reference: ImageReference, login: Login | None) -> ResolvedImage:
        access = RepositorySignIn(registry=reference.registry, path=reference.path, login=login)
        answer, media_type = await self._manifest(access, reference, reference.digest or reference.tag or "")
        digest = sha256_digest(answer.content)
        ready = any(answer.headers.get(name) == "true" for name in _READY_HEADERS)
        image, chosen, claims = answer, digest, list[SourceClaim]()
        if media_type in INDEXES:
            chosen = choose_image(answer.content, reference, self._processor)
            image, media_type = await self._manifest(access, reference, chosen)
            if media_type in INDEXES:
                raise refused("registry-index-of-indexes", reference, "the image index contains another index")
            claims = claims_of_index(answer.content, chosen)
        document = loose(image.content)
        await self._check_platform(access, reference, document, in_index=chosen != digest)
        return ResolvedImage(
            digest=chosen, index_digest=digest if chosen != digest else None, login=access.accepted(),
            production_ready=ready, claims=(*claims_of_manifest(image.content), *claims),
            layer_types=layer_types(document),
        )  # fmt: skip

    async def _check_platform(
        self, access: RepositorySignIn, reference: ImageReference, manifest: Mapping[str, Any], *, in_index: bool
    ) -> None:
        """Check the platform in the image's configuration, before the image is pulled. Raises RegistryRefused."""
        descriptor = manifest.get("config")
        digest = descriptor.get("digest") if isinstance(descriptor, dict) else None
        if not isinstance(digest, str) or not is_sha256_digest(digest):
            return  # the platform is unknown here; the engine checks it
        answer = await self._http.get(access, f"blobs/{digest}", accept="*/*", bytes_max=CONFIG_BYTES_MAX)
        self._http.check(access, answer, digest)
        if sha256_digest(answer.content) != digest:
            check_no_page(answer.content_type, reference)
            raise refused("registry-wrong-digest", reference, f"the content does not match {digest}")
        check_runs_here(loose(answer.content), reference, self._processor, in_index=in_index)

    async def evidence(self, reference: ImageReference, digest: str, login: Login | None) -> ImageEvidence:
        access = RepositorySignIn(registry=reference.registry, path=reference.path, login=login)
        return await gather(digest, await self._referrers(access, reference, digest), _Pieces(self._http, access))

    async def _referrers(self, access: RepositorySignIn, reference: ImageReference, digest: str) -> bytes | None:
        """Return the list of referrers by OCI 1.1's API, or by the fallback tag if the registry lacks the API."""
        listed = await self._http.referrers(access, digest)
        return listed if listed is not None else await self._by_tag(access, reference, digest)

    async def _by_tag(self, access: RepositorySignIn, reference: ImageReference, digest: str) -> bytes | None:
        path = f"manifests/{fallback_tag(digest)}"
        answer = await self._http.get(access, path, accept=ACCEPT, bytes_max=MANIFEST_BYTES_MAX)
        if is_missing(answer.status, answer.content_type):
            return None
        self._http.check(access, answer, digest)
        return answer.content

    async def _manifest(
        self, access: RepositorySignIn, reference: ImageReference, name: str
    ) -> tuple[RegistryReply, str]:
        answer = await self._http.get(access, f"manifests/{name}", accept=ACCEPT, bytes_max=MANIFEST_BYTES_MAX)
        self._http.check(access, answer, name)
        if is_other(name, answer.content):
            check_no_page(answer.content_type, reference)
        _check_digests(answer.content, name, answer.headers.get("Docker-Content-Digest"), reference)
        return answer, media_type_of(answer.content, answer.content_type, reference)


class _Pieces:
    """The evidence source of one repository: content that is refused, too large or does not match is unreadable."""

    def __init__(self, http: RegistryReads, access: RepositorySignIn) -> None:
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
        if is_missing(answer.status, answer.content_type):
            return None
        if answer.status != 200:
            if may_pass(answer.status, answer.content) or is_page(answer.content_type):
                self._http.check(self._access, answer, name)
            raise Unreadable(f"HTTP {answer.status}")
        if is_other(name, answer.content):
            if is_page(answer.content_type):
                raise RegistryRefused("registry-page", f"{name}: an HTML page was returned in its place", fix=AT_FAULT)
            raise Unreadable("the content does not match the digest")
        return answer.content


def _check_digests(content: bytes, name: str, stated: str | None, reference: ImageReference) -> None:
    actual = sha256_digest(content)
    if is_sha256_digest(name) and actual != name:
        raise refused("registry-wrong-digest", reference, f"{name} was requested, but the content has {actual}")
    if stated is not None and stated != actual:
        raise refused(
            "registry-wrong-digest",
            reference,
            f"the registry states {one_line(stated, 80)}, but the content has {actual}",
        )
