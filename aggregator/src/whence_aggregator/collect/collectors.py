"""Collectors: an image's source and a tag's digest, from their registry."""

from __future__ import annotations

from typing import Any, Literal, Protocol

from whence_aggregator.ports import (
    CollectedFact,
    ImageReader,
    ImageSaid,
    SourceUnavailable,
    TagReader,
)
from whence_common.errors import one_line
from whence_common.image_reference import ImageReferenceInvalid, parse_image_subject, tag_reference
from whence_common.scm_source import ScmSource, ScmSourceInvalid

LAYERS_RECORDED_MAX = 256
"""Docker images have at most 127 layers."""


class Collector(Protocol):
    async def collect(self, subject: str) -> CollectedFact:
        """Return the fact about a subject.

        Raises SourceUnavailable when it cannot be read now, and InputError for a subject that is not valid.
        """


class ImageSourceCollector:
    """Reads the source that images state. The subject is `registry/path@digest`, with `^digest` of the index."""

    def __init__(self, reader: ImageReader) -> None:
        self._reader = reader

    async def collect(self, subject: str) -> CollectedFact:
        repository, digest, index_digest = parse_image_subject(subject)
        try:
            said = await self._reader.said(repository, digest, index_digest)
        except SourceUnavailable as exc:
            if exc.code == "registry-image-unknown":
                return CollectedFact(outcome="absent", reason=exc.message, awaited="the image")
            raise
        return finding_of(said)


class TagCollector:
    """Looks up the digest that a tag points to now. The subject is `registry/path:tag`."""

    def __init__(self, tags: TagReader) -> None:
        self._tags = tags

    async def collect(self, subject: str) -> CollectedFact:
        if tag_reference(subject) != subject:
            raise ImageReferenceInvalid(
                "image-tag-malformed", f"{one_line(subject, 80)!r} does not name an image by its tag"
            )
        digest = await self._tags.digest_of(subject)
        if digest is None:
            return CollectedFact(outcome="missing", reason="the registry has no such tag")
        return CollectedFact(outcome="found", value={"digest": digest})


def finding_of(said: ImageSaid) -> CollectedFact:
    """Return the fact about an image's source."""
    value: dict[str, Any] = {
        "built_by": said.built_by, "layer": said.layer, "notes": said.notes,
        "inherited": said.inherited, "claims": [one.to_wire() for one in said.claims],
        "chain": said.chains[-1] if said.chains else "",
    }  # fmt: skip
    if said.layers:
        value |= {"layers": said.layers[:LAYERS_RECORDED_MAX], "diff_ids": said.diff_ids[:LAYERS_RECORDED_MAX]}
    if said.signer_known:
        value["signed_by"] = said.signed_by
    if said.created_at:
        value["created_at"] = said.created_at
    if said.signatures is not None:
        value["signatures"] = said.signatures
    if said.sboms is not None:
        value["sboms"] = said.sboms
    if said.other_subjects is not None:
        value["other_subjects"] = said.other_subjects
    if said.unknown:
        value["unknown"] = said.unknown
    reason = said.notes[0] if said.notes else "the image has no /scm-source.json"
    if said.scm_source is not None:
        try:
            source = ScmSource.parse(said.scm_source)
            value["scm_source"] = source.to_wire()
            value["missing_keys"] = list(source.missing_keys)
        except ScmSourceInvalid as exc:
            reason = exc.message
    found = "scm_source" in value or said.claims
    outcome: Literal["found", "missing"] = "found" if found or said.unknown else "missing"
    return CollectedFact(
        outcome=outcome, value=value, reason="" if found else "; ".join(said.unknown) or reason, awaited=said.awaited
    )
