"""Rows of mint as values, and values as rows. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from whence_aggregator.mint.state import (
    BucketLook,
    KnownLog,
    LoggedChange,
    MintFailure,
    MissingCount,
    PossibleOrphan,
    StoredGeneration,
    StoredMint,
)
from whence_aggregator.mint.values import (
    ChangeStep,
    CredentialKind,
    GenerationId,
    GenerationPhase,
    MintApplication,
    ResourceScope,
)
from whence_aggregator.queries.mint import (
    AddMintGenerationParameters,
    CredentialChangesRow,
    KnownMintLogRow,
    MintApplicationRow,
    MintApplicationsRow,
    MintDeletionsRow,
    MintGenerationsRow,
    PossibleOrphansRow,
    WriteMintApplicationParameters,
    WriteMintGenerationParameters,
)

_WRITTEN = msgspec.json.Decoder(dict[str, object])
_KINDS = msgspec.json.Decoder(tuple[CredentialKind, ...])
_NAMES = msgspec.json.Decoder(tuple[str, ...])
_SCOPES = msgspec.json.Decoder(tuple[tuple[str, str], ...])
_FAILURES = msgspec.json.Decoder(dict[str, MintFailure])
_LOOKS = msgspec.json.Decoder(dict[str, BucketLook])
_TEXTS = msgspec.json.Decoder(dict[str, str])


def stored_mint(row: MintApplicationRow | MintApplicationsRow) -> StoredMint:
    """Return an application and what is noted of it."""
    application = MintApplication(
        application_id=row["application_id"],
        team_id=row["team_id"],
        username=row["username"],
        is_confidential=bool(row["confidential"]),
        provider=row["provider"],
        credentials=_KINDS.decode(row["credentials"]),
        redirect_url=row["redirect_url"],
        buckets=_NAMES.decode(row["buckets"]),
        clusters=_NAMES.decode(row["clusters"]),
        scopes=tuple(ResourceScope(resource_type_id=one, scope_id=two) for one, two in _SCOPES.decode(row["scopes"])),
        client_id=row["client_id"],
        last_modified=row["last_modified"],
        last_synced=row["last_synced"],
    )
    return StoredMint(
        application=application,
        revision=row["revision"],
        is_synced=bool(row["synced"]),
        renewal_at=row["renewal_at"],
        renewal_reason=row["renewal_reason"],
        revoked_at=row["revoked_at"],
        missing_since=row["missing_since"],
        missing_seen=row["missing_seen"],
        deleted_at=row["deleted_at"],
        deleted_reason=row["deleted_reason"],
        gone_at=row["gone_at"],
        failures=_FAILURES.decode(row["failures"]),
        bucket_errors=row["bucket_errors"],
    )


def mint_row(stored: StoredMint) -> WriteMintApplicationParameters:
    """Return the row of an application, with the revision that was read."""
    one = stored.application
    return {
        "application_id": one.application_id, "revision": stored.revision, "team_id": one.team_id,
        "username": one.username, "confidential": int(one.is_confidential), "provider": one.provider,
        "credentials": _json(one.credentials), "redirect_url": one.redirect_url, "buckets": _json(one.buckets),
        "clusters": _json(one.clusters),
        "scopes": _json([(scope.resource_type_id, scope.scope_id) for scope in one.scopes]),
        "client_id": one.client_id, "last_modified": one.last_modified, "last_synced": one.last_synced,
        "synced": int(stored.is_synced), "renewal_at": stored.renewal_at, "renewal_reason": stored.renewal_reason,
        "revoked_at": stored.revoked_at, "missing_since": stored.missing_since, "missing_seen": stored.missing_seen,
        "deleted_at": stored.deleted_at, "deleted_reason": stored.deleted_reason, "gone_at": stored.gone_at,
        "failures": _json(stored.failures),
        "bucket_errors": stored.bucket_errors,
    }  # fmt: skip


def stored_generation(row: MintGenerationsRow) -> StoredGeneration:
    kind: CredentialKind = msgspec.convert(row["kind"], CredentialKind)
    return StoredGeneration(
        id=GenerationId(application_id=row["application_id"], kind=kind, generation=row["generation"]),
        provider=row["provider"],
        phase=msgspec.convert(row["phase"], GenerationPhase),
        revision=row["revision"],
        sealed=row["sealed"],
        sealed_handle=row["sealed_handle"],
        handle=_TEXTS.decode(row["handle"]),
        mac=row["mac"],
        written=_TEXTS.decode(row["written"]),
        intended_at=row["intended_at"],
        asked_at=row["asked_at"],
        verified_at=row["verified_at"],
        published_at=row["published_at"],
        committed_at=row["committed_at"],
        ending_at=row["ending_at"],
        ended_at=row["ended_at"],
        end_reason=row["end_reason"],
        looks=_LOOKS.decode(row["looks"]),
        disturbed=row["disturbed"],
    )


def generation_row(one: StoredGeneration) -> AddMintGenerationParameters:
    """Return the row of a generation, with the revision that was read."""
    return {
        "application_id": one.id.application_id, "kind": one.kind, "generation": one.id.generation,
        "revision": one.revision, "provider": one.provider, "phase": one.phase, "sealed": one.sealed,
        "sealed_handle": one.sealed_handle, "handle": _json(one.handle), "mac": one.mac,
        "written": _json(one.written), "intended_at": one.intended_at, "asked_at": one.asked_at,
        "verified_at": one.verified_at, "published_at": one.published_at, "committed_at": one.committed_at,
        "ending_at": one.ending_at, "ended_at": one.ended_at, "end_reason": one.end_reason,
        "looks": _json(one.looks), "disturbed": one.disturbed,
    }  # fmt: skip


def written_row(one: StoredGeneration) -> WriteMintGenerationParameters:
    """Return what changes of a generation's row, with its key and the revision that was read."""
    return {
        "application_id": one.id.application_id, "kind": one.kind, "generation": one.id.generation,
        "revision": one.revision, "phase": one.phase, "sealed": one.sealed, "sealed_handle": one.sealed_handle,
        "handle": _json(one.handle), "mac": one.mac, "written": _json(one.written), "asked_at": one.asked_at,
        "verified_at": one.verified_at, "published_at": one.published_at, "committed_at": one.committed_at,
        "ending_at": one.ending_at, "ended_at": one.ended_at, "end_reason": one.end_reason,
        "looks": _json(one.looks), "disturbed": one.disturbed,
    }  # fmt: skip


def possible_orphan(row: PossibleOrphansRow) -> PossibleOrphan:
    return PossibleOrphan(
        kind=msgspec.convert(row["kind"], CredentialKind), generation=row["generation"], provider=row["provider"],
        intended_at=row["intended_at"], ended_at=row["ended_at"],
    )  # fmt: skip


def logged_change(row: CredentialChangesRow) -> LoggedChange:
    return LoggedChange(
        ledger_index=row["ledger_index"], step=msgspec.convert(row["step"], ChangeStep), at=row["changed_at"],
        by=row["asked_by"], reason=row["reason"],
        application=_WRITTEN.decode(row["application"]) if row["application"] else {},
    )  # fmt: skip


def missing_count(rows: Sequence[MintDeletionsRow]) -> MissingCount:
    row = rows[0]
    return MissingCount(deleted=row["deleted"], missing=row["missing"], known=row["known"])


def known_log(rows: Sequence[KnownMintLogRow]) -> KnownLog | None:
    return KnownLog(origin=rows[0]["origin"], restored_at=rows[0]["restored_at"]) if rows else None


def _json(value: object) -> str:
    return msgspec.json.encode(value, order="deterministic").decode()
