"""Read a manifest's media type, layers and platform. No I/O is done here."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from whence_agent.adapters.processor import Processor, choose, offers, platform_of, written
from whence_agent.adapters.registry_refusals import AT_FAULT
from whence_agent.ports import RegistryRefused
from whence_common.errors import one_line
from whence_common.image_reference import ImageReference
from whence_common.oci_manifest import INDEXES, LAYERS_MAX, MANIFESTS
from whence_common.registry_answers import is_page

_OTHER = "image-other-architecture"
_SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+"


def media_type_of(content: bytes, header: str, reference: ImageReference) -> str:
    """Return the manifest's media type; header and body must agree. Raises RegistryRefused."""
    document = _document(content, header, reference)
    stated = document.get("mediaType")
    if header.startswith(_SCHEMA_1) or document.get("schemaVersion") == 1:
        raise refused(
            "image-schema-1", reference, "the image has a manifest of schema 1, which engines no longer pull",
            fix="the image is at fault: push it again with a current engine or build tool",
        )  # fmt: skip
    if isinstance(stated, str) and header in INDEXES + MANIFESTS and stated != header:
        raise refused("registry-media-type", reference, "Content-Type and mediaType disagree")
    media_type = header if header in INDEXES + MANIFESTS else stated
    if media_type not in INDEXES + MANIFESTS:
        raise refused("registry-media-type", reference, f"{one_line(str(media_type), 80)} is not an image manifest")
    return str(media_type)


def choose_image(content: bytes, reference: ImageReference, processor: Processor) -> str:
    """Return the digest of the best image in an index for this processor. Raises RegistryRefused."""
    index = _document(content, "", reference)
    chosen = choose(index, processor)
    if chosen is not None:
        return chosen
    offered = offers(index)
    if not offered:
        raise refused(
            "registry-no-platform", reference, "the image index lists no image for any platform",
            fix="the image is at fault: push the index again",
        )  # fmt: skip
    message = f"the image is for {written(offered)}, but this machine runs {processor.platform}"
    old = any(processor.is_too_old_for(one) for one in offered)
    raise refused(_OTHER, reference, message, fix=_of_machine(processor) if old else _of_image(processor))


def check_runs_here(
    configuration: Mapping[str, Any], reference: ImageReference, processor: Processor, *, in_index: bool
) -> None:
    """Check the platform in an image's configuration. Raises RegistryRefused."""
    wanted = platform_of(configuration)
    if not processor.cannot_run(wanted):
        return
    message = f"the image is for {wanted}, but this machine runs {processor.platform}"
    if processor.is_too_old_for(wanted):
        raise refused(_OTHER, reference, message, fix=_of_machine(processor))
    if in_index:
        fix = "the image is at fault: its index states another platform than its configuration; push it again"
        raise refused(_OTHER, reference, message, fix=fix)
    raise refused(_OTHER, reference, message, fix=_of_image(processor))


def layer_types(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the media types of a manifest's layers, each once."""
    layers = manifest.get("layers")
    entries = [one for one in layers[:LAYERS_MAX] if isinstance(one, dict)] if isinstance(layers, list) else []
    types = [one_line(kind, 120) for one in entries if isinstance(kind := one.get("mediaType"), str)]
    return tuple(dict.fromkeys(types))


def check_no_page(content_type: str, reference: ImageReference) -> None:
    """Check that unexpected content is not an HTML page. Raises RegistryRefused, as a transient error."""
    if is_page(content_type):
        why = "an HTML page was returned in place of the image, by a proxy or something else before the registry"
        raise RegistryRefused("registry-page", f"{reference}: {why}", fix=AT_FAULT)


def refused(code: str, reference: ImageReference, why: str, *, fix: str = AT_FAULT) -> RegistryRefused:
    """Return the permanent error for invalid content."""
    return RegistryRefused(code, f"{reference}: {why}", retryable=False, fix=fix)


def _of_image(processor: Processor) -> str:
    return f"the image or the instance type is at fault: build the image for linux/{processor.architecture} too"


def _of_machine(processor: Processor) -> str:
    return (
        "the machine is at fault: its processor is too old for the image; "
        f"use a newer instance type, or build the image for {processor.platform} too"
    )


def _document(content: bytes, header: str, reference: ImageReference) -> dict[str, Any]:
    """Parse a JSON object. Raises RegistryRefused, which is transient for a proxy's HTML page."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as exc:
        raise _not_json(reference, header, "the manifest is not JSON") from exc
    if not isinstance(document, dict):
        raise _not_json(reference, header, "the manifest is not a JSON object")
    return document


def _not_json(reference: ImageReference, header: str, why: str) -> RegistryRefused:
    return RegistryRefused("registry-not-json", f"{reference}: {why}", retryable=is_page(header), fix=AT_FAULT)
