"""What this machine has seen of logs, on disk: the checkpoint that it accepted last of each, and forks it was shown.

Kept apart from the instance's key: whoever can have that key replaced must not have what was seen forgotten.
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
    """Two checkpoints that the log's keys signed and that cannot both be true, with all signatures: the evidence."""

    kept: str
    shown: str
    seen_at: str


class _Content(msgspec.Struct, frozen=True, kw_only=True):
    notes: list[str] = []
    """One a log, the one accepted last at the end."""
    forks: list[Fork] = []


class SeenLogs:
    """The file. `damaged`: it was there and could not be read, so that nothing is known of what was seen before."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.damaged = False
        self._content = self._load()

    @property
    def forks(self) -> list[Fork]:
        return self._content.forks

    @property
    def full(self) -> bool:
        """Whether no other log can be kept: none is ever forgotten for a new one."""
        return len(self._content.notes) >= LOGS_MAX

    def last(self) -> Checkpoint | None:
        """Return the checkpoint that was accepted last, of whichever log."""
        return _checkpoint(self._content.notes[-1]) if self._content.notes else None

    def of(self, origin: str) -> tuple[Checkpoint, str] | None:
        """Return the largest checkpoint that was accepted of a log, with its note."""
        found = next((note for note in self._content.notes if _checkpoint(note).origin == origin), None)
        return (_checkpoint(found), found) if found is not None else None

    def keep(self, note: str) -> None:
        """Keep an accepted checkpoint in place of its log's last one. Raises OSError."""
        origin = _checkpoint(note).origin
        others = [one for one in self._content.notes if _checkpoint(one).origin != origin]
        self._save(_Content(notes=[*others, note], forks=self.forks))

    def fork(self, fork: Fork) -> bool:
        """Keep a fork; return whether it is a new one. Raises OSError."""
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
            log.error("what was seen of the log cannot be read", extra=fields(path=str(self._path), error=str(exc)))
            self.damaged = True
            return _Content()
        return content


def _checkpoint(note: str) -> Checkpoint:
    return Checkpoint.parse(Note.parse(note.encode()).text)
