"""The log's files beside the database: its private keys, and the last signed checkpoint.

Keys are one a line, `PRIVATE+KEY+name+hex id+base64(type || seed)`, as other tools for signed notes write them; all
of them sign, so that a new key can be published before the old one is removed.
"""

from __future__ import annotations

import base64
import os
import secrets
import time
from pathlib import Path

from whence_aggregator.ports import StorageUnavailable
from whence_common import strict_base64
from whence_common.note import LOG, WITNESS, Checkpoint, Note, NoteInvalid, Signer, VerifierKey
from whence_common.runtime.files import make_once_for_owner, replace_for_owner, sync_directory
from whence_common.settings_file import SettingsInvalid

_PREFIX = "PRIVATE+KEY+"
_SYNC_SECONDS = 1.0
_DAMAGED = (
    "restore it, or copy a running replica's; if it is lost, move it away and see `A lost checkpoint file` in"
    " aggregator/README.md"
)


def load_signers(path: Path, *, name: str, type_: int = LOG, made: bool = True) -> list[Signer]:
    """Return the keys of a log or witness; if there is no file and `made` is set, create the first key.

    Raises SettingsInvalid.
    """
    try:
        text = path.read_text(encoding="ascii")
    except FileNotFoundError:
        if not made:
            fix = "correct log_key_file in the settings; nothing was created"
            raise SettingsInvalid("log-key", f"log_key_file {path} does not exist", fix=fix) from None
        text = make_once_for_owner(path, _new_line(name, type_).encode("ascii")).decode("ascii")
    except (OSError, UnicodeDecodeError) as exc:
        raise SettingsInvalid("log-key", f"{path} cannot be read: {exc}") from exc
    signers = [_signer(line, path) for line in text.splitlines() if line.strip()]
    if not signers:
        raise SettingsInvalid("log-key", f"{path} contains no key")
    for one in signers:
        if one.verifier.name != name or one.verifier.type != type_:
            raise SettingsInvalid(
                "log-key", f"{path} contains a key of {one.verifier.name}, but the log's name is {name}",
                fix="set log_origin to the name of the keys, or use another file",
            )  # fmt: skip
    return signers


def add_key(path: Path, *, name: str) -> None:
    """Insert a new key at the beginning of a log's file. Raises OSError."""
    before = path.read_text(encoding="ascii")
    replace_for_owner(path, (_new_line(name, LOG) + before).encode("ascii"), mode=0o600)


def drop_key(path: Path, verifier: VerifierKey) -> bool:
    """Remove a key from a log's file; return whether it was there. Raises OSError or SettingsInvalid."""
    lines = [line for line in path.read_text(encoding="ascii").splitlines() if line.strip()]
    left = [line for line in lines if _signer(line, path).verifier != verifier]
    if len(left) == len(lines):
        return False
    replace_for_owner(path, "".join(f"{line}\n" for line in left).encode("ascii"), mode=0o600)
    return True


def make_keys(path: Path, *, name: str) -> list[Signer]:
    """Write a file with one new key, replacing an earlier file, and return the key. Raises OSError."""
    replace_for_owner(path, _new_line(name, LOG).encode("ascii"), mode=0o600)
    return load_signers(path, name=name)


def set_aside(path: Path, name: str) -> Path | None:
    """Rename a file to `FILE.NAME` and return that path; None when there is no such file. Raises OSError."""
    aside = path.with_name(f"{path.name}.{name}")
    try:
        path.rename(aside)
    except FileNotFoundError:
        return None
    sync_directory(path.parent)
    return aside


def fix_of(exc: OSError) -> str:
    """Return the fix for a file that could not be written."""
    if isinstance(exc, PermissionError):
        return "make the service's user the owner of the file and its directory: chown USER FILE DIRECTORY"
    return "check the disk's space and health"


class MemoryCheckpoint:
    """Keeps a checkpoint in memory, for a command that writes it to its file when it ends."""

    def __init__(self) -> None:
        self.note: str | None = None

    def load(self) -> str | None:
        return self.note

    def keep(self, note: str) -> None:
        self.note = note


def _new_line(name: str, type_: int) -> str:
    seed = secrets.token_bytes(32)
    encoded = base64.b64encode(bytes([type_]) + seed).decode("ascii")
    return f"{_PREFIX}{name}+{Signer(name, seed, type_).verifier.id.hex()}+{encoded}\n"


class CheckpointFile:
    """Keeps a checkpoint in a file: at once for the next process, within a second on the disk itself.

    The database is durable before its checkpoint is kept, so a file that lost its last second has an older checkpoint.
    """

    def __init__(self, path: Path, *, synced_at_once: bool = False) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._synced = 0.0
        self._at_once = synced_at_once

    def load(self) -> str | None:
        """Return the checkpoint; None when none was kept. Raises StorageUnavailable."""
        try:
            # after the NUL is the rest of an earlier, longer note
            note = self._path.read_bytes().partition(b"\0")[0].decode()
            if note:
                Checkpoint.parse(Note.parse(note.encode()).text)
        except FileNotFoundError:
            return None
        except OSError as exc:
            message, fix = (
                f"{self._path} cannot be read: {exc.strerror}",
                "make the service's user its owner: chown USER FILE",
            )
            raise StorageUnavailable("checkpoint-unreadable", message, fix=fix, retryable=False) from exc
        except (UnicodeDecodeError, NoteInvalid) as exc:
            message = f"{self._path} does not contain a signed checkpoint"
            raise StorageUnavailable("checkpoint-unreadable", message, fix=_DAMAGED, retryable=False) from exc
        return note or None

    def keep(self, note: str) -> None:
        """Keep a checkpoint. Raises StorageUnavailable."""
        try:
            if self._at_once:
                replace_for_owner(self._path, note.encode(), mode=0o644)
            else:
                self._overwrite(note.encode())
        except OSError as exc:
            message = f"the checkpoint cannot be written to {self._path}: {exc.strerror}"
            raise StorageUnavailable("checkpoint-file", message, fix=fix_of(exc)) from exc

    def _overwrite(self, content: bytes) -> None:
        if self._descriptor is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            self._descriptor = os.open(self._path, flags, 0o644)
        os.pwrite(self._descriptor, content + b"\0", 0)  # one call, so that the end of this process leaves no mixture
        now = time.monotonic()
        if now - self._synced >= _SYNC_SECONDS:
            self._synced = now
            os.fdatasync(self._descriptor)

    def close(self) -> None:
        if self._descriptor is not None:
            os.fsync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None


def _signer(line: str, path: Path) -> Signer:
    name, _, rest = line.strip().removeprefix(_PREFIX).partition("+")
    _, _, encoded = rest.partition("+")
    try:
        content = strict_base64.decode(encoded)
        if not line.startswith(_PREFIX) or len(content) != 33 or content[0] not in (LOG, WITNESS):
            raise ValueError("no key")
        return Signer(name, content[1:], content[0])
    except (ValueError, NoteInvalid) as exc:
        raise SettingsInvalid("log-key", f"{path} contains a line that is not a private key") from exc
