"""Upload of a raw disk to a snapshot by the EBS direct APIs: only blocks that are not empty, each with its checksum."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

BLOCK_BYTES = 512 * 1024
"""The block of the EBS direct APIs."""
_GIB = 1024**3
_TIMEOUT_MINUTES = 60


def upload_disk(ebs: Any, disk: Path, *, description: str, kms_key_id: str, tags: list[dict[str, str]]) -> str:
    """Return the id of the completed snapshot. Raises botocore's errors, and leaves what it has begun."""
    key = {"Encrypted": True, "KmsKeyArn": kms_key_id} if kms_key_id else {}
    size_gib = -(-disk.stat().st_size // _GIB)
    begun = ebs.start_snapshot(
        VolumeSize=size_gib, Description=description, Tags=tags, Timeout=_TIMEOUT_MINUTES, **key
    )  # fmt: skip
    snapshot = str(begun["SnapshotId"])
    whole, changed = hashlib.sha256(), 0
    for index, block in _blocks(disk):
        digest = hashlib.sha256(block).digest()
        ebs.put_snapshot_block(
            SnapshotId=snapshot, BlockIndex=index, BlockData=block, DataLength=len(block),
            Checksum=base64.b64encode(digest).decode(), ChecksumAlgorithm="SHA256",
        )  # fmt: skip
        whole.update(digest)
        changed += 1
    ebs.complete_snapshot(
        SnapshotId=snapshot, ChangedBlocksCount=changed, Checksum=base64.b64encode(whole.digest()).decode(),
        ChecksumAlgorithm="SHA256", ChecksumAggregationMethod="LINEAR",
    )  # fmt: skip
    return snapshot


def _blocks(disk: Path) -> Iterator[tuple[int, bytes]]:
    """Yield (index, block) for each block that is not zero; the last is filled up."""
    nothing = bytes(BLOCK_BYTES)
    with disk.open("rb") as stream:
        index = 0
        while block := stream.read(BLOCK_BYTES):
            block = block.ljust(BLOCK_BYTES, b"\0")
            if block != nothing:
                yield index, block
            index += 1
