"""Whether what is known about an instance names a person or a layer, as of the time asked about. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from whence_aggregator.trace.facts import Facts
from whence_aggregator.trace.lineage import Lineage
from whence_aggregator.trace.named_tickets import reviews_of
from whence_aggregator.trackers.review import people_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Deeds:
    """What a person did beside commits and reviews: the versions that they approved, the images that they pushed."""

    approved: frozenset[tuple[str, str]] = frozenset()
    pushed: frozenset[str] = frozenset()


NO_DEEDS = Deeds()


def has_layer(facts: Facts, layer: str) -> bool:
    """Return whether the image has a layer with this digest, packed or unpacked."""
    value = facts.image_source.value
    return layer in value.get("layers", ()) or layer in value.get("diff_ids", ())


def is_by(facts: Facts, lineage: Lineage, person: str, did: Deeds) -> bool:
    """Return whether a person wrote, judged, approved or pushed what runs."""
    commit = lineage.link("commit").value or {}
    if any(f"<{person}>" in str(commit.get(name, "")).lower() for name in ("author", "committer")):
        return True
    if (lineage.link("image").value or {}).get("digest") in did.pushed:
        return True
    stated = facts.statement.predicate
    if (stated.application_id, stated.application_version) in did.approved:
        return True
    return any(person in people_of(review) for review in reviews_of(facts))
