"""Reads the file of this machine's image, and the packages that are installed now."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

from whence_common.ami_facts import AmiFacts
from whence_common.ami_file import (
    AMI_FILE_BYTES_MAX,
    AMI_FILE_PATH,
    AmiFile,
    AmiFileInvalid,
    ami_facts,
    unread_ami_facts,
)
from whence_common.installed_packages import (
    STATUS_PATH,
    UPDATES_MAX,
    UPDATES_PATH,
    StatusInvalid,
    is_update,
    parse_status,
    status_lines,
)
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

_TRIES_MAX = 3
_Stamp = tuple[int, int, int]


class RootPackages:
    """Reads below a root, in a thread, and only when the image's file, dpkg's status or its updates have changed."""

    def __init__(self, root: Path) -> None:
        self._image = root / AMI_FILE_PATH
        self._status = root / STATUS_PATH
        self._updates = root / UPDATES_PATH
        self._stamps: tuple[_Stamp | None, ...] | None = None
        self._facts: AmiFacts | None = None

    async def read(self) -> AmiFacts | None:
        """Return what differs from the image; None if the image names no statement. Never raises."""
        return await asyncio.to_thread(self._read)

    def _read(self) -> AmiFacts | None:
        stamps = self._stamps_now()
        if stamps == self._stamps:
            return self._facts
        for _ in range(_TRIES_MAX):
            self._facts, self._stamps = self._read_again(), stamps
            stamps = self._stamps_now()
            if stamps == self._stamps:
                break  # dpkg has not moved its updates to its status file meanwhile
        return self._facts

    def _stamps_now(self) -> tuple[_Stamp | None, ...]:
        return _stamp(self._image), _stamp(self._status), _stamp(self._updates)

    def _read_again(self) -> AmiFacts | None:
        try:
            with self._image.open("rb") as stream:
                image = AmiFile.parse(stream.read(AMI_FILE_BYTES_MAX + 1))
        except FileNotFoundError:
            return None
        except (OSError, AmiFileInvalid) as exc:
            log.error("the image's statement is not known", extra=fields(error=str(exc)))
            return None
        try:
            with self._status.open("rb") as stream:
                return ami_facts(image, parse_status(status_lines(stream), self._update_lines()))
        except StatusInvalid as exc:
            reason = exc.message
        except OSError as exc:
            reason = f"/{STATUS_PATH}: {exc.strerror}"
        log.warning("the installed packages are not known", extra=fields(error=reason))
        return unread_ami_facts(image, reason)

    def _update_lines(self) -> Iterator[bytes]:
        """Yield the lines of what dpkg changed since it wrote its status. Raises StatusInvalid or OSError."""
        try:
            names = sorted(one.name for one in self._updates.iterdir() if is_update(one.name))
        except FileNotFoundError:
            return
        if len(names) > UPDATES_MAX:
            raise StatusInvalid("dpkg-status-too-large", f"/{UPDATES_PATH} has more than {UPDATES_MAX} files")
        for name in names:
            with (self._updates / name).open("rb") as stream:
                yield from status_lines(stream)
            yield b"\n"


def _stamp(path: Path) -> _Stamp | None:
    """Return what changes with a file's content: dpkg replaces its file by a new one; None if it cannot be read."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
