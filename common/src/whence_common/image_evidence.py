"""Gather the signatures and provenance of an image from a registry: which manifests and blobs to read. Not verified.

Source: OCI distribution 1.1 referrers and their fallback tag, cosign's tags, Sigstore bundles. SBOMs are found by
their types and not read; scans and other artifacts are skipped before anything is counted. What a bound excludes is
listed in `unread`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from whence_common import sbom_types, strict_base64
from whence_common.digest import is_sha256_digest
from whence_common.envelope import Envelope, EnvelopeInvalid
from whence_common.image_trust import EVIDENCE_BYTES_MAX, PROVENANCE_PREFIX, WANTED_PREDICATES, read_bundle
from whence_common.loose_json import loose
from whence_common.slsa_source import PROVENANCE_TYPES

MANIFESTS_MAX = 100
BLOBS_MAX = 200
TOTAL_BYTES_MAX = 32 * 1024 * 1024
_REASONS_MAX = 5
_SIGNATURE = "dev.cosignproject.cosign/signature"
_SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
_DSSE = "application/vnd.dsse.envelope.v1+json"
_BUNDLE = "application/vnd.dev.sigstore.bundle"
_SIGNED_IN_TOTO = ("application/vnd.in-toto.provenance+dsse", "application/vnd.in-toto+dsse")
"""in-toto's media types for envelopes of provenance, and of any predicate; Docker uses the first."""
_IN_TOTO, _PREDICATE = "application/vnd.in-toto+json", "in-toto.io/predicate-type"
_PREDICATE_NAMES = ("dev.sigstore.bundle.predicateType", "predicateType", _PREDICATE)
_ARTIFACT_TYPES = (
    _BUNDLE, _DSSE, "application/vnd.dev.cosign.", _IN_TOTO, *_SIGNED_IN_TOTO, "application/vnd.oci.empty.",
    "application/vnd.oci.image.config.", "application/vnd.docker.container.image.", "application/octet-stream",
)  # fmt: skip
"""Prefixes of the artifact types of signatures and provenance; a config's type replaces an absent artifact type."""


class Unreadable(Exception):
    """One piece of evidence cannot be read; the message states why."""


class EvidenceSource(Protocol):
    """Reads from one repository of a registry; bytes match their digest. Raises Unreadable."""

    async def manifest(self, name: str) -> bytes | None: ...

    async def blob(self, digest: str) -> bytes | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageEvidence:
    """The signatures and attestations of one image, verbatim and not verified yet."""

    signatures: tuple[tuple[bytes, bytes], ...] = ()
    """Simple-signing bodies, each with its signature in DER."""
    digest_signatures: tuple[bytes, ...] = ()
    """Signatures in DER over the manifest's digest."""
    envelopes: tuple[bytes, ...] = ()
    """DSSE envelopes as JSON."""
    sboms: frozenset[str] = frozenset()
    """The digests by which the registry lists SBOMs of the image; their contents are not read."""
    unread: tuple[str, ...] = ()
    """What was not read, and why. If this is not empty, missing evidence proves nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedBlob:
    """A blob of an evidence manifest that may hold a signature or provenance."""

    kind: str
    digest: str
    size: int
    annotations: Mapping[str, Any]


@dataclass(slots=True)
class Gathering:
    """The evidence gathered so far, and what remains of the bounds."""

    signatures: list[tuple[bytes, bytes]] = field(default_factory=list)
    digest_signatures: list[bytes] = field(default_factory=list)
    envelopes: list[bytes] = field(default_factory=list)
    sboms: set[str] = field(default_factory=set)
    unread: list[str] = field(default_factory=list)
    blobs: int = 0
    bytes_left: int = TOTAL_BYTES_MAX

    def skip(self, reason: str) -> None:
        """Note why something is not read; only the first few reasons are kept."""
        if reason not in self.unread and len(self.unread) < _REASONS_MAX:
            self.unread.append(reason)

    def takes(self, blob: WantedBlob) -> bool:
        """Return whether a blob is within the bounds, and count it; if it is not, note the reason."""
        if blob.size > EVIDENCE_BYTES_MAX:
            self.skip(f"{blob.digest} has {blob.size} bytes; at most {EVIDENCE_BYTES_MAX} are read")
        elif self.blobs >= BLOBS_MAX:
            self.skip(f"there are more than {BLOBS_MAX} signatures and attestations")
        elif blob.size > self.bytes_left:
            self.skip(f"the signatures and attestations have more than {TOTAL_BYTES_MAX} bytes")
        else:
            self.blobs += 1
            self.bytes_left -= blob.size
            return True
        return False

    def add(self, blob: WantedBlob, content: bytes) -> None:
        """Add the contents of a blob; its bytes match its digest."""
        if blob.kind == _SIMPLE_SIGNING:
            signature = _decoded(blob.annotations.get(_SIGNATURE))
            self.signatures += [(content, signature)] if signature is not None else []
        elif blob.kind == _DSSE:
            self._add_envelope(blob, content)
        else:
            envelope, plain = read_bundle(content)
            if envelope is not None:
                self._add_envelope(blob, envelope)
            self.digest_signatures += [plain] if plain is not None else []

    def _add_envelope(self, blob: WantedBlob, envelope: bytes) -> None:
        """Add an envelope. A malformed one is not evidence; one that exceeds a bound is listed as unread."""
        try:
            parsed = Envelope.parse(envelope, bytes_max=EVIDENCE_BYTES_MAX)
        except EnvelopeInvalid as exc:
            if exc.code != "envelope-malformed":
                self.skip(f"{blob.digest}: {exc.message}")
            return
        self.envelopes.append(envelope)
        if sbom_types.is_predicate(_text(loose(parsed.payload).get("predicateType"))):
            self.sboms.add(blob.digest)

    def evidence(self) -> ImageEvidence:
        return ImageEvidence(
            signatures=tuple(self.signatures),
            digest_signatures=tuple(self.digest_signatures),
            envelopes=tuple(self.envelopes),
            sboms=frozenset(self.sboms),
            unread=tuple(self.unread),
        )


async def gather(digest: str, referrers: bytes | None, source: EvidenceSource, *, sboms: bool = False) -> ImageEvidence:
    """Read what may be signatures or provenance of a digest. `referrers` is the registry's list of its referrers.

    `sboms`: read the manifest of cosign's tag for SBOMs too.
    """
    gathering = Gathering(sboms=listed_sboms(referrers))
    names = evidence_manifests(digest, referrers)
    if sboms:
        names.insert(2, f"{fallback_tag(digest)}.sbom")
    if len(names) > MANIFESTS_MAX:
        gathering.skip(f"more than {MANIFESTS_MAX} manifests may hold signatures or attestations")
    for name in names[:MANIFESTS_MAX]:
        try:
            content = await source.manifest(name)
        except Unreadable as exc:
            gathering.skip(f"{name}: {exc}")
            continue
        if content is None:
            continue
        gathering.sboms |= sboms_in(content, name)
        for blob in wanted_blobs(content):
            if gathering.takes(blob):
                await _read(gathering, blob, source)
    return gathering.evidence()


async def _read(gathering: Gathering, blob: WantedBlob, source: EvidenceSource) -> None:
    try:
        found = await source.blob(blob.digest)
    except Unreadable as exc:
        gathering.skip(f"{blob.digest}: {exc}")
        return
    if found is None:
        gathering.skip(f"{blob.digest}: the registry does not have it")
    else:
        gathering.add(blob, found)


def fallback_tag(digest: str) -> str:
    """Return the tag that lists a digest's referrers in registries without the referrers API."""
    return digest.replace(":", "-")


def evidence_manifests(digest: str, referrers: bytes | None) -> list[str]:
    """Return the manifests that may hold evidence: cosign's tags, then digests, those with a wanted type first."""
    found = loose(referrers).get("manifests") if referrers is not None else None
    entries = [one for one in found if isinstance(one, dict) and _worth(one)] if isinstance(found, list) else []
    entries.sort(key=lambda one: _predicate(one) not in WANTED_PREDICATES)
    named = [entry.get("digest") for entry in entries]
    tag = fallback_tag(digest)
    digests = dict.fromkeys(one for one in named if isinstance(one, str) and is_sha256_digest(one))
    return [f"{tag}.sig", f"{tag}.att", *digests]


def listed_sboms(referrers: bytes | None) -> set[str]:
    """Return the digests of the referrers that are SBOMs by their entries in the registry's list."""
    found = loose(referrers).get("manifests") if referrers is not None else None
    entries = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    return {
        digest
        for one in entries
        if is_sha256_digest(digest := _text(one.get("digest")))
        and (sbom_types.is_media_type(_text(one.get("artifactType"))) or sbom_types.is_predicate(_predicate(one)))
    }


def sboms_in(manifest: bytes, name: str) -> set[str]:
    """Return the SBOMs that a manifest is or contains, by its own types: its name, and the digests of its layers."""
    document = loose(manifest)
    config, layers = document.get("config"), document.get("layers")
    kinds = [document.get("artifactType"), config.get("mediaType") if isinstance(config, dict) else None]
    if any(sbom_types.is_media_type(_text(one)) for one in kinds) or sbom_types.is_predicate(_predicate(document)):
        return {name}
    return {
        digest
        for one in (layers if isinstance(layers, list) else [])
        if isinstance(one, dict)
        and is_sha256_digest(digest := _text(one.get("digest")))
        and (sbom_types.is_media_type(_text(one.get("mediaType"))) or sbom_types.is_predicate(_predicate(one)))
    }


def wanted_blobs(manifest: bytes) -> list[WantedBlob]:
    """Return the blobs of an evidence manifest that may hold a signature or provenance."""
    document = loose(manifest)
    if not _may_be_wanted(_predicate(document)):
        return []
    layers = document.get("layers")
    found = []
    for layer in layers if isinstance(layers, list) else []:
        descriptor = layer if isinstance(layer, dict) else {}
        kind, digest, size = (descriptor.get(name) for name in ("mediaType", "digest", "size"))
        annotations = descriptor.get("annotations")
        if kind in _SIGNED_IN_TOTO:
            kind = _DSSE
        wanted = isinstance(kind, str) and (kind in (_SIMPLE_SIGNING, _DSSE) or kind.startswith(_BUNDLE))
        if not wanted or not isinstance(digest, str) or not is_sha256_digest(digest):
            continue
        if isinstance(size, int) and size > 0 and _may_be_wanted(_predicate(descriptor)):
            held = annotations if isinstance(annotations, dict) else {}
            found.append(WantedBlob(kind=str(kind), digest=digest, size=size, annotations=held))
    return found


def provenance_blobs(attestation: bytes) -> list[tuple[str, int]]:
    """Return digest and size of the provenance in one of BuildKit's attestation manifests; SBOMs are skipped."""
    layers = loose(attestation).get("layers")
    found = []
    for layer in layers if isinstance(layers, list) else []:
        descriptor = layer if isinstance(layer, dict) else {}
        annotations = descriptor.get("annotations")
        stated = annotations.get(_PREDICATE) if isinstance(annotations, dict) else None
        digest, size = descriptor.get("digest"), descriptor.get("size")
        if descriptor.get("mediaType") != _IN_TOTO or not isinstance(digest, str) or not is_sha256_digest(digest):
            continue
        if stated in (None, *PROVENANCE_TYPES) and isinstance(size, int):
            found.append((digest, size))
    return found


def _worth(entry: Mapping[str, Any]) -> bool:
    """Return whether a referrer may be a signature or provenance, by its entry in the list."""
    kind = entry.get("artifactType")
    known = isinstance(kind, str) and kind != ""
    return (not known or str(kind).startswith(_ARTIFACT_TYPES)) and _may_be_wanted(_predicate(entry))


def _predicate(described: Mapping[str, Any]) -> str:
    """Return the predicate type in the annotations of a descriptor or manifest; empty if they state none."""
    annotations = described.get("annotations")
    held = annotations if isinstance(annotations, dict) else {}
    return next((str(held[name]) for name in _PREDICATE_NAMES if isinstance(held.get(name), str)), "")


def _may_be_wanted(predicate: str) -> bool:
    """Return whether a predicate type is wanted, is another version of provenance, or is not stated."""
    return "://" not in predicate or predicate in WANTED_PREDICATES or predicate.startswith(PROVENANCE_PREFIX)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _decoded(text: Any) -> bytes | None:
    try:
        return strict_base64.decode(text) if isinstance(text, str) else None
    except ValueError:
        return None
