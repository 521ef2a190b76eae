"""Which instances rest on the answer to a question: they are judged again when reading it fails, or succeeds again."""

from __future__ import annotations

from collections.abc import Sequence

from whence_aggregator.projections.pushes import unjudge_tag
from whence_aggregator.projections.subjects import named_as
from whence_aggregator.queries.compliance import (
    MARK_SUBJECT,
    UNJUDGE_AMI,
    UNJUDGE_COMMIT,
    UNJUDGE_IMAGE,
    UNJUDGE_TICKET,
)
from whence_aggregator.queries.query import BoundCommand
from whence_aggregator.trace.facts import (
    ACCOUNT_DRIFT_KIND,
    AMI_KIND,
    BRANCH_KIND,
    COMMIT_KIND,
    RANGE_KIND,
    REVIEW_KIND,
    SIGNATURE_KIND,
    TICKET_KIND,
)
from whence_common.image_reference import digest_of_subject

_OF_COMMITS = (COMMIT_KIND, BRANCH_KIND, SIGNATURE_KIND, REVIEW_KIND, RANGE_KIND)


def resting_on(kind: str, subject: str) -> Sequence[BoundCommand]:
    """Return what marks these instances; other subjects follow when the evidence of their instances differs."""
    if kind == "image-source":
        return [UNJUDGE_IMAGE.bind([{"image_digest": digest_of_subject(subject)}])]
    if kind in _OF_COMMITS:
        # the subject of a range ends in `base..head`: images are built from its head
        return [UNJUDGE_COMMIT.bind([{"commit_id": subject.rpartition("@")[2].rpartition("..")[2]}])]
    if kind == TICKET_KIND:
        return [UNJUDGE_TICKET.bind([named_as(subject)])]
    if kind == ACCOUNT_DRIFT_KIND:
        return [MARK_SUBJECT.bind([{"kind": "account", "id": subject}])]
    if kind == AMI_KIND:
        return [UNJUDGE_AMI.bind([{"image_id": subject.rpartition("/")[2]}])]
    return [unjudge_tag(subject)] if kind == "tag" else []
