"""The platforms that a processor runs natively, and the best image in an index for it. No I/O is done here.

Sources: x86-64 psABI, micro-architecture levels; Arm ARM, features that a version of the architecture makes mandatory;
OCI image specification 1.1, platform variants.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from whence_common.digest import is_sha256_digest
from whence_common.errors import one_line
from whence_common.oci_manifest import INDEXES, MANIFESTS

_ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64", "i686": "386"}
_AMD64_LEVELS = (
    ("v1", ""),
    ("v2", "cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3"),
    ("v3", "abm avx avx2 bmi1 bmi2 f16c fma movbe xsave"),
    ("v4", "avx512bw avx512cd avx512dq avx512f avx512vl"),
)
"""Each level and the flags in /proc/cpuinfo that it adds: pni is SSE3, abm is lzcnt."""
_ARM64_LEVELS = (
    ("v8", ""),
    ("v8.1", "asimdrdm atomics crc32"),
    ("v8.2", "dcpop"),
    ("v8.3", "fcma jscvt lrcpc paca pacg"),
    ("v8.4", "asimddp dit flagm ilrcpc uscat"),
    ("v8.5", "bti dcpodp flagm2 frint sb"),
    ("v9", "sve2"),
)
_ARM_LEVELS = {"armv5": ("v5",), "armv6": ("v5", "v6"), "armv7": ("v5", "v6", "v7"), "armv8": ("v5", "v6", "v7", "v8")}
_SAME = {
    ("amd64", ""): "v1", ("arm64", ""): "v8", ("arm64", "v8.0"): "v8", ("arm64", "8"): "v8", ("arm64", "v9.0"): "v9",
    ("arm", ""): "v7", ("arm", "5"): "v5", ("arm", "6"): "v6", ("arm", "7"): "v7",
}  # fmt: skip
"""Canonical variants for missing and alternative ones. A missing variant of Arm means v7, as in containerd."""
_KNOWN = {
    "amd64": re.compile(r"v[0-9]\Z"),
    "arm64": re.compile(r"v[89](?:\.[0-9])?\Z"),
    "arm": re.compile(r"v[5-8]\Z"),
}  # fmt: skip
"""Variants that are versions; other variants are not requirements."""
_OFFERS_SHOWN_MAX = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePlatform:
    """The platform that an image is built for."""

    system: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        parts = (self.system, self.architecture, *([self.variant] if self.variant else []))
        return one_line("/".join(parts), 60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Processor:
    """An architecture and its supported variants, the best last."""

    architecture: str
    variants: tuple[str, ...]

    @classmethod
    def of(cls, machine: str, flags: frozenset[str]) -> Processor:
        """Return the processor of `uname -m` and of the flags in /proc/cpuinfo.

        Emulation and other modes are not considered: a 64-bit Arm machine need not run 32-bit programs.
        """
        architecture = _ARCHITECTURES.get(machine, machine)
        if architecture == "amd64":
            return cls(architecture=architecture, variants=_levels(_AMD64_LEVELS, flags))
        if architecture == "arm64":
            return cls(architecture=architecture, variants=_levels(_ARM64_LEVELS, flags))
        if machine[:5] in _ARM_LEVELS:
            return cls(architecture="arm", variants=_ARM_LEVELS[machine[:5]])
        return cls(architecture=architecture, variants=("",))

    @property
    def platform(self) -> ImagePlatform:
        """The best platform that runs here."""
        return ImagePlatform(system="linux", architecture=self.architecture, variant=self.variants[-1])

    def rank(self, wanted: ImagePlatform) -> int | None:
        """Return how well a platform fits, higher is better; None if it is not known to run here."""
        variant = _SAME.get((wanted.architecture, wanted.variant), wanted.variant)
        if (wanted.system, wanted.architecture) != ("linux", self.architecture) or variant not in self.variants:
            return None
        return self.variants.index(variant)

    def is_too_old_for(self, wanted: ImagePlatform) -> bool:
        """Return whether an image is for this architecture, but needs a newer variant of it."""
        variant = _SAME.get((wanted.architecture, wanted.variant), wanted.variant)
        if wanted.system not in ("", "linux") or wanted.architecture != self.architecture:
            return False
        return _is_version(self.architecture, variant) and variant not in self.variants

    def cannot_run(self, wanted: ImagePlatform) -> bool:
        """Return whether an image cannot run here. Parts of the platform that are not stated are ignored."""
        if wanted.system not in ("", "linux") or wanted.architecture not in ("", self.architecture):
            return True
        return self.is_too_old_for(wanted)


def flags_of(cpuinfo: str) -> frozenset[str]:
    """Return the flags of the first processor in the text of /proc/cpuinfo."""
    for line in cpuinfo.splitlines():
        name, colon, value = line.partition(":")
        if colon and name.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()


def choose(index: Mapping[str, Any], processor: Processor) -> str | None:
    """Return the digest of the best image in an index for this processor, the first of equals; None if there is none.

    An image without a platform is chosen if it is the only one in the index: its configuration states the platform.
    """
    images = _images(index)
    ranked = [(rank, digest) for digest, place in images if place and (rank := processor.rank(place)) is not None]
    if ranked:
        best = max(rank for rank, _ in ranked)
        return next(digest for rank, digest in ranked if rank == best)
    return images[0][0] if len(images) == 1 and images[0][1] is None else None


def offers(index: Mapping[str, Any]) -> list[ImagePlatform]:
    """Return the platforms of an index's images, each once."""
    return list(dict.fromkeys(place for _, place in _images(index) if place is not None))


def written(platforms: Sequence[ImagePlatform]) -> str:
    """Return a list of platforms as text for a message; a long list is cut."""
    more = f" and {len(platforms) - _OFFERS_SHOWN_MAX} more" if len(platforms) > _OFFERS_SHOWN_MAX else ""
    return ", ".join(str(one) for one in platforms[:_OFFERS_SHOWN_MAX]) + more


def platform_of(document: Mapping[str, Any]) -> ImagePlatform:
    """Return `os`, `architecture` and `variant` of an index's platform, or of an image's configuration.

    `os.version` and `os.features` concern Windows only and are ignored.
    """
    system, architecture, variant = (
        value if isinstance(value := document.get(name), str) else "" for name in ("os", "architecture", "variant")
    )
    return ImagePlatform(system=system, architecture=architecture, variant=variant)


def _is_version(architecture: str, variant: str) -> bool:
    pattern = _KNOWN.get(architecture)
    return pattern is not None and pattern.match(variant) is not None


def _levels(levels: Sequence[tuple[str, str]], flags: frozenset[str]) -> tuple[str, ...]:
    """Return the complete levels, from the first on: a level includes the previous ones."""
    found = []
    for level, needed in levels:
        if not flags.issuperset(needed.split()):
            break
        found.append(level)
    return tuple(found)


def _images(index: Mapping[str, Any]) -> list[tuple[str, ImagePlatform | None]]:
    """Return digest and platform of an index's images, without attestations and other artifacts."""
    entries = index.get("manifests")
    found: list[tuple[str, ImagePlatform | None]] = []
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry, dict) or not _is_image(entry):
            continue
        digest, place = entry.get("digest"), entry.get("platform")
        if not isinstance(digest, str) or not is_sha256_digest(digest):
            continue
        platform = platform_of(place) if isinstance(place, dict) else None
        if platform is None or "unknown" not in (platform.system, platform.architecture):
            found.append((digest, platform))
    return found


def _is_image(entry: Mapping[str, Any]) -> bool:
    annotations = entry.get("annotations")
    attached = isinstance(annotations, dict) and "vnd.docker.reference.type" in annotations
    known = entry.get("mediaType") in (None, *MANIFESTS, *INDEXES)
    return known and not entry.get("artifactType") and not attached
