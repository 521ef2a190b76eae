"""Roads to registries as they really are: tokens, htpasswd, ECR, backends that redirect; and what must never leak on them."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from fakes.guarded_registry import GuardedRegistry
from fakes.misbehaving import Answer, misbehaving
from fakes.roads import addresses, road
from fakes.token_server import ISSUER, SERVICE, TokenServer
from landscape.certificates import loopback_certificates
from landscape.docker_registry import docker_registry
from landscape.signing import BUNDLE, INDEX, MANIFEST, Pusher
from whence_agent.adapters.oci_registry import OciRegistry
from whence_agent.adapters.registry_connection import system_lookup
from whence_agent.adapters.registry_reads import RegistryReads, RepositorySignIn
from whence_agent.adapters.this_processor import this_processor
from whence_agent.ports import RegistryRefused
from whence_aggregator.adapters.layer_stream import Windows
from whence_aggregator.adapters.logins import FileLogins, Logins
from whence_aggregator.adapters.registry_images import RegistryImages
from whence_aggregator.adapters.registry_session import RegistrySession
from whence_aggregator.ports import SourceUnavailable
from whence_aggregator.whence.registry_client import RegistryClient
from whence_common.clock import utc_now
from whence_common.digest import sha256_digest
from whence_common.errors import RoadError
from whence_common.image_evidence import fallback_tag
from whence_common.image_reference import ImageReference
from whence_common.registry_address import RegistryPlace
from whence_common.registry_sign_in import Login
from whence_common.settings_file import SettingsInvalid

HTPASSWD = "robot:$2y$05$abcdefghijklmnopqrstuuHNzobToyoUx/XDeHA.0qHXOcixZPlSm\n"
ROBOT = Login(username="robot", password="hunter2hunter2")
LAYER = b"layer of a test"


@dataclass(frozen=True)
class Registries:
    """The same images behind nothing, behind htpasswd and behind tokens."""

    open: str
    basic: str
    token: str
    tokens: TokenServer
    digest: str

    def place(self, host: str) -> RegistryPlace:
        return RegistryPlace(registry=host, token_hosts=frozenset({self.tokens.host}))


@pytest.fixture(scope="module")
async def registries(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Registries]:
    directory = tmp_path_factory.mktemp("roads")
    made = await loopback_certificates(directory)
    (directory / "htpasswd").write_text(HTPASSWD, encoding="ascii")
    async with AsyncExitStack() as stack:
        tokens = await stack.enter_async_context(TokenServer(certificate=made.certificate, key=made.key).serve())
        bearer = {"realm": tokens.realm, "service": SERVICE, "issuer": ISSUER, "rootcertbundle": str(made.authority)}
        htpasswd = {"realm": "roads", "path": str(directory / "htpasswd")}
        anybody = await stack.enter_async_context(docker_registry(directory, directory))
        basic = await stack.enter_async_context(
            docker_registry(directory, directory, auth={"htpasswd": htpasswd}, name="basic")
        )
        token = await stack.enter_async_context(
            docker_registry(directory, directory, auth={"token": bearer}, name="token")
        )
        session = await stack.enter_async_context(aiohttp.ClientSession(auto_decompress=False))
        digest = ""
        for path in ("private/app", "public/app"):
            pusher = Pusher(session, anybody, path)
            layer, config = await pusher.blob(LAYER), await pusher.blob(b"{}")
            document = {
                "schemaVersion": 2, "mediaType": MANIFEST,
                "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2},
                "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": len(LAYER)}],
            }  # fmt: skip
            digest, _ = await pusher.manifest("1.0", document)
        yield Registries(open=anybody, basic=basic, token=token, tokens=tokens, digest=digest)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(auto_decompress=False) as opened:
        yield opened


def file_logins(path: Path, host: str, content: bytes | None = None) -> FileLogins:
    if content is not None:
        path.write_bytes(content)
    return FileLogins(path=path, host=host, token_user="", seconds=time.monotonic)


def images(session: aiohttp.ClientSession, place: RegistryPlace, logins: Logins | None = None) -> RegistryImages:
    return RegistryImages(sessions={place.registry: road(session, place, logins)}, windows=Windows())


def docker_config(host: str, **entry: str) -> bytes:
    return json.dumps({"auths": {host: entry}}).encode()


# --- signing in, at the real registry


@pytest.mark.parametrize("kind", ["basic", "token"])
@pytest.mark.parametrize("form", ["plain", "docker"])
async def test_the_aggregator_reads_images_signed_in_as_the_registry_wants(
    session: aiohttp.ClientSession, registries: Registries, tmp_path: Path, kind: str, form: str
) -> None:
    host = getattr(registries, kind)
    content = (
        b"robot:hunter2hunter2" if form == "plain" else docker_config(host, username="robot", password=ROBOT.password)
    )
    reader = images(session, registries.place(host), file_logins(tmp_path / "login", host, content))
    assert await reader.manifest(f"{host}/private/app", registries.digest) is not None
    assert await reader.blob(f"{host}/private/app", sha256_digest(LAYER)) == LAYER
    assert (await reader.layer(f"{host}/private/app", sha256_digest(LAYER))).outcome == "unreadable"
    assert await reader.manifest(f"{host}/private/app", "sha256:" + "0" * 64) is None


@pytest.mark.parametrize("name", ["token", "access_token"])
async def test_an_identity_token_is_exchanged_by_a_form(
    session: aiohttp.ClientSession, registries: Registries, tmp_path: Path, name: str
) -> None:
    host, registries.tokens.field_name = registries.token, name
    content = docker_config(host, identitytoken="hunter2-identity")
    reader = images(session, registries.place(host), file_logins(tmp_path / "login", host, content))
    assert await reader.manifest(f"{host}/private/app", "1.0") is not None
    assert registries.tokens.asked[-1] == ("POST", "robot", ("repository:private/app:pull",))
    registries.tokens.field_name = "token"


async def test_a_public_image_is_read_with_an_anonymous_token_and_a_private_one_is_not(
    session: aiohttp.ClientSession, registries: Registries
) -> None:
    host = registries.token
    reader = images(session, registries.place(host))
    assert await reader.manifest(f"{host}/public/app", "1.0") is not None
    assert registries.tokens.asked[-1][:2] == ("GET", "")
    with pytest.raises(SourceUnavailable) as caught:
        await reader.manifest(f"{host}/private/app", "1.0")
    assert caught.value.code == "registry-denied"
    assert host in caught.value.message


async def test_an_agent_resolves_at_both(session: aiohttp.ClientSession, registries: Registries) -> None:
    for host in (registries.basic, registries.token):
        agent = OciRegistry(
            http=RegistryReads(
                session=session, places={host: registries.place(host)}, lookup=system_lookup, now=utc_now
            ),
            processor=this_processor(),
        )
        reference = ImageReference.parse(f"{host}/private/app:1.0")
        assert (await agent.resolve(reference, ROBOT)).digest == registries.digest
        with pytest.raises(RegistryRefused) as caught:
            await agent.resolve(reference, Login(username="robot", password="hunter2-wrong"))
        assert (caught.value.code, caught.value.retryable) == ("registry-unauthorised", False)
        assert "hunter2" not in caught.value.diagnostics()


async def test_a_build_attests_at_both(registries: Registries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    for host in (registries.basic, registries.token):
        entry = {"username": "robot", "password": "hunter2hunter2"}
        (tmp_path / "config.json").write_bytes(docker_config(host, **entry))
        client = RegistryClient(ImageReference.parse(f"{host}/private/app:1.0"), token_hosts=(registries.tokens.host,))
        pushed = await asyncio.to_thread(client.push_blob, b"attested at " + host.encode())
        assert pushed == sha256_digest(b"attested at " + host.encode())
        assert sha256_digest(await asyncio.to_thread(client.manifest, "1.0")) == registries.digest
    foreign = RegistryClient(ImageReference.parse(f"{registries.token}/private/app:1.0"))
    with pytest.raises(RoadError) as caught:
        await asyncio.to_thread(foreign.manifest, "1.0")
    assert caught.value.code == "registry-realm-foreign"


async def test_a_token_is_kept_while_it_holds_and_renewed_when_it_expires(
    session: aiohttp.ClientSession, registries: Registries, tmp_path: Path
) -> None:
    host, now = registries.token, [1000.0]
    logins = file_logins(tmp_path / "login", host, b"robot:hunter2hunter2")
    reader = RegistryImages(
        sessions={
            host: RegistrySession(
                session=session, place=registries.place(host), logins=logins, seconds=lambda: now[0], lookup=addresses
            )
        },
        windows=Windows(),
    )
    before = len(registries.tokens.asked)
    for _ in range(3):
        assert await reader.manifest(f"{host}/private/app", "1.0") is not None
    assert len(registries.tokens.asked) - before == 1
    now[0] += 269
    assert await reader.manifest(f"{host}/private/app", "1.0") is not None
    assert len(registries.tokens.asked) - before == 1
    now[0] += 2
    assert await reader.manifest(f"{host}/private/app", "1.0") is not None
    assert len(registries.tokens.asked) - before == 2


async def test_a_token_that_ends_before_its_time_is_renewed(
    session: aiohttp.ClientSession, registries: Registries, tmp_path: Path
) -> None:
    async with GuardedRegistry(backend=registries.open, kind="bearer").serve() as guard:
        reader = images(
            session,
            RegistryPlace(registry=guard.host),
            file_logins(tmp_path / "login", guard.host, b"robot:hunter2hunter2"),
        )
        assert await reader.manifest(f"{guard.host}/private/app", "1.0") is not None
        guard._tokens.clear()
        assert await reader.manifest(f"{guard.host}/private/app", "1.0") is not None


@pytest.mark.parametrize("kind", ["basic", "token"])
async def test_a_wrong_login_is_shown_once_and_a_corrected_file_is_read_again(
    session: aiohttp.ClientSession, registries: Registries, tmp_path: Path, kind: str
) -> None:
    login = tmp_path / "login"
    host = getattr(registries, kind)
    async with GuardedRegistry(backend=registries.open, kind="basic" if kind == "basic" else "bearer").serve() as guard:
        host = guard.host
        reader = images(session, RegistryPlace(registry=host), file_logins(login, host, b"robot:hunter2-wrong"))

        async def refused() -> SourceUnavailable:
            with pytest.raises(SourceUnavailable) as caught:
                await reader.manifest(f"{host}/private/app", "1.0")
            return caught.value

        said = await asyncio.gather(*(refused() for _ in range(8)))
        assert {one.code for one in said} == {"sign-in-refused"}
        assert host in said[0].message
        assert str(login) in said[0].message
        assert said[0].fix
        assert "hunter2" not in said[0].diagnostics()
        assert len([one for one in guard.seen if one[1].startswith("Basic ")]) <= (8 if kind == "basic" else 1)
        shown = len(guard.seen)
        await refused()
        assert len([one for one in guard.seen[shown:] if one[1]]) == 0
        login.write_bytes(b"robot:hunter2hunter2")
        assert await reader.manifest(f"{host}/private/app", "1.0") is not None


async def test_a_login_is_not_shown_to_a_realm_elsewhere(
    session: aiohttp.ClientSession, registries: Registries, tmp_path: Path
) -> None:
    host, before = registries.token, len(registries.tokens.asked)
    reader = images(
        session, RegistryPlace(registry=host), file_logins(tmp_path / "login", host, b"robot:hunter2hunter2")
    )
    with pytest.raises(SourceUnavailable) as caught:
        await reader.manifest(f"{host}/private/app", "1.0")
    assert caught.value.code == "registry-realm-foreign"
    assert "token_hosts" in caught.value.fix
    assert len(registries.tokens.asked) == before


@pytest.mark.parametrize("content", [None, b"", b"hunter2", b'{"auths": {}}'])
def test_a_login_file_that_cannot_be_used_is_found_at_the_start(tmp_path: Path, content: bytes | None) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        file_logins(tmp_path / "login", "r.example.org", content).check()
    assert "r.example.org" in caught.value.message
    assert str(tmp_path / "login") in caught.value.message
    assert "hunter2" not in caught.value.diagnostics()


# --- backends that redirect


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirected_blobs_are_read_and_the_login_stays_at_home(
    session: aiohttp.ClientSession, registries: Registries, tmp_path: Path, status: int
) -> None:
    async with GuardedRegistry(backend=registries.open, kind="open").serve() as storage:
        guard = GuardedRegistry(backend=registries.open, redirect_blobs_to=storage.host, redirect_status=status)
        async with guard.serve():
            logins = file_logins(tmp_path / "login", guard.host, b"robot:hunter2hunter2")
            reader = images(session, RegistryPlace(registry=guard.host, blob_hosts=frozenset({storage.host})), logins)
            assert await reader.blob(f"{guard.host}/private/app", sha256_digest(LAYER)) == LAYER
            assert await reader.layer(f"{guard.host}/private/app", sha256_digest(LAYER)) is not None
        assert storage.seen
        assert storage.shown() == set()


async def test_a_redirect_by_name_to_a_private_address_is_refused_unless_it_is_named(
    session: aiohttp.ClientSession,
) -> None:
    own = road(session, RegistryPlace(registry="192.0.2.1", blob_hosts=frozenset({"named.example.org"})))
    with pytest.raises(RoadError) as caught:
        await own._targets("https://127.0.0.1/x")
    assert caught.value.code == "registry-redirect"
    await own._targets("https://named.example.org/x")


@pytest.mark.parametrize(
    "answer, code",
    [
        (Answer(endless=True), "registry-answer-too-large"),
        (Answer(body=b'{"manifests": []}', cut_off=True), "registry-unreachable"),
        (Answer(status=307, headers={"Location": "/v2/demo/x/manifests/1.0"}), "registry-redirects"),
    ],
)
async def test_a_build_never_takes_part_of_a_manifest_for_the_whole(answer: Answer, code: str) -> None:
    async with misbehaving(answer) as host:
        client = RegistryClient(ImageReference.parse(f"{host}/demo/x:1.0"))
        with pytest.raises(RoadError) as caught:
            await asyncio.to_thread(client.find_manifest, "1.0")
        assert caught.value.code == code


# --- referrers


@pytest.mark.parametrize("status", [303, 400, 401, 403, 404, 405, 406, 501, 200])
async def test_a_registry_without_referrers_loses_that_road_only(
    session: aiohttp.ClientSession, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    bundle = b'{"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json"}'
    layers = [{"mediaType": BUNDLE, "digest": sha256_digest(bundle), "size": len(bundle)}]
    referrer = json.dumps(
        {"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": BUNDLE, "layers": layers}
    ).encode()
    entry = {"mediaType": MANIFEST, "digest": sha256_digest(referrer), "size": len(referrer), "artifactType": BUNDLE}
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}).encode()
    digest = "sha256:" + "a" * 64
    answers = {
        f"referrers/{digest}": Answer(status=status, body=b"<html>", headers={"Location": "/login"}),
        f"manifests/{fallback_tag(digest)}": Answer(body=index, headers={"Content-Type": INDEX}),
        f"manifests/{sha256_digest(referrer)}": Answer(body=referrer, headers={"Content-Type": MANIFEST}),
        f"blobs/{sha256_digest(bundle)}": Answer(body=bundle),
    }
    async with misbehaving(answers) as host:
        assert await images(session, RegistryPlace(registry=host)).referrers(f"{host}/demo/x", digest) is None
        agent = OciRegistry(
            http=RegistryReads(session=session, places={}, lookup=system_lookup, now=utc_now),
            processor=this_processor(),
        )
        reference = ImageReference.parse(f"{host}/demo/x@{digest}")
        assert await agent._referrers(_access(host), reference, digest) == index


async def test_a_list_of_referrers_is_read_page_by_page(session: aiohttp.ClientSession) -> None:
    digest = "sha256:" + "a" * 64
    pages = [json.dumps({"manifests": [{"digest": name}]}).encode() for name in "abc"]
    answers = {
        f"referrers/{digest}": Answer(body=pages[0], headers={"Link": '</v2/demo/x/second>; rel="next"'}),
        "/second": Answer(body=pages[1], headers={"Link": '</v2/demo/x/third>; rel="next"'}),
        "/third": Answer(body=pages[2]),
    }
    async with misbehaving(answers) as host:
        reader, agent = (
            images(session, RegistryPlace(registry=host)),
            OciRegistry(
                http=RegistryReads(session=session, places={}, lookup=system_lookup, now=utc_now),
                processor=this_processor(),
            ),
        )
        reference = ImageReference.parse(f"{host}/demo/x@{digest}")
        of_agent = await agent._referrers(_access(host), reference, digest)
        for found in (await reader.referrers(f"{host}/demo/x", digest), of_agent):
            assert found is not None
            assert [one["digest"] for one in json.loads(found)["manifests"]] == ["a", "b", "c"]
        answers[f"referrers/{digest}"] = Answer(body=pages[0], headers={"Link": '</v2/demo/x/broken>; rel="next"'})
        answers["/broken"] = Answer(status=404)
        with pytest.raises(SourceUnavailable):
            await reader.referrers(f"{host}/demo/x", digest)
        with pytest.raises(RegistryRefused):
            await agent._referrers(_access(host), reference, digest)


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_registry_in_trouble_is_not_one_without_referrers(session: aiohttp.ClientSession, status: int) -> None:
    digest = "sha256:" + "a" * 64
    async with misbehaving(Answer(status=status)) as host:
        with pytest.raises(SourceUnavailable):
            await images(session, RegistryPlace(registry=host)).referrers(f"{host}/demo/x", digest)
        agent = OciRegistry(
            http=RegistryReads(session=session, places={}, lookup=system_lookup, now=utc_now),
            processor=this_processor(),
        )
        with pytest.raises(RegistryRefused) as caught:
            await agent._referrers(_access(host), ImageReference.parse(f"{host}/demo/x@{digest}"), digest)
        assert caught.value.retryable


def _access(host: str) -> RepositorySignIn:
    return RepositorySignIn(registry=host, path="demo/x", login=None)
