"""Docker Hub by each of its names: one registry, for the agent and for the aggregator. A real registry answers for it."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from fakes.guarded_registry import GuardedRegistry
from fakes.names import LateNames
from landscape.certificates import dated_certificate
from landscape.docker_registry import docker_registry
from landscape.front import Client
from whence_agent.adapters.docker_engine import _pulled
from whence_agent.adapters.engine_client import EngineClient
from whence_agent.adapters.oci_registry import OciRegistry
from whence_agent.adapters.registry_connection import system_lookup
from whence_agent.adapters.registry_reads import RegistryReads
from whence_agent.adapters.this_processor import this_processor
from whence_agent.ports import EngineFailed
from whence_aggregator.adapters.layer_stream import Windows
from whence_aggregator.adapters.logins import FileLogins
from whence_aggregator.adapters.registry_images import RegistryImages
from whence_aggregator.adapters.registry_session import RegistrySession
from whence_aggregator.whence.registry_client import RegistryClient
from whence_common.clock import utc_now
from whence_common.digest import sha256_digest
from whence_common.image_reference import ImageReference
from whence_common.login_file import docker_entry, login_of_entry
from whence_common.registry_address import RegistryPlace
from whence_common.registry_sign_in import Login

NAMES = ("docker.io", "index.docker.io", "registry-1.docker.io")
CONFIG_JSON = {"auths": {"https://index.docker.io/v1/": {"auth": "cm9ib3Q6aHVudGVyMmh1bnRlcjI="}}}
ROBOT = Login(username="robot", password="hunter2hunter2")


@dataclass(frozen=True, kw_only=True)
class Hub:
    """The registry that stands for Docker Hub, which asks for a sign-in at another host as the Hub does."""

    guard: GuardedRegistry
    names: LateNames
    session: aiohttp.ClientSession
    digest: str


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[Hub]:
    async with AsyncExitStack() as stack:
        host = await stack.enter_async_context(docker_registry(tmp_path, tmp_path))
        plain = await stack.enter_async_context(aiohttp.ClientSession())
        digest = await Client(plain, f"http://{host}", "").push("library/app", "1", b"layer")
        now = utc_now()
        server, client = dated_certificate(
            tmp_path, "registry-1.docker.io", "auth.docker.io",
            begins=now.replace(year=now.year - 1, day=1), ends=now.replace(year=now.year + 1, day=1),
        )  # fmt: skip
        guard = GuardedRegistry(backend=host, kind="bearer", realm="https://auth.docker.io/token")
        await stack.enter_async_context(guard.serve(tls=server))
        names = LateNames(int(guard.host.partition(":")[2]))
        connector = aiohttp.TCPConnector(resolver=names, ssl=client)
        session = await stack.enter_async_context(aiohttp.ClientSession(auto_decompress=False, connector=connector))
        yield Hub(guard=guard, names=names, session=session, digest=digest)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("path", ["app", "library/app"])
async def test_the_agent_asks_one_registry_by_each_name_with_the_login_of_docker(
    hub: Hub, name: str, path: str
) -> None:
    reference = ImageReference.parse(f"{name}/{path}:1").canonical()
    entry = docker_entry(CONFIG_JSON, reference.registry)
    assert entry is not None
    login = login_of_entry(entry, host=name, name="dockercfg")
    http = RegistryReads(session=hub.session, places={}, lookup=system_lookup, now=utc_now)
    resolved = await OciRegistry(http=http, processor=this_processor()).resolve(reference, login)
    assert (str(reference), resolved.digest) == ("docker.io/library/app:1", hub.digest)
    assert hub.names.asked == {"registry-1.docker.io", "auth.docker.io"}
    assert ROBOT.basic() in hub.guard.shown()


@pytest.mark.parametrize("name", NAMES)
async def test_the_aggregator_asks_one_registry_by_each_name_that_statements_have(
    hub: Hub, name: str, tmp_path: Path
) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(CONFIG_JSON), encoding="utf-8")
    logins = FileLogins(path=file, host="docker.io", token_user="", seconds=time.monotonic)
    road = RegistrySession(
        session=hub.session, place=RegistryPlace(registry="docker.io"), logins=logins, seconds=time.monotonic,
        lookup=system_lookup,
    )  # fmt: skip
    images = RegistryImages(sessions={"docker.io": road}, windows=Windows())
    content = await images.manifest(f"{name}/app", "1")
    assert content is not None
    assert sha256_digest(content) == hub.digest
    assert await images.manifest(f"{name}/library/app", hub.digest) == content


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("key", ["https://index.docker.io/v1/", "docker.io", "index.docker.io"])
def test_attest_signs_in_by_dockers_configuration_and_helpers_whatever_name_is_written(
    name: str, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helper = tmp_path / "docker-credential-recording"
    helper.write_text(
        f'#!/bin/sh\ncat > {tmp_path}/asked\necho \'{{"Username": "robot", "Secret": "hunter2hunter2"}}\'\n',
        encoding="utf-8",
    )
    helper.chmod(0o755)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.delenv("WHENCE_REGISTRY_TOKEN", raising=False)
    client = RegistryClient(ImageReference.parse(f"{name}/app:1"))
    (tmp_path / "config.json").write_text(
        json.dumps({"auths": {key: CONFIG_JSON["auths"]["https://index.docker.io/v1/"]}})
    )
    assert client._login() == ROBOT
    (tmp_path / "config.json").write_text(json.dumps({"credHelpers": {key: "recording"}}))
    assert client._login() == ROBOT
    assert (tmp_path / "asked").read_text() == "https://index.docker.io/v1/"


class EngineWithShortNames(EngineClient):
    """What the Docker Engine returns of an image of Docker Hub."""

    def __init__(self, *digests: str) -> None:
        super().__init__(base_url="unix:///nonexistent.sock", version="1.41", timeout=1.0)
        self.digests = digests

    def inspect_image(self, image: str) -> dict[str, Any]:
        return {"Id": "sha256:id", "RepoDigests": [f"alpine@{one}" for one in self.digests]}


def test_the_engines_answer_is_compared_by_digest() -> None:
    digest, other = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
    assert _pulled(EngineWithShortNames(other, digest), "docker.io/library/alpine", digest) == "sha256:id"
    with pytest.raises(EngineFailed) as caught:
        _pulled(EngineWithShortNames(other), "docker.io/library/alpine", digest)
    assert caught.value.code == "engine-wrong-digest"
