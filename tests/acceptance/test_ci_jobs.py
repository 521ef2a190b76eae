"""A CI job pushes with skopeo and attests with whence by its own token: no secret is stored for it anywhere."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from fakes.issuer import AUDIENCE, GITHUB_CLAIMS, Issuer, issuer
from fakes.signing_authority import SigningAuthority
from landscape.front import LAYER, OCI_CONFIG, OCI_MANIFEST, RunningFront, digest_of, registry_front
from landscape.layers import gzipped, scm_source, tar
from landscape.processes import ended, run
from landscape.programs import BIN

RULE = {"team": "alpha", "project_id": "1001", "refs": ["refs/heads/main"], "environments": ["production"]}
EXCHANGE = {
    "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
    "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
}
PERIOD = {"from": "2020-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}


@pytest.fixture
async def ci() -> AsyncIterator[Issuer]:
    async with issuer(time.time) as running:
        yield running


def sign_in(ci: Issuer, *, team: str = "alpha") -> dict[str, Any]:
    workload = {
        "issuer": ci.url, "provider": "github", "audiences": [AUDIENCE], "rules": [{**RULE, "team": team}],
        "source_server": "https://github.com",
    }  # fmt: skip
    return {"workloads": [workload]}


@pytest.fixture
async def front(authority: SigningAuthority, ci: Issuer, tmp_path: Path) -> AsyncIterator[RunningFront]:
    async with registry_front(
        tmp_path, tmp_path, authority_pem={"eu-central-1": authority.pem}, sign_in=sign_in(ci)
    ) as running:
        yield running


async def session_of_job(front: RunningFront, ci: Issuer, **changes: object) -> str:
    """Exchange a job's token as its first step does; return the session token."""
    claims: dict[str, Any] = {**GITHUB_CLAIMS, "jti": "job-1", "client_id": None, "groups": None, **changes}
    form = {**EXCHANGE, "subject_token": ci.mint(header={"typ": "JWT"}, **claims)}
    async with front.session.post(f"{front.url}/v1/token", data=form) as answer:
        given = await answer.json(content_type=None)
        assert answer.status == 200, given
    return str(given["access_token"])


def built(place: Path, commit: str) -> str:
    """Write an image as `skopeo copy dir:` reads it; return its digest."""
    place.mkdir()
    source = scm_source(url="https://github.com/hello/greeter", revision=commit)
    layer = gzipped(tar({"scm-source.json": source}))
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}}).encode()
    for content in (layer, config):
        (place / digest_of(content).removeprefix("sha256:")).write_bytes(content)
    document = {
        "schemaVersion": 2, "mediaType": OCI_MANIFEST,
        "config": {"mediaType": OCI_CONFIG, "digest": digest_of(config), "size": len(config)},
        "layers": [{"mediaType": f"{LAYER}+gzip", "digest": digest_of(layer), "size": len(layer)}],
    }  # fmt: skip
    manifest = json.dumps(document).encode()
    (place / "manifest.json").write_bytes(manifest)
    (place / "version").write_text("Directory Transport Version: 1.1\n", encoding="ascii")
    return digest_of(manifest)


async def skopeo_copy(image: Path, front: RunningFront, name: str, session: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        "skopeo", "copy", "--insecure-policy", "--dest-tls-verify=false", "--dest-creds", f"oauth2:{session}",
        f"dir:{image}", f"docker://{front.host}/{name}",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def pushes(front: RunningFront) -> list[dict[str, Any]]:
    """Return what the ledger's entries of pushes contain, oldest first."""
    async with (
        front.aggregator.session() as session,
        session.get(f"{front.aggregator.url}/v1/bundles", params=PERIOD) as answer,
    ):
        lines = [json.loads(line) for line in (await answer.read()).splitlines()]
    contents = [json.loads(one["content"]) for one in lines if one.get("content", "").startswith("{")]
    return [one for one in contents if one.get("type") == "urn:whence:push:v1"]


async def checkout(place: Path) -> str:
    """Make the job's checkout; return the commit that it builds."""
    place.mkdir()
    git = ("git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "init.defaultBranch=main")
    await run(*git, "init", "-q", ".", cwd=place)
    await run("git", "remote", "add", "origin", "https://github.com/hello/greeter", cwd=place)
    (place / "file").write_text("text", encoding="ascii")
    await run("git", "add", "file", cwd=place)
    await run(*git, "commit", "-q", "-m", "ABC-1: begin", cwd=place)
    return (await run("git", "rev-parse", "HEAD", cwd=place)).strip()


async def attested(front: RunningFront, place: Path, image: str, session: str) -> tuple[int, str]:
    """Run `whence attest` as a step of the job: its key exists for this step only, its login is the session."""
    key = place.parent / "step.key"
    await run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
    done = await ended(
        BIN / "whence", "attest", f"{front.host}/{image}", "--git", place, "--key", key, merged=True,
        inherited={"PATH": os.environ["PATH"], "HOME": "/nonexistent"}, environment={"WHENCE_REGISTRY_TOKEN": session},
    )  # fmt: skip
    return done.code, done.out.strip()


async def test_a_job_pushes_with_its_session_and_the_entry_names_the_job(
    front: RunningFront, ci: Issuer, tmp_path: Path
) -> None:
    session = await session_of_job(front, ci)
    digest = built(tmp_path / "image", "a" * 40)
    code, said = await skopeo_copy(tmp_path / "image", front, "alpha/greeter:1.0", session)
    assert code == 0, said
    (entry,) = await pushes(front)
    assert (entry["repository"], entry["tag"], entry["digest"]) == ("alpha/greeter", "1.0", digest)
    assert entry["pushed_by"] == "github:hello/greeter"
    names = ("provider", "project", "project_id", "ref", "commit", "run", "attempt", "source_url")
    assert [entry["job"][one] for one in names] == [
        "github", "hello/greeter", "1001", "refs/heads/main", "a" * 40, "4711", "1", "https://github.com/hello/greeter",
    ]  # fmt: skip
    for refused in ("beta/greeter:1.0", "dinosaur/greeter:1.0"):
        code, said = await skopeo_copy(tmp_path / "image", front, refused, session)
        assert (code, "denied" in said) == (1, True), said
    assert len(await pushes(front)) == 1


async def test_a_job_attests_with_its_session_and_a_key_that_exists_for_the_step(
    front: RunningFront, ci: Issuer, tmp_path: Path
) -> None:
    commit = await checkout(tmp_path / "checkout")
    session = await session_of_job(front, ci, sha=commit)
    digest = built(tmp_path / "image", commit)
    code, said = await skopeo_copy(tmp_path / "image", front, "alpha/greeter:1.0", session)
    assert code == 0, said
    code, said = await attested(front, tmp_path / "checkout", "alpha/greeter:1.0", session)
    assert (code, commit in said) == (0, True), said
    referrers = (await front.client().ask("GET", f"/v2/alpha/greeter/referrers/{digest}")).json["manifests"]
    assert [said.endswith(one["digest"]) for one in referrers] == [True]
    _, entry = await pushes(front)
    assert (entry["digest"], entry["subject"]) == (referrers[0]["digest"], digest)
    assert (entry["job"]["project_id"], entry["job"]["commit"], entry["job"]["run"]) == ("1001", commit, "4711")
    code, said = await attested(front, tmp_path / "checkout", "alpha/greeter:1.0", session + "A")
    assert (code != 0, len(await pushes(front))) == (True, 2), said


async def test_a_rule_that_is_removed_during_a_jobs_push_ends_it(
    authority: SigningAuthority, ci: Issuer, tmp_path: Path
) -> None:
    """The rules are settings, so their removal takes a restart; the session from before is refused after it."""
    pems = {"eu-central-1": authority.pem}
    async with registry_front(tmp_path, tmp_path, authority_pem=pems, sign_in=sign_in(ci)) as front:
        session = await session_of_job(front, ci)
        manifest = await front.client(session, basic=True).manifest("alpha/late", b"layer")
    async with registry_front(tmp_path, tmp_path, authority_pem=pems, sign_in=sign_in(ci, team="beta")) as front:
        said = await front.client(session, basic=True).put("alpha/late", "1.0", manifest)
        assert (said.status, said.code) == (403, "DENIED")
        assert await pushes(front) == []
        for reference in ("1.0", digest_of(manifest)):
            assert (await front.client().ask("GET", f"/v2/alpha/late/manifests/{reference}")).status == 404
