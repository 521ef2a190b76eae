"""Pulls and starts with a real engine and registry, behind a proxy that throttles, stalls and expires logins."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import docker
import pytest

from fakes.blob_weather import BlobWeather
from fakes.guarded_registry import GuardedRegistry
from landscape.docker_registry import docker_registry
from landscape.engine import OwnEngine, bridge, own_engine
from landscape.layers import zstd
from landscape.raw_images import OCI_MANIFEST, busybox, large_layers, push
from whence_agent.adapters.docker_engine import DockerEngine
from whence_agent.adapters.engine_archive import reader_name
from whence_agent.adapters.oci_registry import OciRegistry
from whence_agent.adapters.registry_connection import system_lookup
from whence_agent.adapters.registry_reads import RegistryReads
from whence_agent.adapters.this_processor import this_processor
from whence_agent.boot.pull import ImagePull
from whence_agent.patience import Patience
from whence_agent.ports import ContainerSpec, EngineFailed, LogDriver
from whence_agent.progress.stage import StageProgress
from whence_common.backoff import Backoff
from whence_common.clock import utc_now
from whence_common.image_reference import ImageReference
from whence_common.registry_address import RegistryPlace
from whence_common.registry_sign_in import Login
from whence_common.runtime.pause import pause
from whence_common.statement import ImageFacts
from whence_common.user_data.options import ContainerOptions

PATIENCE = Patience(backoff=Backoff(first_seconds=0.2, longest_seconds=1.0, random=lambda: 0.5))
STALL_SECONDS = 2.0
SIZE = 600_000
ROBOT = Login(username="robot", password="hunter2hunter2")
pytestmark = [pytest.mark.engine, pytest.mark.root]


@pytest.fixture(scope="module")
async def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weather")


@pytest.fixture(scope="module")
async def house(directory: Path) -> AsyncIterator[OwnEngine]:
    """An engine with a bridge of its own and no firewall, so that it stands beside any other."""
    async with bridge() as name, own_engine(directory, directory, "--bridge", name, "--iptables=false") as own:
        yield own


@pytest.fixture(scope="module")
async def backend(directory: Path) -> AsyncIterator[str]:
    async with docker_registry(directory, directory) as host:
        yield host


@asynccontextmanager
async def engine_at(house: OwnEngine) -> AsyncIterator[DockerEngine]:
    engine = DockerEngine(socket=house.socket, pull_stall_seconds_max=STALL_SECONDS)
    try:
        yield engine
    finally:
        await engine.close()


@pytest.fixture
async def engine(house: OwnEngine) -> AsyncIterator[DockerEngine]:
    async with house.running(), engine_at(house) as opened:
        yield opened


async def nobody() -> Login | None:
    return None


class Seen(StageProgress):
    """A stage that keeps what it was waiting for, and how far it was."""

    def __init__(self) -> None:
        super().__init__(name="pull", outcome="running")
        self.codes: list[str] = []
        self.words: list[str] = []

    def wait_for(self, whom: str, *, attempt: int, error: object) -> None:
        assert isinstance(error, EngineFailed)
        self.codes.append(error.code)
        super().wait_for(whom, attempt=attempt, error=error)

    def __setattr__(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)
        if name == "doing" and value and hasattr(self, "words"):
            self.words.append(str(value))


def pull_of(
    engine: DockerEngine,
    guard: GuardedRegistry,
    name: str,
    digest: str,
    *,
    login: Login | None = None,
    again: Callable[[], Awaitable[Login | None]] = nobody,
) -> tuple[ImagePull, Seen]:
    stage = Seen()
    repository = f"{guard.host}/{name}"
    image = ImageFacts(source=f"{repository}@{digest}", repository=repository, digest=digest)
    pull = ImagePull(
        engine=engine, patience=PATIENCE, monotonic=time.monotonic, stage=stage, image=image, login=login, again=again
    )
    return pull, stage


async def image(backend: str, name: str, *, layers: int = 2, size: int = SIZE) -> str:
    return await push(backend, name, large_layers(layers, size, seed=sum(name.encode())))


async def test_throttled_blobs_are_requested_again(backend: str, engine: DockerEngine) -> None:
    digest = await image(backend, "demo/throttled")
    weather = BlobWeather(throttled=True)
    async with GuardedRegistry(backend=backend, kind="open", weather=weather).serve() as guard:
        pull, stage = pull_of(engine, guard, "demo/throttled", digest)
        pulling = asyncio.create_task(pull.run())
        async with asyncio.timeout(60):
            while len(stage.codes) < 3:
                await pause(0.05)
        assert stage.waiting(0.0).startswith(
            f"waiting for the Docker Engine's pull of {guard.host}/demo/throttled, try "
        )
        weather.throttled = False
        await pulling
    assert set(stage.codes) == {"engine-pull-throttled"}
    assert weather.asked <= 8 * (len(stage.codes) + 2), (
        "a try asks for each blob once or twice; pauses lie between them"
    )


async def test_a_stalled_layer_is_aborted_and_requested_again(backend: str, engine: DockerEngine) -> None:
    digest = await image(backend, "demo/stalled")
    weather = BlobWeather(stalls=1)
    async with GuardedRegistry(backend=backend, kind="open", weather=weather).serve() as guard:
        pull, stage = pull_of(engine, guard, "demo/stalled", digest)
        async with asyncio.timeout(60):
            await pull.run()
    assert stage.codes == ["pull-stalled"]
    assert stage.words[-1].startswith("3 of 3 layers, ")


async def test_a_slow_pull_with_progress_is_not_aborted(backend: str, engine: DockerEngine) -> None:
    digest = await image(backend, "demo/slow", layers=1, size=900_000)
    weather = BlobWeather(bytes_per_second=200_000)
    async with GuardedRegistry(backend=backend, kind="open", weather=weather).serve() as guard:
        pull, stage = pull_of(engine, guard, "demo/slow", digest)
        await pull.run()
    assert stage.codes == []
    assert len(stage.words) > 5


async def test_a_registry_that_never_answers_a_request_is_a_stall(engine: DockerEngine) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(EngineFailed) as caught:
            await engine.pull(f"127.0.0.1:{port}/a/b", "sha256:" + "0" * 64, None)
    assert (caught.value.code, caught.value.retryable) == ("pull-stalled", True)
    assert caught.value.message.endswith("the pull made no progress for 2 seconds")


async def test_a_token_that_expires_during_the_pull_is_renewed(backend: str, engine: DockerEngine) -> None:
    """As of a registry that gives nothing to renew it with; the second one holds long enough."""
    digest = await image(backend, "demo/tokens", layers=5, size=400_000)
    weather = BlobWeather(bytes_per_second=600_000)
    async with GuardedRegistry(backend=backend, kind="bearer", token_seconds=0.6, weather=weather).serve() as guard:
        first = Login(registry_token=guard.new_token(), seconds=0.6)
        guard.token_seconds = 60.0

        given: list[Login] = []

        async def again() -> Login:
            given.append(Login(registry_token=guard.new_token(), seconds=60.0))
            return given[-1]

        pull, stage = pull_of(engine, guard, "demo/tokens", digest, login=first, again=again)
        async with asyncio.timeout(100):
            await pull.run()
    assert stage.codes == [], "a login that ended is no failed try"
    assert given, "the engine had none that renews"


@pytest.mark.parametrize("login", [ROBOT, Login(identity_token="hunter2hunter2")])
async def test_the_engine_receives_what_it_renews_tokens_with(backend: str, engine: DockerEngine, login: Login) -> None:
    digest = await image(backend, "demo/renewed")
    async with GuardedRegistry(backend=backend, kind="bearer").serve() as guard, aiohttp.ClientSession() as session:
        place = RegistryPlace(registry=guard.host)
        http = RegistryReads(session=session, places={guard.host: place}, lookup=system_lookup, now=utc_now)
        registry = OciRegistry(http=http, processor=this_processor())
        said = await registry.resolve(ImageReference.parse(f"{guard.host}/demo/renewed@{digest}"), login)
        assert said.login == login
        asked = sum(path == "/token" for path, _ in guard.seen)
        pull, stage = pull_of(engine, guard, "demo/renewed", digest, login=said.login)
        await pull.run()
        assert sum(path == "/token" for path, _ in guard.seen) > asked, "the engine got a token of its own"
    assert stage.codes == []


async def test_a_revoked_login_ends_the_pull(backend: str, engine: DockerEngine) -> None:
    digest = await image(backend, "demo/taken-back")
    async with GuardedRegistry(backend=backend, kind="bearer").serve() as guard:

        async def again() -> Login:
            return Login(username="robot", password="no longer")

        pull, _ = pull_of(engine, guard, "demo/taken-back", digest, login=await again(), again=again)
        with pytest.raises(EngineFailed) as caught:
            await pull.run()
    assert (caught.value.code, caught.value.retryable) == ("engine-unauthorised", False)
    assert "no longer" not in caught.value.diagnostics()


async def test_an_engine_that_restarts_during_a_pull_is_waited_for(house: OwnEngine, backend: str) -> None:
    digest = await image(backend, "demo/restart")
    weather = BlobWeather(bytes_per_second=150_000)
    async with (
        GuardedRegistry(backend=backend, kind="open", weather=weather).serve() as guard,
        engine_at(house) as engine,
    ):
        pull, stage = pull_of(engine, guard, "demo/restart", digest)
        async with asyncio.timeout(60):
            async with house.running():
                pulling = asyncio.create_task(pull.run())
                await weather.flowing.wait()
            weather.bytes_per_second = None
            while len(stage.codes) < 2:
                await pause(0.05)
            async with house.running():
                await pulling
    assert "engine-unreachable" in stage.codes


async def test_an_engine_that_starts_late_is_waited_for(house: OwnEngine, backend: str) -> None:
    digest = await image(backend, "demo/late")
    async with GuardedRegistry(backend=backend, kind="open").serve() as guard, engine_at(house) as engine:
        pull, stage = pull_of(engine, guard, "demo/late", digest)
        pulling = asyncio.create_task(pull.run())
        async with asyncio.timeout(60):
            while len(stage.codes) < 2:
                await pause(0.05)
            assert "apt-get install docker.io" in stage.reason
            async with house.running():
                await pulling
    assert set(stage.codes) == {"engine-unreachable"}


def spec_of(image: ImageFacts, image_id: str) -> ContainerSpec:
    return ContainerSpec(
        name="whence-test-weather", image=f"{image.repository}@{image.digest}", image_id=image_id, environment={},
        options=ContainerOptions(), network="none", publish_address="127.0.0.1", user=None, mounts=(),
        log=LogDriver(name="json-file", options={}), pids_max=100, stop_seconds=1, fingerprint="f",
    )  # fmt: skip


async def test_a_start_continues_where_a_failed_try_ended(house: OwnEngine, backend: str) -> None:
    """containerd is away, and a try before has left a container that was created and never started."""
    digest = await image(backend, "demo/start", layers=0)
    async with (
        house.running(),
        GuardedRegistry(backend=backend, kind="open").serve() as guard,
        engine_at(house) as engine,
    ):
        pull, stage = pull_of(engine, guard, "demo/start", digest)
        spec = spec_of(pull.image, (await pull.run())[0])
        await asyncio.to_thread(leave_behind, house.socket, spec)
        os.kill(int((house.sockets / "exec/containerd/containerd.pid").read_text()), signal.SIGKILL)
        async with asyncio.timeout(60):
            facts = await PATIENCE.keep_trying(lambda: engine.run(spec), stage, waiting_for="the Docker Engine")
        assert (facts.state, facts.image_digest) == ("running", digest)
        assert set(stage.codes) <= {"engine-refused"}
        assert (await engine.run(spec)).container_id == facts.container_id, "what runs already is left running"
        await engine.stop(spec.name, seconds_max=0)


def leave_behind(socket: str, spec: ContainerSpec) -> None:
    """Leave what a try leaves that broke off between creating and starting, and one that broke off while reading."""
    client = docker.APIClient(base_url=socket, version="auto", timeout=60)
    try:
        client.create_container(spec.image, name=spec.name, labels={"org.whence.fingerprint": spec.fingerprint})
    finally:
        client.close()


async def test_a_file_is_read_even_if_an_earlier_try_left_its_container(house: OwnEngine, backend: str) -> None:
    digest = await image(backend, "demo/read", layers=0)
    async with (
        house.running(),
        GuardedRegistry(backend=backend, kind="open").serve() as guard,
        engine_at(house) as engine,
    ):
        pull, _ = pull_of(engine, guard, "demo/read", digest)
        image_id = (await pull.run())[0]
        name = reader_name(image_id, "/bin/busybox")
        await asyncio.to_thread(leave_behind, house.socket, replace(spec_of(pull.image, image_id), name=name))
        assert await engine.read_file(image_id, "/bin/busybox", 10_000_000) == Path("/bin/busybox").read_bytes()
        assert await engine.inspect(name) is None


async def test_a_zstd_layer_is_pulled_or_reported_as_unsupported(engine: DockerEngine, backend: str) -> None:
    digest = await push(
        backend, "demo/zstd", [], packed=[zstd(busybox())], manifest=OCI_MANIFEST,
        kinds=["application/vnd.oci.image.layer.v1.tar+zstd"],
    )  # fmt: skip
    async with GuardedRegistry(backend=backend, kind="open").serve() as guard:
        pull, stage = pull_of(engine, guard, "demo/zstd", digest)
        (outcome,) = await asyncio.gather(pull.run(), return_exceptions=True)
    assert stage.codes == [], "it is tried once"
    if isinstance(outcome, BaseException):  # an engine before 23.0, as Debian 12 has it
        assert isinstance(outcome, EngineFailed)
        assert outcome.code == "image-compression", outcome.message
        assert "build the image with gzip layers" in outcome.fix
