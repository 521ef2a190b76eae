"""Makes the evidence of the image that runs: in its registry, how it was built, and from which source. Pure."""

from __future__ import annotations

from whence_aggregator.compliance.evidence import BuildOfImage, ImageInRegistry, SourceOfImage
from whence_aggregator.trace.facts import Facts
from whence_aggregator.trace.registered import closest
from whence_common.image_provenance import SourceClaim, choose
from whence_common.repositories import compare, repository_named
from whence_common.scm_source import ScmSource


def image_in_registry(facts: Facts) -> ImageInRegistry | None:
    image, answer = facts.statement.predicate.image, facts.image_source
    if image is None:
        return None
    read = answer.outcome in ("found", "missing")
    return ImageInRegistry(
        repository=image.repository,
        digest=image.digest,
        outcome=answer.outcome,
        reason=answer.reason,
        created_at=answer.value.get("created_at"),
        signed_by=answer.value.get("signed_by") if read else None,
        signatures=answer.value.get("signatures") if read else None,
        sboms=answer.value.get("sboms") if read else None,
    )


def build_of_image(facts: Facts) -> BuildOfImage | None:
    answer = facts.image_source
    if facts.statement.predicate.image is None or answer.outcome not in ("found", "missing"):
        return None
    builder = str(answer.value.get("built_by") or "")
    signed = any(one.get("kind") == "provenance" for one in answer.value.get("claims", ()))
    chosen, against = choose(facts.claims) if signed else (None, [])
    contradiction = None
    if chosen is not None and chosen.kind == "provenance":
        contradiction = _contradiction(chosen, against[0]) if against else ""
    return BuildOfImage(
        builder=builder or (None if facts.source_unknown else ""),
        other_subjects=answer.value.get("other_subjects"),
        contradiction=contradiction,
    )


def _contradiction(provenance: SourceClaim, other: SourceClaim) -> str:
    stated, signed = other.source, provenance.source
    return (
        f"the {other.kind} states {stated.revision[:40]} of {stated.url[:120]}, "
        f"and the provenance {signed.revision[:40]} of {signed.url[:120]}"
    )


def source_of_image(facts: Facts, source: ScmSource | None) -> SourceOfImage | None:
    if facts.statement.predicate.image is None:
        return None
    if source is None:
        return SourceOfImage(stated=False)
    place = repository_named(source.url)
    host, _, path = str(place).partition("/") if place is not None else ("", "", "")
    registered = facts.application.repositories if facts.application is not None else ()
    url, comparison = closest(registered, source.url)
    moved = facts.branch.value.get("moved_to")
    if comparison != "same" and moved and any(compare(one, f"https://{moved}") == "same" for one in registered):
        comparison = "same"
    return SourceOfImage(
        url=source.url, revision=source.revision, host=host, path=path, dirty=facts.dirty,
        registered=(url or "")[:500], comparison=comparison if facts.application is not None else None,
    )  # fmt: skip
