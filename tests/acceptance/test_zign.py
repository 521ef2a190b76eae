"""zign, unmodified: its tokens sign in to the real server through tokeninfo, for kio, pierone and docker's helper."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from fakes.authorization_server import CLIENT, PARTNER, AuthorizationServer, authorization_server
from fakes.signing_authority import SigningAuthority
from landscape.certificates import Certificates, loopback_certificates
from landscape.contract import checked_session
from landscape.front import RunningFront, registry_front
from landscape.whole import ROOT

BIN = ROOT / ".venv-clients" / "bin"
BROWSER = ROOT / "tests" / "fakes" / "browser.py"


@pytest.fixture(scope="module")
async def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return await loopback_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
async def stups() -> AsyncIterator[AuthorizationServer]:
    async with authorization_server() as server:
        yield server


@pytest.fixture
async def front(
    authority: SigningAuthority, stups: AuthorizationServer, certificates: Certificates, tmp_path: Path
) -> AsyncIterator[RunningFront]:
    sign_in = {"tokeninfo_url": stups.tokeninfo_url, "team_url": stups.url}
    async with registry_front(
        tmp_path, tmp_path, authority_pem={"eu-central-1": authority.pem}, certificates=certificates, sign_in=sign_in
    ) as running:
        yield running


@dataclass(frozen=True)
class Desk:
    """A user's machine with STUPS's commands, configured as `stups configure` writes it."""

    home: Path
    environment: Mapping[str, str]

    async def run(self, command: str, *arguments: str) -> tuple[int, str]:
        """Run a command; return its exit code and its output."""
        process = await asyncio.create_subprocess_exec(
            BIN / command, *arguments, env=self.environment, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        async with asyncio.timeout(90):
            output, _ = await process.communicate()
        return process.returncode or 0, output.decode()

    async def token(self, command: str, *arguments: str) -> str:
        """Return the last line of a token command, which is the token."""
        code, said = await self.run(command, "token", *arguments)
        assert code == 0, said
        return said.strip().rpartition("\n")[2]

    def service(self, stups: AuthorizationServer, user: str, password: str) -> Desk:
        """Return the machine of a service, whose credentials mint distributes."""
        (self.home / "user.json").write_text(
            json.dumps({"application_username": user, "application_password": password}), encoding="ascii"
        )
        (self.home / "client.json").write_text(
            json.dumps({"client_id": "robot-client", "client_secret": "s3cret"}), encoding="ascii"
        )
        credentials = {"OAUTH2_ACCESS_TOKEN_URL": stups.token_url, "CREDENTIALS_DIR": str(self.home)}
        return Desk(self.home, {**self.environment, **credentials})


@pytest.fixture
def desk(stups: AuthorizationServer, front: RunningFront, certificates: Certificates, tmp_path: Path) -> Desk:
    home = tmp_path / "home"
    configured = {
        "zalando-token-cli": {
            "authorize_url": stups.authorize_url, "token_url": stups.token_url, "client_id": CLIENT,
            "business_partner_id": PARTNER,
        },
        "kio": {"url": front.url}, "pierone": {"url": front.url},
    }  # fmt: skip
    for name, content in configured.items():
        place = home / ".config" / name
        place.mkdir(parents=True)
        (place / f"{name}.yaml").write_text(json.dumps(content), encoding="ascii")
    environment = {
        **os.environ, "HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config"), "LC_ALL": "C.UTF-8",
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "REQUESTS_CA_BUNDLE": str(certificates.authority),
        "COLUMNS": "300", "BROWSER": f"{sys.executable} {BROWSER} %s &",
    }  # fmt: skip
    return Desk(home, environment)


async def whoami(front: RunningFront, token: str) -> tuple[int, dict[str, object]]:
    said = await front.client(token).ask("GET", "/v1/whoami")
    return said.status, said.json


async def test_a_token_from_zign_signs_in_through_tokeninfo(
    desk: Desk, stups: AuthorizationServer, front: RunningFront
) -> None:
    token = await desk.token("ztoken", "-n", "whence")
    assert stups.calls == [("GET", "authorize")]
    status, found = await whoami(front, token)
    assert (status, found["name"], found["realm"], found["issuer"]) == (200, "ada", "people", "tokeninfo")
    assert (stups.calls[1:], stups.in_urls) == ([("GET", "tokeninfo")], [])
    assert await desk.token("ztoken", "-n", "whence") == token
    assert await desk.token("zign", "-n", "whence", "uid") == token
    assert [one for one in stups.calls if one[1] != "tokeninfo"] == [("GET", "authorize")]


async def test_zign_renews_its_token_and_a_used_renewal_token_is_not_accepted(
    desk: Desk, stups: AuthorizationServer, front: RunningFront
) -> None:
    first = await desk.token("ztoken", "-n", "whence")
    second = await desk.token("ztoken", "-n", "whence", "--refresh")
    assert second != first
    assert stups.calls == [("GET", "authorize"), ("POST", "refresh_token")]
    assert (await whoami(front, second))[0] == 200
    assert len(stups.refreshes) == 1


async def test_a_revoked_or_foreign_token_signs_in_nowhere(
    desk: Desk, stups: AuthorizationServer, front: RunningFront
) -> None:
    token = await desk.token("ztoken", "-n", "whence")
    stups.revoke()
    assert (await whoami(front, token))[0] == 401
    assert (await front.client(token, basic=True).ask("GET", "/v2/")).status == 401


async def test_a_user_who_refuses_at_the_authorization_server_has_no_token(
    desk: Desk, stups: AuthorizationServer
) -> None:
    stups.signed_in = ""
    code, _ = await desk.run("ztoken", "token", "-n", "whence")
    assert (code != 0, stups.owners) == (True, {})


async def test_kio_and_pierone_work_with_zigns_tokens(
    desk: Desk, stups: AuthorizationServer, front: RunningFront
) -> None:
    code, said = await desk.run("kio", "applications", "create", "greeter", "name=Greeter", "team_id=alpha")
    assert (code, "OK" in said) == (0, True), said
    code, said = await desk.run("kio", "applications", "create", "other", "name=Other", "team_id=beta")
    assert (code, "403" in said or "may not write" in said) == (1, True), said
    code, said = await desk.run("kio", "applications", "list", "-o", "json")
    assert (code, [row["id"] for row in json.loads(said[said.index("[") :])]) == (0, ["greeter"]), said
    await front.client().push("alpha/app", "1.0", b"layer")
    code, said = await desk.run("pierone", "teams", "-o", "tsv")
    assert (code, said.endswith("name\nalpha\n")) == (0, True), said
    assert [call for call in stups.calls if call[0] == "POST"] == [("POST", "refresh_token")]
    assert stups.in_urls == []


async def test_pierone_login_has_docker_push_with_zigns_token(
    desk: Desk, stups: AuthorizationServer, front: RunningFront
) -> None:
    code, said = await desk.run("pierone", "login", "--url", front.url)
    assert code == 0, said
    configured = json.loads((desk.home / ".docker" / "config.json").read_bytes())
    assert configured["credHelpers"] == {"127.0.0.1": "pierone"}
    await desk.token("ztoken", "-n", "pierone")
    code, said = await desk.run("docker-credential-pierone", "get")
    given = json.loads(said)
    assert (code, given["Username"]) == (0, "oauth2")
    client = front.client(given["Secret"], basic=True)
    await client.push("alpha/app", "1.0", b"layer")
    said_of_beta = await client.ask("POST", "/v2/beta/app/blobs/uploads/")
    assert (said_of_beta.status, said_of_beta.code) == (403, "DENIED")
    tags = (await client.ask("GET", "/teams/alpha/artifacts/app/tags")).json
    assert [(one["name"], one["created_by"]) for one in tags] == [("1.0", "ada")]


async def test_a_service_signs_in_by_the_older_password_grant(
    desk: Desk, stups: AuthorizationServer, front: RunningFront
) -> None:
    service = desk.service(stups, "stups_robot", "hunter2hunter2")
    token = await service.token("zign", "uid", "application.write")
    assert stups.calls == [("POST", "password")]
    status, found = await whoami(front, token)
    assert (status, found["name"], found["realm"]) == (200, "stups_robot", "services")
    await front.client(token, basic=True).push("alpha/robot", "1.0", b"layer")
    without = await service.token("zign", "uid")
    said = await front.client(without, basic=True).ask("POST", "/v2/alpha/robot/blobs/uploads/")
    assert (said.status, said.json["errors"][0]["message"]) == (
        403, "stups_robot may not push for team alpha: the scope application.write is missing",
    )  # fmt: skip


async def test_a_token_in_a_url_signs_in_nowhere(desk: Desk, front: RunningFront) -> None:
    token = await desk.token("ztoken", "-n", "whence")
    async with checked_session(front.url) as session, session.get(
        f"{front.url}/v1/whoami", params={"access_token": token}, ssl=False
    ) as answer:  # fmt: skip
        assert answer.status == 401
