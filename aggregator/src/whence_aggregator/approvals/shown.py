"""Versions and approvals as Kio's clients and ours read them. Pure."""

from __future__ import annotations

from whence_aggregator.approvals.values import Approval, Version


def kio_listed(version: Version) -> dict[str, object]:
    """Return a version as Kio lists it."""
    return {
        "id": version.version,
        "application_id": version.application_id,
        "artifact": artifact(version),
        "last_modified": _times(version)[1],
    }


def kio_version(version: Version) -> dict[str, object]:
    """Return a version as Kio shows it."""
    created, modified = _times(version)
    newest = version.revisions[-1] if version.revisions else None
    acts = [(one.recorded_at, one.recorded_by) for one in version.revisions]
    acts += [(one.recorded_at, one.said_by) for one in version.digests if one.recorded_at]
    acts.sort()
    return {
        **kio_listed(version),
        "notes": newest.notes if newest is not None else None,
        "created": created,
        "created_by": acts[0][1],
        "last_modified": modified,
        "last_modified_by": acts[-1][1],
    }


def kio_approval(version: Version, one: Approval) -> dict[str, object]:
    """Return an approval as Kio shows it."""
    return {
        "application_id": version.application_id,
        "version_id": version.version,
        "approval_type": one.type,
        "user_id": one.user_id,
        "approved_at": one.approved_at,
        "notes": one.notes,
    }


def shown_version(version: Version) -> dict[str, object]:
    """Return a version with every digest, and the approvals of each."""
    current = version.current
    return {
        **kio_version(version),
        "digest": current.digest if current is not None else None,
        "digest_source": current.source if current is not None else None,
        "reason": unbound(version),
        "digests": [one.to_wire() for one in version.digests],
        "approvals": [one.to_wire() for one in version.standing],
        "superseded": [one.to_wire() for one in version.superseded],
    }


def unbound(version: Version) -> str | None:
    """Return why no digest of a version is certain; None where one is."""
    if version.current is None:
        return "no image of this version is known yet: it is bound when it is pushed or first seen running"
    if version.is_ambiguous:
        return "instances state different images of this version, and nobody registered one"
    if not version.registered:
        return "only instances state the image of this version: nobody pushed or registered it here"
    return None


def artifact(version: Version) -> str:
    """Return the artifact: as somebody stated it, else the name that the image was pushed by, else its digest."""
    if version.revisions:
        return version.revisions[-1].artifact
    current = version.current
    return (f"docker://{current.reference}" if current.reference else current.digest) if current is not None else ""


def _times(version: Version) -> tuple[str, str]:
    times = [one.recorded_at for one in version.revisions]
    times += [one.recorded_at for one in version.digests if one.recorded_at]
    return min(times, default=""), max(times, default="")
