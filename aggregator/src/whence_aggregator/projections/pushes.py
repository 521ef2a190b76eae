"""Pushes: manifests and tags of the registry front, and the digests that each reference has pointed to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from whence_aggregator.approvals.projection import pushed_version
from whence_aggregator.ports import Transaction
from whence_aggregator.queries.collect import ADD_TAG_DIGEST, AddTagDigestParameters
from whence_aggregator.queries.compliance import UNJUDGE_TAG
from whence_aggregator.queries.query import BoundCommand
from whence_aggregator.queries.registry import (
    ADD_BLOB,
    ADD_IMAGE_JOB,
    ADD_MANIFEST,
    ADD_PLACE,
    PUT_TAG,
    REMOVE_TAG,
    AddImageJobParameters,
    AddManifestParameters,
    PutTagParameters,
)
from whence_aggregator.trace.tags import FRONT


async def project_push(transaction: Transaction, index: int, event: Mapping[str, Any]) -> None:
    """Store a pushed manifest, with its tag."""
    await transaction.execute(*push_writes(index, event))


def push_writes(index: int, event: Mapping[str, Any]) -> list[BoundCommand]:
    """Return the writes of a push."""
    repository, digest = event["repository"], event["digest"]
    manifest: AddManifestParameters = {
        "repository": repository,
        "digest": digest,
        "team": repository.partition("/")[0],
        "media_type": event["media_type"],
        "size": event["size"],
        "image": event["image"],
        "artifact_type": event["artifact_type"],
        "subject": event["subject"],
        "child": event["child"],
        "annotations": msgspec.json.encode(event["annotations"], order="deterministic").decode(),
        "pushed_at": event["pushed_at"],
        "pushed_by": event["pushed_by"],
        "ledger_index": index,
    }
    writes: list[BoundCommand] = [
        ADD_PLACE.bind([{"repository": repository}]),
        ADD_MANIFEST.bind([manifest]),
        ADD_BLOB.bind([{"digest": d, "size": s} for d, s in dict(event["blobs"]).items()]),
    ]
    job = event.get("job") or {}
    if event["image"] and job.get("source_url") and job.get("commit"):
        row: AddImageJobParameters = {
            "image": f"{event['registry']}/{repository}@{digest}",
            "job": f"{job['provider']}:{job.get('project') or job['project_id']}",
            "source_url": job["source_url"],
            "commit_id": job["commit"],
            "pushed_at": event["pushed_at"],
            "ledger_index": index,
        }
        writes.append(ADD_IMAGE_JOB.bind([row]))
    if event["tag"]:
        tag: PutTagParameters = {
            "repository": repository,
            "tag": event["tag"],
            "digest": digest,
            "team": manifest["team"],
            "created_at": event.get("created_at", event["pushed_at"]),
            "created_by": event["pushed_by"],
            "ledger_index": index,
        }
        reference = f"{event['registry']}/{repository}:{event['tag']}"
        writes += [
            PUT_TAG.bind([tag]),
            ADD_TAG_DIGEST.bind([tag_named(reference, digest, FRONT, index)]),
            unjudge_tag(reference),
            *pushed_version(index, event),
        ]
    return writes


def tag_named(reference: str, digest: str, said_by: str, index: int) -> AddTagDigestParameters:
    """Return the row for a tag that `said_by` saw pointing to a digest."""
    return {"reference": reference, "digest": digest, "said_by": said_by, "ledger_index": index}


def unjudge_tag(reference: str, account_id: str | None = None) -> BoundCommand:
    """Return the command to judge instances of a tag's images again, if the tag has pointed to more than one.

    With an account, only instances of that account.
    """
    return UNJUDGE_TAG.bind([{"reference": reference, "account_id": account_id}])


async def project_untag(transaction: Transaction, event: Mapping[str, Any]) -> None:
    """Delete a tag of a scratch team; its manifest stays."""
    await transaction.execute(REMOVE_TAG.bind([{"repository": event["repository"], "tag": event["tag"]}]))
