"""The kind of a manifest: an image that a machine can run, or another artifact (signature, attestation, chart)."""

from __future__ import annotations

import re
from typing import Literal

from whence_common.oci_manifest import INDEXES, MANIFESTS, Descriptor, Manifest

_RUNNABLE_CONFIGS = (
    "application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json",
    "application/octet-stream",
)  # fmt: skip
"""Configurations that container engines start; docker accepts the last from registries that know no types."""
_FILE_SYSTEM = re.compile(r"application/vnd\.(oci\.image|docker)\.|.*\btar\b", re.IGNORECASE)
"""Layers that container engines unpack: docker goes by the first two prefixes."""
_COSIGN_TAG = re.compile(r"sha256-([0-9a-f]{64})\.(sig|att|sbom)")
ContentKind = Literal["image", "index", "artifact"]


def kind_of(manifest: Manifest) -> ContentKind:
    """Return the kind of a manifest by its configuration and layers: an image may have `artifactType` and `subject`.

    BuildKit's attestations and cosign's signatures have an image's configuration, but no layer that can be unpacked.
    """
    if manifest.is_index:
        return "index"
    config = manifest.config.media_type.lower() if manifest.config is not None else ""
    if config not in _RUNNABLE_CONFIGS:
        return "artifact"
    layers = manifest.layers
    return "image" if not layers or any(_FILE_SYSTEM.match(one.media_type) for one in layers) else "artifact"


def is_manifest(child: Descriptor) -> bool:
    """Return whether an index's entry is a manifest; BuildKit's old cache index names layers instead."""
    return child.media_type in INDEXES + MANIFESTS


def subject_of_tag(tag: str) -> str | None:
    """Return the digest that one of cosign's tags refers to."""
    match = _COSIGN_TAG.fullmatch(tag)
    return f"sha256:{match[1]}" if match is not None else None


def is_signature_tag(tag: str) -> bool:
    """Return whether cosign writes this tag again when a second signer adds a signature or an attestation."""
    match = _COSIGN_TAG.fullmatch(tag)
    return match is not None and match[2] in ("sig", "att")
