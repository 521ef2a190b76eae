"""Projection of statements about AMIs: their packages, and the AMIs that they are about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from whence_aggregator.ports import Transaction
from whence_aggregator.queries.amis import (
    ADD_AMI_NAMED,
    ADD_AMI_PACKAGE,
    ADD_AMI_STATEMENT,
    AddAmiNamedParameters,
    AddAmiPackageParameters,
    AddAmiStatementParameters,
)
from whence_aggregator.queries.compliance import UNJUDGE_AMI
from whence_aggregator.queries.query import BoundCommand
from whence_common import strict_base64
from whence_common.ami_provenance import AmiProvenance

AMI_STATEMENT = "ami-statement"
"""The kind of entries. `envelope` is null in an entry that names more AMIs of a statement that is recorded already."""


async def project_ami_statement(transaction: Transaction, index: int, event: Mapping[str, Any]) -> None:
    await transaction.execute(*ami_statement_writes(index, event))


def ami_statement_writes(
    index: int, event: Mapping[str, Any], found: AmiProvenance | None = None
) -> list[BoundCommand]:
    """Return what an entry writes. `found`: its provenance, if that was parsed already. Raises AmiProvenanceInvalid."""
    envelope, amis = event["envelope"], event["amis"]
    named: list[AddAmiNamedParameters] = [
        {"image_id": one["image_id"], "region": one["region"], "digest": event["digest"], "ledger_index": index}
        for one in amis
    ]
    unjudged = UNJUDGE_AMI.bind([{"image_id": image_id} for image_id in sorted({one["image_id"] for one in amis})])
    written = [ADD_AMI_NAMED.bind(named), unjudged]
    if envelope is None:
        return written
    found = found or AmiProvenance.parse(strict_base64.decode(envelope["payload"]))
    statement: AddAmiStatementParameters = {
        "ledger_index": index, "digest": found.digest, "name": found.name, "root_digest": found.root_digest,
        "builder_id": found.builder_id, "key_id": event["key_id"], "repository": found.repository,
        "commit_id": found.commit_id, "modified": int(found.modified), "finished_at": found.finished_at,
        "packages": len(found.packages), "recorded_at": event["recorded_at"], "recorded_by": event["recorded_by"],
    }  # fmt: skip
    packages: list[AddAmiPackageParameters] = [
        {
            "statement": index, "system": one.system, "name": one.name, "architecture": one.architecture,
            "version": one.version, "distribution": one.distribution, "origin": one.origin, "suite": one.suite,
            "component": one.component,
        }
        for one in found.packages
    ]  # fmt: skip
    return [ADD_AMI_STATEMENT.bind([statement]), ADD_AMI_PACKAGE.bind(packages), *written]
