"""Pushes: manifests and tags of the registry front, and which digests each reference has ever named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from whence_aggregator.ports import Parameters, Transaction, Write
from whence_aggregator.trace.tags import FRONT


async def project_push(transaction: Transaction, index: int, event: Mapping[str, Any]) -> None:
    """Keep a manifest that was pushed, with the tag it was pushed under."""
    await transaction.execute(*push_writes(index, event))


def push_writes(index: int, event: Mapping[str, Any]) -> list[Write]:
    """Give the writes that a push means."""
    repository, digest = event["repository"], event["digest"]
    manifest = {
        **{name: event[name] for name in ("repository", "digest", "media_type", "size", "image", "artifact_type")},
        **{name: event[name] for name in ("subject", "child", "pushed_at", "pushed_by")},
        "annotations": msgspec.json.encode(event["annotations"], order="deterministic").decode(),
        "team": repository.partition("/")[0],
        "ledger_index": index,
    }
    writes: list[Write] = [
        ("add_place", [{"repository": repository}]),
        ("add_manifest", [manifest]),
        ("add_blob", [{"digest": d, "size": s} for d, s in dict(event["blobs"]).items()]),
    ]
    if event["tag"]:
        tag = {
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
            ("put_tag", [tag]),
            ("add_tag_digest", [tag_named(reference, digest, FRONT, index)]),
            unjudge_tag(reference),
        ]
    return writes


def tag_named(reference: str, digest: str, said_by: str, index: int) -> Parameters:
    """Return the row of a tag that somebody saw name a digest."""
    return {"reference": reference, "digest": digest, "said_by": said_by, "ledger_index": index}


def unjudge_tag(reference: str, account_id: str | None = None) -> Write:
    """Have the instances judged again that run what this tag was seen to name, where that is more than one image.

    With an account, those of that account alone.
    """
    return "unjudge_tag", [{"reference": reference, "account_id": account_id}]


async def project_untag(transaction: Transaction, event: Mapping[str, Any]) -> None:
    """Forget a tag of a scratch team; its manifest stays."""
    await transaction.execute(("remove_tag", [{"repository": event["repository"], "tag": event["tag"]}]))
