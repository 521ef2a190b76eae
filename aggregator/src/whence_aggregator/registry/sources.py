"""The source that a pushed image states, collected within seconds of the push, or later by the work queue."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from whence_aggregator.ports import CollectedFact, Database, ImageSaid, SourceUnavailable, StorageUnavailable
from whence_aggregator.queries.registry import MANIFEST_OF
from whence_aggregator.queries.work import ADD_TASK, AddTaskParameters
from whence_aggregator.registry.refusals import unavailable
from whence_aggregator.registry.rows import manifest as stored_manifest
from whence_aggregator.work.questions import lane_of_team, question
from whence_common.clock import Now, to_instant
from whence_common.image_reference import image_subject
from whence_common.oci_manifest import Manifest
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
_LOOKS_AT_ONCE = 4
_LOOKS_WAITING_MAX = 256


class Reader(Protocol):
    async def said_by(self, repository: str, manifest: Manifest) -> ImageSaid: ...


class Collect(Protocol):
    async def __call__(self, kind: str, subject: str, lane: str) -> CollectedFact:
        """Collect a fact about a subject and store it. Raises SourceUnavailable or StorageUnavailable."""


class Judge(Protocol):
    def __call__(self, said: ImageSaid) -> CollectedFact: ...


class Sources:
    """Collects sources. `name` is the registry's host; the work queue collects what takes longer than seconds."""

    def __init__(
        self, *, database: Database, reader: Reader, collect: Collect, finding_of: Judge, name: str, now: Now
    ) -> None:
        self._database = database
        self._reader = reader
        self._collect = collect
        self._finding_of = finding_of
        self._name = name
        self._now = now
        self._looks: set[asyncio.Task[CollectedFact | None]] = set()
        self._turns = asyncio.Semaphore(_LOOKS_AT_ONCE)

    async def look(self, repository: str, digest: str) -> Mapping[str, object] | None:
        """Return what was found and stored about an image; None when it takes too long, or is not an image."""
        rows = await self._database.fetch(MANIFEST_OF.bind({"repository": repository, "digest": digest}))
        known = stored_manifest(rows)
        if known is None or not known.is_image:
            return None
        subject = subject_of(self._name, repository, digest, known.child)
        task = image_question(subject, repository, self._now())
        if len(self._looks) >= _LOOKS_WAITING_MAX:
            await self._database.write(ADD_TASK.bind([task]))
            return None
        looking = asyncio.create_task(self._look(subject, task))
        self._looks.add(looking)
        looking.add_done_callback(self._looks.discard)
        done, _ = await asyncio.wait({looking}, timeout=LOOK_SECONDS)
        finding = looking.result() if done else None
        return {"warning": warning(finding)} if finding is not None else None

    async def judge(self, repository: str, manifest: Manifest) -> str:
        """Return why an image's source is not known; empty when it is. Raises RegistryRefusal."""
        try:
            said = await self._reader.said_by(f"{self._name}/{repository}", manifest)
        except SourceUnavailable as exc:
            if exc.code == "image-layer-unreadable":
                return exc.message
            raise unavailable("the image cannot be read now") from exc
        if any(one.kind == "provenance" for one in said.claims):
            return ""
        return warning(self._finding_of(said), file_required=True)

    async def run(self) -> None:
        """Wait until cancelled, then cancel collections in progress; the work queue does them later."""
        try:
            await asyncio.Event().wait()
        finally:
            for looking in self._looks:
                looking.cancel()

    async def _look(self, subject: str, task: AddTaskParameters) -> CollectedFact | None:
        try:
            async with self._turns:
                return await self._collect("image-source", subject, task["lane"])
        except (SourceUnavailable, StorageUnavailable) as exc:
            log.warning("an image's source is collected later", extra=fields(subject=subject, reason=exc.message))
        except asyncio.CancelledError:
            log.info("an image's source is collected later", extra=fields(subject=subject, reason="stopping"))
            raise
        try:
            await self._database.write(ADD_TASK.bind([task]))
        except StorageUnavailable as exc:
            log.error("storage unavailable", extra=fields(subject=subject, message=exc.message))
        return None


def image_question(subject: str, repository: str, now: datetime) -> AddTaskParameters:
    """Return the task that collects the source of a pushed image, in the lane of its team."""
    lane = lane_of_team(repository.partition("/")[0])
    return question("image-source", subject, due_at=to_instant(now), lane=lane)


def subject_of(name: str, repository: str, digest: str, child: str) -> str:
    """Return the subject of a manifest's source: the image itself, or the one that an index stands for."""
    return image_subject(f"{name}/{repository}", child or digest, digest if child else None)


def warning(finding: CollectedFact, *, file_required: bool = False) -> str:
    """Return what is wrong with the source that an image states; empty when nothing is.

    `file_required` is whether only scm-source.json counts, and not annotations, labels and attestations.
    """
    source = finding.value.get("scm_source")
    missing = finding.value.get("missing_keys", [])
    if source is None and finding.value.get("claims") and not file_required:
        return ""
    if source is None:
        return f"the image's source is not known: {finding.reason or 'it has no /scm-source.json'}"
    if missing:
        return f"scm-source.json lacks {', '.join(missing)}"
    return ""
