"""By which types a registry names SBOMs: SPDX, CycloneDX and Syft's own form. Pure.

Source: the media types registered with IANA, the predicate types of in-toto, and what cosign, BuildKit, ORAS and Syft
write.
"""

from __future__ import annotations

_MEDIA_TYPES = ("application/spdx", "text/spdx", "application/vnd.cyclonedx", "application/vnd.syft")
_PREDICATES = ("https://spdx.dev/Document", "https://cyclonedx.org/bom", "https://syft.dev/bom")


def is_media_type(name: str) -> bool:
    """Return whether this is the media type, or artifact type, of an SBOM."""
    return name.lower().startswith(_MEDIA_TYPES)


def is_predicate(name: str) -> bool:
    """Return whether an attestation with this predicate type contains an SBOM."""
    return name.startswith(_PREDICATES)
