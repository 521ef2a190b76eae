"""Manifests of OCI and Docker registries, parsed strictly.

Source: OCI image specification 1.1 (manifest, index, `subject`, `artifactType`), Docker's schema 2 and manifest list.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from whence_common.digest import is_sha256_digest, sha256_digest
from whence_common.errors import InputError, one_line

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEXES = (OCI_INDEX, DOCKER_LIST)
MANIFESTS = (OCI_MANIFEST, DOCKER_MANIFEST)
ACCEPT = ", ".join(INDEXES + MANIFESTS)
MANIFEST_BYTES_MAX = 4 * 1024 * 1024
LAYERS_MAX = 1_000
CHILDREN_MAX = 1_000
BLOB_BYTES_MAX = 1 << 43
ANNOTATIONS_MAX = 10_000
"""The largest number of annotations in one object. The specification does not bound them; the manifest's size does."""
_UNTYPED = ("", "application/json", "application/octet-stream")
_KNOWN = ("schemaVersion", "mediaType", "config", "layers", "manifests", "subject", "artifactType", "annotations")
_KNOWN_OF_DESCRIPTORS = (
    "mediaType", "digest", "size", "urls", "annotations", "data", "platform", "artifactType",
)  # fmt: skip
_KNOWN_OF_PLATFORMS = ("architecture", "os", "os.version", "os.features", "variant", "features")
_REFERENCE_TYPE = "vnd.docker.reference.type"
"""BuildKit's annotation on entries of an index that are not images."""
_TYPE_CHARACTERS_MAX = 255


class ManifestInvalid(InputError):
    """The bytes are not a manifest that is stored."""

    def __init__(self, message: str) -> None:
        super().__init__("manifest-invalid", message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """A manifest's reference to other bytes: their media type, digest and size."""

    media_type: str
    digest: str
    size: int
    platform: tuple[str, str] | None = None
    """(operating system, architecture), in the entries of an index."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    artifact_type: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A manifest or an index. `content` are its verbatim bytes and `digest` their SHA-256."""

    content: bytes = field(repr=False)
    digest: str
    media_type: str
    config: Descriptor | None
    layers: tuple[Descriptor, ...]
    children: tuple[Descriptor, ...]
    subject: Descriptor | None
    artifact_type: str
    annotations: Mapping[str, str]

    @property
    def is_index(self) -> bool:
        return self.media_type in INDEXES

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """The config and the layers, each digest once."""
        named = (*((self.config,) if self.config is not None else ()), *self.layers)
        return tuple({one.digest: one for one in named}.values())

    @property
    def image(self) -> Descriptor | None:
        """The entry of an index to use when one image is required: linux/amd64, or the first that is an image."""
        images = [one for one in self.children if _may_be_image(one)]
        real = [one for one in images if one.platform is not None and one.platform[0] != "unknown"]
        for one in real:
            if one.platform == ("linux", "amd64"):
                return one
        return real[0] if real else next((one for one in images if one.platform is None), None)

    @classmethod
    def parse(cls, content: bytes, *, content_type: str = "") -> Manifest:
        """Parse a manifest's bytes; `content_type` is the header that came with them. Raises ManifestInvalid."""
        if len(content) > MANIFEST_BYTES_MAX:
            raise ManifestInvalid(f"the manifest is larger than {MANIFEST_BYTES_MAX} bytes")
        document = _document(content)
        media_type = _media_type(document, content_type)
        is_index = media_type in INDEXES
        if ("manifests" if is_index else "layers") not in document:
            raise ManifestInvalid(f"{'manifests' if is_index else 'layers'} is missing")
        for name in ("config", "layers") if is_index else ("manifests",):
            if document.get(name) is not None:
                raise ManifestInvalid(f"{name} is not a member of {media_type}")
        config = None if is_index else _descriptor(document.get("config"), "config")
        layers = () if is_index else _descriptors(document.get("layers"), "layers", LAYERS_MAX)
        subject = document.get("subject")
        stated_type = _text(document, "artifactType")
        if len(stated_type) > _TYPE_CHARACTERS_MAX:
            raise ManifestInvalid(f"artifactType must have at most {_TYPE_CHARACTERS_MAX} characters")
        return cls(
            content=content,
            digest=sha256_digest(content),
            media_type=media_type,
            config=config,
            layers=layers,
            children=_descriptors(document.get("manifests"), "manifests", CHILDREN_MAX) if is_index else (),
            subject=_descriptor(subject, "subject") if subject is not None else None,
            artifact_type=stated_type or (config.media_type if config is not None and subject is not None else ""),
            annotations=_annotations(document.get("annotations"), "annotations"),
        )


def _may_be_image(child: Descriptor) -> bool:
    return (
        child.media_type in INDEXES + MANIFESTS and not child.artifact_type and _REFERENCE_TYPE not in child.annotations
    )


def _document(content: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(content, object_pairs_hook=_object)
        msgspec.json.decode(content)  # refuses lone surrogates, which cannot be encoded again
    except ManifestInvalid:
        raise
    except (ValueError, RecursionError, msgspec.DecodeError) as exc:
        raise ManifestInvalid("the manifest is not JSON, or is nested too deep") from exc
    if not isinstance(document, dict):
        raise ManifestInvalid("the manifest is not a JSON object")
    if document.get("schemaVersion") != 2 or isinstance(document.get("schemaVersion"), bool):
        raise ManifestInvalid(f"schemaVersion must be 2, not {one_line(repr(document.get('schemaVersion')), 40)}")
    _check_letters(document, _KNOWN)
    return document


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a duplicate name: two readers could use different values."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ManifestInvalid("an object has a duplicate name")
    return found


def _check_letters(members: Mapping[str, Any], known: tuple[str, ...]) -> None:
    """Refuse a known name in another case, which some readers accept for it. Annotations may have any name."""
    folded = {name.lower() for name in known}
    for name in members:
        if name not in known and name.lower() in folded:
            raise ManifestInvalid(f"{one_line(name, 40)!r} differs from a known name only in upper and lower case")


def _text(members: Mapping[str, Any], name: str) -> str:
    """Return a member that is text; empty if it is missing or null."""
    value = members.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ManifestInvalid(f"{name} must be text")
    return value


def _media_type(document: Mapping[str, Any], content_type: str) -> str:
    stated, header = _text(document, "mediaType"), content_type.partition(";")[0].strip().lower()
    if stated and header not in (*_UNTYPED, stated):
        raise ManifestInvalid(f"Content-Type {one_line(header, 80)} and mediaType {one_line(stated, 80)} disagree")
    found = stated or header
    if found in _UNTYPED:
        found = OCI_INDEX if document.get("manifests") is not None else OCI_MANIFEST
    if found not in INDEXES + MANIFESTS:
        raise ManifestInvalid(f"{one_line(found, 80)} is not a media type of OCI or Docker manifests")
    return found


def _descriptors(value: Any, name: str, most: int) -> tuple[Descriptor, ...]:
    """Parse a list of descriptors; null counts as an empty list, since Go's encoder writes it so."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise ManifestInvalid(f"{name} must be a list")
    if len(value) > most:
        raise ManifestInvalid(f"{name} has more than {most} entries")
    return tuple(_descriptor(one, f"{name}[{number}]") for number, one in enumerate(value))


def _descriptor(value: Any, place: str) -> Descriptor:
    if not isinstance(value, dict):
        raise ManifestInvalid(f"{place} must be a descriptor")
    _check_letters(value, _KNOWN_OF_DESCRIPTORS)
    media_type, digest, size = value.get("mediaType"), value.get("digest"), value.get("size")
    if not isinstance(media_type, str) or not 0 < len(media_type) <= _TYPE_CHARACTERS_MAX:
        raise ManifestInvalid(f"{place}.mediaType must be a media type")
    if not isinstance(digest, str) or not is_sha256_digest(digest):
        raise ManifestInvalid(f"{place}.digest must be sha256: and 64 lower-case hex digits")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= BLOB_BYTES_MAX:
        raise ManifestInvalid(f"{place}.size must be a number of bytes")
    if value.get("urls"):
        raise ManifestInvalid(
            f"{place}.urls: layers that are stored outside the registry are not supported",
        )
    artifact_type = value.get("artifactType", "")
    return Descriptor(
        media_type=media_type,
        digest=digest,
        size=size,
        platform=_platform(value.get("platform")),
        annotations=_annotations(value.get("annotations"), f"{place}.annotations"),
        artifact_type=artifact_type if isinstance(artifact_type, str) else "",
    )


def _platform(value: Any) -> tuple[str, str] | None:
    if not isinstance(value, dict):
        return None
    _check_letters(value, _KNOWN_OF_PLATFORMS)
    system, architecture = value.get("os"), value.get("architecture")
    return (system, architecture) if isinstance(system, str) and isinstance(architecture, str) else None


def _annotations(value: Any, place: str) -> Mapping[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or len(value) > ANNOTATIONS_MAX:
        raise ManifestInvalid(f"{place} must be an object of at most {ANNOTATIONS_MAX} texts")
    for name, text in value.items():
        if not isinstance(text, str):
            raise ManifestInvalid(f"{place}: {one_line(name, 80)!r} must be text")
    return value
