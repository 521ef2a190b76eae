"""Images of given layers in a registry, pushed by its API: no engine builds them."""

from __future__ import annotations

import gzip
import random
import tarfile
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import msgspec

from landscape.layers import archive, tar
from landscape.signing import Pusher
from whence_common.digest import sha256_digest

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"


def noise(size: int, seed: int) -> bytes:
    """Give bytes that no compression makes smaller, the same for the same seed."""
    return random.Random(seed).randbytes(size)


def large_layers(count: int, size: int, seed: int = 0) -> list[bytes]:
    """Give layers, as archives, that are as large on the road as here."""
    return [tar({f"data-{seed}-{number}": noise(size, seed * 1_000 + number)}) for number in range(count)]


def busybox() -> bytes:
    """Give a layer, as an archive, that has something to run."""
    entry = tarfile.TarInfo("bin/busybox")
    content = Path("/bin/busybox").read_bytes()
    entry.size, entry.mode = len(content), 0o755
    return archive((entry, content))


async def push(
    registry: str,
    path: str,
    layers: Sequence[bytes],
    *,
    kinds: Sequence[str] = (),
    packed: Sequence[bytes] = (),
    manifest: str = DOCKER_MANIFEST,
) -> str:
    """Push an image of layers, given as archives; return its digest.

    The first layer is busybox. `packed` and `kinds` replace how layers are compressed, and what they are called.
    """
    archives = [busybox(), *layers]
    blobs = list(packed) or [gzip.compress(one, 1, mtime=0) for one in archives]
    config = msgspec.json.encode(
        {
            "architecture": "amd64", "os": "linux", "config": {"Cmd": ["/bin/busybox", "sleep", "600"]},
            "rootfs": {"type": "layers", "diff_ids": [sha256_digest(one) for one in archives]},
        }
    )  # fmt: skip
    async with aiohttp.ClientSession() as session:
        pusher = Pusher(session, registry, path)
        described = [
            {"mediaType": kind, "digest": await pusher.blob(blob), "size": len(blob)}
            for blob, kind in zip(blobs, kinds or [DOCKER_LAYER] * len(blobs), strict=True)
        ]
        document = {
            "schemaVersion": 2, "mediaType": manifest, "layers": described,
            "config": {"mediaType": _CONFIG, "digest": await pusher.blob(config), "size": len(config)},
        }  # fmt: skip
        return (await pusher.manifest("1.0", document, manifest))[0]
