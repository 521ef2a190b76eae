"""What a check found: problems, each at the setting that it is about."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from whence_common.errors import InputError
from whence_common.problems import Problem, has_errors
from whence_common.settings_file import Document

_ROOT = 0
_CONTENT_BYTES_MAX = 1024 * 1024
_SYSTEMD = ("/var/lib/whence-aggregator", "/var/lib/whence-witness")
"""Directories that systemd makes for the units at their start, and gives to their user."""


class SettingsProblems:
    """Collects problems of one settings file."""

    def __init__(self, document: Document[Any]) -> None:
        self.document = document
        self.problems: list[Problem] = []

    def error(self, message: str, *, fix: str, code: str = "check") -> None:
        """Note what a start would die of. The message begins with the name of a setting."""
        self.problems.append(self.document.problem(message, fix=fix, code=code))

    def warn(self, message: str, *, fix: str, code: str = "check") -> None:
        """Note what a start survives, but its operator should know."""
        self.problems.append(self.document.problem(message, fix=fix, code=code, severity="warning"))

    def attempt(self, setting: str, work: Callable[[], object]) -> bool:
        """Do what a start does too; note what it raises. Return whether it went well."""
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

    def content(self, setting: str, name: str, *, bytes_max: int = _CONTENT_BYTES_MAX) -> bytes | None:
        """Return what a file holds, or how it begins; None after noting that it cannot be read."""
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
        """Note a file that only root reads, when root asks: the units run as users of their own."""
        if os.geteuid() != _ROOT or name.startswith(_SYSTEMD):
            return
        found = Path(name).stat()
        if found.st_uid == _ROOT and not stat.S_IMODE(found.st_mode) & 0o044:
            self.warn(
                f"{setting}: only root may read {name}, and the service does not run as root",
                fix="put it into /etc/whence/credentials and name it ${CREDENTIALS_DIRECTORY}/whence_FILE, or check as "
                "the service's user (README: Check)",
                code="readable-by-root-only",
            )

    def writable(self, setting: str, directory: Path) -> None:
        """Note a directory in which nothing can be made."""
        if not directory.is_dir():
            if str(directory) in _SYSTEMD:
                self.warn(
                    f"{setting}: {directory} does not exist yet",
                    fix="systemd makes it when the unit starts; to start by hand, make it: install -d -m 700",
                    code="directory-missing",
                )
            else:
                fix = f"make it, and give it to the service's user: install -d -m 700 -o USER {directory}"
                self.error(f"{setting}: {directory} is not a directory", fix=fix, code="directory-missing")
        elif not os.access(directory, os.W_OK | os.X_OK, effective_ids=True):
            self.error(
                f"{setting}: this user may not write in {directory}",
                fix=f"give it to the service's user: chown USER {directory}",
                code="directory-not-writable",
            )

    def file_writable(self, setting: str, path: Path, *, code: str) -> None:
        """Note a file that is there and may not be written."""
        if os.access(path, os.F_OK) and not os.access(path, os.W_OK, effective_ids=True):
            self.error(f"{setting}: this user may not write {path}", fix=f"chown USER {path}", code=code)
        elif path.exists() and path.stat().st_uid == _ROOT != path.parent.stat().st_uid:
            self.warn(
                f"{setting}: {path} belongs to root, and its directory does not: the service may not write it",
                fix=f"chown --reference={path.parent} {path}",
                code=code,
            )

    @property
    def failed(self) -> bool:
        return has_errors(self.problems)
