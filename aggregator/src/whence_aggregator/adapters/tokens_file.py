"""The file of tokens, read again when it changes. An invalid file changes nothing, and is logged once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from whence_aggregator.callers.known import Callers
from whence_aggregator.callers.tokens import CallerToken
from whence_common.errors import InputError
from whence_common.runtime.logs import fields
from whence_common.runtime.pause import pause

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
"""How long it takes at most until a new or revoked token takes effect."""
_Seen = tuple[int, int, int] | None


class TokensFile:
    """Keeps `callers` as the file states them. `load` raises InputError for an invalid file."""

    def __init__(self, path: str, *, callers: Callers, load: Callable[[str], Mapping[str, CallerToken]]) -> None:
        self._path = path
        self._callers = callers
        self._load = load
        self._seen = _seen(path)

    async def run(self) -> None:
        """Check the file for changes until cancelled."""
        while True:
            await pause(LOOK_SECONDS)
            if await asyncio.to_thread(_seen, self._path) != self._seen:
                self.look()

    def look(self) -> None:
        """Read the file again if it has changed."""
        seen = _seen(self._path)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            tokens = self._load(self._path)
        except InputError as exc:
            log.error(
                "tokens_file cannot be used: the previous tokens stay valid",
                extra=fields(file=self._path, error=exc.diagnostics()),
            )
            return
        self._callers.replace(tokens)
        log.info("tokens_file has changed and was read again", extra=fields(file=self._path, tokens=len(tokens)))

    def prepare(self, path: str) -> Callable[[], None]:
        """Read a file, maybe another one; return the function that applies it. Raises InputError."""
        seen, tokens = _seen(path), self._load(path)

        def apply() -> None:
            self._path, self._seen = path, seen
            self._callers.replace(tokens)

        return apply


def _seen(path: str) -> _Seen:
    """Return what changes when a file changes; None when it does not exist."""
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
