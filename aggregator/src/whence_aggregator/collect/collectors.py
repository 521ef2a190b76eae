"""Collectors: an image's source and a tag's digest, from their registry; a commit, from its Git server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Literal, Protocol

from whence_aggregator.ports import (
    BranchFinding,
    CollectedFact,
    CommitReader,
    ImageReader,
    ImageSaid,
    SourceUnavailable,
    TagReader,
)
from whence_aggregator.trace.tickets import MESSAGE_CHARACTERS_MAX
from whence_common.clock import to_instant
from whence_common.errors import one_line
from whence_common.identifiers import COMMIT_ID
from whence_common.image_reference import ImageReferenceInvalid, parse_image_subject, tag_reference
from whence_common.scm_source import RepositoryInvalid, ScmSource, ScmSourceInvalid, SourceRepository

_LINE_CHARACTERS_MAX = 300


class Collector(Protocol):
    async def collect(self, subject: str) -> CollectedFact:
        """Return the fact about a subject.

        Raises SourceUnavailable when it cannot be read now, and InputError for a subject that is not valid.
        """


class ImageSourceCollector:
    """Reads the source that images state. The subject is `registry/path@digest`, with `^digest` of the index."""

    def __init__(self, reader: ImageReader) -> None:
        self._reader = reader

    async def collect(self, subject: str) -> CollectedFact:
        repository, digest, index_digest = parse_image_subject(subject)
        try:
            said = await self._reader.said(repository, digest, index_digest)
        except SourceUnavailable as exc:
            if exc.code == "registry-image-unknown":
                return CollectedFact(outcome="absent", reason=exc.message, awaited="the image")
            raise
        return finding_of(said)


class TagCollector:
    """Looks up the digest that a tag points to now. The subject is `registry/path:tag`."""

    def __init__(self, tags: TagReader) -> None:
        self._tags = tags

    async def collect(self, subject: str) -> CollectedFact:
        if tag_reference(subject) != subject:
            raise ImageReferenceInvalid(
                "image-tag-malformed", f"{one_line(subject, 80)!r} does not name an image by its tag"
            )
        digest = await self._tags.digest_of(subject)
        if digest is None:
            return CollectedFact(outcome="missing", reason="the registry has no such tag")
        return CollectedFact(outcome="found", value={"digest": digest})


def finding_of(said: ImageSaid) -> CollectedFact:
    """Return the fact about an image's source."""
    value: dict[str, Any] = {
        "built_by": said.built_by, "layer": said.layer, "notes": said.notes,
        "inherited": said.inherited, "claims": [one.to_wire() for one in said.claims],
        "chain": said.chains[-1] if said.chains else "",
    }  # fmt: skip
    if said.signer_known:
        value["signed_by"] = said.signed_by
    if said.unknown:
        value["unknown"] = said.unknown
    reason = said.notes[0] if said.notes else "the image has no /scm-source.json"
    if said.scm_source is not None:
        try:
            source = ScmSource.parse(said.scm_source)
            value["scm_source"] = source.to_wire()
            value["missing_keys"] = list(source.missing_keys)
        except ScmSourceInvalid as exc:
            reason = exc.message
    found = "scm_source" in value or said.claims
    outcome: Literal["found", "missing"] = "found" if found or said.unknown else "missing"
    return CollectedFact(
        outcome=outcome, value=value, reason="" if found else "; ".join(said.unknown) or reason, awaited=said.awaited
    )


class CommitCollector:
    """Reads commits from Git servers. The subject is `host/path@commit id`."""

    def __init__(self, reader: CommitReader) -> None:
        self._reader = reader

    async def collect(self, subject: str) -> CollectedFact:
        place, commit_id = commit_of(subject)
        content = await self._reader.commit(place, commit_id)
        if content is None:
            return CollectedFact(outcome="missing", reason=f"{place} has no commit {commit_id}", awaited="the commit")
        value = {"repository": str(place), "commit": commit_id, **parse_commit(content)}
        return CollectedFact(outcome="found", value=value)


class BranchCollector:
    """Asks Git servers whether the default branch reaches a commit. The subject is `host/path@commit id`.

    The value is {branch, head, reachable}; `reachable` is null, with a reason, when it could not be determined.
    """

    def __init__(self, reader: CommitReader) -> None:
        self._reader = reader

    async def collect(self, subject: str) -> CollectedFact:
        place, commit_id = commit_of(subject)
        answer = await self._reader.branch(place, commit_id)
        value = {"branch": answer.branch, "head": answer.commit_id, "reachable": answer.reachable}
        outcome: Literal["found", "missing"] = "missing" if answer.branch is None else "found"
        return BranchFinding(outcome=outcome, value=value, reason=answer.reason)


def commit_of(subject: str) -> tuple[SourceRepository, str]:
    """Return repository and commit id of `host/path@commit id`. Raises RepositoryInvalid."""
    place, _, commit_id = subject.rpartition("@")
    if not COMMIT_ID.match(commit_id):
        raise RepositoryInvalid("commit-malformed", f"{one_line(commit_id, 80)!r} is not a full commit id")
    return SourceRepository.parse(place), commit_id


def parse_commit(content: bytes) -> dict[str, str]:
    """Return author, time and message of a Git commit object. All of it is untrusted text."""
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
    """Return the time of `name <mail> seconds +zone`; empty when it is malformed."""
    parts = committer.rpartition("> ")[2].split(" ")
    try:
        seconds = int(parts[0])
        return to_instant(datetime.fromtimestamp(seconds, timezone(timedelta(0))).astimezone(UTC))
    except (ValueError, OverflowError, OSError):
        return ""


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace")
