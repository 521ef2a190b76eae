"""The front as its operator and its builders use it: images listed, builds attested, run alone, before other registries."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from fakes.lying_registry import lying_registry
from fakes.signing_authority import SigningAuthority
from landscape.docker_registry import docker_registry
from landscape.front import (
    OCI_INDEX,
    OCI_MANIFEST,
    Client,
    RunningFront,
    basic_header,
    digest_of,
    registry_front,
)
from landscape.layers import COMMIT, scm_source, tar, with_source
from landscape.processes import Ended, ended, free_port, run
from landscape.programs import BIN
from whence_common.runtime.pause import pause

ROOT = Path(__file__).parents[2]
BUILDER = "https://builder.example.org/alpha"


@pytest.fixture(scope="module")
async def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a builder's key pair, and a stranger's."""
    place = tmp_path_factory.mktemp("keys")
    for name in ("builder", "stranger"):
        key = place / f"{name}.key"
        await run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
        await run("openssl", "ec", "-in", key, "-pubout", "-out", place / f"{name}.pub")
    await run("openssl", "genrsa", "-out", place / "rsa.key", "2048")
    encrypt = ("-aes256", "-passout", "pass:open-sesame")
    await run("openssl", "pkcs8", "-topk8", "-in", place / "builder.key", "-out", place / "locked.key",
              "-v2", "aes256", *encrypt[1:])  # fmt: skip
    return place


@pytest.fixture(scope="module")
async def front(
    authority: SigningAuthority, keys: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningFront]:
    directory = tmp_path_factory.mktemp("front")
    port = free_port()
    trust = {f"127.0.0.1:{port}": {"builders": [{"id": BUILDER, "key_file": str(keys / "builder.pub")}]}}
    async with registry_front(
        directory,
        directory,
        authority_pem={"eu-central-1": authority.pem},
        port=port,
        aggregator_settings={"trust": trust},
    ) as running:
        yield running


_BARE = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}


async def attest(
    front: RunningFront,
    image: str,
    *options: object,
    token: str = "token-of-ada",
    **environment: str,
) -> Ended:
    named = {"WHENCE_REGISTRY_TOKEN": token, **environment}
    return await ended(BIN / "whence", "attest", image, *options, environment=named, inherited=_BARE)


@pytest.fixture
async def clone(tmp_path: Path) -> Path:
    """A clone with one commit and a remote."""
    place = tmp_path / "clone"
    place.mkdir()
    git = ("git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "init.defaultBranch=main")
    await run(*git, "init", "-q", ".", cwd=place)
    await run("git", "remote", "add", "origin", "git@git.example.org:alpha/app.git", cwd=place)
    (place / "file").write_text("text", encoding="ascii")
    await run("git", "add", "file", cwd=place)
    await run(*git, "commit", "-q", "-m", "ABC-1: begin", cwd=place)
    return place


async def listed(front: RunningFront, **query: str) -> list[dict[str, Any]]:
    found = await front.aggregator.get("/v1/images", **query)
    return list(found["images"])


async def test_an_attested_image_has_a_confirmed_source(front: RunningFront, keys: Path, clone: Path) -> None:
    await front.client("token-of-ada").push("alpha/attested", "1.0", tar({"app": b"x"}))
    (before,) = await listed(front, repository="alpha/attested")
    assert before["source"]["state"] == "missing"
    done = await attest(
        front,
        f"{front.host}/alpha/attested:1.0",
        "--git",
        clone,
        "--key",
        keys / "builder.key",
        "--builder-id",
        BUILDER,
    )
    assert done.code == 0, done.err
    commit = (await run("git", "rev-parse", "HEAD", cwd=clone)).strip()
    assert commit in done.err
    referrers = await front.client().ask("GET", f"/v2/alpha/attested/referrers/{before['digest']}")
    assert [one["digest"] for one in referrers.json["manifests"]] == [done.out.strip()]
    (after,) = await listed(front, repository="alpha/attested")
    assert (after["source"]["state"], after["source"]["revision"]) == ("confirmed", commit)
    assert [one["tag"] for one in await listed(front, commit=commit[:12])] == ["1.0"]


async def test_sigstores_own_library_verifies_what_is_attested(
    front: RunningFront, keys: Path, clone: Path, tmp_path: Path
) -> None:
    client = front.client("token-of-ada")
    await client.push("alpha/verified", "1.0", tar({"app": b"verified"}))
    done = await attest(front, f"{front.host}/alpha/verified:1.0", "--git", clone, "--key", keys / "builder.key")
    assert done.code == 0, done.err
    path = f"/v2/alpha/verified/manifests/{done.out.strip()}"
    referrer = (await client.ask("GET", path, headers={"Accept": OCI_MANIFEST})).json
    assert referrer["annotations"]["dev.sigstore.bundle.predicateType"] == "https://slsa.dev/provenance/v1"
    assert referrer["annotations"]["dev.sigstore.bundle.content"] == "dsse-envelope"
    blob = (await client.ask("GET", f"/v2/alpha/verified/blobs/{referrer['layers'][0]['digest']}")).body
    bundle = json.loads(blob)
    (signature,) = bundle["dsseEnvelope"]["signatures"]
    assert signature["keyid"] == "", "cosign skips signatures whose key id is not of its own form"

    def verified(document: object, key: str = "builder") -> tuple[int, str]:
        file = tmp_path / "bundle.json"
        file.write_text(json.dumps(document), encoding="utf-8")
        command = ["node", str(ROOT / "tests/clients/verify_bundle.js"), str(file), str(keys / f"{key}.pub")]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
        return ran.returncode, ran.stdout

    code, said = verified(bundle)
    assert (code, json.loads(said)["predicateType"]) == (0, "https://slsa.dev/provenance/v1")
    assert verified(bundle, "stranger") == (1, "")
    signature["sig"] = "MEUC" + signature["sig"][4:-8] + "AAAA" + signature["sig"][-4:]
    assert verified(bundle) == (1, "")


async def test_an_attested_index_speaks_for_the_image_that_is_meant(
    front: RunningFront, keys: Path, clone: Path
) -> None:
    client = front.client("token-of-ada")
    image = await client.manifest("alpha/index", tar({"app": b"index"}))
    assert (await client.put("alpha/index", digest_of(image), image)).status == 201
    entry = {"mediaType": OCI_MANIFEST, "digest": digest_of(image), "size": len(image),
             "platform": {"os": "linux", "architecture": "amd64"}}  # fmt: skip
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}).encode()
    said = await client.put("alpha/index", "1.0", index, OCI_INDEX)
    assert (said.status, "not known" in said.headers["Warning"]) == (201, True)
    done = await attest(
        front, f"{front.host}/alpha/index:1.0", "--git", clone, "--key", keys / "builder.key", "--builder-id", BUILDER
    )
    assert done.code == 0, done.err
    (found,) = await listed(front, repository="alpha/index")
    assert (found["digest"], found["source"]["state"]) == (digest_of(index), "confirmed")


async def test_a_build_that_says_otherwise_than_its_file_is_contradicted(
    front: RunningFront, keys: Path, clone: Path
) -> None:
    await front.client("token-of-ada").push("alpha/torn", "1.0", with_source())
    image = f"{front.host}/alpha/torn:1.0"
    done = await attest(front, image, "--git", clone, "--key", keys / "builder.key", "--builder-id", BUILDER)
    assert done.code == 0, done.err
    (found,) = await listed(front, repository="alpha/torn")
    assert found["source"]["state"] == "contradicted"


@pytest.mark.parametrize("key, options", [("stranger", ["--builder-id", BUILDER]), ("builder", [])])
async def test_a_strangers_word_confirms_nothing(
    front: RunningFront, keys: Path, tmp_path: Path, key: str, options: list[str]
) -> None:
    repository = f"alpha/{key}"
    await front.client("token-of-ada").push(repository, "1.0", tar({"app": key.encode()}))
    file = tmp_path / "scm-source.json"
    file.write_bytes(scm_source())
    done = await attest(
        front, f"{front.host}/{repository}:1.0", "--scm-source", file, "--key", keys / f"{key}.key", *options
    )
    assert done.code == 0, done.err
    (found,) = await listed(front, repository=repository)
    assert found["source"]["state"] == "missing"


async def test_an_encrypted_key_is_opened_by_the_environment(front: RunningFront, keys: Path, clone: Path) -> None:
    await front.client("token-of-ada").push("alpha/locked", "1.0", tar({"app": b"locked"}))
    image, key = f"{front.host}/alpha/locked:1.0", keys / "locked.key"
    assert (await attest(front, image, "--git", clone, "--key", key)).code == 2
    assert (await attest(front, image, "--git", clone, "--key", key, WHENCE_KEY_PASSWORD="open-sesame")).code == 0


async def test_what_cannot_be_attested_is_refused_with_the_fix(
    front: RunningFront, keys: Path, clone: Path, tmp_path: Path
) -> None:
    await front.client("token-of-ada").push("alpha/refused", "1.0", tar({"app": b"refused"}))
    image, key = f"{front.host}/alpha/refused:1.0", ("--key", keys / "builder.key")
    file = tmp_path / "scm-source.json"

    async def said(*options: object, image: str = image, token: str = "token-of-ada") -> tuple[int, str]:
        done = await attest(front, image, *options, token=token)
        return done.code, done.err

    (clone / "other").write_text("not committed", encoding="ascii")
    code, why = await said("--git", clone, *key)
    assert (code, "--allow-dirty" in why) == (2, True), why
    assert (await said("--git", clone, *key, "--allow-dirty"))[0] == 0
    (found,) = await listed(front, repository="alpha/refused")
    assert found["source"]["state"] == "missing"
    for content, why in (
        (b"[]", "not a JSON object"),
        (scm_source(revision="main"), "commit id"),
        (scm_source(url=""), "URL"),
    ):
        file.write_bytes(content)
        code, text = await said("--scm-source", file, *key)
        assert (code, why in text) == (2, True), text
    file.write_bytes(scm_source())
    source = ("--scm-source", file)
    await run("git", "remote", "remove", "origin", cwd=clone)
    assert (await said("--git", clone, *key))[0] == 2
    assert (await said("--git", tmp_path, *key))[0] == 2
    assert (await said(*source, "--key", keys / "rsa.key"))[0] == 2
    assert (await said(*source, "--key", keys / "builder.pub"))[0] == 2
    assert (await said(*key))[0] == 2
    assert (await said(*source, *key, image=f"{front.host}/alpha/refused:9.9"))[0] == 2
    assert (await said(*source, *key, image="no reference"))[0] == 2
    assert (await said(*source, *key, image="127.0.0.1:1/alpha/app:1.0"))[0] == 3
    code, why = await said(*source, *key, token="token-of-odd")
    assert (code, "token-of-odd" in why) == (3, False), why


async def test_a_registry_without_referrers_gets_them_by_the_fallback_tag(keys: Path, tmp_path: Path) -> None:
    file = tmp_path / "scm-source.json"
    file.write_bytes(scm_source())
    async with docker_registry(tmp_path, tmp_path) as bare, aiohttp.ClientSession() as session:
        client = Client(session, f"http://{bare}", "")
        digest = await client.push("alpha/app", "1.0", tar({"app": b""}))
        for key in ("builder", "stranger", "builder"):
            stated = ("--scm-source", file, "--key", keys / f"{key}.key")
            done = await ended(BIN / "whence", "attest", f"{bare}/alpha/app:1.0", *stated, inherited=_BARE)
            assert (done.code, "fallback tag" in done.err) == (0, True), done.err
        path = f"/v2/alpha/app/manifests/{digest.replace(':', '-')}"
        index = (await client.ask("GET", path, headers={"Accept": OCI_INDEX})).json
        assert len(index["manifests"]) == 3


async def whence(front: RunningFront, *arguments: str) -> tuple[int, str]:
    return await front.aggregator.whence("images", *arguments)


async def test_images_are_listed_shown_and_searched(front: RunningFront) -> None:
    client = front.client("token-of-robot")
    revision = "c" * 40
    await client.push("beta/shop", "1.0", with_source(revision=revision))
    await client.push("beta/shop", "1.1-SNAPSHOT", tar({"a": b""}))
    await client.push("beta/shop", "1.1-SNAPSHOT", tar({"b": b""}))
    await client.push("beta/till", "2.0", tar({"c": b""}))
    code, said = await whence(front, "--team", "beta")
    assert (code, said.count("beta/shop"), said.count("beta/till")) == (0, 2, 1)
    assert "beta/shop" not in (await whence(front, "beta/till"))[1]
    assert (await whence(front, "--search", "SNAPSHOT"))[1].count("beta/shop") == 1
    assert (await whence(front, "--search", "%"))[0] == 0
    assert "beta" not in (await whence(front, "--search", "%"))[1]
    assert revision[:12] in (await whence(front, "--commit", revision[:9]))[1]
    code, said = await whence(front, "beta/shop:1.0")
    assert (code, revision in said, "asserted" in said, "robot" in said) == (0, True, True, True), said
    assert "the tag has moved: it pointed to 2 different images" in (await whence(front, "beta/shop:1.1-SNAPSHOT"))[1]
    assert (await whence(front, "beta/never"))[0] == 4
    assert (await whence(front, "--commit", "xyz"))[0] == 2
    code, said = await whence(front, "beta/till", "--json")
    assert json.loads(said)["images"][0]["digest"].startswith("sha256:")
    pages = await front.aggregator.get("/v1/images", team="beta", limit="2")
    rest = await front.aggregator.get("/v1/images", team="beta", limit="2", cursor=pages["next"])
    assert [len(pages["images"]), len(rest["images"]), rest["next"]] == [2, 1, None]


async def test_the_front_runs_alone_beside_an_aggregator_that_leaves_it_out(
    authority: SigningAuthority, tmp_path: Path
) -> None:
    """Two processes on one database: pushes in one, what was pushed is seen in the other."""
    async with registry_front(
        tmp_path, tmp_path, authority_pem={"eu-central-1": authority.pem}, alone=True, listen_port=0
    ) as both:
        assert (await both.client().ask("GET", "/v2/")).status == 404
        async with both.alone(tmp_path) as url:
            client = Client(both.session, url, both.client().authorization)
            assert (await client.ask("GET", "/health")).status == 200
            for number in range(5):
                await client.push("alpha/app", f"1.{number}", with_source(author=str(number)))
        found = (await both.aggregator.get("/v1/images"))["images"]
        assert [one["source"]["revision"] for one in found] == [COMMIT] * 5
        said = await run(BIN / "whence-aggregator", "ledger", "check", "--config", both.aggregator.config)
        assert "clean" in said


async def test_what_the_registry_held_before_is_taken_over(authority: SigningAuthority, tmp_path: Path) -> None:
    async with docker_registry(tmp_path, tmp_path) as bare, aiohttp.ClientSession() as session:
        client = Client(session, f"http://{bare}", "")
        digest = await client.push("alpha/old", "1.0", with_source())
        await client.push("alpha/old", "latest", with_source())
        await client.push("outside", "1.0", tar({"a": b""}))
        async with registry_front(
            tmp_path, tmp_path, authority_pem={"eu-central-1": authority.pem}, backend=bare
        ) as own:
            command = (BIN / "whence-aggregator", "registry", "--config", own.aggregator.config, "--import")
            for expected in (
                "1 tags recorded, 0 known before, 1 not recorded",
                "0 tags recorded, 1 known before, 1 not recorded",
            ):
                done = await ended(*command)
                assert (done.code, expected in done.out) == (1, True), done.out + done.err
            assert "outside" in done.out
            head = await own.client().ask("HEAD", "/v2/alpha/old/manifests/1.0")
            assert head.headers["Docker-Content-Digest"] == digest
            async with asyncio.timeout(30):
                while not ((await own.aggregator.get("/v1/images"))["images"][0]["source"] or {}).get("revision"):
                    await pause(0.1)
            refused = await own.client().put("alpha/old", "1.0", await own.client().manifest("alpha/old", b"other"))
            assert (refused.status, refused.code) == (409, "TAG_INVALID")


async def test_a_project_and_a_login_of_the_registry_behind_are_used(
    authority: SigningAuthority, tmp_path: Path
) -> None:
    login = tmp_path / "login"
    login.write_text("robot$whence:hunter2hunter2\n", encoding="ascii")
    async with lying_registry() as behind:
        behind.wanted = basic_header("robot$whence", "hunter2hunter2")
        async with registry_front(
            tmp_path, tmp_path, authority_pem={"eu-central-1": authority.pem}, backend=behind.host,
            backend_path="/whence", backend_login_file=str(login),
        ) as own:  # fmt: skip
            digest = await own.client().push("alpha/app", "1.0", b"layer")
            assert (await own.client().ask("GET", f"/v2/alpha/app/manifests/{digest}")).status == 200
            assert all(path.startswith("/v2/whence/alpha/app/") for path in behind.asked)
            assert "hunter2" not in own.aggregator.process.log.read_text(encoding="utf-8")
            login.write_text("other:wrong", encoding="ascii")
            behind.wanted = basic_header("robot$whence", "changed")
            said = await own.client().ask("POST", "/v2/alpha/app/blobs/uploads/")
            assert (said.status, said.code) == (503, "UNAVAILABLE")


@pytest.mark.parametrize(
    "wrong, said",
    [
        ({"name": "Pier One"}, "registry_front.name"),
        ({"backend": "ftp://x"}, "registry_front.backend"),
        ({"backend_ecr_region": "mars"}, "backend_ecr_region"),
        ({"backend_login_file": "/x", "backend_ecr_region": "eu-central-1"}, "exclude each other"),
        ({"scratch_teams": ["a/b"]}, "scratch_teams"),
        ({"listen_port": 70_000}, "registry_front.listen_port"),
        ({"blob_bytes_max": 1}, "blob_bytes_max"),
        ({"colour": "blue"}, "colour"),
    ],
)
async def test_settings_that_cannot_work_are_named_at_the_start(
    tmp_path: Path, wrong: dict[str, object], said: str
) -> None:
    config = tmp_path / "aggregator.yaml"
    registry = {"name": "pierone.example.org", "backend": "http://127.0.0.1:5000", **wrong}
    config.write_text(
        json.dumps({"audience": "x", "accounts": ["123456789012"], "registry_front": registry}), encoding="utf-8"
    )
    done = await ended(BIN / "whence-aggregator", "check", "--config", config)
    assert (done.code, said in done.err) == (78, True), done.err


async def test_a_front_without_settings_does_not_start(tmp_path: Path) -> None:
    config = tmp_path / "aggregator.yaml"
    config.write_text(json.dumps({"audience": "x", "accounts": ["123456789012"]}), encoding="utf-8")
    done = await ended(BIN / "whence-aggregator", "registry", "--config", config)
    assert (done.code, "set registry_front" in done.err) == (78, True), done.err
