"""Collects a check's problems, each at its setting."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from whence_common.errors import InputError
from whence_common.problems import Problem, has_errors
from whence_common.settings_file import Document, SettingsInvalid

_ROOT = 0
_CONTENT_BYTES_MAX = 1024 * 1024
_SYSTEMD = ("/var/lib/whence-aggregator", "/var/lib/whence-witness")
"""Directories that systemd creates for the units' users at the start."""


class SettingsProblems:
    """Collects problems of one settings file."""

    def __init__(self, document: Document[Any]) -> None:
        self.document = document
        self.problems: list[Problem] = []

    def error(self, message: str, *, fix: str, code: str = "check") -> None:
        """Report an error with which a start would fail. The message begins with the name of a setting."""
        self.problems.append(self.document.problem(message, fix=fix, code=code))

    def warn(self, message: str, *, fix: str, code: str = "check") -> None:
        """Report a problem with which a start succeeds."""
        self.problems.append(self.document.problem(message, fix=fix, code=code, severity="warning"))

    def attempt(self, setting: str, work: Callable[[], object]) -> bool:
        """Call what a start also calls; report what it raises. Return whether it succeeded."""
        try:
            work()
        except InputError as exc:
            message = exc.message if exc.message.startswith(setting) else f"{setting}: {exc.message}"
            self.error(message, fix=exc.fix, code=exc.code)
            return False
        except OSError as exc:
            name = exc.filename if exc.filename is not None else "the file"
            self.error(f"{setting}: {name} cannot be read: {exc.strerror}", fix="correct the path or the file's mode")
            return False
        return True

    def attempt_file(self, setting: str, name: str, load: Callable[[], object], *, code: str) -> None:
        """Load a file that a start also loads; report each mistake in it with its place, and who cannot read it."""

        def loaded() -> None:
            try:
                load()
            except SettingsInvalid as exc:
                if not exc.problems:
                    raise
                for one in exc.problems:
                    self.error(f"{setting}: {name}:{one.line}:{one.column}: {one.message}", fix=one.fix, code=code)

        if self.attempt(setting, loaded):
            self.readable_by_others(setting, name)

    def content(self, setting: str, name: str, *, bytes_max: int = _CONTENT_BYTES_MAX) -> bytes | None:
        """Return a file's first `bytes_max` bytes; None after reporting that it cannot be read."""
        found: list[bytes] = []

        def read() -> None:
            with Path(name).open("rb") as stream:
                found.append(stream.read(bytes_max))

        self.attempt(setting, read)
        if not found:
            return None
        if bytes_max == _CONTENT_BYTES_MAX:
            self.readable_by_others(setting, name)
        return found[0]

    def readable_by_others(self, setting: str, name: str) -> None:
        """Report a file that only root can read, if run as root: the units run as other users."""
        if os.geteuid() != _ROOT or name.startswith(_SYSTEMD):
            return
        found = Path(name).stat()
        if found.st_uid == _ROOT and not stat.S_IMODE(found.st_mode) & 0o044:
            self.warn(
                f"{setting}: only root can read {name}, and the service does not run as root",
                fix="move it to /etc/whence/credentials and name it ${CREDENTIALS_DIRECTORY}/whence_FILE, or check as "
                "the service's user (README: Check)",
                code="readable-by-root-only",
            )

    def writable(self, setting: str, directory: Path) -> None:
        """Report a directory in which no file can be created."""
        if not directory.is_dir():
            if str(directory) in _SYSTEMD:
                self.warn(
                    f"{setting}: {directory} does not exist yet",
                    fix="systemd creates it when the unit starts; to start by hand, create it: install -d -m 700",
                    code="directory-missing",
                )
            else:
                fix = f"create it for the service's user: install -d -m 700 -o USER {directory}"
                self.error(f"{setting}: {directory} is not a directory", fix=fix, code="directory-missing")
        elif not os.access(directory, os.W_OK | os.X_OK, effective_ids=True):
            self.error(
                f"{setting}: this user may not write in {directory}",
                fix=f"make the service's user its owner: chown USER {directory}",
                code="directory-not-writable",
            )

    def file_writable(self, setting: str, path: Path, *, code: str) -> None:
        """Report an existing file that cannot be written."""
        if os.access(path, os.F_OK) and not os.access(path, os.W_OK, effective_ids=True):
            self.error(f"{setting}: this user may not write {path}", fix=f"chown USER {path}", code=code)
        elif path.exists() and path.stat().st_uid == _ROOT != path.parent.stat().st_uid:
            self.warn(
                f"{setting}: {path} belongs to root, but its directory does not: the service cannot write the file",
                fix=f"chown --reference={path.parent} {path}",
                code=code,
            )

    @property
    def failed(self) -> bool:
        return has_errors(self.problems)
