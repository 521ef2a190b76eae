"""An image for each boot: the same application, and a layer that no other image has, so that each pull carries bytes."""

from __future__ import annotations

import json
import os
from typing import Any

import aiohttp

from landscape.layers import gzipped, tar
from landscape.whole import Landscape
from whence_common.digest import sha256_digest

NAME = "weather"
_LAYER_BYTES = 960 * 1024
_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


class Images:
    """Makes images in the landscape's registry by its API, out of one that the engine has built."""

    def __init__(self, scape: Landscape) -> None:
        self._scape = scape
        self._base = f"http://{scape.registry}/v2/demo/{NAME}"
        self._manifest: dict[str, Any] = {}
        self._config: dict[str, Any] = {}

    async def build(self) -> None:
        """Build the image that all others are made of."""
        image = await self._scape.build(NAME, "base", scm=self._scape.greeter_scm(0))
        async with aiohttp.ClientSession(headers={"Accept": _MANIFEST}) as session:
            async with session.get(f"{self._base}/manifests/{image.digest}") as answer:
                self._manifest = json.loads(await answer.read())
            async with session.get(f"{self._base}/blobs/{self._manifest['config']['digest']}") as answer:
                self._config = json.loads(await answer.read())

    async def make(self, tag: str) -> str:
        """Make an image with a layer of its own; return its digest."""
        content = tar({f"weather/{tag}": os.urandom(_LAYER_BYTES)})
        layer = gzipped(content)
        diffs = {**self._config["rootfs"], "diff_ids": [*self._config["rootfs"]["diff_ids"], sha256_digest(content)]}
        history = [*self._config.get("history", []), {"created_by": "weather"}]
        config = json.dumps({**self._config, "rootfs": diffs, "history": history}).encode()
        kind = self._manifest["layers"][0]["mediaType"]
        manifest = {
            **self._manifest,
            "config": {**self._manifest["config"], **_described(config)},
            "layers": [*self._manifest["layers"], {"mediaType": kind, **_described(layer)}],
        }
        body = json.dumps(manifest).encode()
        async with aiohttp.ClientSession() as session:
            for blob in (layer, config):
                await self._upload(session, blob)
            headers = {"Content-Type": _MANIFEST}
            async with session.put(f"{self._base}/manifests/{tag}", data=body, headers=headers) as answer:
                assert answer.status == 201, await answer.text()
        return sha256_digest(body)

    async def _upload(self, session: aiohttp.ClientSession, blob: bytes) -> None:
        async with session.post(f"{self._base}/blobs/uploads/") as begun:
            place = begun.headers["Location"]
        async with session.put(f"{place}&digest={sha256_digest(blob)}", data=blob) as answer:
            assert answer.status == 201, await answer.text()


def _described(blob: bytes) -> dict[str, object]:
    return {"digest": sha256_digest(blob), "size": len(blob)}
