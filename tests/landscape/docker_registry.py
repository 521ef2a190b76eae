"""Debian's docker-registry on a free port, its storage in a directory."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from landscape.processes import answers, free_port, started


@asynccontextmanager
async def docker_registry(
    directory: Path, logs: Path, *, auth: Mapping[str, object] | None = None, name: str = "registry"
) -> AsyncIterator[str]:
    """Give the registry's host:port. Those with the same directory hold the same; `auth` is the configuration's."""
    port = free_port()
    home = directory / "registry"
    home.mkdir(exist_ok=True)
    configuration = {
        "version": 0.1,
        "log": {"accesslog": {"disabled": True}, "level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str(home)}, "delete": {"enabled": True}},
        "http": {"addr": f"127.0.0.1:{port}"},
        **({"auth": dict(auth)} if auth is not None else {}),
    }
    file = directory / f"{name}.yml"
    file.write_text(json.dumps(configuration), encoding="utf-8")
    command = ["docker-registry", "serve", file]
    async with started("docker-registry", command, logs=logs, ready=lambda: answers(port)):
        yield f"127.0.0.1:{port}"
