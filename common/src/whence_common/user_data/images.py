"""Validate a `source`: whether the image may be pulled, by the platform's rules for the registry."""

from __future__ import annotations

from whence_common.image_reference import ImageReference, ImageReferenceInvalid
from whence_common.user_data.platform import PlatformRules
from whence_common.user_data.section import Section


def read_source(section: Section, rules: PlatformRules) -> ImageReference | None:
    """Return the image that a section's `source` names; None if it is missing or malformed."""
    text = section.text("source")
    if text is None:
        return None
    try:
        reference = ImageReference.parse(text).canonical()
    except ImageReferenceInvalid as exc:
        section.error("source", exc.code, exc.message, exc.fix)
        return None
    _judge_tag(section, reference, rules)
    if "/" not in reference.path and not rules.allows_single_segment(reference.registry):
        report = section.error if rules.platform_known else section.warning
        report(
            "source",
            "image-path-single-segment",
            f"{reference.path} has no team before its name",
            f"write {reference.registry}/team/{reference.path}, or have the platform allow single-segment paths",
        )
    return reference


def _judge_tag(section: Section, reference: ImageReference, rules: PlatformRules) -> None:
    policy = rules.tags_of(reference.registry)
    if policy == "not-allowed":
        message = f"the platform does not allow images from {reference.registry}"
        fix = "use one of: " + ", ".join(sorted(rules.allowed or ()))
        section.error("source", "image-registry-not-allowed", message, fix)
    by_digest = f"write {reference.repository}@sha256:… with the digest of the tested image"
    if reference.moving_tag is not None:
        report = section.warning if reference.digest is not None else section.error
        message = f"the tag {reference.moving_tag} is mutable: it may name another image later"
        report("source", "image-tag-mutable", message, by_digest)
    elif reference.digest is None and policy in ("not-vouched", "unknown"):
        report = section.error if policy == "not-vouched" else section.warning
        message = f"tags in {reference.registry} are not configured as immutable"
        report("source", "image-tag-not-vouched", message, by_digest)
