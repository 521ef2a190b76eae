"""Statements about AMIs over HTTP and by the command, against a running aggregator: who may send them, and what is shown."""

from __future__ import annotations

import io
import json
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from fakes.image_builder import OPENSSL_OLD, REGION, ImageBuilder, deb
from fakes.signing_authority import SigningAuthority
from landscape.documents import blocks, shell
from landscape.programs import BIN, Aggregator, aggregator
from whence_aggregator.amis.submission import SUBMISSION_BYTES_MAX
from whence_aggregator.callers.tokens import new_token
from whence_common.clock import utc_now
from whence_common.digest import sha256_digest
from whence_common.envelope import seal

BUILDER = ImageBuilder()


@pytest.fixture(scope="module")
async def served(authority: SigningAuthority, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Aggregator]:
    directory = tmp_path_factory.mktemp("amis")
    (directory / "builder.pem").write_bytes(BUILDER.public_pem)
    builders = [{"id": BUILDER.builder_id, "key_file": str(directory / "builder.pem")}]
    (directory / "aggregator").mkdir()
    with (directory / "aggregator/tokens").open("a", encoding="ascii") as stream:
        for name, rights in (("ci", ["amis"]), ("reader", [])):
            now = utc_now()
            token, line = new_token(name, [], admin=False, rights=rights, made=now, until=now + timedelta(days=1))
            (directory / name).write_text(token)
            stream.write(f"{line.to_line()}\n")
    async with aggregator(
        directory, directory, authority_pem={REGION: authority.pem}, ami_builders=builders
    ) as running:
        yield running


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "build.key").write_bytes(BUILDER.private_pem)
    (tmp_path / "statement.json").write_bytes(BUILDER.payload())
    return tmp_path


def ami(number: int) -> str:
    return f"ami-{number:017x}"


async def attest(served: Aggregator, files: Path, image_id: str, *more: str) -> tuple[int, str]:
    return await served.whence(
        "attest", str(files / "statement.json"), "--ami", image_id, "--region", REGION, "--key",
        str(files / "build.key"), *more,
    )  # fmt: skip


async def test_a_build_attests_its_ami_and_a_person_reads_what_it_consists_of(served: Aggregator, files: Path) -> None:
    code, output = await attest(served, files, ami(1))
    digest = sha256_digest(BUILDER.payload())
    assert (code, output.splitlines()[-1]) == (0, digest)
    code, output = await served.whence("ami", ami(1))
    assert code == 0
    for shown in (digest, "5a" * 20, BUILDER.builder_id, "whence-1.2 in eu-central-1", "0 run it"):
        assert shown in output
    code, output = await served.whence("ami", ami(1), "--packages")
    assert code == 0
    assert f"deb     openssl  amd64         {OPENSSL_OLD}" in output
    assert "3 in total" in output
    code, output = await served.whence("ami", ami(1), "--json")
    assert json.loads(output)["state"] == "confirmed"
    code, output = await served.whence("ami", ami(1), "--packages", "--json", "--limit", "1")
    assert [one["name"] for one in json.loads(output)["packages"]] == ["openssl"]


async def test_every_answer_is_as_the_contract_has_it(served: Aggregator, files: Path) -> None:
    assert (await attest(served, files, ami(8)))[0] == 0
    assert (await served.get(f"/v1/amis/{ami(8)}"))["agents"] == []
    assert len((await served.get(f"/v1/amis/{ami(8)}/packages", limit="2"))["packages"]) == 2
    assert (await served.get(f"/v1/amis/{ami(9)}"))["status"] == 404
    found = await served.get("/v1/instances", package="openssl<3.0.17")
    assert (found["instances"], found["packages_known"]["unknown"], found["next"]) == ([], 0, None)
    body = json.loads(BUILDER.submission(sha256_digest(BUILDER.payload()), (REGION, ami(8))))
    async with served.session() as session, session.post(served.url + "/v1/amis", json=body) as answer:
        assert (answer.status, (await answer.json())["new"]) == (200, False)


async def test_a_copy_is_named_by_the_digest_alone(served: Aggregator, files: Path) -> None:
    assert (await attest(served, files, ami(2)))[0] == 0
    digest = sha256_digest(BUILDER.payload())
    code, output = await served.whence("attest", digest, "--ami", f"us-east-1/{ami(3)}")
    assert (code, output.splitlines()[-1]) == (0, digest)
    assert (await served.whence("ami", ami(3)))[0] == 0


async def test_an_envelope_that_was_signed_elsewhere_is_sent_as_it_is(served: Aggregator, files: Path) -> None:
    (files / "statement.json").write_bytes(seal(BUILDER.key, BUILDER.payload(deb("curl", "7.88.1-10"))))
    code, output = await served.whence(
        "attest", str(files / "statement.json"), "--ami", ami(4), "--region", REGION
    )  # fmt: skip
    assert code == 0, output


async def test_a_second_statement_about_an_ami_ends_the_command_with_1(served: Aggregator, files: Path) -> None:
    assert (await attest(served, files, ami(5)))[0] == 0
    (files / "statement.json").write_bytes(BUILDER.payload(deb("curl", "7.88.1-10")))
    code, output = await attest(served, files, ami(5))
    assert code == 1
    assert f"{ami(5)} in {REGION} has another statement" in output
    code, output = await served.whence("ami", ami(5))
    assert (code, "contradicted: 2 statements name this AMI" in output) == (1, True)
    code, output = await served.whence("ami", ami(5), "--packages")
    assert (code, "several statements name it" in output) == (4, True)


async def test_a_key_that_is_not_trusted_is_refused_with_what_to_do(served: Aggregator, files: Path) -> None:
    (files / "build.key").write_bytes(ImageBuilder().private_pem)
    code, output = await attest(served, files, ami(6))
    assert code == 3
    assert "no key of a trusted builder has signed the statement" in output
    assert (await served.whence("ami", ami(6)))[0] == 4


@pytest.mark.parametrize(
    ("content", "arguments", "said"),
    [
        (b"{}", ("--ami", "ami-12c6146b", "--region", REGION), "not a statement"),
        (None, ("--ami", "ami-12c6146b"), "not an AMI in a region"),
        (None, ("--ami", "latest", "--region", REGION), "not an AMI in a region"),
        (None, ("--ami", "ami-12c6146b", "--region", REGION), "is not signed"),
        (None, ("--ami", "ami-12c6146b", "--git", "."), "--ami takes FILE alone"),
        (b"x" * 3_000_000, ("--ami", "ami-12c6146b", "--region", REGION), "is larger than"),
    ],
)
async def test_what_cannot_be_sent_is_refused_before_it_is(
    served: Aggregator, files: Path, content: bytes | None, arguments: tuple[str, ...], said: str
) -> None:
    if content is not None:
        (files / "statement.json").write_bytes(content)
    code, output = await served.whence("attest", str(files / "statement.json"), *arguments)
    assert code == 2
    assert said in output


async def post(served: Aggregator, content: bytes, token: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session,
        session.post(served.url + "/v1/amis", data=io.BytesIO(content)) as answer,
    ):
        return answer.status, str((await answer.json(content_type=None)).get("code"))


async def test_only_a_caller_with_the_right_amis_may_record(served: Aggregator) -> None:
    directory = served.config.parent.parent
    content = BUILDER.submission(BUILDER.payload(deb("nginx", "1")), (REGION, ami(7)))
    assert await post(served, content, (directory / "reader").read_text()) == (403, "amis-forbidden")
    assert await post(served, content, "nobody") == (401, "token-unknown")
    assert (await post(served, content, (directory / "ci").read_text()))[0] == 201
    assert (await post(served, content, (directory / "ci").read_text()))[0] == 200


async def test_hostile_bodies_are_refused_and_the_server_goes_on(served: Aggregator) -> None:
    assert await post(served, b"x" * (SUBMISSION_BYTES_MAX + 1), served.token) == (413, "body-too-large")
    for content in (b"", b"[" * 100_000, b'{"statement": {"payload": "\\u0000"}}', b"\xff\xfe"):
        assert (await post(served, content, served.token))[0] == 400
    assert (await served.get("/ready"))["ready"] in (True, False)


async def test_instances_by_package_are_refused_with_other_filters(served: Aggregator) -> None:
    code, output = await served.whence("instances", "--package", "openssl<3", "--at", "2026-11-22T12:00:00Z")
    assert (code, "package cannot be combined with at" in output) == (2, True)
    code, output = await served.whence("instances", "--package", "openssl<latest")
    assert (code, "is not a version of a deb package" in output) == (2, True)
    code, output = await served.whence("instances", "--unknown")
    assert (code, "--unknown needs --package" in output) == (2, True)
    code, output = await served.whence("instances", "--package", "openssl<3")
    assert (code, "of 0 running instances the package is known of 0" in output) == (0, True)
    code, output = await served.whence("instances", "--package", "opensssl<3")
    assert (code, "no image and no machine has a package of this name" in output) == (0, True)


async def test_the_commands_of_the_chapter_work(served: Aggregator, files: Path) -> None:
    chapter = next(text for name, text in blocks("sh") if name == "aggregator/README.md" and "whence ami ami-" in text)
    (files / "build/ami").mkdir(parents=True)
    (files / "statement.json").rename(files / "build/ami/statement.json")
    environment = {
        **os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "WHENCE_URL": served.url, "WHENCE_TOKEN": served.token,
    }  # fmt: skip
    commands = chapter.splitlines()
    assert len(commands) == 7
    for command in commands:
        wanted = command.replace("sha256:" + "a" * 64, sha256_digest(BUILDER.payload()))
        code, output = await shell(f"cd {files} && {wanted}", environment)
        assert code == 0, output
    readme = next(text for name, text in blocks("sh") if name == "README.md" and "whence ami ami-" in text)
    assert set(readme.splitlines()) <= set(commands)
