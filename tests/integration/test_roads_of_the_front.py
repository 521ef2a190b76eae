"""The registry behind the front as it really is: it wants tokens, redirects its blobs, takes long to end an upload."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from fakes.guarded_registry import GuardedRegistry
from fakes.lying_registry import LyingRegistry, lying_registry
from fakes.roads import road
from landscape.docker_registry import docker_registry
from whence_aggregator.adapters.backend import Backend
from whence_aggregator.adapters.backend_calls import BackendTimeouts
from whence_aggregator.adapters.front_images import FrontImages
from whence_aggregator.adapters.layer_stream import Windows
from whence_aggregator.adapters.logins import FileLogins
from whence_aggregator.registry.refusals import RegistryRefusal
from whence_common.digest import sha256_digest
from whence_common.registry_address import RegistryPlace

BLOB = b"a blob of a test"
DIGEST = sha256_digest(BLOB)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(auto_decompress=False) as opened:
        yield opened


@pytest.fixture(scope="module")
async def registry(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    directory = tmp_path_factory.mktemp("behind")
    async with docker_registry(directory, directory) as host:
        yield host


def logins(path: Path, host: str) -> FileLogins:
    path.write_bytes(b"robot:hunter2hunter2")
    return FileLogins(path=path, host=host, token_user="", seconds=time.monotonic)


async def chunks(*content: bytes) -> AsyncIterator[bytes]:
    for one in content:
        yield one


async def push(backend: Backend, repository: str, content: bytes = BLOB) -> bool:
    upload = await backend.append(await backend.start(repository), chunks(content), len(content))
    return await backend.finish(repository, upload, sha256_digest(content))


async def read(backend: Backend, repository: str, *, follow: bool) -> tuple[int, str, bytes]:
    async with backend.read(repository, DIGEST, "", follow=follow) as answer:
        assert answer is not None
        return answer.status, answer.location, b"".join([one async for one in answer.chunks])


@pytest.mark.parametrize("kind", ["basic", "bearer"])
async def test_a_backend_that_wants_a_sign_in_is_pushed_to_and_read(
    session: aiohttp.ClientSession, registry: str, tmp_path: Path, kind: str
) -> None:
    async with GuardedRegistry(backend=registry, kind=kind).serve() as guard:  # type: ignore[arg-type]  # parametrised
        backend = Backend(session=road(session, guard.host, logins(tmp_path / "login", guard.host)), path=f"/{kind}")
        assert await push(backend, "app")
        assert await backend.size("app", DIGEST) == len(BLOB)
        assert await read(backend, "app", follow=False) == (200, "", BLOB)
        assert await backend.mount("other", DIGEST, "app")
        manifest = b'{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": []}'
        await backend.keep_manifest("app", manifest, "application/vnd.oci.image.index.v1+json")
        assert await backend.tags("app") == []
        assert await backend.tagged("app", sha256_digest(manifest)) == manifest
        assert f"{kind}/app" in [f"{kind}/{one}" async for one in backend.repositories()]


async def test_an_upload_goes_on_with_a_backend_that_has_not_been_asked_before(
    session: aiohttp.ClientSession, registry: str, tmp_path: Path
) -> None:
    """Another replica began it: the body streams, so it cannot be sent once more after a 401."""
    async with GuardedRegistry(backend=registry, kind="bearer").serve() as guard:
        one, other = (Backend(session=road(session, guard.host, logins(tmp_path / n, guard.host))) for n in ("a", "b"))
        upload = await one.start("replicas/app")
        upload = await other.append(upload, chunks(BLOB[:4], BLOB[4:]), None)
        assert await other.finish("replicas/app", upload, DIGEST)


async def test_a_wrong_login_behind_is_reported_to_the_operator_not_to_clients(
    session: aiohttp.ClientSession, registry: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "login").write_bytes(b"robot:hunter2-wrong")
    async with GuardedRegistry(backend=registry).serve() as guard:
        wrong = FileLogins(path=tmp_path / "login", host=guard.host, token_user="", seconds=time.monotonic)
        with pytest.raises(RegistryRefusal) as caught:
            await Backend(session=road(session, guard.host, wrong)).start("app")
    assert caught.value.code == "UNAVAILABLE"
    assert str(tmp_path) not in caught.value.diagnostics()
    assert str(tmp_path / "login") in "".join(str(vars(one)) for one in caplog.records)
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_blobs_behind_a_redirect_are_read_by_us_and_by_clients(
    session: aiohttp.ClientSession, registry: str, tmp_path: Path, status: int
) -> None:
    assert await push(Backend(session=road(session, registry)), "redirected/app")
    async with GuardedRegistry(backend=registry, kind="open").serve() as storage:
        guard = GuardedRegistry(backend=registry, redirect_blobs_to=storage.host, redirect_status=status)
        async with guard.serve():
            place = RegistryPlace(registry=guard.host, blob_hosts=frozenset({storage.host}))
            backend = Backend(session=road(session, place, logins(tmp_path / "login", guard.host)))
            assert await backend.size("redirected/app", DIGEST) == len(BLOB)
            assert await read(backend, "redirected/app", follow=False) == (200, "", BLOB)
            own = FrontImages(backend=backend, catalog=None, windows=Windows())  # type: ignore[arg-type]  # blobs are in no catalogue
            assert await own.blob("pierone.example.org/redirected/app", DIGEST) == BLOB
            assert (await own.layer("pierone.example.org/redirected/app", DIGEST)).outcome == "unreadable"
        assert storage.shown() == set()


async def test_a_client_is_sent_on_to_storage_that_has_tls(session: aiohttp.ClientSession) -> None:
    location = "https://bucket.s3.eu-central-1.amazonaws.com/blob?X-Amz-Signature=a%2Fb"
    async with redirecting(location) as host:
        backend = Backend(session=road(session, host))
        async with backend.read("app", DIGEST, "") as answer:
            assert answer is not None
            assert (answer.status, answer.location) == (307, location)


@pytest.mark.parametrize("location", ["http://169.254.169.254/latest/meta-data", "ftp://127.0.0.1/", ""])
async def test_neither_we_nor_clients_are_sent_to_a_metadata_service(
    session: aiohttp.ClientSession, location: str
) -> None:
    async with redirecting(location) as host:
        backend = Backend(session=road(session, host))
        for follow in (False, True):
            with pytest.raises(RegistryRefusal) as caught:
                await read(backend, "app", follow=follow)
            assert caught.value.code == "UNAVAILABLE"


async def test_the_size_is_read_by_get_if_storage_refuses_head(session: aiohttp.ClientSession) -> None:
    """S3 signs an address for one method: a registry may hand out the one for GET."""

    async def storage(request: web.Request) -> web.Response:
        if request.path.startswith("/v2/"):
            return web.Response(status=307, headers={"Location": "/storage"})
        if request.method == "HEAD":
            return web.Response(status=403)
        return web.Response(status=206, body=b"a", headers={"Content-Range": f"bytes 0-0/{len(BLOB)}"})

    async with serving(storage) as elsewhere:

        async def registry(request: web.Request) -> web.Response:
            return web.Response(status=307, headers={"Location": f"http://{elsewhere}/storage"})

        async with serving(registry) as host:
            place = RegistryPlace(registry=host, blob_hosts=frozenset({elsewhere}))
            assert await Backend(session=road(session, place)).size("app", DIGEST) == len(BLOB)


# --- the end of an upload


@dataclass
class Slow:
    """Before a registry: the end of an upload is answered when `go_on` is set, or never."""

    behind: LyingRegistry
    loses: bool = False
    status: int = 0
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        ends = request.method == "PUT" and "/uploads/" in request.path
        if ends and not self.loses:
            self.arrived.set()
            await self.go_on.wait()
        answer = await self.behind.answer(request)
        if ends and self.loses:
            assert request.transport is not None
            request.transport.abort()
        if ends and self.status:
            return web.Response(status=self.status)
        return answer


@asynccontextmanager
async def slow(**how: object) -> AsyncIterator[Slow]:
    async with lying_registry() as behind:
        made = Slow(behind=behind, **how)  # type: ignore[arg-type]  # fields by name
        async with serving(made.answer) as host:
            behind.host = host
            yield made


async def test_an_upload_may_take_longer_to_end_than_a_call(session: aiohttp.ClientSession) -> None:
    async with slow() as behind:
        backend = Backend(session=road(session, behind.behind.host), patience=BackendTimeouts(call=0.2, answer=30.0))
        ending = asyncio.ensure_future(push(backend, "app"))
        await behind.arrived.wait()
        calls_end = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.5, calls_end.set_result, None)
        await calls_end
        assert not ending.done()
        behind.go_on.set()
        assert await ending


@pytest.mark.parametrize("how", [{"loses": True}, {"loses": True, "status": 504}])
async def test_an_upload_whose_end_is_not_heard_of_is_looked_for(
    session: aiohttp.ClientSession, how: dict[str, object]
) -> None:
    async with slow(**how) as behind:
        backend = Backend(session=road(session, behind.behind.host))
        assert await push(backend, "app")
        assert await backend.size("app", DIGEST) == len(BLOB)


@pytest.mark.parametrize("status", [404, 500, 502, 503, 504])
async def test_an_end_that_a_proxy_answers_wrong_succeeds_when_the_blob_is_there(
    session: aiohttp.ClientSession, status: int
) -> None:
    async with slow(status=status) as behind:
        behind.go_on.set()
        assert await push(Backend(session=road(session, behind.behind.host)), "app")


@pytest.mark.parametrize("status", [404, 503])
async def test_an_upload_that_is_lost_is_not_taken_for_one_that_ended(
    session: aiohttp.ClientSession, status: int
) -> None:
    async with slow(status=status) as behind:
        behind.go_on.set()
        behind.behind.lie = "loses-blobs"
        with pytest.raises(RegistryRefusal) as caught:
            await push(Backend(session=road(session, behind.behind.host)), "app")
        assert caught.value.code in ("UNAVAILABLE", "BLOB_UPLOAD_UNKNOWN")


@asynccontextmanager
async def serving(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    application = web.Application(client_max_size=1 << 20)
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def redirecting(location: str) -> AsyncIterator[str]:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": location})

    async with serving(answer) as host:
        yield host
