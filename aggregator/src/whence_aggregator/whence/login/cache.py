"""Files with the tokens of sign-ins, one a server and profile: mode 0600 in a folder of mode 0700, replaced atomically.

A file or folder that another user owns, can read or could replace is refused. A lock of the kernel makes sure that of
many commands one refreshes; it ends with the process that holds it, so it is never stale.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from whence_common.errors import InputError, RoadError

VERSION = 1
_FILE_BYTES_MAX = 128 * 1024
_LOCK_SECONDS_MAX = 90.0
"""More than the two requests of a refresh may take."""
_LOCK_LOOK_SECONDS = 0.05
_SAFE = os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True, kw_only=True)
class TerminalSession:
    """A sign-in at a server. Times are seconds since 1970; None is not known."""

    version: int
    server: str
    issuer: str
    client_id: str
    scopes: tuple[str, ...]
    resource: str
    saved_at: float
    refresh_at: float | None
    expires_at: float | None
    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)


def folder_of(environment: Mapping[str, str]) -> Path | None:
    """Return the folder for tokens (XDG Base Directory Specification); None if the environment names no home."""
    state = environment.get("XDG_STATE_HOME", "")
    if Path(state).is_absolute():
        return Path(state) / "whence" / "tokens"
    home = environment.get("HOME", "")
    return Path(home) / ".local" / "state" / "whence" / "tokens" if Path(home).is_absolute() else None


class TokenCache:
    """The file of one server and profile. `pause` and `clock` serve the wait for the lock."""

    def __init__(
        self, folder: Path, server: str, profile: str, *, pause: Callable[[float], None], clock: Callable[[], float]
    ) -> None:
        self._folder = folder
        self._server = server
        name = hashlib.sha256(f"{server}\n{profile}".encode()).hexdigest()[:32]
        self._name, self._lock_name = f"{name}.json", f"{name}.lock"
        self._pause = pause
        self._clock = clock

    @property
    def path(self) -> Path:
        return self._folder / self._name

    def read(self) -> TerminalSession | None:
        """Return the sign-in; None if there is none. Raises InputError for an unsafe or unreadable file."""
        with self._opened_folder(create=False) as folder:
            if folder is None:
                return None
            try:
                descriptor = os.open(self._name, os.O_RDONLY | os.O_NONBLOCK | _SAFE, dir_fd=folder)
            except FileNotFoundError:
                return None
            except OSError as exc:
                raise self._unsafe("is a symbolic link" if exc.errno == errno.ELOOP else exc.strerror) from exc
            try:
                self._check(os.fstat(descriptor), self.path, stat.S_ISREG)
                content = os.read(descriptor, _FILE_BYTES_MAX + 1)
            finally:
                os.close(descriptor)
        try:
            session = msgspec.json.decode(content, type=TerminalSession)
        except (msgspec.MsgspecError, ValueError) as exc:
            raise self._damaged() from exc
        if session.version != VERSION or session.server != self._server:
            raise self._damaged()
        return session

    def write(self, session: TerminalSession) -> None:
        """Replace the file. Raises InputError if the folder is unsafe, RoadError if it cannot be written."""
        content = msgspec.json.encode(session)
        with self._opened_folder(create=True) as folder:
            assert folder is not None, "it was created"
            temporary = f".{self._name}.{secrets.token_hex(8)}"
            try:
                descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFE, 0o600, dir_fd=folder)
                with os.fdopen(descriptor, "wb") as stream:
                    os.fchmod(descriptor, 0o600)
                    stream.write(content)
                    stream.flush()
                    os.fsync(descriptor)
                os.replace(temporary, self._name, src_dir_fd=folder, dst_dir_fd=folder)
            except OSError as exc:
                with suppress(OSError):
                    os.unlink(temporary, dir_fd=folder)
                message = f"the tokens cannot be kept in {self.path}: {exc.strerror}"
                raise RoadError("tokens-unwritable", message, fix="free space, then run whence login") from exc

    def remove(self) -> bool:
        """Remove the file, also an unsafe one; return whether there was one. Raises InputError for the folder."""
        with self._opened_folder(create=False) as folder:
            if folder is None:
                return False
            try:
                os.unlink(self._name, dir_fd=folder)
            except FileNotFoundError:
                return False
            except OSError as exc:
                raise self._unsafe(f"cannot be removed: {exc.strerror}") from exc
        return True

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only command that changes the file. Raises InputError, and RoadError if another holds it for long."""
        with self._opened_folder(create=True) as folder:
            assert folder is not None, "it was created"
            try:
                descriptor = os.open(self._lock_name, os.O_RDWR | os.O_CREAT | _SAFE, 0o600, dir_fd=folder)
            except OSError as exc:
                raise self._unsafe(f"cannot be locked: {exc.strerror}") from exc
            try:
                self._wait_for(descriptor)
                yield
            finally:
                os.close(descriptor)

    def _wait_for(self, descriptor: int) -> None:
        ends = self._clock() + _LOCK_SECONDS_MAX
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError as exc:
                if self._clock() >= ends:
                    message = f"another whence command has held {self._folder / self._lock_name} for too long"
                    raise RoadError("tokens-locked", message, fix="end it, and try again") from exc
                self._pause(_LOCK_LOOK_SECONDS)

    @contextmanager
    def _opened_folder(self, *, create: bool) -> Iterator[int | None]:
        """Open the folder, so that nobody exchanges it between the check and the use; None if there is none."""
        if create:
            try:
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as exc:
                message = f"the folder {self._folder} cannot be created: {exc.strerror}"
                raise InputError("tokens-folder", message, fix="set XDG_STATE_HOME to a folder of your own") from exc
        try:
            descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | _SAFE)
        except FileNotFoundError:
            yield None
            return
        except OSError as exc:
            message = f"{self._folder} is not a folder that can be used: {exc.strerror}"
            raise InputError("tokens-folder", message, fix="remove it; it must not be a symbolic link") from exc
        try:
            self._check(os.fstat(descriptor), self._folder, stat.S_ISDIR)
            yield descriptor
        finally:
            os.close(descriptor)

    def _check(self, found: os.stat_result, path: Path, is_kind: Callable[[int], bool]) -> None:
        """Raise InputError unless a file is ours alone."""
        mode = stat.S_IMODE(found.st_mode)
        if found.st_uid != os.geteuid():
            fix = "run whence as its owner, or set HOME or XDG_STATE_HOME to a folder of your own"
            raise InputError("tokens-unsafe", f"{path} belongs to another user, and is not used", fix=fix)
        if not is_kind(found.st_mode):
            reason = "is of another kind"
        elif mode & 0o077:
            reason = f"is open to other users (mode {mode:04o})"
        elif stat.S_ISREG(found.st_mode) and found.st_nlink > 1:  # 0: another command has replaced it since
            reason = "has a second name (hard link)"
        else:
            return
        fix = "remove it with whence logout, sign in again, and consider its tokens as stolen"
        if is_kind is stat.S_ISDIR:
            fix = f"chmod 700 {path}, run whence logout and whence login, and consider its tokens as stolen"
        raise InputError("tokens-unsafe", f"{path} {reason}, and is not used", fix=fix)

    def _unsafe(self, reason: str | None) -> InputError:
        message = f"{self.path} {reason}, and is not used"
        return InputError("tokens-unsafe", message, fix="remove it with whence logout, and sign in again")

    def _damaged(self) -> InputError:
        message = f"{self.path} is damaged, or of another version of whence"
        return InputError("tokens-damaged", message, fix="run whence logout, then whence login")
