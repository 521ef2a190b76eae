"""By what a trace finds images besides their commits: layers, earlier commits, and the numbers and people of reviews.

A name in a review is what its code host states; it finds commits, and what the person did is in the facts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from whence_aggregator.queries.collect import (
    AddImageLayerParameters,
    AddRangeCommitParameters,
    AddReviewNameParameters,
)
from whence_aggregator.trace.facts import RANGE_KIND, REVIEW_KIND
from whence_aggregator.trackers.review import Review, people_of
from whence_common.image_reference import digest_of_subject

_NAMES_MAX = 1_000
"""Of the reviews of one commit."""


def layers_in(event: Mapping[str, Any], index: int) -> list[AddImageLayerParameters]:
    """Return the layers of an image, each once. Facts that were recorded by earlier versions have none."""
    if event["kind"] != "image-source":
        return []
    digest, value = digest_of_subject(event["subject"]), event["value"]
    layers = dict.fromkeys((*value.get("layers", ()), *value.get("diff_ids", ())))
    return [{"layer": str(one), "image_digest": digest, "ledger_index": index} for one in layers]


def names_in(event: Mapping[str, Any], index: int) -> list[AddReviewNameParameters]:
    """Return the numbers of a commit's reviews, and the people in them, each once."""
    if event["kind"] != REVIEW_KIND or event["outcome"] != "found":
        return []
    place, _, commit_id = event["subject"].rpartition("@")
    found: dict[str, None] = {}
    for review in map(Review.from_wire, event["value"]["reviews"]):
        found |= dict.fromkeys((f"#{review.number}", *people_of(review)))
    names = list(found)[:_NAMES_MAX]
    return [{"name": one, "repository": place, "commit_id": commit_id, "ledger_index": index} for one in names]


def commits_in(event: Mapping[str, Any], index: int) -> list[AddRangeCommitParameters]:
    """Return which commits each end of a range contains; where both sides meet, both contain that."""
    if event["kind"] != RANGE_KIND or event["outcome"] != "found":
        return []
    place, value = event["subject"].rpartition("@")[0], event["value"]
    found: dict[tuple[str, str], None] = {}
    for tip, side in ((value["head"], value.get("ahead")), (value["base"], value.get("behind"))):
        commits = (*(side["commits"] if side is not None else ()), value.get("merge_base"))
        found |= dict.fromkeys((str(one), str(tip)) for one in commits if one and one != tip)
    return [
        {"commit_id": commit_id, "repository": place, "tip": tip, "ledger_index": index} for commit_id, tip in found
    ]
