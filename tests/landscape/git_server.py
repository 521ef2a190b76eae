"""git http-backend over HTTP: every bare repository below a directory can be fetched from a loopback port."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from landscape.processes import run

Guard = Callable[[web.Request], web.Response | None]


@asynccontextmanager
async def git_server(
    repositories: Path, *, newest_protocol: bool = True, guard: Guard | None = None
) -> AsyncIterator[str]:
    """Give the server's host:port. An old server speaks protocol version 0 to all.

    `guard` gives an answer of its own to what it does not let through.
    """
    backend = Path((await run("git", "--exec-path")).strip()) / "git-http-backend"
    application = web.Application(client_max_size=64 * 1024 * 1024)
    serve = functools.partial(_guarded, guard, backend, repositories, newest_protocol)
    application.router.add_route("*", "/{path:.*}", serve)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def _guarded(
    guard: Guard | None, backend: Path, root: Path, newest_protocol: bool, request: web.Request
) -> web.Response:
    refusal = guard(request) if guard is not None else None
    return refusal if refusal is not None else await _cgi(backend, root, newest_protocol, request)


async def _cgi(backend: Path, root: Path, newest_protocol: bool, request: web.Request) -> web.Response:
    """Hand a request to git http-backend by CGI (RFC 3875)."""
    environment = {
        "PATH": os.environ["PATH"],
        "GIT_PROJECT_ROOT": str(root),
        "GIT_HTTP_EXPORT_ALL": "1",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
        "REQUEST_METHOD": request.method,
        "PATH_INFO": "/" + request.match_info["path"],
        "QUERY_STRING": request.query_string,
        "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        "HTTP_CONTENT_ENCODING": "",
        "GIT_PROTOCOL": request.headers.get("Git-Protocol", "") if newest_protocol else "",
    }
    body = await request.read()
    process = await asyncio.create_subprocess_exec(
        backend,
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    output, _ = await process.communicate(body)
    head, _, content = output.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
    status = int(headers.pop("Status", "200").split(" ", 1)[0])
    return web.Response(status=status, body=content, headers=headers)
