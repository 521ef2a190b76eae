"""The registry front judged by others' tools as they are: docker, skopeo, pierone, scm-source, senza, oras, python-dxf."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from landscape.certificates import Certificates, loopback_certificates
from landscape.front import LAYER, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST, RunningFront, digest_of, registry_front
from landscape.layers import COMMIT, gzipped, scm_source, tar, with_source
from landscape.processes import run, started
from landscape.whole import ROOT, Landscape

CLIENTS = ROOT / ".venv-clients"
BIN = CLIENTS / "bin"


@pytest.fixture(scope="module")
async def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return await loopback_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
async def front(scape: Landscape, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningFront]:
    """Over plain HTTP, which all these clients speak on loopback."""
    directory = tmp_path_factory.mktemp("front")
    async with registry_front(
        directory, directory, authority_pem=scape.authority_pem, scratch_teams=["dinosaur", "foo", "test", "some", "another"]
    ) as running:  # fmt: skip
        yield running


@pytest.fixture(scope="module")
async def secure(
    scape: Landscape, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningFront]:
    """Over TLS, which STUPS's clients insist on; with two images."""
    directory = tmp_path_factory.mktemp("secure")
    async with registry_front(
        directory, directory, authority_pem=scape.authority_pem, certificates=certificates, public_read=True
    ) as running:
        ada = running.client("token-of-ada")
        await ada.push("alpha/app", "1.1", gzipped(tar({"app": b"one"})), gzipped(with_source()), config=b'{"n": 1}')
        await ada.push("alpha/app", "1.0", tar({"bin/app": b"two"}), config=b'{"n": 2}')
        yield running


async def tool(
    *command: object, environment: Mapping[str, str] | None = None, cwd: Path | None = None
) -> tuple[int, str]:
    """Run a tool; give exit code and what it says."""
    import asyncio

    process = await asyncio.create_subprocess_exec(
        *map(str, command), cwd=cwd, env={**os.environ, **(environment or {})}, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode("utf-8", "replace")


async def test_docker_pushes_once_and_pulls_what_it_pushed(
    scape: Landscape, front: RunningFront, tmp_path: Path
) -> None:
    docker = ("docker", "--host", scape.engine, "--config", tmp_path)
    image, other = f"{front.host}/alpha/docker:1.0", f"{front.host}/alpha/docker:1.1"
    context = tmp_path / "context"
    context.mkdir()
    (context / "scm-source.json").write_bytes(scm_source())

    async def build(text: str, name: str) -> None:
        (context / "Dockerfile").write_text(f"FROM scratch\nLABEL text={text}\nCOPY scm-source.json /\n")
        code, said = await tool(*docker, "build", "-q", "-t", name, context, environment={"DOCKER_BUILDKIT": "0"})
        assert code == 0, said

    code, said = await tool(*docker, "push", image)
    await build("one", image)
    code, said = await tool(*docker, "push", image)
    assert code == 1, said
    code, said = await tool(*docker, "login", "-u", "oauth2", "-p", "wrong", front.host)
    assert code == 1, said
    code, said = await tool(*docker, "login", "-u", "oauth2", "-p", "token-of-ada", front.host)
    assert (code, "Login Succeeded" in said) == (0, True), said
    for _ in range(2):  # the identical push succeeds
        code, said = await tool(*docker, "push", image)
        assert code == 0, said
    digest = re.search(r"digest: (sha256:[0-9a-f]{64})", said)
    assert digest is not None, said
    await build("two", image)
    code, said = await tool(*docker, "push", image)
    assert (code, "tag invalid: tag already exists" in said) == (1, True), said
    code, said = await tool(*docker, "tag", image, f"{front.host}/beta/docker:1.0")
    code, said = await tool(*docker, "push", f"{front.host}/beta/docker:1.0")
    assert (code, "denied" in said) == (1, True), said
    code, said = await tool(*docker, "tag", image, other)
    code, said = await tool(*docker, "push", other)
    assert code == 0, said
    for name in (image, other, f"{front.host}/beta/docker:1.0"):
        await tool(*docker, "rmi", "-f", name)
    code, said = await tool(*docker, "pull", image)
    assert (code, digest[1] in said) == (0, True), said
    code, said = await tool(*docker, "pull", f"{front.host}/alpha/docker:9.9")
    assert (code, "manifest unknown" in said) == (1, True), said
    await tool(*docker, "rmi", "-f", image)
    source = await front.client().ask("GET", "/teams/alpha/artifacts/docker/tags/1.0/scm-source")
    assert source.json["revision"] == COMMIT


async def test_skopeo_copies_inspects_and_deletes_nothing(front: RunningFront, tmp_path: Path) -> None:
    digest = await front.client("token-of-ada").push(
        "alpha/skopeo", "1.0", gzipped(with_source()), config=b'{"rootfs": {}}'
    )
    at = f"docker://{front.host}/alpha/skopeo"
    login = ("--creds", "oauth2:token-of-ada", "--tls-verify=false")
    code, said = await tool("skopeo", "inspect", "--raw", *login, f"{at}:1.0")
    assert (code, json.loads(said)["schemaVersion"]) == (0, 2), said
    code, said = await tool("skopeo", "list-tags", *login, at)
    assert (code, json.loads(said)["Tags"]) == (0, ["1.0"]), said
    away = ("--src-creds", "oauth2:token-of-ada", "--src-tls-verify=false")
    back = ("--dest-creds", "oauth2:token-of-ada", "--dest-tls-verify=false", "--insecure-policy")
    code, said = await tool("skopeo", "copy", "--insecure-policy", *away, f"{at}:1.0", f"dir:{tmp_path}/copy")
    assert code == 0, said
    code, said = await tool("skopeo", "copy", *back, f"dir:{tmp_path}/copy", f"{at}:1.1")
    assert code == 0, said
    head = await front.client().ask("HEAD", "/v2/alpha/skopeo/manifests/1.1")
    assert head.headers["Docker-Content-Digest"] == digest
    code, said = await tool("skopeo", "copy", *back, f"dir:{tmp_path}/copy", f"docker://{front.host}/beta/skopeo:1.0")
    assert code == 1, said
    code, said = await tool("skopeo", "delete", *login, f"{at}:1.0")
    assert code == 1, said
    assert (await front.client().ask("GET", "/v2/alpha/skopeo/manifests/1.0")).status == 200


def layout_with_attestation(place: Path) -> str:
    """Write an OCI layout as buildx does with `--provenance`: an index of an image and its attestation; give its digest."""
    blobs = place / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def blob(media_type: str, content: bytes, **members: object) -> dict[str, object]:
        digest = digest_of(content)
        (blobs / digest.removeprefix("sha256:")).write_bytes(content)
        return {"mediaType": media_type, "digest": digest, "size": len(content), **members}

    def manifest(system: str, layer: dict[str, object], unpacked: str) -> bytes:
        config = {
            "architecture": system,
            "os": system,
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [unpacked]},
        }
        described = blob(OCI_CONFIG, json.dumps(config).encode())
        return json.dumps(
            {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": described, "layers": [layer]}
        ).encode()

    layer = with_source()
    image = manifest("linux", blob(f"{LAYER}+gzip", gzipped(layer)), digest_of(layer))
    statement = b'{"_type": "https://in-toto.io/Statement/v1"}'
    attestation = manifest("unknown", blob("application/vnd.in-toto+json", statement), digest_of(statement))
    marks = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": digest_of(image)}
    entries = [
        blob(OCI_MANIFEST, image, platform={"os": "linux", "architecture": "amd64"}),
        blob(OCI_MANIFEST, attestation, platform={"os": "unknown", "architecture": "unknown"}, annotations=marks),
    ]
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode()
    named = blob(OCI_INDEX, index, annotations={"io.containerd.image.name": "built:1.0"})
    (place / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [named]}), encoding="ascii")
    (place / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}', encoding="ascii")
    return digest_of(index)


async def test_containerd_and_skopeo_push_an_image_with_its_attestation(scape: Landscape, tmp_path: Path) -> None:
    """Also where each image must name its source: an attestation is none."""
    layout, socket = tmp_path / "layout", tmp_path / "containerd.sock"
    digest = layout_with_attestation(layout)
    await run("tar", "-C", layout, "-cf", tmp_path / "layout.tar", ".")
    place = ("--root", tmp_path / "root", "--state", tmp_path / "state", "--address", socket)
    ctr = ("ctr", "--address", socket, "images")

    async def ready() -> bool:
        return socket.exists() and (await tool("ctr", "--address", socket, "version"))[0] == 0

    async with (
        registry_front(tmp_path, tmp_path, authority_pem=scape.authority_pem, scm_source_required=True) as strict,
        started("containerd", ["containerd", *place], logs=tmp_path, ready=ready),
    ):
        image = f"{strict.host}/alpha/containerd:1.0"
        code, said = await tool(*ctr, "import", "--all-platforms", "--no-unpack", tmp_path / "layout.tar")
        assert code == 0, said
        (name,) = (await tool(*ctr, "ls", "--quiet"))[1].split()
        await tool(*ctr, "tag", name, image)
        for _ in range(2):
            code, said = await tool(*ctr, "push", "--plain-http", "--user", "oauth2:token-of-ada", image)
            assert code == 0, said
        code, said = await tool(
            "skopeo", "copy", "--all", "--insecure-policy", "--dest-tls-verify=false", "--dest-creds", "oauth2:token-of-ada",
            f"oci:{layout}", f"docker://{strict.host}/alpha/skopeo:1.0",
        )  # fmt: skip
        assert code == 0, said
        found = (await strict.aggregator.get("/v1/images"))["images"]
        assert [(one["repository"], one["digest"], one["source"]["revision"]) for one in found] == [
            ("alpha/containerd", digest, COMMIT), ("alpha/skopeo", digest, COMMIT),
        ]  # fmt: skip


def stups(secure: RunningFront, certificates: Certificates, home: Path) -> dict[str, str]:
    """Give what STUPS's clients find their tokens and authorities by."""
    place = home / ".config" / "zalando-token-cli"
    place.mkdir(parents=True, exist_ok=True)
    token = {"access_token": "token-of-ada", "creation_time": 4_000_000_000, "expires_in": 3600}
    (place / "tokens.yaml").write_text(json.dumps({"pierone": token}), encoding="ascii")
    return {
        "HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config"), "OAUTH2_ACCESS_TOKENS": "pierone=token-of-ada",
        "REQUESTS_CA_BUNDLE": str(certificates.authority), "LC_ALL": "C.UTF-8",
    }  # fmt: skip


async def test_the_pierone_command_shows_what_it_always_did(
    secure: RunningFront, certificates: Certificates, tmp_path: Path
) -> None:
    environment = stups(secure, certificates, tmp_path)

    async def pierone(*arguments: str) -> tuple[int, str]:
        return await tool(BIN / "pierone", *arguments, "--url", secure.url, environment=environment)

    assert await pierone("teams", "-o", "tsv") == (0, "name\nalpha\n")
    assert await pierone("artifacts", "alpha", "-o", "tsv") == (0, "team\tartifact\nalpha\tapp\n")
    code, said = await pierone("tags", "alpha", "app", "-o", "json")
    tags = json.loads(said)
    assert (code, [one["tag"] for one in tags], {one["created_by"] for one in tags}) == (0, ["1.1", "1.0"], {"ada"})
    assert await pierone("latest", "alpha", "app") == (0, "1.0\n")
    code, said = await pierone("scm-source", "alpha", "app", "-o", "json")
    found = {one["tag"]: one for one in json.loads(said)}
    assert (code, found["1.1"]["revision"], found["1.0"].get("revision")) == (0, COMMIT, None)
    code, said = await pierone("image", digest_of(b'{"n": 1}')[:20], "-o", "json")
    assert (code, [one["name"] for one in json.loads(said)]) == (0, ["1.1"]), said
    code, said = await pierone("inspect-contents", "alpha", "app", "1.1", "-l", "2", "-o", "tsv")
    assert (code, "scm-source.json" in said, " app" in said.replace("\t", " ")) == (0, True, True), said
    code, said = await pierone("tags", "alpha", "never")
    assert code == 2, said
    code, said = await pierone("latest", "alpha", "never")
    assert code == 1, said


async def test_what_scm_source_writes_is_read(front: RunningFront, tmp_path: Path) -> None:
    git = ("git", "-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "init.defaultBranch=main")
    await run(*git, "init", "-q", ".", cwd=tmp_path)
    await run("git", "remote", "add", "origin", "https://git.example.org/alpha/tool.git", cwd=tmp_path)
    (tmp_path / "file").write_text("text", encoding="ascii")
    await run("git", "add", "file", cwd=tmp_path)
    await run(*git, "commit", "-q", "-m", "ABC-1: begin", cwd=tmp_path)
    commit = (await run("git", "rev-parse", "HEAD", cwd=tmp_path)).strip()
    code, said = await tool(
        BIN / "scm-source", cwd=tmp_path, environment={"HOME": str(tmp_path), "USER": "ada", "LC_ALL": "C.UTF-8"}
    )
    assert code == 0, said
    written = (tmp_path / "scm-source.json").read_bytes()
    await front.client().push("alpha/scm", "1.0", tar({"scm-source.json": written}))
    source = (await front.client().ask("GET", "/teams/alpha/artifacts/scm/tags/1.0/scm-source")).json
    assert (source["revision"], source["url"]) == (commit, "git:https://git.example.org/alpha/tool.git")


async def test_senza_finds_the_images_that_are_there(
    secure: RunningFront, certificates: Certificates, tmp_path: Path
) -> None:
    """Its check goes by the registry's name, so this one gets a name with `pierone` in it, in a mount namespace."""
    environment = stups(secure, certificates, tmp_path)
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost pierone.example.org\n", encoding="ascii")
    program = (
        "import sys, pierone.api, senza.components.taupage_auto_scaling_group as group\n"
        "group.check_docker_image_exists(pierone.api.DockerImage.parse(sys.argv[1]))"
    )
    port = secure.host.partition(":")[2]

    async def check(image: str) -> tuple[int, str]:
        script = 'mount --bind "$1" /etc/hosts && shift && exec "$@"'
        return await tool(
            "unshare", "--mount", "sh", "-c", script, "sh", hosts, BIN / "python", "-c", program, image,
            environment=environment,
        )  # fmt: skip

    for registry in (f"pierone.example.org:{port}", f"localhost:{port}"):
        code, said = await check(f"{registry}/alpha/app:1.1")
        assert code == 0, said
        for missing in ("app:9.9", "never:1.0"):
            code, said = await check(f"{registry}/alpha/{missing}")
            assert (code, "does not exist" in said) == (1, True), said


async def test_oras_own_suite_passes(scape: Landscape, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Without those that dial out or upload 16 GiB. It signs in nowhere, so its team is open to everybody."""
    directory = tmp_path_factory.mktemp("oras")
    async with registry_front(
        directory, directory, authority_pem=scape.authority_pem, insecure_open_scratch=True
    ) as own:
        assert (await own.nobody().ask("POST", "/v2/alpha/x/blobs/uploads/")).status == 401
        assert (await own.nobody().ask("GET", "/teams")).status == 401
        host, _, port = own.host.partition(":")
        suite = directory / "suite"  # it pushes files from where it runs only
        shutil.copytree(next((CLIENTS / "lib").glob("python3*/site-packages/oras/tests")), suite)
        code, said = await tool(
            BIN / "python", "-m", "pytest", "-q", "-c", "/dev/null", "-p", "no:cacheprovider", suite, "-k",
            "not get_many_tags and not ssl_ and not chunked",
            environment={"ORAS_HOST": host, "ORAS_PORT": port, "HOME": str(directory)}, cwd=suite,
        )  # fmt: skip
        assert code == 0, said
        assert " passed" in said, said


async def test_python_dxfs_own_suite_passes(
    scape: Landscape, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Without what dials out (`docker_`), what deletes blobs, and what lists repositories as nobody."""
    dials_out_or_deletes = "not docker_ and not del_blob"
    suites = {
        "test_module.py": dials_out_or_deletes,
        "test_cli.py": f"{dials_out_or_deletes} and not test_manifest and not test_auth",
    }
    for file, left_out in suites.items():
        directory = tmp_path_factory.mktemp("dxf")
        (suite,) = (CLIENTS / "src").glob("python_dxf-*/test")
        place = directory / "suite"
        place.mkdir()
        (place / file).write_bytes((suite / file).read_bytes())
        (place / "conftest.py").write_bytes((ROOT / "tests" / "clients" / "dxf_conftest.py").read_bytes())
        async with registry_front(
            directory,
            directory,
            authority_pem=scape.authority_pem,
            certificates=certificates,
            scratch_teams=["foo", "test", "some", "another"],
        ) as own:
            code, said = await tool(
                BIN / "python", "-m", "pytest", "-q", "-c", "/dev/null", "-p", "no:cacheprovider", place, "-k", left_out,
                environment={"DXF_SUITE_HOST": own.host, "DXF_SUITE_TOKEN": own.aggregator.token,
                             "DXF_SUITE_PLACE": str(place), "REQUESTS_CA_BUNDLE": str(certificates.authority)}, cwd=place,
            )  # fmt: skip
            assert code == 0, said
