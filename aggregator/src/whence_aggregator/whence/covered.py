"""How far an answer is covered, as every command about compliance prints it and exits."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from whence_aggregator.whence.output import GAPS, INCOMPLETE, note

_SHOWN_MAX = 20
NOT_STATED = "not complete: the aggregator does not state which sources were read"


def end_covered(coverage: Mapping[str, Any] | None, *, gaps: bool) -> NoReturn:
    """Print what was not read and exit: 5 if anything was not, else 1 with gaps, else 0."""
    incomplete = note_coverage(coverage)
    sys.exit(INCOMPLETE if incomplete else GAPS if gaps else 0)


def note_coverage(coverage: Mapping[str, Any] | None) -> bool:
    """Print which sources were not read; return whether there are any. An answer that does not state it has some."""
    if coverage is None:
        note(NOT_STATED)
        return True
    sources: Sequence[Mapping[str, Any]] = coverage["incomplete"][:_SHOWN_MAX]
    for one in sources:
        place = "/".join(str(one[name]) for name in ("account_id", "region", "name") if one[name])
        why = f": {one['reason']}" if one["reason"] else ""
        missing = f" (missing permission: {one['permission']})" if one["permission"] else ""
        note(f"not complete: {one['source']} {place} {one['state']}{missing}{_since(one)}{why}")
    more = coverage["incomplete_total"] - len(sources)
    if more > 0:
        note(f"not complete: {more} more sources; see whence coverage")
    return not coverage["complete"]


def _since(one: Mapping[str, Any]) -> str:
    return f", last read {one['read_at']}" if one["read_at"] else ""
