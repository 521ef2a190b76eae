"""Commit objects and their trailers, read from a repository of ours: many in two runs of git."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from whence_aggregator.adapters.git_clone import GitClone
from whence_aggregator.ports_commits import CommitObject

COMMIT_BYTES_MAX = 1024 * 1024
"""Of one commit: what is beyond is not read."""
TRAILERS_MAX = 200
TRAILER_CHARACTERS_MAX = 1_000
_TRAILER_BYTES_MAX = 4 * 1024 * 1024
_OBJECTS_BYTES_MAX = 32 * 1024 * 1024
_SHOWN = "--format=%H%n%(trailers:only,unfold)"
_LOG = ("log", "-z", "--no-walk=unsorted", "--stdin", "--no-show-signature", "--no-notes", _SHOWN)


async def read_commit(clone: GitClone, commit_id: str) -> CommitObject:
    """Return one commit that the repository holds."""
    size = int((await clone.git("cat-file", "-s", commit_id)).strip())
    content = await clone.git("cat-file", "commit", commit_id, bytes_max=COMMIT_BYTES_MAX)
    trailers = await _trailers(clone, [commit_id])
    return CommitObject(content=content, trailers=trailers.get(commit_id, ()), whole=len(content) == size)


async def read_commits(clone: GitClone, commit_ids: Sequence[str]) -> dict[str, CommitObject]:
    """Return commits that the repository holds, by id. Those above the bounds of size are left out."""
    if not commit_ids:
        return {}
    listed = "\n".join(commit_ids).encode() + b"\n"
    content, trailers = await asyncio.gather(
        clone.git("cat-file", "--batch", content=listed, bytes_max=_OBJECTS_BYTES_MAX), _trailers(clone, commit_ids)
    )
    return {
        name: CommitObject(content=one, trailers=trailers.get(name, ()))
        for name, one in _objects(content)
        if len(one) <= COMMIT_BYTES_MAX
    }


async def _trailers(clone: GitClone, commit_ids: Sequence[str]) -> dict[str, tuple[tuple[str, str], ...]]:
    """Return the trailers of commits, by Git's own rules: those of `git interpret-trailers --parse`."""
    listed = "\n".join(commit_ids).encode() + b"\n"
    output = await clone.git(*_LOG, content=listed, bytes_max=_TRAILER_BYTES_MAX)
    found = {}
    for record in output.split(b"\0"):
        name, _, text = record.decode("utf-8", "replace").partition("\n")
        found[name] = tuple(_pairs(text))
    return found


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for line in text.split("\n")[:TRAILERS_MAX]:
        key, marker, value = line.partition(":")
        if marker and key.strip():
            yield key.strip()[:TRAILER_CHARACTERS_MAX], value.strip()[:TRAILER_CHARACTERS_MAX]


def _objects(output: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield id and content of each commit in the output of `git cat-file --batch`, except one that is cut off."""
    at = 0
    while (end := output.find(b"\n", at)) >= 0:
        name, _, rest = output[at:end].decode("ascii", "replace").partition(" ")
        kind, _, size = rest.partition(" ")
        if not size.isdigit():
            at = end + 1  # an object that is not there
            continue
        start, at = end + 1, end + 1 + int(size) + 1
        if kind == "commit" and at <= len(output):
            yield name, output[start : at - 1]
