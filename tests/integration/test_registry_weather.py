"""The image stage before a real registry in ordinary weather: what passes is waited for, what cannot pass ends it at once."""

from __future__ import annotations

import asyncio
import json
import platform
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import aiohttp
import pytest

from fakes.agent_world import World
from fakes.guarded_registry import GuardedRegistry
from fakes.names import LateNames
from fakes.registry_weather import Fault, RegistryWeather
from landscape.certificates import dated_certificate
from landscape.docker_registry import docker_registry
from landscape.front import OCI_INDEX, OCI_MANIFEST, Client, digest_of
from landscape.processes import free_port
from whence_agent.adapters.oci_registry import OciRegistry
from whence_agent.adapters.processor import Processor
from whence_agent.adapters.registry_connection import system_lookup
from whence_agent.adapters.registry_reads import RegistryReads
from whence_agent.adapters.this_processor import this_processor
from whence_agent.boot.image import ImageResolver
from whence_agent.ports import RegistryRefused, ResolvedImage
from whence_agent.progress.stage import StageFailed, StageProgress
from whence_common.backoff import Backoff
from whence_common.clock import utc_now
from whence_common.image_reference import ImageReference
from whence_common.registry_address import RegistryPlace
from whence_common.registry_sign_in import Login
from whence_common.user_data.platform import PlatformRules

SOON = Backoff(first_seconds=0.001, longest_seconds=0.002, random=lambda: 0.5)
PAGE = b"<html><body>Service Temporarily Unavailable</body></html>"
HTML = {"Content-Type": "text/html"}
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
OTHER = {"x86_64": "arm64", "aarch64": "amd64"}[platform.machine()]
CONFIG = json.dumps({"os": "linux", "architecture": ARCHITECTURE}).encode()
ROBOT = Login(username="robot", password="hunter2hunter2")
LoginSource = Callable[[], Awaitable[Login | None]]


@pytest.fixture(scope="module")
async def real(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    """Give the host of Debian's docker-registry, with team/app:1 in it."""
    place = tmp_path_factory.mktemp("weather")
    async with docker_registry(place, place) as host, aiohttp.ClientSession() as session:
        await Client(session, f"http://{host}", "").push("team/app", "1", b"layer", config=CONFIG)
        yield host


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(auto_decompress=False) as opened:
        yield opened


@pytest.fixture
async def weather(real: str) -> AsyncIterator[RegistryWeather]:
    async with RegistryWeather(backend=real).serve() as served:
        yield served


class NoEcr:
    async def tags_move(self, reference: ImageReference) -> str:
        return ""

    async def sign_in(self, registry: str) -> tuple[str, str]:
        return "", ""


async def nobody() -> Login | None:
    return None


def registry(
    session: aiohttp.ClientSession,
    *places: RegistryPlace,
    processor: Processor | None = None,
    silence_seconds_max: float = 10.0,
) -> OciRegistry:
    http = RegistryReads(
        session=session, places={place.registry: place for place in places}, lookup=system_lookup, now=utc_now,
        silence_seconds_max=silence_seconds_max,
    )  # fmt: skip
    return OciRegistry(http=http, processor=processor or this_processor())


async def resolve(
    asked: OciRegistry, host: str, stage: StageProgress | None = None, *, login: LoginSource = nobody
) -> ResolvedImage:
    """Resolve as the image stage does."""
    resolver = ImageResolver(
        registry=asked,
        repositories=NoEcr(),
        policies={},
        rules=PlatformRules(immutable=frozenset({host})),
        backoff=SOON,
    )
    reference = ImageReference.parse(f"{host}/team/app:1")
    _, said = await resolver.resolve(reference, login, stage or StageProgress(name="image"))
    return said


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=503),
        Fault(status=503, body=PAGE, headers=HTML),
        Fault(status=500),
        Fault(status=502, body=PAGE * 20_000, headers=HTML),
        Fault(status=504),
        Fault(status=408),
        Fault(status=425),
        Fault(status=429),
        Fault(status=429, headers={"Retry-After": "0"}),
        Fault(status=429, headers={"Retry-After": format_datetime(datetime(2026, 1, 1, tzinfo=UTC), usegmt=True)}),
        Fault(status=429, headers={"Retry-After": "880.092µs"}),
        Fault(status=403, body=b'{"errors": [{"code": "DENIED", "message": "Request exceeded pull rate limit"}]}'),
        Fault(status=403, body=PAGE, headers=HTML),
        Fault(status=404, body=PAGE, headers=HTML),
        Fault(status=404, body=b"404 page not found\n"),
        Fault(status=200, body=PAGE, headers=HTML),
        Fault(way="drops"),
        Fault(way="breaks-off", headers={"Content-Type": OCI_MANIFEST}),
    ],
)
async def test_what_passes_is_waited_for_however_often_it_comes(
    session: aiohttp.ClientSession, weather: RegistryWeather, fault: Fault
) -> None:
    weather.faults += [fault] * 12
    stage = StageProgress(name="image")
    said = await resolve(registry(session), weather.host, stage)
    assert (len(weather.asked), stage.reason, stage.waiting_for) == (14, "", "")
    assert said.layer_types == ("application/vnd.oci.image.layer.v1.tar",)


async def test_the_status_names_the_registry_the_try_and_the_reason_while_it_is_waited_for(
    session: aiohttp.ClientSession, weather: RegistryWeather
) -> None:
    stage, seen = StageProgress(name="image", outcome="running", deadline=100.0), list[tuple[str, str]]()

    async def looking() -> None:
        seen.append((stage.waiting(16.0), stage.reason))

    weather.faults += [Fault(status=503)] * 3
    await resolve(registry(session), weather.host, stage, login=looking)
    assert seen[0] == ("", f"the registry {weather.host} has not answered yet")
    assert seen[2][0] == f"waiting for the registry {weather.host}, try 3, 84 s left"
    assert seen[2][1].startswith(f"HTTP 503 from {weather.host} for team/app:1 (the registry, or something before it,")


async def test_a_body_that_stops_flowing_is_given_up_long_before_the_deadline(
    session: aiohttp.ClientSession, weather: RegistryWeather
) -> None:
    weather.faults += [Fault(way="stops", body=b"{", headers={"Content-Type": OCI_MANIFEST})] * 2
    await resolve(registry(session, silence_seconds_max=0.2), weather.host)
    assert len(weather.asked) == 4


@pytest.mark.parametrize(
    "fault, code",
    [
        (Fault(status=404, body=b'{"errors": [{"code": "MANIFEST_UNKNOWN"}]}'), "registry-image-unknown"),
        (Fault(status=404, body=b'{"errors": [{"code": "NAME_UNKNOWN"}]}'), "registry-image-unknown"),
        (Fault(status=403, body=b'{"errors": [{"code": "DENIED"}]}'), "registry-unauthorised"),
        (Fault(status=401), "registry-unauthorised"),
        (Fault(status=400), "registry-error"),
        (Fault(status=410), "registry-error"),
    ],
)
async def test_what_cannot_pass_is_asked_for_once(
    session: aiohttp.ClientSession, weather: RegistryWeather, fault: Fault, code: str
) -> None:
    weather.faults.append(fault)
    with pytest.raises(RegistryRefused) as caught:
        await resolve(registry(session), weather.host)
    assert (caught.value.code, len(weather.asked)) == (code, 1)


async def test_the_real_registrys_own_word_that_an_image_is_not_there_is_final(
    session: aiohttp.ClientSession, real: str
) -> None:
    with pytest.raises(RegistryRefused) as caught:
        await registry(session).resolve(ImageReference.parse(f"{real}/team/absent:1"), None)
    assert (caught.value.code, caught.value.retryable) == ("registry-image-unknown", False)
    assert "(MANIFEST_UNKNOWN manifest unknown)" in caught.value.message


async def test_a_configuration_that_the_registry_cannot_give_now_is_waited_for(
    session: aiohttp.ClientSession, weather: RegistryWeather
) -> None:
    first = await resolve(registry(session), weather.host)
    weather.faults += [Fault(status=503)] * 2
    assert await resolve(registry(session), weather.host) == first


async def test_a_deadline_that_passes_has_the_registrys_reason(
    session: aiohttp.ClientSession, weather: RegistryWeather, tmp_path: Path
) -> None:
    weather.faults += [Fault(status=503)] * 100_000
    with pytest.raises(StageFailed) as caught:
        async with World(tmp_path).progress.boot.stage("image", seconds_max=0.3) as stage:
            await resolve(registry(session), weather.host, stage)
    (problem,) = caught.value.problems
    assert problem.code == "registry-error"
    assert f"HTTP 503 from {weather.host} for team/app:1" in problem.message


async def test_a_deadline_that_passes_within_the_first_try_names_the_registry(
    session: aiohttp.ClientSession, weather: RegistryWeather, tmp_path: Path
) -> None:
    weather.faults.append(Fault(way="stops"))
    with pytest.raises(StageFailed) as caught:
        async with World(tmp_path).progress.boot.stage("image", seconds_max=0.3) as stage:
            await resolve(registry(session), weather.host, stage)
    assert caught.value.problems[0].message == (
        f"image: not done within 0.3 seconds: the registry {weather.host} has not answered yet"
    )


# --- the way there


async def test_a_registry_that_is_up_late_is_waited_for(real: str, session: aiohttp.ClientSession) -> None:
    port, late, tries = free_port(), RegistryWeather(backend=real), list[int]()
    async with AsyncExitStack() as stack:

        async def at_the_eighth_try() -> None:
            tries.append(1)
            if len(tries) == 8:
                await stack.enter_async_context(late.serve(port=port))

        await resolve(registry(session), f"127.0.0.1:{port}", login=at_the_eighth_try)
    assert len(tries) == 8


async def test_a_refused_connection_is_called_that(session: aiohttp.ClientSession) -> None:
    assert await unreachable(registry(session), f"127.0.0.1:{free_port()}") == (
        "registry-unreachable", True, "the connection is refused",
    )  # fmt: skip


async def test_a_name_that_does_not_resolve_yet_is_waited_for(weather: RegistryWeather) -> None:
    names = LateNames(int(weather.host.partition(":")[2]), failures=9)
    place = RegistryPlace(registry="registry.example.org", plain_http=True)
    async with aiohttp.ClientSession(auto_decompress=False, connector=aiohttp.TCPConnector(resolver=names)) as session:
        names.failures = 10
        assert await unreachable(registry(session, place), place.registry) == (
            "registry-unreachable", True, "its name does not resolve",
        )  # fmt: skip
        await resolve(registry(session, place), place.registry)
    assert names.failures == 0


async def unreachable(asked: OciRegistry, host: str) -> tuple[str, bool, str]:
    """Give code, whether it may pass, and the reason, of one try."""
    with pytest.raises(RegistryRefused) as caught:
        await asked.resolve(ImageReference.parse(f"{host}/team/app:1"), None)
    said = caught.value
    assert said.fix
    return said.code, said.retryable, said.message.partition(" is unreachable: ")[2] or said.message


# --- TLS


async def served_by_tls(
    stack: AsyncExitStack, real: str, place: Path, *, begins: timedelta, ends: timedelta, trusted: bool = True
) -> tuple[OciRegistry, RegistryWeather]:
    """Serve with a certificate that holds from a moment to another, counted from now, under registry.example.org."""
    now = datetime.now(UTC)
    server, client = dated_certificate(place, "registry.example.org", begins=now + begins, ends=now + ends)
    weather = await stack.enter_async_context(RegistryWeather(backend=real).serve(tls=server))
    names = LateNames(int(weather.host.partition(":")[2]), failures=0)
    connector = aiohttp.TCPConnector(resolver=names, ssl=client if trusted else ssl.create_default_context())
    session = await stack.enter_async_context(aiohttp.ClientSession(auto_decompress=False, connector=connector))
    return registry(session), weather


@pytest.mark.parametrize(
    "begins, ends, state",
    [
        (timedelta(days=1), timedelta(days=2), "is not yet valid"),
        (timedelta(days=-2), timedelta(days=-1), "has expired"),
    ],
)
async def test_a_certificate_out_of_its_time_may_be_this_machines_clock_and_is_waited_for(
    real: str, tmp_path: Path, begins: timedelta, ends: timedelta, state: str
) -> None:
    async with AsyncExitStack() as stack:
        asked, _ = await served_by_tls(stack, real, tmp_path, begins=begins, ends=ends)
        code, retryable, message = await unreachable(asked, "registry.example.org")
    assert (code, retryable) == ("registry-certificate-time", True)
    assert message.startswith(f"the certificate of registry.example.org {state}; this machine's clock is at 20")


@pytest.mark.parametrize("host, trusted", [("registry.example.org", False), ("other.example.org", True)])
async def test_a_certificate_of_an_unknown_authority_or_another_name_is_final(
    real: str, tmp_path: Path, host: str, trusted: bool
) -> None:
    async with AsyncExitStack() as stack:
        begins, ends = timedelta(days=-1), timedelta(days=1)
        asked, weather = await served_by_tls(stack, real, tmp_path, begins=begins, ends=ends, trusted=trusted)
        code, retryable, message = await unreachable(asked, host)
    assert (code, retryable, weather.asked) == ("registry-certificate", False, [])
    assert message.startswith(f"the certificate of {host} is not trusted: ")


async def test_tls_that_fails_for_a_moment_is_waited_for(real: str, tmp_path: Path) -> None:
    failing = [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", b"\x15\x03\x03\x00\x02\x02\x28"] * 4

    async def between(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if failing:
            writer.write(failing.pop(0))
            writer.close()
            return
        to_reader, to_writer = await asyncio.open_connection(*behind.host.split(":"))

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            while chunk := await source.read(65_536):
                sink.write(chunk)
            sink.close()

        await asyncio.gather(pump(reader, to_writer), pump(to_reader, writer), return_exceptions=True)

    async with AsyncExitStack() as stack:
        asked, behind = await served_by_tls(stack, real, tmp_path, begins=timedelta(-1), ends=timedelta(1))
        server = await stack.enter_async_context(await asyncio.start_server(between, "127.0.0.1", 0))
        session = asked._http._session
        assert isinstance(session.connector, aiohttp.TCPConnector)
        names = session.connector._resolver
        assert isinstance(names, LateNames)
        names.port = server.sockets[0].getsockname()[1]
        await resolve(asked, "registry.example.org")
    assert (failing, len(behind.asked)) == ([], 2)


async def test_a_page_in_the_place_of_pinned_bytes_is_waited_for(
    weather: RegistryWeather, session: aiohttp.ClientSession
) -> None:
    asked, page = registry(session), Fault(status=200, body=PAGE, headers=HTML)
    digest = (await resolve(asked, weather.host)).digest
    resolver = ImageResolver(
        registry=asked, repositories=NoEcr(), policies={}, rules=PlatformRules(), backoff=SOON,
    )  # fmt: skip
    weather.faults += [page] * 3
    pinned = ImageReference.parse(f"{weather.host}/team/app@{digest}")
    found, _ = await resolver.resolve(pinned, nobody, StageProgress(name="image"))
    assert (found.digest, weather.faults) == (digest, [])


# --- signing in


async def test_a_token_server_that_is_overloaded_is_waited_for(real: str, session: aiohttp.ClientSession) -> None:
    async with RegistryWeather(backend=real).serve() as tokens:
        tokens.faults += [Fault(status=503), Fault(status=429, headers={"Retry-After": "0"}), Fault(way="drops")] * 4
        tokens.faults.append(Fault(status=200, body=b'{"token": "t"}'))
        guard = GuardedRegistry(backend=real, kind="bearer", realm=f"http://{tokens.host}/token")
        async with guard.serve():
            place = RegistryPlace(registry=guard.host, token_hosts=frozenset({tokens.host}))
            guard.new_token("t")
            await resolve(registry(session, place), guard.host, login=robot)
        assert len(tokens.asked) == 13


@pytest.mark.parametrize("status", [200, 403, 404])
async def test_a_page_in_the_place_of_a_token_is_waited_for(
    real: str, session: aiohttp.ClientSession, status: int
) -> None:
    async with RegistryWeather(backend=real).serve() as tokens:
        tokens.faults += [Fault(status=status, body=PAGE, headers=HTML)] * 3
        tokens.faults.append(Fault(status=200, body=b'{"token": "t"}'))
        guard = GuardedRegistry(backend=real, kind="bearer", realm=f"http://{tokens.host}/token")
        async with guard.serve():
            place = RegistryPlace(registry=guard.host, token_hosts=frozenset({tokens.host}))
            guard.new_token("t")
            await resolve(registry(session, place), guard.host, login=robot)
        assert len(tokens.asked) == 4


async def robot() -> Login:
    return ROBOT


async def test_a_token_server_that_refuses_is_asked_once(real: str, session: aiohttp.ClientSession) -> None:
    async with GuardedRegistry(backend=real, kind="bearer", users={"robot": "another"}).serve() as guard:
        with pytest.raises(RegistryRefused) as caught:
            await resolve(registry(session), guard.host, login=robot)
        assert (caught.value.code, [path for path, _ in guard.seen].count("/token")) == ("registry-unauthorised", 1)


async def test_a_login_that_ended_is_replaced_by_another_one_once(real: str, session: aiohttp.ClientSession) -> None:
    given = [Login(username="robot", password="ended-ended"), ROBOT]

    async def source() -> Login:
        return given.pop(0)

    async with GuardedRegistry(backend=real).serve() as guard:
        await resolve(registry(session), guard.host, login=source)
        assert given == []
        given += [Login(username="robot", password=f"wrong-{number}") for number in range(5)]
        with pytest.raises(RegistryRefused) as caught:
            await resolve(registry(session), guard.host, login=source)
    assert (caught.value.code, len(given)) == ("registry-unauthorised", 3)
    assert "the login is refused" in caught.value.message
    assert "wrong-" not in caught.value.diagnostics()


async def test_a_login_that_is_always_the_same_is_shown_once(real: str, session: aiohttp.ClientSession) -> None:
    async with GuardedRegistry(backend=real, users={"robot": "another"}).serve() as guard:
        with pytest.raises(RegistryRefused):
            await resolve(registry(session), guard.host, login=robot)
        assert len(guard.seen) == 2, "once without, once with it"


# --- platforms


async def pushed(session: aiohttp.ClientSession, real: str, path: str, *entries: tuple[str, str]) -> None:
    """Push an index of images: each one's platform in the index, and in its configuration."""
    client, listed = Client(session, f"http://{real}", ""), []
    for number, (stated, built) in enumerate(entries):
        names = ("os", "architecture", "variant")
        config = json.dumps(dict(zip(names, built.split("/"), strict=False)) | {"number": number}).encode()
        manifest = await client.manifest(path, b"layer", config=config)
        assert (await client.put(path, digest_of(manifest), manifest)).status == 201
        place = dict(zip(names, stated.split("/"), strict=False))
        listed.append(
            {"mediaType": OCI_MANIFEST, "digest": digest_of(manifest), "size": len(manifest), "platform": place}
        )
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}).encode()
    assert (await client.put(path, "1", index, OCI_INDEX)).status == 201


async def told(asked: OciRegistry, reference: str) -> tuple[str, str]:
    with pytest.raises(RegistryRefused) as caught:
        await asked.resolve(ImageReference.parse(reference), None)
    assert (caught.value.code, caught.value.retryable) == ("image-other-architecture", False)
    return caught.value.message.partition(": ")[2], caught.value.fix


async def test_a_single_image_of_another_architecture_is_refused_before_it_runs(
    session: aiohttp.ClientSession, real: str
) -> None:
    client = Client(session, f"http://{real}", "")
    config = json.dumps({"os": "linux", "architecture": OTHER}).encode()
    await client.push("team/other", "1", b"layer", config=config)
    message, fix = await told(registry(session), f"{real}/team/other:1")
    assert message == f"the image is for linux/{OTHER}, but this machine runs {this_processor().platform}"
    assert fix.startswith("the image or the instance type is at fault")


async def test_an_image_whose_configuration_states_nothing_is_left_to_the_engine(
    session: aiohttp.ClientSession, real: str
) -> None:
    await Client(session, f"http://{real}", "").push("team/plain", "1", b"layer", config=b"{}")
    reference = ImageReference.parse(f"{real}/team/plain:1")
    assert (await registry(session).resolve(reference, None)).index_digest is None


async def test_an_index_that_lists_an_image_under_the_wrong_platform_is_the_images_fault(
    session: aiohttp.ClientSession, real: str
) -> None:
    await pushed(session, real, "team/mixed", (f"linux/{ARCHITECTURE}", f"linux/{OTHER}"))
    _, fix = await told(registry(session), f"{real}/team/mixed:1")
    assert fix.startswith("the image is at fault: its index states another platform")


async def test_an_image_for_newer_processors_is_this_machines_matter(session: aiohttp.ClientSession, real: str) -> None:
    old = Processor(architecture="amd64", variants=("v1", "v2"))
    await pushed(session, real, "team/new", ("linux/amd64/v3", "linux/amd64/v3"), ("linux/arm64", "linux/arm64"))
    message, fix = await told(registry(session, processor=old), f"{real}/team/new:1")
    assert message == "the image is for linux/amd64/v3, linux/arm64, but this machine runs linux/amd64/v2"
    assert fix.startswith("the machine is at fault: its processor is too old for the image")
    new = Processor(architecture="amd64", variants=("v1", "v2", "v3", "v4"))
    reference = ImageReference.parse(f"{real}/team/new:1")
    assert (await registry(session, processor=new).resolve(reference, None)).index_digest is not None


async def test_a_configuration_of_other_bytes_is_the_registrys_fault(
    session: aiohttp.ClientSession, weather: RegistryWeather
) -> None:
    reference = ImageReference.parse(f"{weather.host}/team/app:1")
    async with (
        aiohttp.ClientSession() as plain,
        plain.get(f"http://{weather.host}/v2/team/app/manifests/1", headers={"Accept": OCI_MANIFEST}) as answer,
    ):
        manifest = await answer.read()
    weather.faults += [
        Fault(body=manifest, headers={"Content-Type": OCI_MANIFEST}),
        Fault(body=b'{"architecture": "x"}'),
    ]
    with pytest.raises(RegistryRefused) as caught:
        await registry(session).resolve(reference, None)
    assert (caught.value.code, caught.value.retryable) == ("registry-wrong-digest", False)
    assert caught.value.fix.startswith("the registry, or something before it, is at fault")
