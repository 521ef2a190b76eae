"""The registry front beside the bare registry behind it, in the same minutes: by skopeo, and by many clients at once."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import os
import statistics
import sys
import time
from pathlib import Path

from fakes.signing_authority import SigningAuthority
from landscape.front import OCI_CONFIG, OCI_MANIFEST, RunningFront, digest_of, registry_front
from landscape.layers import with_source
from landscape.processes import run
from whence_common.runtime.pause import pause

_LARGE_BYTES = int(os.environ.get("BENCH_REGISTRY_BYTES", 1 << 30))
_SMALL_LAYERS = 200
_TRANSFERS = 64
_TRANSFER_BYTES = 16 << 20
_IMAGES = int(os.environ.get("BENCH_REGISTRY_IMAGES", 10_000))
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


async def measure(directory: Path, *, rounds: int, limit: Path) -> None:
    """Print the medians of both and their ratios, memory under many transfers, and how long what is asked takes."""
    authority = SigningAuthority.make()
    async with registry_front(directory, directory, authority_pem={"eu-central-1": authority.pem}) as front:
        await _beside(front, f"1 layer of {_LARGE_BYTES >> 20} MiB", directory / "large", [_LARGE_BYTES], rounds)
        small = [4096 + number for number in range(_SMALL_LAYERS)]
        await _beside(front, f"{_SMALL_LAYERS} small layers", directory / "small", small, rounds)
        await _sources(front)
        await _transfers(front)
        await _listing(front)


def _stored(size: int) -> bytes:
    """Give bytes that look like a compressed layer and cannot be compressed."""
    return gzip.compress(os.urandom(size), compresslevel=0, mtime=0)


def _image(directory: Path, layers: list[bytes]) -> Path:
    """Write an image as skopeo's `dir:` has it."""
    directory.mkdir()
    described = []
    config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}).encode()
    for content in (config, *layers):
        digest = hashlib.sha256(content).hexdigest()
        (directory / digest).write_bytes(content)
        described.append({"mediaType": _LAYER, "digest": f"sha256:{digest}", "size": len(content)})
    manifest = {
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": {**described[0], "mediaType": OCI_CONFIG},
        "layers": described[1:],
    }  # fmt: skip
    (directory / "manifest.json").write_text(json.dumps(manifest), encoding="ascii")
    (directory / "version").write_text("Directory Transport Version: 1.1\n", encoding="ascii")
    return directory


async def _beside(front: RunningFront, what: str, image: Path, sizes: list[int], rounds: int) -> None:
    """Push and pull another image each round: what a registry has already it is not sent again."""
    taken: dict[str, list[float]] = {}
    login = ("--dest-creds", f"oauth2:{front.aggregator.token}"), ("--src-creds", f"oauth2:{front.aggregator.token}")
    for number in range(rounds):
        _image(image, [_stored(size) for size in sizes])
        for name, host in (("front", front.host), ("bare", front.backend)):
            place = f"docker://{host}/alpha/{image.name}{name}{number}:1.0"
            push = [
                "skopeo",
                "copy",
                "-q",
                "--insecure-policy",
                "--dest-tls-verify=false",
                *login[0][: 2 * (name == "front")],
            ]
            pull = [
                "skopeo",
                "copy",
                "-q",
                "--insecure-policy",
                "--src-tls-verify=false",
                *login[1][: 2 * (name == "front")],
            ]
            back = image.parent / "back"
            await run("sync")
            taken.setdefault(f"push {name}", []).append(await _timed(*push, f"dir:{image}", place))
            taken.setdefault(f"pull {name}", []).append(await _timed(*pull, place, f"dir:{back}"))
            await run("rm", "-rf", back)
        await run("rm", "-rf", image)
    for way in ("push", "pull"):
        ours, bare = (statistics.median(taken[f"{way} {name}"]) for name in ("front", "bare"))
        print(f"{way} of {what}: {ours:.2f} s, the bare registry {bare:.2f} s, ratio {ours / bare:.2f}", flush=True)


async def _timed(*command: object) -> float:
    began = time.perf_counter()
    await run(*map(str, command))
    return time.perf_counter() - began


async def _sources(front: RunningFront) -> None:
    """How long after a push its source is known."""
    client, taken = front.client(), []
    for number in range(20):
        await client.push("alpha/known", f"1.{number}", with_source(author=str(number)))
        began = time.perf_counter()
        while (await client.ask("GET", f"/teams/alpha/artifacts/known/tags/1.{number}/scm-source")).status != 200:
            await pause(0.01)
        taken.append(time.perf_counter() - began)
    print(f"scm-source known {max(taken) * 1000:.0f} ms after the push at most", flush=True)


async def _transfers(front: RunningFront) -> None:
    """Memory of the front while many push and pull at once."""
    client = front.client()
    status = Path(f"/proc/{front.aggregator.process.process.pid}/status")

    def memory(name: str) -> float:
        line = next(line for line in status.read_text().splitlines() if line.startswith(name))
        return int(line.split()[1]) / 1024

    before = memory("VmRSS")
    contents = [number.to_bytes(4, "big") * (_TRANSFER_BYTES // 4) for number in range(_TRANSFERS)]
    began = time.perf_counter()
    described = await asyncio.gather(*(client.blob("alpha/many", content) for content in contents))
    found = await asyncio.gather(*(client.ask("GET", f"/v2/alpha/many/blobs/{one['digest']}") for one in described))
    assert all(digest_of(one.body) == two["digest"] for one, two in zip(found, described, strict=True))
    took = time.perf_counter() - began
    print(
        f"{_TRANSFERS} transfers at once, there and back, {_TRANSFER_BYTES >> 20} MiB each: {took:.1f} s, memory "
        f"{before:.0f} MB before, {memory('VmHWM'):.0f} MB at most",
        flush=True,
    )


async def _listing(front: RunningFront) -> None:
    """List many images in pages."""
    client = front.client()
    base = json.loads(await client.manifest("beta/many0", b"layer"))
    for number in range(1, 10):
        await client.manifest(f"beta/many{number}", b"layer")
    turns = asyncio.Semaphore(16)

    async def push(number: int) -> None:
        manifest = json.dumps({**base, "annotations": {"number": str(number)}}).encode()
        async with turns:
            assert (await client.put(f"beta/many{number % 10}", f"1.{number}", manifest)).status == 201

    began = time.perf_counter()
    await asyncio.gather(*(push(number) for number in range(_IMAGES)))
    print(f"{_IMAGES:,} images pushed in {time.perf_counter() - began:.0f} s", flush=True)
    taken, seen, cursor = [], 0, ""
    while True:
        began = time.perf_counter()
        query = {"team": "beta", "limit": "500", **({"cursor": cursor} if cursor else {})}
        page = await front.aggregator.get("/v1/images", **query)
        taken.append((time.perf_counter() - began) * 1000)
        seen += len(page["images"])
        if page["next"] is None:
            break
        cursor = page["next"]
    assert seen == _IMAGES
    print(
        f"{seen:,} images listed in {len(taken)} pages: {statistics.median(taken):.1f} ms a page, {max(taken):.1f} at most",
        file=sys.stdout,
        flush=True,
    )
