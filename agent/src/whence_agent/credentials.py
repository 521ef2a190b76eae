"""The credential keeper, berry's successor: user.json and client.json from the mint bucket, in one generation.

Files are validated before they replace anything; good files survive every bad answer. A generation is a directory;
`credentials` is a relative symlink to the current one, so both paths change in one rename (credentials.md, section 4).
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whence_agent.files import remove_temporaries, sync_directory, write_durably
from whence_agent.ports import CredentialState, ObjectStore, ObjectUnavailable
from whence_agent.progress import Progress
from whence_common.backoff import Backoff
from whence_common.clock import to_instant
from whence_common.logs import fields
from whence_common.pause import pause
from whence_common.statement import CredentialFacts

log = logging.getLogger(__name__)

OBJECT_BYTES_MAX = 64 * 1024
_FILES = {"user.json": ("application_username", "application_password"), "client.json": ("client_id", "client_secret")}
_MAY_BE_NULL = "client_secret"
_GENERATIONS_KEPT = 2


@dataclass(slots=True, kw_only=True)
class _Half:
    """One of the pair: what was last read of it."""

    content: bytes | None = None
    etag: str | None = None


class CredentialKeeper:
    """Keeps `<directory>/credentials/` at the newest whole pair in the bucket."""

    def __init__(
        self,
        *,
        store: ObjectStore,
        directory: Path,
        group: int,
        progress: Progress,
        poll_seconds: float,
        random: Callable[[], float],
    ) -> None:
        self._store = store
        self._directory = directory
        self._group = group
        self._progress = progress
        self._poll_seconds = poll_seconds
        self._random = random
        self._halves = {name: _Half() for name in _FILES}
        self._where: tuple[str, str] | None = None
        self._published: tuple[bytes, ...] | None = None
        self._generation = 0
        self._state: CredentialState | None = None
        self.message = "not asked yet"

    def configure(self, bucket: str, application_id: str) -> None:
        """Say which application's credentials to keep; clears what killed writers left."""
        self._where = (bucket, application_id)
        generations = self._directory / "generations"
        generations.mkdir(mode=0o750, parents=True, exist_ok=True)
        self._give_to_group(generations)
        remove_temporaries(self._directory)
        numbers = [int(path.name) for path in generations.iterdir() if path.name.isdigit()]
        self._generation = max(numbers, default=0)

    @property
    def complete(self) -> bool:
        """Whether a generation has been published since the boot."""
        return self._published is not None

    async def first(self) -> None:
        """Poll until a first generation is published; the caller sets the deadline."""
        backoff = Backoff(first_seconds=0.5, longest_seconds=15.0, random=self._random)
        attempt = 0
        while True:
            await self.poll()
            if self.complete:
                return
            attempt += 1
            await pause(backoff.seconds(attempt))

    async def run(self) -> None:
        """Keep polling, spread out by jitter, until cancelled."""
        while True:
            await pause(self._poll_seconds * (0.75 + 0.5 * self._random()))
            if self._where is not None:
                await self.poll()

    async def poll(self) -> None:
        """Ask for both objects once; publish them if they are a valid, changed pair. Never raises for their faults."""
        assert self._where is not None
        bucket, application_id = self._where
        fetched = {name: _Half(content=half.content, etag=half.etag) for name, half in self._halves.items()}
        for name, half in fetched.items():
            try:
                answer = await self._store.get(bucket, f"{application_id}/{name}", etag=half.etag)
            except ObjectUnavailable as exc:
                seen_before = self._halves[name].content is not None
                state = "gone-or-denied" if exc.state == "not-synced-or-denied" and seen_before else exc.state
                self._moved_to(state, exc.diagnostics(), file=name)
                return
            if answer is None:
                continue
            wrong = _what_is_wrong(name, answer.content)
            if wrong is not None:
                self._moved_to("invalid", wrong, file=name)
                return
            half.content, half.etag = answer.content, answer.etag
        try:
            self._publish(tuple(half.content or b"" for half in fetched.values()))
        except OSError as exc:
            self._moved_to("unwritable", f"the files cannot be written: {exc}", file="")
            return
        self._halves = fetched
        self._moved_to("current", "both files are current", file="")

    def _publish(self, contents: tuple[bytes, ...]) -> None:
        if contents == self._published:
            return
        generation = self._generation + 1
        target = self._directory / "generations" / str(generation)
        target.mkdir(mode=0o750)
        self._give_to_group(target)
        for name, content in zip(_FILES, contents, strict=True):
            write_durably(target / name, content, mode=0o440, group=self._group)
        sync_directory(target.parent)
        link = self._directory / f".credentials.{secrets.token_hex(8)}.tmp"
        link.symlink_to(f"generations/{generation}")
        link.replace(self._directory / "credentials")
        sync_directory(self._directory)
        self._generation, self._published = generation, contents
        for old in target.parent.iterdir():
            if old.name.isdigit() and int(old.name) <= generation - _GENERATIONS_KEPT:
                shutil.rmtree(old)
        log.info("credentials published", extra=fields(generation=generation))

    def _give_to_group(self, directory: Path) -> None:
        directory.chmod(0o750)
        if directory.stat().st_gid != self._group:
            os.chown(directory, -1, self._group)

    def _moved_to(self, state: CredentialState, message: str, *, file: str) -> None:
        if state != self._state:
            level = logging.INFO if state == "current" else logging.WARNING
            log.log(level, "credentials changed state", extra=fields(state=state, file=file, message=message))
        self._state, self.message = state, f"{file}: {message}" if file else message
        before = self._progress.observed.credentials
        fetched_at = to_instant(self._progress.now()) if state == "current" else (before.fetched_at if before else "")
        facts = CredentialFacts(generation=self._generation if self.complete else 0, state=state, fetched_at=fetched_at)
        self._progress.observed.credentials = facts


def _what_is_wrong(name: str, content: bytes) -> str | None:
    """Say why an object must not replace a good file; None when it may. Never quotes its content."""
    if len(content) > OBJECT_BYTES_MAX:
        return f"the object is larger than {OBJECT_BYTES_MAX} bytes"
    try:
        document: Any = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError):
        return f"the object holds no whole JSON ({len(content)} bytes); it may have been cut off"
    if not isinstance(document, dict):
        return "the object holds JSON, but no JSON object"
    for required in _FILES[name]:
        value = document.get(required)
        if required in document and value is None and required == _MAY_BE_NULL:
            continue
        if not isinstance(value, str) or not value:
            return f"{required} is missing or empty"
    return None
