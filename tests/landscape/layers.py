"""Layers of images, as builders make them and as nobody should."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Mapping

import zstandard

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def tar(files: Mapping[str, bytes]) -> bytes:
    """Give an archive of regular files, in their order."""
    return archive(*(_file(name, content) for name, content in files.items()))


def archive(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """Give an archive of any entries."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as written:
        for entry, data in entries:
            written.addfile(entry, io.BytesIO(data))
    return content.getvalue()


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tuple[tarfile.TarInfo, bytes]:
    """Give an entry that is a link."""
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry, b""


def gzipped(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def zstd(content: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(content)


def scm_source(
    url: str = "git:https://git.example.org/alpha/app.git", revision: str = COMMIT, **members: object
) -> bytes:
    """Give scm-source.json; a member that is None is left out."""
    document = {"url": url, "revision": revision, "author": "ada", "status": "", **members}
    return json.dumps({name: value for name, value in document.items() if value is not None}).encode()


def with_source(**members: object) -> bytes:
    """Give a layer that holds scm-source.json."""
    return tar({"scm-source.json": scm_source(**members)})  # type: ignore[arg-type]  # as given


def _file(name: str, content: bytes) -> tuple[tarfile.TarInfo, bytes]:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    return entry, content
