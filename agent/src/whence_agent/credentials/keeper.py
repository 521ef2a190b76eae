"""The credential keeper, berry's successor: publishes user.json and client.json from the mint bucket in one generation.

Files are validated before they replace others; valid files remain whatever the bucket returns. An application whose
client.json or user.json states that it has no other file needs no other.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from whence_agent.credentials.generations import Generations
from whence_agent.credentials.objects import (
    CLIENT,
    FILES,
    SECRET_FIELDS,
    USER,
    object_facts,
    stated_files,
    what_is_wrong,
)
from whence_agent.patience import Patience
from whence_agent.ports import CredentialState, ObjectStore, ObjectUnavailable, StoredObject
from whence_agent.progress.progress import Progress
from whence_agent.progress.stage import StageProgress
from whence_agent.redaction import Redactor
from whence_common.clock import to_instant
from whence_common.runtime.logs import fields
from whence_common.runtime.pause import pause
from whence_common.statement import CredentialFacts, CredentialObjectFacts

log = logging.getLogger(__name__)

TOKEN_SUFFIXES = ("-token-type", "-token-secret", "-client-id", "-client-secret")
_ABSENT = ("not-synced", "not-synced-or-denied")
WHOLE_SECONDS = 600.0
"""How often objects are read although their etags are the same.

A version with the same bytes has the same etag, and S3 does not promise to state the version in a 304. The aggregator
judges a version that mint did not record after 15 minutes.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """The credentials count as revoked after this many consecutive polls without the objects; 0 means never."""

    after_polls: int = 0
    files: Literal["mark", "remove"] = "mark"


class CredentialKeeper:
    """Publishes the newest complete files in the bucket, and the token files.

    `on_change` is called when the objects that are published change.
    """

    def __init__(
        self,
        *,
        store: ObjectStore,
        generations: Generations,
        progress: Progress,
        redactor: Redactor,
        revocation: Revocation,
        poll_seconds: float,
        random: Callable[[], float],
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._generations = generations
        self._progress = progress
        self._redactor = redactor
        self._revocation = revocation
        self._poll_seconds = poll_seconds
        self._random = random
        self._on_change = on_change
        self._where: tuple[str, str] | None = None
        self._wanted: frozenset[str] = frozenset(FILES)
        self._read: dict[str, StoredObject] = {}
        self._whole_until = 0.0
        """Until when an object is read only if its etag differs, on the clock of `progress`."""
        self._published: tuple[CredentialObjectFacts, ...] | None = None
        self._tokens: dict[str, bytes] = {}
        self._gone = 0
        self._state: CredentialState | None = None
        self.message = "not read yet"

    def configure(self, bucket: str | None, application_id: str, tokens: Collection[str] = ()) -> None:
        """Set bucket, application and names of tokens; without a bucket there are token files only.

        Raises DirectoryTaken or OSError.
        """
        self._where = (bucket, application_id) if bucket is not None else None
        if bucket is None:
            self._wanted, self._read = frozenset(), {}
        elif not self._wanted:
            self._wanted = frozenset(FILES)
        self._generations.open()
        if self._generations.number == 0:
            self._published = ()
        wanted = {f"{name}{suffix}" for name in tokens for suffix in TOKEN_SUFFIXES}
        self._tokens = {name: content for name, content in self._generations.files.items() if name in wanted}

    @property
    def complete(self) -> bool:
        """Whether all valid files that the application has were read since the start."""
        return self._read.keys() == self._wanted

    @property
    def state(self) -> CredentialState | None:
        return self._state

    def user(self) -> dict[str, str] | None:
        """Return the parsed user.json; None before the files are complete, or if the application has none."""
        return self._document(USER)

    def client(self) -> dict[str, str] | None:
        """Return the parsed client.json; None before the files are complete, or if the application has none."""
        return self._document(CLIENT)

    def _document(self, name: str) -> dict[str, str] | None:
        if not self.complete or name not in self._read:
            return None
        document: dict[str, str] = json.loads(self._read[name].content)
        return document

    @property
    def configured(self) -> bool:
        """Whether there are credentials to wait for."""
        return self._where is not None

    async def first(self, stage: StageProgress, patience: Patience) -> None:
        """Poll until a first pair is published; the caller sets the deadline."""

        async def once() -> None:
            await self.poll()
            if self._state is not None and self._state != "current":
                raise ObjectUnavailable(self._state, self.message)

        await patience.keep_trying(once, stage, waiting_for="the credentials of the mint bucket")

    async def run(self) -> None:
        """Poll with jitter until cancelled."""
        while True:
            await pause(self._poll_seconds * (0.75 + 0.5 * self._random()))
            if self._where is not None:
                await self.poll()

    async def poll(self) -> None:
        """Read all objects once; publish valid, changed files. Errors are in `state` and `message`."""
        assert self._where is not None
        bucket, application_id = self._where
        fetched, wanted = dict(self._read), frozenset(FILES)
        first, second = (USER, CLIENT) if self._wanted == {USER} else (CLIENT, USER)
        absent: ObjectUnavailable | None = None
        began = self._progress.monotonic()
        is_whole = began >= self._whole_until
        for name in (first, second):
            if name not in wanted:
                fetched.pop(name, None)
                continue
            if self._state is None:
                self.message = f"s3://{bucket}/{application_id}/{name} has not been read yet"
            before = fetched.get(name)
            try:
                etag = before.etag if before is not None and not is_whole else None
                answer = await self._store.get(bucket, f"{application_id}/{name}", etag=etag)
            except ObjectUnavailable as exc:
                if name == first and exc.state in _ABSENT:
                    absent = exc  # the other may state that the application does not have it
                    continue
                self._unavailable(absent or exc, first if absent is not None else name)
                return
            wrong = what_is_wrong(name, answer.content) if answer is not None else None
            if wrong is not None:
                self._moved_to("invalid", wrong, file=name)
                return
            if answer is not None:
                fetched[name] = answer
            if name == first or absent is not None:
                wanted = stated_files(name, fetched[name])
        if absent is not None:
            if first in wanted:
                self._unavailable(absent, first)
                return
            fetched.pop(first, None)
        if is_whole:
            self._whole_until = began + WHOLE_SECONDS
        self._gone = 0
        self._read, self._wanted = fetched, wanted
        self._learn()
        self._publish()

    def keep_tokens(self, files: Mapping[str, bytes]) -> None:
        """Publish token files together with the application's files, in one generation."""
        self._tokens = dict(files)
        if self.complete and (self._read or files or self._generations.files):
            self._publish()

    def close(self) -> None:
        """Unlock the directory."""
        self._generations.close()

    def _publish(self) -> None:
        files = {name: found.content for name, found in self._read.items()}
        try:
            if self._generations.publish({**files, **self._tokens}):
                log.info("credentials published", extra=fields(generation=self._generations.number))
        except OSError as exc:
            self._moved_to("unwritable", f"the files cannot be written: {exc}", file="")
            return
        before, self._published = self._published, object_facts(self._read)
        self._moved_to("current", "all files are current", file="")
        if self._published != before:
            self._on_change()

    def _unavailable(self, exc: ObjectUnavailable, name: str) -> None:
        seen = name in self._read
        state: CredentialState = "gone-or-denied" if exc.state == "not-synced-or-denied" and seen else exc.state
        if state == "gone-or-denied" or (state == "not-synced" and seen):
            self._gone += 1
            if 0 < self._revocation.after_polls <= self._gone:
                self._revoked()
                return
        self._moved_to(state, exc.diagnostics(), file=name)

    def _revoked(self) -> None:
        """Apply the revocation rule: the objects existed, and have been missing for the configured number of polls."""
        message = f"revoked: missing for {self._gone} polls"
        if self._revocation.files == "remove" and self._generations.files:
            try:
                self._generations.publish({})
                self._published = ()
                message += "; the files have been removed"
            except OSError as exc:
                message += f"; the files cannot be removed: {exc}"
        self._moved_to("revoked", message, file="")

    def _learn(self) -> None:
        for found in self._read.values():
            document = json.loads(found.content)
            for key in SECRET_FIELDS:
                if isinstance(document.get(key), str):
                    self._redactor.learn(document[key])

    def _moved_to(self, state: CredentialState, message: str, *, file: str) -> None:
        if state != self._state:
            level = logging.INFO if state == "current" else logging.WARNING
            log.log(level, "credentials changed state", extra=fields(state=state, file=file, message=message))
        self._state, self.message = state, f"{file}: {message}" if file else message
        before = self._progress.credentials.facts
        fetched_at = to_instant(self._progress.now()) if state == "current" else (before.fetched_at if before else "")
        number = self._generations.number if self.complete else 0
        objects = list(self._published) if self._published is not None else msgspec.UNSET
        facts = CredentialFacts(generation=number, state=state, fetched_at=fetched_at, objects=objects)
        self._progress.credentials.record(facts, message="" if state == "current" else self.message)
