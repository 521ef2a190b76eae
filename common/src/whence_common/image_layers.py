"""Find scm-source.json in an image's layers, which are read as streams.

The caller reads the layers from the top and stops at the first that is not "absent". A layer that cannot be read whole
within the bounds is "unreadable"; the file of a lower layer is not used in its place.
"""

from __future__ import annotations

import tarfile
import zlib
from dataclasses import dataclass
from typing import BinaryIO, Literal

from whence_common.scm_source import FILE_BYTES_MAX, FILE_NAME

ENTRIES_MAX = 500_000
INFLATED_BYTES_MAX = 16 * 1024**3

_WHITEOUT = ".wh." + FILE_NAME
_OPAQUE = ".wh..wh..opq"


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerFinding:
    """One layer's result: `found` with the content, `hidden` by a whiteout, `absent`, or `unreadable` with a reason."""

    outcome: Literal["found", "hidden", "absent", "unreadable"]
    content: bytes = b""
    reason: str = ""


class _Bounded:
    """A reader that fails after `bytes_max` bytes: kilobytes of gzip can expand to gigabytes."""

    def __init__(self, source: BinaryIO, bytes_max: int) -> None:
        self._source = source
        self._left = bytes_max

    def read(self, size: int = -1) -> bytes:
        chunk = self._source.read(size)
        self._left -= len(chunk)
        if self._left < 0:
            raise tarfile.TarError("the uncompressed layer is larger than the bound")
        return chunk


def read_layer(layer: BinaryIO, *, bytes_max: int = INFLATED_BYTES_MAX) -> LayerFinding:
    """Scan one layer's uncompressed tar stream. Blocking; an invalid stream is returned as `unreadable`."""
    finding = LayerFinding(outcome="absent")
    hidden = False
    try:
        with tarfile.open(fileobj=_Bounded(layer, bytes_max), mode="r|") as archive:  # type: ignore[call-overload]
            for number, entry in enumerate(archive, start=1):
                if number > ENTRIES_MAX:
                    return LayerFinding(outcome="unreadable", reason=f"more than {ENTRIES_MAX} entries")
                archive.members = []  # the list of entries would grow without bound
                name = entry.name.removeprefix("./")
                if name in (_WHITEOUT, _OPAQUE):
                    hidden = True
                elif name == FILE_NAME:
                    finding = _file(archive, entry)
    except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError) as exc:
        return LayerFinding(outcome="unreadable", reason=f"the layer cannot be read: {exc}"[:200])
    if finding.outcome == "absent" and hidden:
        return LayerFinding(outcome="hidden")
    return finding


def _file(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> LayerFinding:
    if not entry.isreg():
        return LayerFinding(outcome="unreadable", reason=f"{FILE_NAME} is not a regular file")
    if entry.size > FILE_BYTES_MAX:
        return LayerFinding(outcome="unreadable", reason=f"{FILE_NAME} is larger than {FILE_BYTES_MAX} bytes")
    stream = archive.extractfile(entry)
    assert stream is not None
    return LayerFinding(outcome="found", content=stream.read(FILE_BYTES_MAX + 1))
