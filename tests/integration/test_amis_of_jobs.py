"""CI jobs record statements about AMIs by their own tokens: of the names that their rule lists, and of no others."""

from __future__ import annotations

import asyncio
import io
import json
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from fakes.image_builder import REGION, ImageBuilder, deb
from fakes.issuer import AUDIENCE, GITHUB_CLAIMS, OTHER_RSA_KEY, Issuer, issuer
from fakes.signing_authority import SigningAuthority
from landscape.programs import BIN, Aggregator, aggregator
from whence_common.digest import sha256_digest

BUILDER = ImageBuilder()
IMAGES = {"team": "platform", "project_id": "1001", "refs": ["refs/heads/main"], "amis": ["Whence-AMI-*", "bastion"]}
RULES = [
    IMAGES,
    {"team": "platform", "project_id": "1001", "refs": ["refs/heads/next"]},
    {"team": "hello", "project_id": "2002", "refs": ["refs/heads/main"]},
    {"team": "other", "project_id": "3003", "refs": ["refs/heads/main"], "amis": ["Other-*"]},
]
OURS, OTHERS = "Whence-AMI-debian-12-amd64-7", "Other-1"
NUMBERS = count(1)


@dataclass
class Running:
    """An aggregator that trusts one builder and one CI system."""

    served: Aggregator
    ci: Issuer

    async def exchange(self, key: Any = None, **changes: object) -> tuple[int, dict[str, Any]]:
        """Exchange the token of a job; return the status and the answer."""
        claims: dict[str, Any] = {
            **GITHUB_CLAIMS, "jti": f"job-{next(NUMBERS)}", "client_id": None, "groups": None, **changes,
        }  # fmt: skip
        token = self.ci.mint(header={"typ": "JWT"}, **({"key": key} if key else {}), **claims)
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "subject_token": token,
        }  # fmt: skip
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.served.url}/v1/token", data=form) as answer,
        ):
            return answer.status, await answer.json(content_type=None)

    async def session(self, **changes: object) -> str:
        status, answer = await self.exchange(**changes)
        assert status == 200, answer
        return str(answer["access_token"])

    async def ask(self, token: str, method: str, path: str, content: bytes = b"") -> tuple[int, str]:
        """Return the status and the code of the answer."""
        headers = {"Authorization": f"Bearer {token}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.request(method, self.served.url + path, data=io.BytesIO(content) if content else None) as answer,
        ):
            return answer.status, str((await answer.json(content_type=None)).get("code", ""))

    async def record(self, token: str, content: bytes) -> tuple[int, str]:
        return await self.ask(token, "POST", "/v1/amis", content)


@pytest.fixture(scope="module")
async def running(authority: SigningAuthority, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    directory = tmp_path_factory.mktemp("amis-of-jobs")
    (directory / "builder.pem").write_bytes(BUILDER.public_pem)
    builders = [{"id": BUILDER.builder_id, "key_file": str(directory / "builder.pem")}]
    async with issuer(time.time) as ci:
        workload = {"issuer": ci.url, "provider": "github", "audiences": [AUDIENCE], "rules": RULES}
        async with aggregator(
            directory, directory, authority_pem={REGION: authority.pem}, ami_builders=builders,
            sign_in={"workloads": [workload]},
        ) as served:  # fmt: skip
            yield Running(served, ci)


def ami() -> str:
    return f"ami-{next(NUMBERS):017x}"


def statement(*amis: str, name: str = OURS, builder: ImageBuilder = BUILDER, version: str = "1") -> bytes:
    return builder.submission(builder.payload(deb("vim", version), name=name), *((REGION, one) for one in amis))


async def test_a_job_attests_the_ami_that_it_built_by_the_command_and_by_its_session(
    running: Running, tmp_path: Path
) -> None:
    (tmp_path / "build.key").write_bytes(BUILDER.private_pem)
    (tmp_path / "statement.json").write_bytes(BUILDER.payload(name=OURS))
    image_id, environment = ami(), {**os.environ, "WHENCE_URL": running.served.url, "HOME": "/nonexistent"}
    process = await asyncio.create_subprocess_exec(
        BIN / "whence", "attest", tmp_path / "statement.json", "--key", tmp_path / "build.key", "--ami", image_id,
        "--region", REGION, env={**environment, "WHENCE_TOKEN": await running.session()},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    assert (process.returncode, output.decode().splitlines()[-1]) == (0, sha256_digest(BUILDER.payload(name=OURS)))
    shown = await running.served.get(f"/v1/amis/{image_id}")
    assert [one["recorded_by"] for one in shown["statements"]] == ["github:hello/greeter"]


@pytest.mark.parametrize("name", ["bastion", "Whence-AMI-x"])
async def test_a_name_or_a_beginning_of_the_rule_is_enough(running: Running, name: str) -> None:
    assert (await running.record(await running.session(), statement(ami(), name=name)))[0] == 201


@pytest.mark.parametrize("name", ["Other-1", "bastion-2", "Whence-AMI-", "whence-AMI-1", "x-Whence-AMI-1"])
async def test_a_job_is_refused_the_statement_of_another_name_and_nothing_is_recorded(
    running: Running, name: str
) -> None:
    image_id = ami()
    assert await running.record(await running.session(), statement(image_id, name=name)) == (403, "ami-name-forbidden")
    assert (await running.served.get(f"/v1/amis/{image_id}"))["status"] == 404


async def test_a_job_is_refused_to_name_amis_of_a_statement_of_another_name_by_its_digest(running: Running) -> None:
    content = statement(name=OTHERS)
    assert (await running.record(running.served.token, content))[0] == 201
    digest = sha256_digest(BUILDER.payload(deb("vim", "1"), name=OTHERS))
    body = BUILDER.submission(digest, (REGION, ami()))
    assert await running.record(await running.session(), body) == (403, "ami-name-forbidden")


async def test_a_job_cannot_contradict_the_statement_of_an_ami_of_another_name(running: Running) -> None:
    image_id = ami()
    assert (await running.record(running.served.token, statement(image_id, name=OTHERS)))[0] == 201
    session = await running.session()
    assert await running.record(session, statement(image_id)) == (403, "ami-of-others")
    assert (await running.served.get(f"/v1/amis/{image_id}"))["state"] == "confirmed"


async def test_a_contradiction_among_its_own_names_is_recorded(running: Running) -> None:
    image_id, session = ami(), await running.session()
    assert (await running.record(session, statement(image_id)))[0] == 201
    assert (await running.record(session, statement(image_id, version="2")))[0] == 201
    assert (await running.served.get(f"/v1/amis/{image_id}"))["state"] == "contradicted"


async def test_a_job_needs_a_trusted_builders_signature_too(running: Running) -> None:
    session = await running.session()
    assert await running.record(session, statement(ami(), builder=ImageBuilder())) == (403, "ami-signer-untrusted")
    other = ImageBuilder("https://other.example.org", BUILDER.key)
    assert await running.record(session, statement(ami(), builder=other)) == (403, "ami-builder-other")


@pytest.mark.parametrize(
    "changes",
    [{"repository_id": "2002", "repository": "hello/other"}, {"ref": "refs/heads/next"}],
    ids=["another repository", "another ref"],
)
async def test_a_job_whose_rule_lists_no_amis_may_push_and_record_nothing(
    running: Running, changes: dict[str, object]
) -> None:
    session = await running.session(**changes)
    assert await running.record(session, statement(ami())) == (403, "read-forbidden")


async def test_the_names_of_another_repositorys_rule_do_not_count(running: Running) -> None:
    session = await running.session(repository_id="3003", repository="other/images")
    assert await running.record(session, statement(ami())) == (403, "ami-name-forbidden")
    assert (await running.record(session, statement(ami(), name="Other-2")))[0] == 201


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"repository_id": "9"}, "workload-project"),
        ({"ref": "refs/heads/feature"}, "workload-ref"),
        ({"ref_protected": "false"}, "workload-ref-unprotected"),
        ({"event_name": "pull_request_target"}, "workload-event"),
        ({"aud": "https://elsewhere.example"}, "token-audience"),
        ({"exp": 1}, "token-expired"),
        ({"key": OTHER_RSA_KEY}, "token-signature"),
    ],
)
async def test_a_token_that_does_not_fit_gets_no_session(running: Running, changes: dict[str, Any], said: str) -> None:
    status, answer = await running.exchange(**changes)
    assert (status in (401, 403), answer["code"]) == (True, said)


async def test_the_token_itself_and_a_session_on_other_paths_get_nothing(running: Running) -> None:
    raw = running.ci.mint(header={"typ": "JWT"}, **{**GITHUB_CLAIMS, "client_id": None, "groups": None})
    assert (await running.record(raw, statement(ami())))[0] == 401
    session = await running.session()
    for method, path in (("GET", "/v1/amis/ami-12c6146b"), ("GET", "/v1/instances"), ("POST", "/v1/findings")):
        assert await running.ask(session, method, path) == (403, "read-forbidden"), path
    changed = session[:-8] + "AAAAAAAA"
    assert (await running.record(changed, statement(ami())))[0] == 401


async def test_who_it_is_shows_the_right_of_a_job(running: Running) -> None:
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {await running.session()}"}) as session,
        session.get(f"{running.served.url}/v1/whoami") as answer,
    ):
        found = json.loads(await answer.read())
    assert (found["rights"], found["teams"]) == (["amis"], ["platform"])
