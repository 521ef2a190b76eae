"""The credential keeper, berry's successor: publishes user.json and client.json from the mint bucket in one generation.

Files are validated before they replace others; valid files remain whatever the bucket returns.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from whence_agent.credentials.generations import Generations
from whence_agent.patience import Patience
from whence_agent.ports import CredentialState, ObjectStore, ObjectUnavailable, StoredObject
from whence_agent.progress.progress import Progress
from whence_agent.progress.stage import StageProgress
from whence_agent.redaction import Redactor
from whence_common.clock import to_instant
from whence_common.runtime.logs import fields
from whence_common.runtime.pause import pause
from whence_common.statement import CredentialFacts

log = logging.getLogger(__name__)

OBJECT_BYTES_MAX = 64 * 1024
_FILES = {"user.json": ("application_username", "application_password"), "client.json": ("client_id", "client_secret")}
_MAY_BE_NULL = "client_secret"
TOKEN_SUFFIXES = ("-token-type", "-token-secret", "-client-id", "-client-secret")
_SECRET = ("application_password", "client_secret")


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """The credentials count as revoked after this many consecutive polls without the objects; 0 means never."""

    after_polls: int = 0
    files: Literal["mark", "remove"] = "mark"


class CredentialKeeper:
    """Publishes the newest complete pair in the bucket, and the token files."""

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
    ) -> None:
        self._store = store
        self._generations = generations
        self._progress = progress
        self._redactor = redactor
        self._revocation = revocation
        self._poll_seconds = poll_seconds
        self._random = random
        self._where: tuple[str, str] | None = None
        self._read: dict[str, StoredObject] = {}
        self._tokens: dict[str, bytes] = {}
        self._gone = 0
        self._state: CredentialState | None = None
        self.message = "not read yet"

    def configure(self, bucket: str, application_id: str, tokens: Collection[str] = ()) -> None:
        """Set bucket, application and names of tokens. Raises DirectoryTaken or OSError."""
        self._where = (bucket, application_id)
        self._generations.open()
        wanted = {f"{name}{suffix}" for name in tokens for suffix in TOKEN_SUFFIXES}
        self._tokens = {name: content for name, content in self._generations.files.items() if name in wanted}

    @property
    def complete(self) -> bool:
        """Whether a valid pair has been read since the start."""
        return self._read.keys() == _FILES.keys()

    @property
    def state(self) -> CredentialState | None:
        return self._state

    def pair(self) -> tuple[dict[str, str], dict[str, str]] | None:
        """Return the parsed user.json and client.json; None before there is a pair."""
        if not self.complete:
            return None
        user, client = (json.loads(self._read[name].content) for name in _FILES)
        return user, client

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
        """Read both objects once; publish a valid, changed pair. Errors are in `state` and `message`."""
        assert self._where is not None
        bucket, application_id = self._where
        fetched = dict(self._read)
        for name in _FILES:
            if self._state is None:
                self.message = f"s3://{bucket}/{application_id}/{name} has not been read yet"
            before = fetched.get(name)
            try:
                answer = await self._store.get(bucket, f"{application_id}/{name}", etag=before.etag if before else None)
            except ObjectUnavailable as exc:
                self._unavailable(exc, name)
                return
            if answer is None:
                continue
            wrong = _what_is_wrong(name, answer.content)
            if wrong is not None:
                self._moved_to("invalid", wrong, file=name)
                return
            fetched[name] = answer
        self._gone = 0
        self._read = fetched
        self._learn()
        self._publish()

    def keep_tokens(self, files: Mapping[str, bytes]) -> None:
        """Publish token files together with the pair, in one generation."""
        self._tokens = dict(files)
        if self.complete:
            self._publish()

    def close(self) -> None:
        """Unlock the directory."""
        self._generations.close()

    def _publish(self) -> None:
        files = {name: self._read[name].content for name in _FILES}
        try:
            if self._generations.publish({**files, **self._tokens}):
                log.info("credentials published", extra=fields(generation=self._generations.number))
        except OSError as exc:
            self._moved_to("unwritable", f"the files cannot be written: {exc}", file="")
            return
        self._moved_to("current", "both files are current", file="")

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
                message += "; the files have been removed"
            except OSError as exc:
                message += f"; the files cannot be removed: {exc}"
        self._moved_to("revoked", message, file="")

    def _learn(self) -> None:
        for name in _FILES:
            document = json.loads(self._read[name].content)
            for key in _SECRET:
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
        facts = CredentialFacts(generation=number, state=state, fetched_at=fetched_at)
        self._progress.credentials.record(facts, message="" if state == "current" else self.message)


def _what_is_wrong(name: str, content: bytes) -> str | None:
    """Return why an object must not replace a valid file, without quoting it; None if it may."""
    if len(content) > OBJECT_BYTES_MAX:
        return f"the object is larger than {OBJECT_BYTES_MAX} bytes"
    try:
        document: Any = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError):
        return f"the object is not complete JSON ({len(content)} bytes); it may be truncated"
    if not isinstance(document, dict):
        return "the object is JSON, but not a JSON object"
    for required in _FILES[name]:
        value = document.get(required)
        if required in document and value is None and required == _MAY_BE_NULL:
            continue
        if not isinstance(value, str) or not value:
            return f"{required} is missing or empty"
    return None
