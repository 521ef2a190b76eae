"""What goes by a proxy and what does not: real connections through a proxy that looks names up itself."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from fakes.clocks import FakeClock, a_day
from fakes.connect_proxy import ConnectProxy
from fakes.metadata_service import MetadataService
from fakes.misbehaving import Answer, misbehaving
from fakes.signing_authority import SigningAuthority
from landscape.certificates import Certificates, loopback_certificates
from landscape.processes import free_port
from whence_agent.adapters.aggregator import HttpAggregator
from whence_agent.adapters.aws import AwsClients
from whence_agent.adapters.aws_cloud import AwsCloud
from whence_agent.adapters.aws_http import S3Objects, SignedHttp
from whence_agent.adapters.by_proxy import ByProxy
from whence_agent.adapters.imds import ImdsMetadata
from whence_agent.adapters.oauth import OAuthIssuer
from whence_agent.adapters.registry_reads import RegistryReads, RepositorySignIn
from whence_agent.adapters.role import GivenKeys
from whence_agent.adapters.sigv4 import AwsKeys
from whence_agent.ports import ObjectUnavailable, RegistryRefused, SecretUnavailable
from whence_agent.ports_aggregator import AggregatorUnavailable
from whence_agent.ports_cloud import CloudRefused
from whence_agent.proxies import Proxies
from whence_common.clock import utc_now
from whence_common.registry_address import RegistryPlace

NAME = "pierone.example.org"
LOGIN = "user:hunter2hunter2"


@pytest.fixture(scope="module")
async def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return await loopback_certificates(tmp_path_factory.mktemp("tls"))


@asynccontextmanager
async def sending(proxies: Proxies) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(auto_decompress=False, middlewares=(ByProxy(proxies),)) as session:
        yield session


def by(proxy: ConnectProxy, *no_proxy: str, login: str = "") -> Proxies:
    url = proxy.url.replace("//", f"//{login}@") if login else proxy.url
    return Proxies(https=url, http=url, no_proxy=no_proxy)


@asynccontextmanager
async def tls_aggregator(certificates: Certificates) -> AsyncIterator[tuple[int, list[str]]]:
    """An aggregator with a name that only the proxy can look up; records what `Authorization` it is shown."""
    shown: list[str] = []

    async def challenge(request: web.Request) -> web.Response:
        shown.append(request.headers.get("Authorization", "") + request.headers.get("Proxy-Authorization", ""))
        return web.json_response({"challenge": "n", "audience": "a"})

    application = web.Application()
    application.router.add_post("/v1/challenges", challenge)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates.certificate, certificates.key)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        yield runner.addresses[0][1], shown
    finally:
        await runner.cleanup()


async def test_https_goes_by_connect_to_the_name_and_tls_is_with_the_far_end(
    certificates: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine {NAME} login mine password s3cret-of-netrc\n", encoding="ascii")
    monkeypatch.setenv("NETRC", str(netrc))
    async with (
        tls_aggregator(certificates) as (port, shown),
        ConnectProxy({NAME: port}, login=LOGIN).serve() as proxy,
        sending(by(proxy, login=LOGIN)) as session,
    ):
        aggregator = HttpAggregator(session=session, url=f"https://{NAME}", ca_file=str(certificates.authority))
        assert (await aggregator.challenge()).nonce == "n"
        assert proxy.asked == [f"CONNECT {NAME}:443"]
        assert shown == [""], "neither the proxy's credentials nor those of a netrc file reach the far end"
        untrusting = HttpAggregator(session=session, url=f"https://{NAME}", ca_file=None)
        with pytest.raises(AggregatorUnavailable, match="ClientConnectorCertificateError"):
            await untrusting.challenge()


async def test_http_goes_by_the_proxy_in_absolute_form() -> None:
    async with misbehaving(Answer(body=b'{"access_token": "T"}')) as host:
        port = int(host.rpartition(":")[2])
        async with (
            ConnectProxy({"tokens.example.org": port}, login=LOGIN).serve() as proxy,
            sending(by(proxy, login=LOGIN)) as session,
        ):
            issuer = OAuthIssuer(session=session, url="http://tokens.example.org/token")
            for _ in range(2):
                assert (await issuer.client_credentials({}, ())).token == "T"
            assert set(proxy.asked) == {"POST http://tokens.example.org/token"}


async def test_hosts_of_no_proxy_loopback_and_the_metadata_service_are_asked_directly(
    authority: SigningAuthority,
) -> None:
    async with (
        MetadataService("i-0123456789abcdef0", b"#taupage", authority).serve() as metadata,
        ConnectProxy().serve() as proxy,
        sending(by(proxy, "10.0.0.0/8")) as session,
    ):
        assert (await ImdsMetadata(session=session, url=metadata.url).read()).user_data == b"#taupage"
        assert proxy.asked == []


async def test_a_proxy_that_refuses_or_is_away_is_named_without_its_credentials() -> None:
    async with ConnectProxy({}, login=LOGIN).serve() as proxy:
        for login, said in (
            ("user:wrong-hunter", "the proxy refuses the connection with HTTP 407: its credentials"),
            (LOGIN, "the proxy refuses the connection with HTTP 502"),
        ):
            async with sending(by(proxy, login=login)) as session:
                with pytest.raises(AggregatorUnavailable) as caught:
                    await HttpAggregator(session=session, url=f"https://{NAME}", ca_file=None).challenge()
            assert said in caught.value.message
            assert "hunter" not in caught.value.diagnostics()
    away = ConnectProxy(port=free_port())
    async with sending(by(away, login=LOGIN)) as session:
        with pytest.raises(SecretUnavailable) as secret:
            await OAuthIssuer(session=session, url=f"https://{NAME}/token").client_credentials({}, ())
    assert f"the proxy at 127.0.0.1:{away.port} is unreachable" in secret.value.message
    assert secret.value.retryable
    assert "hunter" not in secret.value.diagnostics()


async def test_aws_is_asked_by_the_proxy_and_endpoints_of_no_proxy_are_not() -> None:
    clock, keys = FakeClock(), GivenKeys(AwsKeys("AKIAEXAMPLEEXAMPLE12", "secret"))
    clock.moment = datetime.now(UTC)
    async with ConnectProxy().serve() as proxy, sending(by(proxy)) as session:
        clients = AwsClients(keys=keys, endpoint_url=None, region=lambda: "eu-central-1", proxies=by(proxy))
        cloud = AwsCloud(clients, now=clock, up_seconds=a_day)
        with pytest.raises(CloudRefused) as caught:
            await cloud.terminate("i-1")
        assert (caught.value.code, caught.value.retryable) == ("cloud-unreachable", True)
        with pytest.raises(CloudRefused):
            await cloud.deregister("target-group", "arn:x", instance_id="i-1")
        http = SignedHttp(
            session=session, keys=keys, region=lambda: "eu-central-1", endpoint_url=None, now=clock, up_seconds=a_day
        )
        with pytest.raises(ObjectUnavailable, match="the proxy refuses the connection with HTTP 502"):
            await S3Objects(http).get("mint", "app/user.json", etag=None)
        assert proxy.asked == [
            "CONNECT ec2.eu-central-1.amazonaws.com:443",
            "CONNECT elasticloadbalancing.eu-central-1.amazonaws.com:443",
            "CONNECT mint.s3.eu-central-1.amazonaws.com:443",
        ]


# --- a registry behind a proxy

BLOB = f"blobs/sha256:{'a' * 64}"
REGISTRY = "registry.example.org"


async def nobody_knows(host: str) -> list[str]:
    raise OSError(f"this machine cannot look {host} up")


@pytest.mark.parametrize(
    "location, asked",
    [
        ("http://blobs.example.org/x", "GET http://blobs.example.org/x"),
        ("http://169.254.169.254/latest/meta-data/", ""),
        ("http://10.0.0.7/x", ""),
        ("http://127.0.0.1/x", ""),
        ("http://2130706433/x", ""),
        ("http://blobs.example.org:9200/x", ""),
        ("http://user@blobs.example.org/x", ""),
    ],
)
async def test_a_redirect_is_followed_by_the_proxy_to_public_names_at_their_port_only(
    location: str, asked: str
) -> None:
    answers = {BLOB: Answer(status=307, headers={"Location": location}), "/x": Answer(body=b"layer")}
    async with misbehaving(answers) as host:
        port = int(host.rpartition(":")[2])
        places = {REGISTRY: port, "blobs.example.org": port, "169.254.169.254": port, "10.0.0.7": port}
        async with (
            ConnectProxy(places).serve() as proxy,
            sending(by(proxy)) as session,
            aiohttp.ClientSession() as direct,
        ):
            http = RegistryReads(
                session=session, direct=direct, proxy_for=by(proxy).url_for, lookup=nobody_knows, now=utc_now,
                places={REGISTRY: RegistryPlace(registry=REGISTRY, plain_http=True)},
            )  # fmt: skip
            access = RepositorySignIn(registry=REGISTRY, path="team/app", login=None)
            if asked:
                assert (await http.get(access, BLOB, accept="*/*", bytes_max=9)).content == b"layer"
            else:
                with pytest.raises(RegistryRefused) as caught:
                    await http.get(access, BLOB, accept="*/*", bytes_max=9)
                assert caught.value.code == "registry-redirect"
            assert proxy.asked[1:] == ([asked] if asked else [])


async def test_what_no_proxy_names_is_pinned_as_ever_although_its_address_is_not_in_no_proxy() -> None:
    answers = {"/x": Answer(body=b"layer")}

    async def lookup(name: str) -> list[str]:
        return ["127.0.0.1"]

    async with misbehaving(answers) as host, ConnectProxy().serve() as proxy, aiohttp.ClientSession() as direct:
        port = host.rpartition(":")[2]
        answers[BLOB] = Answer(status=307, headers={"Location": f"http://blobs.internal:{port}/x"})
        proxies = by(proxy, "internal")
        async with sending(proxies) as session:
            http = RegistryReads(
                session=session, direct=direct, proxy_for=proxies.url_for, lookup=lookup, now=utc_now,
                places={host: RegistryPlace(registry=host)},
            )  # fmt: skip
            access = RepositorySignIn(registry=host, path="team/app", login=None)
            assert (await http.get(access, BLOB, accept="*/*", bytes_max=9)).content == b"layer"
        assert proxy.asked == []
