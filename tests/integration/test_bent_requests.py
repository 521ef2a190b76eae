"""A registry, or a name in a statement, that would have us ask something else: nothing else is ever asked."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aiohttp
import pytest
from aiohttp import web

from fakes.misbehaving import Answer, misbehaving
from fakes.roads import road
from whence_agent.adapters.http_probe import HttpProbe
from whence_agent.adapters.registry_reads import RegistryReads, RepositorySignIn
from whence_agent.ports import RegistryRefused
from whence_aggregator.adapters.backend import Backend
from whence_aggregator.adapters.host_lookup import HostLookup
from whence_aggregator.adapters.layer_stream import Windows
from whence_aggregator.adapters.registry_images import RegistryImages
from whence_aggregator.ports import SourceUnavailable
from whence_aggregator.registry.refusals import RegistryRefusal
from whence_common.clock import utc_now
from whence_common.digest import sha256_digest
from whence_common.registry_address import Lookup, RegistryPlace

LAYER = b"layer"
DIGEST = sha256_digest(LAYER)
BLOB = f"blobs/{DIGEST}"


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(auto_decompress=False) as opened:
        yield opened


@asynccontextmanager
async def asked_of(content: bytes = LAYER) -> AsyncIterator[tuple[str, list[str]]]:
    """Give host:port of a server, and the `Host path` of every request that it gets."""
    seen: list[str] = []

    async def respond(request: web.Request) -> web.Response:
        seen.append(f"{request.headers['Host']} {request.path_qs}")
        return web.Response(body=content)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", respond)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"127.0.0.1:{runner.addresses[0][1]}", seen
    finally:
        await runner.cleanup()


def images(session: aiohttp.ClientSession, place: RegistryPlace, lookup: Lookup) -> RegistryImages:
    return RegistryImages(sessions={place.registry: road(session, place, lookup=lookup)}, windows=Windows())


def resolving(**addresses: list[str]) -> Lookup:
    """Look names up as a test says; all others are this machine."""

    async def lookup(host: str) -> list[str]:
        return addresses.get(host.partition(".")[0], ["127.0.0.1"])

    return lookup


@pytest.mark.parametrize("name", ["../../secret/admin?token=1", "1.0/../../../x", "sha256:../x", "%2e%2e/x"])
async def test_a_bent_tag_or_digest_makes_no_request(session: aiohttp.ClientSession, name: str) -> None:
    async with asked_of() as (host, seen):
        reader = images(session, RegistryPlace(registry=host), resolving())
        for asked in (reader.manifest, reader.blob, reader.referrers, reader.layer):
            with pytest.raises(SourceUnavailable) as caught:
                await asked(f"{host}/team/app", name)
            assert (caught.value.code, caught.value.retryable) == ("image-name-malformed", False)
        with pytest.raises(SourceUnavailable):
            await reader.manifest(f"{host}/../../secret/admin", "1.0")
        agent = RegistryReads(session=session, places={}, lookup=resolving(), now=utc_now)
        with pytest.raises(RegistryRefused):
            await agent.get(
                RepositorySignIn(registry=host, path="team/app", login=None),
                f"manifests/{name}",
                accept="*/*",
                bytes_max=9,
            )
        backend = Backend(session=road(session, host))
        with pytest.raises(RegistryRefusal):
            await backend.tagged("team/app", name)
        with pytest.raises(RegistryRefusal):
            await backend.start("team/../../x")
        assert seen == []


async def test_a_layers_redirect_to_another_port_of_this_machine_is_not_followed(
    session: aiohttp.ClientSession,
) -> None:
    async with asked_of() as (other, seen):
        answers = {BLOB: Answer(status=307, headers={"Location": f"http://{other}/containers/json"})}
        async with misbehaving(answers) as host:
            with pytest.raises(SourceUnavailable) as caught:
                await images(session, RegistryPlace(registry=host), resolving()).layer(f"{host}/team/app", DIGEST)
            assert caught.value.code == "registry-redirect"
            agent = RegistryReads(session=session, places={}, lookup=resolving(), now=utc_now)
            with pytest.raises(RegistryRefused):
                await agent.get(
                    RepositorySignIn(registry=host, path="team/app", login=None), BLOB, accept="*/*", bytes_max=9
                )
        assert seen == []


@pytest.mark.parametrize("address", ["127.0.0.1", "::ffff:127.0.0.1", "169.254.169.254", "10.1.2.3", "64:ff9b::7f00:1"])
async def test_a_redirect_to_a_name_with_a_private_address_is_not_followed(
    session: aiohttp.ClientSession, address: str
) -> None:
    async with asked_of() as (other, seen):
        port = other.rpartition(":")[2]
        answers = {BLOB: Answer(status=307, headers={"Location": f"http://rebound.example.org:{port}/x"})}
        async with misbehaving(answers) as host:
            lookup = resolving(rebound=["93.184.216.34", address])
            with pytest.raises(SourceUnavailable) as caught:
                await images(session, RegistryPlace(registry=host), lookup).blob(f"{host}/team/app", DIGEST)
            assert caught.value.code == "registry-redirect"
            agent = RegistryReads(session=session, places={}, lookup=lookup, now=utc_now)
            with pytest.raises(RegistryRefused):
                await agent.get(
                    RepositorySignIn(registry=host, path="team/app", login=None), BLOB, accept="*/*", bytes_max=9
                )
        assert seen == []


async def test_the_address_that_was_checked_is_the_one_that_is_asked(session: aiohttp.ClientSession) -> None:
    """The system knows no such name: who asked it again would reach nothing, or what it was changed to meanwhile."""
    async with asked_of() as (registry, seen):
        port = registry.rpartition(":")[2]
        place = RegistryPlace(registry=registry)
        to_itself = Answer(status=307, headers={"Location": f"http://alias.example.org:{port}/blob"})
        async with misbehaving({BLOB: to_itself}) as host:
            lookup = resolving()
            redirecting = road(session, RegistryPlace(registry=host), lookup=lookup)
            redirecting.place = place  # the alias has the address and port of this one
            url = f"http://{host}/v2/team/app/{BLOB}"
            async with redirecting.ask(
                "GET", url, scopes=(), timeout=aiohttp.ClientTimeout(total=30), follow=True
            ) as answer:
                assert (answer.status, await answer.read()) == (200, LAYER)
            assert seen == [f"alias.example.org:{port} /blob"]


async def test_a_token_realm_on_another_port_of_this_machine_is_not_asked(session: aiohttp.ClientSession) -> None:
    async with asked_of(b'{"token": "x"}') as (other, seen):
        challenge = f'Bearer realm="http://{other}/admin",service="x"'
        async with misbehaving(Answer(status=401, headers={"WWW-Authenticate": challenge})) as host:
            with pytest.raises(SourceUnavailable) as caught:
                await images(session, RegistryPlace(registry=host), resolving()).manifest(f"{host}/team/app", "1.0")
            assert caught.value.code == "registry-redirect"
            agent = RegistryReads(session=session, places={}, lookup=resolving(), now=utc_now)
            access = RepositorySignIn(registry=host, path="team/app", login=None)
            with pytest.raises(RegistryRefused):
                await agent.get(access, "manifests/1.0", accept="*/*", bytes_max=9)
        assert seen == []


@pytest.mark.parametrize("suffix", [".evil.example", "@evil.example", ":1"])
async def test_a_catalogue_goes_on_at_the_registry_only(session: aiohttp.ClientSession, suffix: str) -> None:
    answers = {"_catalog": Answer(body=b'{"repositories": ["team/app", "team/../x", "Team/x"]}')}
    async with misbehaving(answers) as host:
        answers["_catalog"] = Answer(
            body=answers["_catalog"].body, headers={"Link": f'<http://{host}{suffix}/v2/_catalog>; rel="next"'}
        )
        backend = Backend(session=road(session, host))
        found: list[str] = []
        with suppress(RegistryRefusal):
            found += [one async for one in backend.repositories()]
        assert found in ([], ["team/app"])


async def test_tags_of_the_registry_behind_that_are_no_tags_are_left_out(session: aiohttp.ClientSession) -> None:
    answers = {"tags/list": Answer(body=b'{"tags": ["1.0", "../../secret/admin?x", "a b", "whence-x"]}')}
    async with misbehaving(answers) as host:
        assert await Backend(session=road(session, host)).tags("team/app") == ["1.0"]


async def test_a_health_check_follows_redirects_within_the_application_only(session: aiohttp.ClientSession) -> None:
    async with asked_of() as (other, seen):
        answers = {
            "/health": Answer(status=302, headers={"Location": "/healthy"}),
            "/healthy": Answer(status=200),
            "/sly": Answer(status=302, headers={"Location": f"http://{other}/latest/meta-data"}),
            "/round": Answer(status=302, headers={"Location": "/round"}),
        }
        async with misbehaving(answers) as host:
            probe = HttpProbe(session=session)
            assert await probe.status(f"http://{host}/health", seconds_max=5) == 200
            assert await probe.status(f"http://{host}/sly", seconds_max=5) == 302
            assert await probe.status(f"http://{host}/round", seconds_max=5) is None
        assert seen == []


async def test_a_lookup_returns_addresses_or_fails() -> None:
    lookup = HostLookup()
    assert await lookup("127.0.0.1") == ["127.0.0.1"]
    for host in ("x" * 64 + ".example.org", "no-such-host.invalid"):
        with pytest.raises(OSError):
            await lookup(host)
    lookup.close()
    assert isinstance(socket.gaierror(), OSError)
