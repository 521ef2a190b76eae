"""What is attached to an image in its registry: signatures, provenance and SBOMs, judged by trusted keys."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric import ec

from whence_aggregator.ports import ImageSaid, ImageStore, SourceUnavailable
from whence_common.image_evidence import ImageEvidence, Unreadable, fallback_tag, gather
from whence_common.image_provenance import claims_of_provenance
from whence_common.image_trust import TrustedBuilder, builder_of, other_subjects, signer_of, signing
from whence_common.oci_manifest import Manifest

_UNREADABLE = ("registry-no-manifest", "registry-wrong-digest", "registry-denied")
"""Codes for one part of an image, which rarely change: some registries deny access to tags that do not exist."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """The trusted signers for a registry: keys that sign images, builders that sign provenance."""

    keys: tuple[ec.EllipticCurvePublicKey, ...] = ()
    builders: tuple[TrustedBuilder, ...] = ()


class Pieces:
    """One repository: parts that are too large or have wrong bytes are unreadable, and the others are still read."""

    def __init__(self, store: ImageStore, repository: str) -> None:
        self._store = store
        self._repository = repository

    async def manifest(self, name: str) -> bytes | None:
        return await self._read(self._store.manifest, name)

    async def blob(self, digest: str) -> bytes | None:
        return await self._read(self._store.blob, digest)

    async def needed_manifest(self, name: str) -> bytes | None:
        """Return a manifest without which the image is not read. Raises SourceUnavailable."""
        return await self._store.manifest(self._repository, name)

    async def evidence(self, digest: str) -> ImageEvidence:
        """Return what is attached to a digest. Raises SourceUnavailable."""
        referrers = await self._store.referrers(self._repository, digest)
        if referrers is None:
            referrers = await self.needed_manifest(fallback_tag(digest))
        return await gather(digest, referrers, self, sboms=True)

    async def _read(self, ask: Callable[[str, str], Awaitable[bytes | None]], name: str) -> bytes | None:
        try:
            return await ask(self._repository, name)
        except SourceUnavailable as exc:
            if exc.code in _UNREADABLE:
                raise Unreadable(exc.message) from exc
            raise


@dataclass(slots=True, kw_only=True)
class Beside:
    """The SBOMs and the provenance of other images that were found so far."""

    whole: bool = False
    """Whether everything that is attached was read: else nothing is known to be absent."""
    sboms: set[str] = field(default_factory=set)
    others: bool = False
    """Whether provenance was found that is about other digests only."""

    def state(self, said: ImageSaid) -> None:
        """Add it to what the registry states. What may be corrected there is read again."""
        said.sboms = len(self.sboms) if self.sboms or self.whole else None
        said.other_subjects = self.others if self.others or self.whole else None
        if said.sboms == 0:
            said.awaited = said.awaited or "an SBOM"
        if said.other_subjects:
            said.awaited = said.awaited or "the provenance of this image alone"


async def judge_attached(said: ImageSaid, pieces: Pieces, manifests: Sequence[Manifest], trust: Trust) -> Beside:
    """Add the claims that trusted keys have signed, for the image itself or the index that contains it.

    Nothing is read where nothing is trusted. Returns what else is attached.
    """
    beside = Beside()
    said.signer_known = False
    if not trust.keys and not trust.builders:
        return beside
    digests = [one.digest for one in manifests] + [child.digest for one in manifests for child in one.children]
    unread: list[str] = []
    signatures = 0
    for manifest in manifests:
        evidence = await pieces.evidence(manifest.digest)
        unread += evidence.unread
        signatures += len(evidence.signatures) + len(evidence.digest_signatures) + signing(evidence.envelopes)
        beside.sboms |= evidence.sboms
        beside.others |= other_subjects(evidence.envelopes, digests)
        _add_signed(said, manifest.digest, evidence, trust)
    if trust.keys and not said.signed_by:
        said.awaited = "a trusted signature"
    if trust.builders and not said.built_by:
        said.awaited = "a trusted builder's provenance"
    reasons = [f"not all signatures and attestations were read: {one}" for one in dict.fromkeys(unread)]
    beside.whole = not reasons
    said.signer_known = bool(said.signed_by or (trust.keys and not reasons))
    said.signatures = signatures if not reasons else None
    if any(one.kind == "provenance" for one in said.claims):
        said.unknown.clear()
    elif trust.builders:
        said.unknown += reasons
    return beside


def _add_signed(said: ImageSaid, digest: str, evidence: ImageEvidence, trust: Trust) -> None:
    """Add who signed a digest and its provenance, and the claims of that provenance."""
    signed_by = signer_of(
        digest,
        signatures=evidence.signatures,
        digest_signatures=evidence.digest_signatures,
        envelopes=evidence.envelopes,
        keys=trust.keys,
    )
    built_by = builder_of(digest, envelopes=evidence.envelopes, builders=trust.builders)
    said.signed_by, said.built_by = said.signed_by or signed_by or "", said.built_by or built_by or ""
    claims, unclear = claims_of_provenance(digest, envelopes=evidence.envelopes, builders=trust.builders)
    said.claims += claims
    said.unknown += unclear
