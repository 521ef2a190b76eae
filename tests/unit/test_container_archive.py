"""The archive of an image in a release: equal contents are equal bytes, whenever and on which engine they were built."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from types import ModuleType

import pytest

from landscape.loaded import loaded
from landscape.whole import ROOT

archive: ModuleType = loaded(ROOT / "packaging/container/archive.py")
EPOCH = 1_795_737_600


def layer(files: dict[str, tuple[bytes, int, float]], *, xattr: str = "") -> bytes:
    """Return a layer with files, each with content, mode and time."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, (content, mode, mtime) in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.mtime, entry.uid = len(content), mode, mtime, 65532
            if xattr:
                entry.pax_headers = {"SCHILY.xattr.security.capability": xattr}
            tar.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def saved(file: Path, *layers: bytes, built_at: str, images: int = 1) -> Path:
    """Write what `docker save` writes of an image that was built at a time."""
    config = {
        "architecture": "amd64", "os": "linux", "created": built_at, "docker_version": built_at, "container": built_at,
        "container_config": {"Hostname": built_at}, "config": {"Image": f"sha256:{built_at}", "User": "65532:65532"},
        "history": [{"created": built_at, "created_by": "COPY"} for _ in layers],
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(one).hexdigest()}" for one in layers]},
    }  # fmt: skip
    names = [f"blobs/sha256/{number}" for number, _ in enumerate(layers)]
    image = {"Config": "blobs/sha256/config", "RepoTags": ["whence-aggregator:7.8.9"], "Layers": names}
    contents = {"manifest.json": [image] * images, "blobs/sha256/config": config}
    with tarfile.open(file, "w") as tar:
        for name, content in [*((key, json.dumps(one).encode()) for key, one in contents.items()),
                              *zip(names, layers, strict=True)]:  # fmt: skip
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return file


def settled(directory: Path, *layers: bytes, built_at: str) -> bytes:
    given = saved(directory / "saved.tar", *layers, built_at=built_at)
    archive.settle(given, directory / "out.tar", epoch=EPOCH)
    return (directory / "out.tar").read_bytes()


def test_times_of_the_build_do_not_show(tmp_path: Path) -> None:
    early, late = (layer({"opt": (b"1", 0o644, time), "etc": (b"", 0o644, 5)}) for time in (EPOCH + 1.5, EPOCH + 99.25))
    assert settled(tmp_path, early, built_at="2027-01-01T00:00:00Z") == settled(
        tmp_path, late, built_at="2027-02-02T00:00:00.5Z"
    )


@pytest.mark.parametrize(
    "other",
    [{"opt": (b"2", 0o644, 5)}, {"opt": (b"1", 0o755, 5)}, {"opt": (b"1", 0o644, 6)}, {"usr": (b"1", 0o644, 5)}],
)
def test_other_contents_modes_earlier_times_and_names_do(
    tmp_path: Path, other: dict[str, tuple[bytes, int, float]]
) -> None:
    one = layer({"opt": (b"1", 0o644, 5)})
    assert settled(tmp_path, one, built_at="a") != settled(tmp_path, layer(other), built_at="a")


def test_an_image_keeps_what_it_is_and_its_ids_are_those_of_its_layers(tmp_path: Path) -> None:
    first, second = layer({"opt": (b"1", 0o4755, 5)}, xattr="net"), layer({"etc": (b"2", 0o644, EPOCH + 1)})
    content = settled(tmp_path, first, second, first, built_at="2027-01-01T00:00:00Z")
    with tarfile.open(fileobj=io.BytesIO(content)) as tar:
        files = {one.name: tar.extractfile(one).read() for one in tar}  # type: ignore[union-attr]  # all are files
    (image,) = json.loads(files["manifest.json"])
    config = json.loads(files[image["Config"]])
    assert image["RepoTags"] == ["whence-aggregator:7.8.9"]
    assert image["Config"] == f"{hashlib.sha256(files[image['Config']]).hexdigest()}.json"
    digests = [hashlib.sha256(files[name]).hexdigest() for name in image["Layers"]]
    assert config["rootfs"]["diff_ids"] == [f"sha256:{one}" for one in digests]
    assert digests[0] == digests[2]
    assert (config["config"], config["created"]) == ({"User": "65532:65532"}, "2026-11-27T00:00:00Z")
    with tarfile.open(fileobj=io.BytesIO(files[image["Layers"][0]])) as tar:
        (entry,) = tar
        assert (entry.name, entry.mode, entry.uid, entry.mtime) == ("opt", 0o4755, 65532, 5)
        assert entry.pax_headers["SCHILY.xattr.security.capability"] == "net"


def test_an_archive_of_several_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="too many values"):
        archive.settle(saved(tmp_path / "s.tar", built_at="a", images=2), tmp_path / "out.tar", epoch=EPOCH)
    assert not (tmp_path / "out.tar").exists()
