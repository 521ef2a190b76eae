"""Read a file from an image without running the image."""

from __future__ import annotations

import hashlib
import io
import tarfile
from contextlib import suppress
from typing import Any

from whence_agent.adapters.engine_client import EngineClient, EngineNotFound
from whence_agent.ports import EngineFailed

_ARCHIVE_OVERHEAD_BYTES = 64 * 1024


def read_file(client: EngineClient, image: str, path: str, bytes_max: int) -> bytes | None:
    """Return a file from a container that is created, but never started; None if there is no regular file.

    The container's name is derived from image and path, so that the next try removes the container of a failed one.
    """
    name = reader_name(image, path)
    with suppress(EngineNotFound):
        client.remove_container(name, force=True)
    created = client.create_container({"Image": image, "Cmd": ["/nothing-is-run"], "NetworkDisabled": True}, name=name)
    try:
        chunks, stat = client.get_archive(created["Id"], path)
        try:
            return _only_file(_archive(chunks, stat, path, bytes_max))
        finally:
            chunks.close()  # the engine locks the container until the response is read, and removing it would wait
            del chunks
    except EngineNotFound:
        return None
    finally:
        with suppress(EngineNotFound):
            client.remove_container(created["Id"], force=True)


def reader_name(image: str, path: str) -> str:
    """Return the name of the container that a file is read from."""
    return f"whence-read-{hashlib.sha256(f'{image} {path}'.encode()).hexdigest()[:16]}"


def _archive(chunks: Any, stat: dict[str, Any], path: str, bytes_max: int) -> io.BytesIO:
    """Return the engine's tar of one file, up to the bound."""
    if stat.get("linkTarget") not in (None, "", path):  # Podman states the file itself if it is not a link
        raise EngineFailed("image-file-link", f"{path} in the image is a link", retryable=False)
    too_large = EngineFailed(
        "image-file-too-large", f"{path} in the image is larger than {bytes_max} bytes", retryable=False
    )
    if stat["size"] > bytes_max:
        raise too_large
    archive, left = io.BytesIO(), bytes_max + _ARCHIVE_OVERHEAD_BYTES
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            raise too_large
        archive.write(chunk)
    return archive


def _only_file(archive: io.BytesIO) -> bytes | None:
    archive.seek(0)
    try:
        with tarfile.open(fileobj=archive, mode="r:") as tar:
            member = tar.next()
            stream = tar.extractfile(member) if member is not None and member.isreg() else None
            return stream.read() if stream is not None else None
    except tarfile.TarError as exc:
        raise EngineFailed("engine-archive", "the engine returned an invalid archive") from exc
