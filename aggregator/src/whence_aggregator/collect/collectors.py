"""Two collectors: an image's source from its registry, a commit from its Git server."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Literal, Protocol

from whence_aggregator.ports import CommitReader, ScmSourceReader, SourceUnavailable
from whence_aggregator.trace.tickets import MESSAGE_CHARACTERS_MAX
from whence_common.clock import to_instant
from whence_common.identifiers import COMMIT_ID
from whence_common.scm_source import Repository, ScmSource, ScmSourceInvalid

_LINE_CHARACTERS_MAX = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found out, ready to be stored."""

    outcome: Literal["found", "missing", "absent"]
    value: dict[str, Any] = field(default_factory=dict)
    reason: str = ""


class Collector(Protocol):
    async def collect(self, subject: str) -> Finding:
        """Find out about one subject. Raises SourceUnavailable when that cannot be done now."""


class ImageSourceCollector:
    """Reads scm-source.json out of images. The subject is `registry/path@digest`."""

    def __init__(self, reader: ScmSourceReader) -> None:
        self._reader = reader

    async def collect(self, subject: str) -> Finding:
        repository, _, digest = subject.partition("@")
        try:
            content = await self._reader.scm_source(repository, digest)
        except SourceUnavailable as exc:
            if exc.code == "registry-image-unknown":
                return Finding(outcome="absent", reason=exc.message)
            raise
        if content is None:
            return Finding(outcome="missing", reason="the image has no /scm-source.json")
        try:
            source = ScmSource.parse(content)
        except ScmSourceInvalid as exc:
            return Finding(outcome="missing", reason=exc.message)
        return Finding(outcome="found", value={"scm_source": source.to_wire()})


class CommitCollector:
    """Reads commits from Git servers. The subject is `host/path@commit id`."""

    def __init__(self, reader: CommitReader) -> None:
        self._reader = reader

    async def collect(self, subject: str) -> Finding:
        place, _, commit_id = subject.rpartition("@")
        host, _, path = place.partition("/")
        assert COMMIT_ID.match(commit_id), "a commit task is made for commit ids only"
        content = await self._reader.commit(Repository(host=host, path=path), commit_id)
        if content is None:
            return Finding(outcome="missing", reason=f"{place} has no commit {commit_id}")
        value = {"repository": place, "commit": commit_id, **parse_commit(content)}
        return Finding(outcome="found", value=value)


def parse_commit(content: bytes) -> dict[str, str]:
    """Read a Git commit object: author, time and message. Everything in it is somebody's text."""
    head, _, body = content.partition(b"\n\n")
    headers = dict(line.split(b" ", 1) for line in head.split(b"\n") if b" " in line and not line.startswith(b" "))
    message = body.decode("utf-8", "replace")[:MESSAGE_CHARACTERS_MAX]
    author, _, _ = _text(headers.get(b"author", b"")).rpartition("> ")
    return {
        "author": f"{author}>"[:_LINE_CHARACTERS_MAX] if author else "",
        "committed_at": _committed_at(_text(headers.get(b"committer", b""))),
        "subject": message.split("\n", 1)[0][:_LINE_CHARACTERS_MAX],
        "message": message,
    }


def _committed_at(committer: str) -> str:
    """Read `name <mail> seconds +zone`; empty when it is malformed."""
    parts = committer.rpartition("> ")[2].split(" ")
    try:
        seconds = int(parts[0])
        return to_instant(datetime.fromtimestamp(seconds, timezone(timedelta(0))).astimezone(UTC))
    except (ValueError, OverflowError, OSError):
        return ""


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace")
