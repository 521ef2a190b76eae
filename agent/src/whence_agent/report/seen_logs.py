"""The logs that this machine has seen, on disk: the last accepted checkpoint of each, and the forks.

Separate from the instance's key: an attacker who causes a new key must not erase what was seen.
"""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec

from whence_common.errors import InputError
from whence_common.note import Checkpoint, Note
from whence_common.runtime.files import write_durably
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

LOGS_MAX = 8
FORKS_MAX = 4
_FILE_BYTES_MAX = 2 * 1024 * 1024


class Fork(msgspec.Struct, frozen=True, kw_only=True):
    """The evidence of a fork: two checkpoints of contradictory histories, with the log's signatures."""

    kept: str
    shown: str
    seen_at: str


class _Content(msgspec.Struct, frozen=True, kw_only=True):
    notes: list[str] = []
    """One note for each log, the one accepted last at the end."""
    forks: list[Fork] = []


class SeenLogs:
    """The file of seen logs. `damaged`: the file exists but could not be read, so that its content is lost."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.damaged = False
        self._content = self._load()

    @property
    def forks(self) -> list[Fork]:
        return self._content.forks

    @property
    def full(self) -> bool:
        """Return whether no other log can be added; no log is ever removed for a new one."""
        return len(self._content.notes) >= LOGS_MAX

    def last(self) -> Checkpoint | None:
        """Return the checkpoint that was accepted last, of any log."""
        return _checkpoint(self._content.notes[-1]) if self._content.notes else None

    def of(self, origin: str) -> tuple[Checkpoint, str] | None:
        """Return the largest accepted checkpoint of a log, with its note."""
        found = next((note for note in self._content.notes if _checkpoint(note).origin == origin), None)
        return (_checkpoint(found), found) if found is not None else None

    def keep(self, note: str) -> None:
        """Store an accepted checkpoint in place of its log's previous one. Raises OSError."""
        origin = _checkpoint(note).origin
        others = [one for one in self._content.notes if _checkpoint(one).origin != origin]
        self._save(_Content(notes=[*others, note], forks=self.forks))

    def fork(self, fork: Fork) -> bool:
        """Store a fork; return whether it is a new one. Raises OSError."""
        shown = {_checkpoint(one.shown) for one in self.forks}
        if _checkpoint(fork.shown) in shown or len(self.forks) >= FORKS_MAX:
            return False
        self._save(_Content(notes=self._content.notes, forks=[*self.forks, fork]))
        return True

    def _save(self, content: _Content) -> None:
        write_durably(self._path, msgspec.json.encode(content), mode=0o600)
        self._content = content

    def _load(self) -> _Content:
        try:
            with self._path.open("rb") as stream:
                content = msgspec.json.decode(stream.read(_FILE_BYTES_MAX + 1), type=_Content)
            for note in (*content.notes, *(one.shown for one in content.forks)):
                _checkpoint(note)
        except FileNotFoundError:
            return _Content()
        except (msgspec.MsgspecError, UnicodeDecodeError, InputError) as exc:
            log.error("the file of seen logs cannot be read", extra=fields(path=str(self._path), error=str(exc)))
            self.damaged = True
            return _Content()
        return content


def _checkpoint(note: str) -> Checkpoint:
    return Checkpoint.parse(Note.parse(note.encode()).text)
