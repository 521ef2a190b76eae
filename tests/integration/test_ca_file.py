"""`whence --ca-file`: a private authority is trusted beside the system's, and nothing is ever left unverified."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from landscape.certificates import Certificates, loopback_certificates
from landscape.processes import ended
from landscape.programs import BIN
from whence_aggregator.whence.client import Client, trusting
from whence_aggregator.whence.login.provider import IdentityProvider
from whence_common.errors import InputError, RoadError


@pytest.fixture(scope="module")
async def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return await loopback_certificates(tmp_path_factory.mktemp("tls"))


@asynccontextmanager
async def served(certificates: Certificates, address: str = "127.0.0.1") -> AsyncIterator[int]:
    """Serve an empty list over TLS; give the port."""

    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"instances": [], "next": None})

    application = web.Application()
    application.router.add_get("/{path:.*}", answer)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates.certificate, certificates.key)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, address, 0, ssl_context=context)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


async def whence(port: int, *arguments: str, host: str = "127.0.0.1", **environment: str) -> tuple[int, str]:
    done = await ended(
        BIN / "whence", *arguments, "instances", "--json", merged=True, inherited={},
        environment={"WHENCE_URL": f"https://{host}:{port}", **environment},
    )  # fmt: skip
    return done.code, done.out


async def test_an_unknown_authority_is_refused_with_a_fix(certificates: Certificates) -> None:
    async with served(certificates) as port:
        code, output = await whence(port)
    assert code == 3
    assert "the certificate is not trusted: unable to get local issuer certificate" in output
    assert "--ca-file FILE or WHENCE_CA_FILE" in output


async def test_the_authority_is_named_by_option_or_by_environment(certificates: Certificates) -> None:
    async with served(certificates) as port:
        assert (await whence(port, "--ca-file", str(certificates.authority)))[0] == 0
        assert (await whence(port, WHENCE_CA_FILE=str(certificates.authority)))[0] == 0


async def test_another_name_is_refused_although_the_authority_is_known(certificates: Certificates) -> None:
    async with served(certificates, "127.0.0.2") as port:
        code, output = await whence(port, "--ca-file", str(certificates.authority), host="127.0.0.2")
    assert code == 3
    assert "use the certificate's host name" in output


async def test_a_file_that_holds_no_certificate_is_named(certificates: Certificates, tmp_path: Path) -> None:
    for name in (certificates.key, tmp_path / "missing.pem"):
        with pytest.raises(InputError, match=f"{name.name}.*(not a certificate in PEM|No such file)"):
            Client(url="https://localhost", token=None, ca_file=str(name))


async def test_the_systems_authorities_stay_trusted_beside_the_file(certificates: Certificates) -> None:
    async with served(certificates) as port:
        client = Client(url=f"https://127.0.0.1:{port}", token=None, ca_file=None)
        with pytest.raises(RoadError, match="not trusted"):
            await asyncio.to_thread(client.get, "/v1/instances")
        code, _ = await whence(
            port, "--ca-file", "/etc/ssl/certs/ca-certificates.crt", SSL_CERT_FILE=str(certificates.authority)
        )
    assert code == 0


async def test_the_file_applies_to_the_identity_provider_of_a_sign_in_too(certificates: Certificates) -> None:
    async with served(certificates) as port:
        issuer = f"https://127.0.0.1:{port}"
        with pytest.raises(RoadError) as caught:
            await asyncio.to_thread(IdentityProvider(issuer, context=trusting(None)).metadata)
        assert (caught.value.code, "--ca-file FILE" in caught.value.fix) == ("certificate-untrusted", True)
        trusted = IdentityProvider(issuer, context=trusting(str(certificates.authority)))
        with pytest.raises(RoadError, match="states another issuer"):  # it answers, over TLS
            await asyncio.to_thread(trusted.metadata)
