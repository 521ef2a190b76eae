"""The state file of an import: which applications its runs created and deactivated, for `--deactivate-missing`.

The registry has no field for this, and a note in an application's own fields would change its text. A state file
belongs to one source and one aggregator; it holds ids only.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from whence_common.errors import InputError
from whence_common.identifiers import is_application_id

STATE_BYTES_MAX = 64 * 1024 * 1024
_FIX = "pass the state file of this source and aggregator, or a path that does not exist yet"


class StateInFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    version: int
    aggregator: str
    source: str
    created: list[str]
    deactivated: list[str]


@dataclass(slots=True, kw_only=True)
class ImportState:
    """What the runs of one source did to one aggregator."""

    path: Path
    aggregator: str
    source: str
    created: set[str] = field(default_factory=set)
    deactivated: set[str] = field(default_factory=set)

    def save(self) -> None:
        """Replace the file as a whole, readable by its owner only. Raises OSError."""
        stated = StateInFile(
            version=1, aggregator=self.aggregator, source=self.source, created=sorted(self.created),
            deactivated=sorted(self.deactivated),
        )  # fmt: skip
        write_whole(self.path, msgspec.json.format(msgspec.json.encode(stated)) + b"\n", mode=0o600)


def load_state(path: Path, *, aggregator: str, source: str) -> ImportState:
    """Read a state file, or begin one. Raises InputError if it is another source's or aggregator's, or malformed."""
    try:
        with path.open("rb") as stream:
            content = stream.read(STATE_BYTES_MAX + 1)
    except FileNotFoundError:
        if not os.access(path.parent, os.W_OK):
            raise InputError(
                "import-state", f"{path} cannot be created", fix="pass a path in a directory of yours"
            ) from None
        return ImportState(path=path, aggregator=aggregator, source=source)
    except OSError as exc:
        raise InputError("import-state", f"{path} cannot be read: {exc.strerror}", fix=_FIX) from exc
    try:
        found = msgspec.json.decode(content, type=StateInFile)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise InputError("import-state", f"{path} is not a state file of whence import", fix=_FIX) from exc
    ids = [*found.created, *found.deactivated]
    if found.version != 1 or len(content) > STATE_BYTES_MAX or not all(map(is_application_id, ids)):
        raise InputError("import-state", f"{path} is not a state file of this version", fix=_FIX)
    if (found.aggregator, found.source) != (aggregator, source):
        named = f"{found.source} and {found.aggregator}"
        raise InputError("import-state", f"{path} belongs to {named}, not to {source} and {aggregator}", fix=_FIX)
    return ImportState(
        path=path, aggregator=aggregator, source=source, created=set(found.created), deactivated=set(found.deactivated)
    )


def vanished(state: ImportState, present: Sequence[str]) -> tuple[str, ...]:
    """Return the applications that this source created, and that are nowhere in it now."""
    return tuple(sorted(state.created - state.deactivated - set(present)))


def write_whole(path: Path, content: bytes, *, mode: int) -> None:
    """Write a file so that a crash leaves the old one or the new one. Raises OSError."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(stream.fileno(), mode)
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
