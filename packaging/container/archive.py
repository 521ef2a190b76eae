"""Make equal images equal bytes: `archive.py SAVED OUT` rewrites an archive of `docker save`; `docker load` reads both.

The engine puts its own times on folders that it makes, and notes ids and times of its build in the configuration. Here
no time is later than SOURCE_DATE_EPOCH, and such notes are left out. Contents, owners and modes stay.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import sys
import tarfile
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

_NOTES = ("container", "container_config", "docker_version")
_NOTES_OF_CONFIG = ("Image", "Hostname")
_TIMES = ("mtime", "atime", "ctime")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("saved", type=Path, help="what `docker save` wrote of one image")
    parser.add_argument("out", type=Path, help="the archive to write")
    arguments = parser.parse_args()
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    if not epoch.isdecimal():
        sys.exit("archive.py: SOURCE_DATE_EPOCH must be seconds since 1970: git log -1 --format=%ct")
    settle(arguments.saved, arguments.out, epoch=int(epoch))


def settle(saved: Path, out: Path, *, epoch: int) -> None:
    """Write the archive of one image anew; `epoch` is in seconds since 1970. Raises ValueError if there are several."""
    with tarfile.open(saved) as given, tempfile.TemporaryDirectory(dir=out.parent) as directory:
        (image,) = json.load(_file(given, "manifest.json"))
        layers = [_layer(_file(given, name), Path(directory), epoch=epoch) for name in image["Layers"]]
        config = _config(json.load(_file(given, image["Config"])), layers, epoch=epoch)
        name = f"{hashlib.sha256(config).hexdigest()}.json"
        listed = [{"Config": name, "RepoTags": image["RepoTags"], "Layers": [f"{one}.tar" for one in layers]}]
        with tarfile.open(out, "w", format=tarfile.PAX_FORMAT) as archive:
            _add(archive, "manifest.json", json.dumps(listed).encode(), epoch)
            _add(archive, name, config, epoch)
            for one in dict.fromkeys(layers):
                entry = archive.gettarinfo(Path(directory) / one, f"{one}.tar")
                with (Path(directory) / one).open("rb") as content:
                    archive.addfile(_plain(entry, epoch), content)


def _layer(content: IO[bytes], directory: Path, *, epoch: int) -> str:
    """Write a layer into a folder, named by its digest; return the digest."""
    made = directory / "layer"
    with tarfile.open(fileobj=content) as given, tarfile.open(made, "w", format=tarfile.PAX_FORMAT) as layer:
        for entry in given:
            entry.mtime = min(int(entry.mtime), epoch)
            entry.pax_headers = {key: value for key, value in entry.pax_headers.items() if key not in _TIMES}
            layer.addfile(entry, given.extractfile(entry) if entry.isreg() else None)
    digest = _digest(made)
    made.rename(directory / digest)
    return digest


def _config(document: dict[str, Any], layers: list[str], *, epoch: int) -> bytes:
    """Return the image's configuration for these layers, without the engine's notes."""
    time = datetime.fromtimestamp(epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    kept = {key: value for key, value in document.items() if key not in _NOTES}
    kept["config"] = {key: value for key, value in kept["config"].items() if key not in _NOTES_OF_CONFIG}
    kept["created"] = time
    kept["history"] = [{**one, "created": time} for one in kept["history"]]
    kept["rootfs"] = {"type": "layers", "diff_ids": [f"sha256:{one}" for one in layers]}
    return json.dumps(kept, sort_keys=True).encode()


def _add(archive: tarfile.TarFile, name: str, content: bytes, epoch: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(_plain(entry, epoch), io.BytesIO(content))


def _plain(entry: tarfile.TarInfo, epoch: int) -> tarfile.TarInfo:
    entry.mtime, entry.mode, entry.uid, entry.gid, entry.uname, entry.gname = epoch, 0o644, 0, 0, "", ""
    return entry


def _file(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    found = archive.extractfile(name)
    if found is None:
        raise ValueError(f"{name} of the archive is not a file")
    return found


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


if __name__ == "__main__":
    main()
