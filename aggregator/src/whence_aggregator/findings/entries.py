"""Entries of findings: each is of one scanner and account or image, and small enough to be in the log whole. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

ENTRY_BYTES_MAX = 48 * 1024
"""Below the 65,535 bytes of an entry, with room for its frame: a larger one would be in the log by its digest only."""
_ONE_BYTES = 20


def entries_of(
    frame: Mapping[str, Any],
    *,
    findings: Sequence[Mapping[str, Any]] = (),
    seen: Sequence[tuple[str, str]] = (),
    absent: Sequence[str] = (),
) -> Iterator[dict[str, Any]]:
    """Yield the members of entries: those of `frame`, which every entry has, with a part of the others.

    Only the last one is marked complete: it stands for all before it.
    """
    parts: list[tuple[str, Any]] = [("findings", one) for one in findings]
    parts += [("seen", list(one)) for one in seen]
    parts += [("absent", one) for one in absent]
    chunks: list[dict[str, list[Any]]] = [_empty()]
    size = 0
    for name, one in parts:
        bytes_of_one = len(msgspec.json.encode(one)) + _ONE_BYTES
        if size + bytes_of_one > ENTRY_BYTES_MAX and size:
            chunks.append(_empty())
            size = 0
        chunks[-1][name].append(one)
        size += bytes_of_one
    for number, chunk in enumerate(chunks, start=1):
        yield {**frame, **chunk, "complete": bool(frame["complete"]) and number == len(chunks)}


def _empty() -> dict[str, list[Any]]:
    return {"findings": [], "seen": [], "absent": []}
