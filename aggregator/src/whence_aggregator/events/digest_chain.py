"""The state of a chain of digest files: valid, or what is wrong with it, gaps and missing files told apart. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from whence_common.clock import from_millis

ChainState = Literal["valid", "gap", "missing", "invalid", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedDigest:
    """One digest file as verified. `ends_at` of a missing one is that of its key's time, or 0."""

    place: str
    state: str
    starts_at: int
    ends_at: int
    content_digest: str
    previous_place: str
    """Empty where the chain begins."""
    previous_hash: str
    reason: str
    files: int
    files_missing: int
    files_invalid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainVerdict:
    """What the digest files of a chain, taken together, prove."""

    state: ChainState
    reason: str = ""


def judge_chain(links: Sequence[VerifiedDigest]) -> ChainVerdict:
    """Return the state of a chain from its digest files in any order; what is worst comes first in the reason."""
    if not links:
        return ChainVerdict(state="unknown", reason="no digest file was read yet")
    known = {one.place: one for one in links}
    invalid = [f"{one.place}: {one.reason}" for one in links if one.state == "invalid"]
    invalid += [f"{one.place} names {one.files_invalid} log files that differ" for one in links if one.files_invalid]
    invalid += [
        f"{one.previous_place} is not the file that {one.place} follows"
        for one in links
        if one.previous_place in known
        and known[one.previous_place].state == "valid"
        and known[one.previous_place].content_digest != one.previous_hash
    ]
    if invalid:
        return ChainVerdict(state="invalid", reason=_first(invalid))
    missing = [f"{one.place} does not exist" for one in links if one.state == "missing"]
    missing += [f"{one.files_missing} log files of {one.place} do not exist" for one in links if one.files_missing]
    if missing:
        return ChainVerdict(state="missing", reason=_first(missing))
    unread = [f"{one.place}: {one.reason}" for one in links if one.state == "unread"]
    if unread:
        return ChainVerdict(state="unknown", reason=_first(unread))
    gaps = _gaps([one for one in links if one.state == "valid"])
    return ChainVerdict(state="gap", reason=_first(gaps)) if gaps else ChainVerdict(state="valid")


def _gaps(valid: Sequence[VerifiedDigest]) -> list[str]:
    """Return the periods that no digest file covers. The oldest file begins the chain, whatever was before it.

    A file whose predecessor is not read yet is no gap: it is read next.
    """
    known = {one.place: one for one in valid}
    found = []
    for one in valid:
        if one.previous_place:
            before = known.get(one.previous_place)
            ended = before.ends_at if before is not None else one.starts_at
        else:
            ended = max((other.ends_at for other in valid if other.ends_at < one.ends_at), default=one.starts_at)
        if ended < one.starts_at or (not one.previous_place and one is not min(valid, key=_end)):
            found.append(f"nothing was recorded from {from_millis(ended)} to {from_millis(one.starts_at)}")
    return found


def _end(one: VerifiedDigest) -> tuple[int, str]:
    return one.ends_at, one.place


def _first(found: Sequence[str]) -> str:
    """Return the first in order, with the number of the others."""
    ordered = sorted(set(found))
    return ordered[0] if len(ordered) == 1 else f"{ordered[0]}, and {len(ordered) - 1} more"
