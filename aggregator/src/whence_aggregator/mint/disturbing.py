"""Whether a bucket still holds what mint wrote, by the versions that S3 lists; and when that is mended. Pure.

The writer cannot read objects, so that versions are all it can compare. Not everything that it did not record was
written by somebody else: the answer to a write may be lost, and that write be the last to arrive; and a database that
was restored lacks what was written since its backup.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from whence_aggregator.mint.rules import MintRules
from whence_aggregator.mint.state import MintState, StoredGeneration
from whence_aggregator.mint.values import OBJECTS, ObjectVersion
from whence_common.clock import parse_instant
from whence_common.errors import one_line
from whence_common.storable import cleaned

CLOCKS_SECONDS = 900.0
"""By how much the clock of S3 may differ from mint's: S3 accepts no request of a greater difference."""

_ID_CHARACTERS_MAX = 200
"""Of a VersionId that is shown; those of S3 have 32."""
_PROBLEM_CHARACTERS_MAX = 800


@dataclass(frozen=True, slots=True, kw_only=True)
class Disturbance:
    """What a bucket holds instead of what mint wrote."""

    version_id: str
    """The newest version, or the deletion; empty: there is none."""
    is_own_possible: bool
    """Whether mint may have written it without recording it."""
    problem: str
    """For people: what is there, and since when."""


def disturbance(
    versions: Sequence[ObjectVersion],
    state: MintState,
    generation: StoredGeneration,
    bucket: str,
    *,
    rules: MintRules,
    restored_at: str,
) -> Disturbance | None:
    """Return what a bucket holds instead of a generation; None: it holds it, or a newer one may be on its way.

    `restored_at`: when mint first ran on a database that was restored from a backup; empty: it was not.
    """
    written = generation.written[bucket]
    latest = next((one for one in versions if one.is_latest), None)
    if (latest is not None and latest.version_id == written) or state.is_being_written(generation.kind, bucket):
        return None
    own = next((one for one in versions if one.version_id == written), None)
    found = _id(latest) if latest is not None else ""
    return Disturbance(
        version_id=found,
        is_own_possible=latest is not None and _may_be_own(latest, own, rules=rules, restored_at=restored_at),
        problem=_problem(latest, own, f"{generation.id.application_id}/{OBJECTS[generation.kind]}", bucket, written),
    )


def written_over(
    versions: Sequence[ObjectVersion],
    before: StoredGeneration,
    generation: StoredGeneration,
    bucket: str,
    *,
    rules: MintRules,
    restored_at: str,
) -> Disturbance | None:
    """Return what somebody else wrote over a generation before its successor was written; None: nothing certain.

    What may be an earlier attempt to write the successor does not count, by whichever clock: it may have been tried for
    hours, and verified again meanwhile, but not before it was intended.
    """
    place = next((n for n, one in enumerate(versions) if one.version_id == before.versions.get(bucket)), 0)
    until = parse_instant(generation.intended_at) - timedelta(seconds=CLOCKS_SECONDS)
    for one in versions[:place]:
        is_between = one.version_id != generation.written[bucket] and parse_instant(one.modified_at) < until
        if is_between and not _may_be_own(one, versions[place], rules=rules, restored_at=restored_at):
            key = f"{before.id.application_id}/{OBJECTS[before.kind]}"
            problem = _problem(one, versions[place], key, bucket, before.written[bucket])
            return Disturbance(version_id=_id(one), is_own_possible=False, problem=problem)
    return None


def _may_be_own(latest: ObjectVersion, own: ObjectVersion | None, *, rules: MintRules, restored_at: str) -> bool:
    """Return whether mint may have written a version: at the time of its own one, or before it was restored."""
    at = parse_instant(latest.modified_at)
    if restored_at and at <= parse_instant(restored_at) + timedelta(seconds=CLOCKS_SECONDS):
        return True
    return own is not None and at <= parse_instant(own.modified_at) + timedelta(seconds=rules.making_seconds_max)


def _problem(latest: ObjectVersion | None, own: ObjectVersion | None, key: str, bucket: str, written: str) -> str:
    gone = "" if own is not None else f"; the version that mint wrote, {written}, is gone"
    if latest is None:
        return _told(f"bucket {bucket} has no object {key}{gone}")
    if latest.is_deletion:
        return _told(f"{key} in bucket {bucket} was deleted at {latest.modified_at} (version {_id(latest)}){gone}")
    return _told(
        f"the newest object {key} in bucket {bucket} is not the one that mint wrote: "
        f"version {_id(latest)} of {latest.modified_at}{gone}"
    )


def _told(problem: str) -> str:
    return one_line(problem, _PROBLEM_CHARACTERS_MAX)


def _id(version: ObjectVersion) -> str:
    """Return a VersionId that somebody else's S3 states, as it may be stored and shown."""
    return one_line(cleaned(version.version_id), _ID_CHARACTERS_MAX)


def disturbed_steps(generation: StoredGeneration) -> Iterator[str]:
    """Yield the names under which it is noted, of the application, what looks found of a generation."""
    yield from (disturbed_step(generation, bucket) for bucket in generation.disturbances)


def disturbed_step(generation: StoredGeneration, bucket: str) -> str:
    return f"bucket {generation.kind} {bucket}"


def look_at(generation: StoredGeneration, bucket: str, rules: MintRules) -> datetime:
    """Return when to look at a bucket again, a little later for some generations than for others.

    What is suspected is soon looked at again: what another replica was writing is then recorded.
    """
    look = generation.looks.get(bucket)
    if look is not None and look.finding == "suspected":
        return parse_instant(look.at) + timedelta(seconds=rules.making_seconds_max)
    late = rules.jitter * int(generation.id.generation[8:16], 16) / 2**32
    since = look.at if look is not None else generation.committed_at
    return parse_instant(since) + timedelta(seconds=rules.bucket_look_seconds * (1.0 + late))


def repair_at(generation: StoredGeneration, rules: MintRules) -> datetime | None:
    """Return when a generation is renewed for what looks found: at once, then after pauses that double; None: never.

    Whoever writes to the bucket again and again does not have a credential made each time.
    """
    found = [look.at for look in generation.disturbances.values()]
    if not found:
        return None
    doubled = rules.bucket_look_seconds * 2.0 ** min(generation.disturbed - 2, 30) if generation.disturbed > 1 else 0.0
    return parse_instant(min(found)) + timedelta(seconds=min(doubled, rules.repair_seconds_max))
