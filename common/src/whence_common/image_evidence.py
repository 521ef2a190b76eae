"""What a registry holds about one image: which manifests to read for it, which of their blobs. Pure; not believed.

Source: OCI distribution 1.1 referrers and their fallback tag, cosign's tags, Sigstore bundles (pierone.md 4.5).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from whence_common.digest import is_sha256_digest
from whence_common.image_trust import read_bundle
from whence_common.loose_json import loose

EVIDENCE_BYTES_MAX = 1024 * 1024
_MANIFESTS_MAX = 20
_LAYERS_MAX = 20
_SIGNATURE = "dev.cosignproject.cosign/signature"
_SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
_DSSE = "application/vnd.dsse.envelope.v1+json"
_BUNDLE = "application/vnd.dev.sigstore.bundle"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageEvidence:
    """What a registry holds about one image, verbatim and not believed yet."""

    signatures: tuple[tuple[bytes, bytes], ...] = ()
    """Simple-signing bodies, each with its signature in DER."""
    digest_signatures: tuple[bytes, ...] = ()
    """Signatures in DER over the manifest's digest itself."""
    envelopes: tuple[bytes, ...] = ()
    """DSSE envelopes as JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedBlob:
    """A blob of an evidence manifest that is worth reading."""

    kind: str
    digest: str
    annotations: Mapping[str, Any]


@dataclass(slots=True)
class Gathering:
    """Evidence as it comes in."""

    signatures: list[tuple[bytes, bytes]] = field(default_factory=list)
    digest_signatures: list[bytes] = field(default_factory=list)
    envelopes: list[bytes] = field(default_factory=list)

    def add(self, blob: WantedBlob, content: bytes) -> None:
        """Take a blob whose bytes are those of its digest."""
        if blob.kind == _SIMPLE_SIGNING:
            signature = _decoded(blob.annotations.get(_SIGNATURE))
            self.signatures += [(content, signature)] if signature is not None else []
        elif blob.kind == _DSSE:
            self.envelopes.append(content)
        else:
            envelope, plain = read_bundle(content)
            self.envelopes += [envelope] if envelope is not None else []
            self.digest_signatures += [plain] if plain is not None else []

    def evidence(self) -> ImageEvidence:
        return ImageEvidence(
            signatures=tuple(self.signatures),
            digest_signatures=tuple(self.digest_signatures),
            envelopes=tuple(self.envelopes),
        )


def fallback_tag(digest: str) -> str:
    """Name the tag under which registries without referrers keep them."""
    return digest.replace(":", "-")


def evidence_manifests(digest: str, referrers: bytes | None) -> list[str]:
    """Name the manifests that may hold evidence, given what the registry lists as referrers: digests and tags."""
    found = loose(referrers).get("manifests") if referrers is not None else None
    named = [entry.get("digest") for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []
    digests = [one for one in named if isinstance(one, str) and is_sha256_digest(one)]
    tag = fallback_tag(digest)
    return [*digests[:_MANIFESTS_MAX], f"{tag}.sig", f"{tag}.att"]


def wanted_blobs(manifest: bytes) -> list[WantedBlob]:
    """Give the blobs of an evidence manifest that are worth reading."""
    layers = loose(manifest).get("layers")
    found = []
    for layer in layers[:_LAYERS_MAX] if isinstance(layers, list) else []:
        descriptor = layer if isinstance(layer, dict) else {}
        kind, digest, size = (descriptor.get(name) for name in ("mediaType", "digest", "size"))
        annotations = descriptor.get("annotations")
        wanted = isinstance(kind, str) and (kind in (_SIMPLE_SIGNING, _DSSE) or kind.startswith(_BUNDLE))
        if not wanted or not isinstance(digest, str) or not is_sha256_digest(digest):
            continue
        if isinstance(size, int) and 0 < size <= EVIDENCE_BYTES_MAX:
            held = annotations if isinstance(annotations, dict) else {}
            found.append(WantedBlob(kind=str(kind), digest=digest, annotations=held))
    return found


def _decoded(text: Any) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True) if isinstance(text, str) else None
    except (binascii.Error, ValueError):
        return None
