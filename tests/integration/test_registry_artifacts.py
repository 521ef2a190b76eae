"""What is pushed beside images (signatures, attestations, charts, caches), and how others' clients ask for it."""

from __future__ import annotations

import email
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from fakes.lying_registry import LyingRegistry, lying_registry
from fakes.signing_authority import SigningAuthority
from landscape.front import (
    LAYER,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
    Client,
    RunningFront,
    digest_of,
    registry_front,
)
from landscape.layers import tar, with_source
from landscape.processes import run
from landscape.programs import BIN

IN_TOTO = "application/vnd.in-toto+json"
COSIGN = "application/vnd.dev.cosign.simplesigning.v1+json"
DSSE = "application/vnd.dsse.envelope.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
CACHE_CONFIG = "application/vnd.buildkit.cacheconfig.v0"


@pytest.fixture(scope="module")
async def strict(authority: SigningAuthority, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningFront]:
    """A front that wants each image's source, and lets cosign's tags move."""
    directory = tmp_path_factory.mktemp("strict")
    async with registry_front(
        directory, directory, authority_pem={"eu-central-1": authority.pem}, scm_source_required=True,
        signature_tags_move=True,
    ) as running:  # fmt: skip
        yield running


@pytest.fixture
def artifact(request: pytest.FixtureRequest) -> str:
    return f"alpha/k{digest_of(request.node.nodeid.encode())[7:19]}"


async def made(client: Client, repository: str, config: str, *layers: tuple[str, bytes], **members: object) -> bytes:
    """Upload the blobs of something; give its manifest."""
    return json.dumps({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST,
        "config": {"mediaType": config, **await client.blob(repository, b"{}")},
        "layers": [{"mediaType": kind, **await client.blob(repository, content)} for kind, content in layers], **members,
    }).encode()  # fmt: skip


def entry(manifest: bytes, **members: object) -> dict[str, Any]:
    return {"mediaType": OCI_MANIFEST, "digest": digest_of(manifest), "size": len(manifest), **members}


async def listed(front: RunningFront, repository: str) -> list[tuple[str, str]]:
    said = await front.aggregator.get("/v1/images", repository=repository)
    assert "images" in said, said
    found = said["images"]
    return [(one["tag"], (one["source"] or {}).get("state", "")) for one in found]


async def pierone_tags(front: RunningFront, repository: str) -> list[str]:
    said = await front.client().ask("GET", f"/teams/{repository.replace('/', '/artifacts/')}/tags")
    return [one["name"] for one in said.json] if said.status == 200 else []


async def test_signatures_and_attestations_of_cosign_are_no_images(strict: RunningFront, artifact: str) -> None:
    client = strict.client()
    image = await client.push(artifact, "1.0", with_source())
    hex_ = image.removeprefix("sha256:")
    for tag, kind in (
        (f"sha256-{hex_}.sig", COSIGN),
        (f"sha256-{hex_}.att", DSSE),
        (f"sha256-{hex_}.sbom", "text/spdx+json"),
    ):
        said = await client.put(artifact, tag, await made(client, artifact, OCI_CONFIG, (kind, tag.encode())))
        assert (said.status, said.headers.get("Warning")) == (201, None), said.body
    assert await listed(strict, artifact) == [("1.0", "asserted")]
    assert await pierone_tags(strict, artifact) == ["1.0"]
    latest = await client.ask("HEAD", f"/v2/{artifact}/manifests/latest")
    assert latest.headers["Docker-Content-Digest"] == image, "a signature is no newer version"
    found = (await client.ask("GET", f"/v1/repositories/{artifact}/tags")).json
    assert sorted(found) == ["1.0", "latest"]
    assert len((await client.ask("GET", f"/v2/{artifact}/tags/list")).json["tags"]) == 4


async def test_an_index_of_buildkit_with_its_attestations_is_pushed(strict: RunningFront, artifact: str) -> None:
    client = strict.client()
    image = await client.manifest(artifact, with_source())
    attestation = await made(
        client, artifact, OCI_CONFIG, (IN_TOTO, b'{"predicateType": "https://slsa.dev/provenance/v1"}')
    )
    for one in (image, attestation):
        said = await client.put(artifact, digest_of(one), one)
        assert said.status == 201, said.body
    marks = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": digest_of(image)}
    index = json.dumps({
        "schemaVersion": 2, "mediaType": OCI_INDEX,
        "manifests": [
            entry(attestation, annotations=marks, platform={"os": "unknown", "architecture": "unknown"}),
            entry(image, platform={"os": "linux", "architecture": "amd64"}),
        ],
    }).encode()  # fmt: skip
    said = await client.put(artifact, "1.0", index, OCI_INDEX)
    assert (said.status, said.headers.get("Warning")) == (201, None)
    assert await listed(strict, artifact) == [("1.0", "asserted")]


@pytest.mark.parametrize(
    "config, layer, members",
    [
        ("application/vnd.cncf.helm.config.v1+json", "application/vnd.cncf.helm.chart.content.v1.tar+gzip", {}),
        (EMPTY, "application/spdx+json", {"artifactType": "application/spdx+json"}),
        ("application/vnd.cncf.notary.signature", "application/jose+json", {"subject": True}),
        (EMPTY, "application/vnd.dev.sigstore.bundle.v0.3+json", {"subject": True, "artifactType": "application/x"}),
        (CACHE_CONFIG, "application/vnd.oci.image.layer.v1.tar+gzip", {}),
    ],
)
async def test_charts_artifacts_and_referrers_are_taken_and_listed_nowhere_as_images(
    strict: RunningFront, artifact: str, config: str, layer: str, members: dict[str, Any]
) -> None:
    client = strict.client()
    named = dict(members)
    if named.pop("subject", False):
        named["subject"] = entry(b"an image that is pushed later")
    body = await made(client, artifact, config, (layer, b"content"), **named)
    said = await client.put(artifact, "1.0", body)
    assert (said.status, said.headers.get("Warning")) == (201, None), said.body
    assert (await client.ask("GET", f"/v2/{artifact}/manifests/1.0")).body == body
    assert await listed(strict, artifact) == []
    assert await pierone_tags(strict, artifact) == []
    assert (await client.ask("GET", f"/v2/{artifact}/manifests/latest")).status == 404
    team = (await client.ask("GET", "/teams/alpha/artifacts")).json
    assert artifact.removeprefix("alpha/") not in team


@pytest.mark.parametrize("members", [{"artifactType": "application/vnd.example.sbom"}, {"subject": entry(b"x")}])
async def test_an_image_does_not_pass_for_an_artifact(
    strict: RunningFront, artifact: str, members: dict[str, Any]
) -> None:
    client = strict.client()
    said = await client.put(artifact, "1.0", await client.manifest(artifact, tar({"app": b""}), **members))
    assert (said.status, said.code) == (400, "MANIFEST_INVALID")
    assert "scm-source.json" in said.json["errors"][0]["message"]


async def test_the_old_cache_index_of_buildkit_names_layers(strict: RunningFront, artifact: str) -> None:
    client = strict.client()
    layer = {"mediaType": LAYER, **await client.blob(artifact, b"cached layer")}
    config = {"mediaType": CACHE_CONFIG, **await client.blob(artifact, b'{"layers": []}')}

    def cache(kind: str, *entries: dict[str, Any]) -> bytes:
        return json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": entries}).encode()

    for tag, kind in (("cache", OCI_INDEX), ("cache-docker", DOCKER_LIST)):
        said = await client.put(artifact, tag, cache(kind, layer, config), kind)
        assert said.status == 201, said.body
    assert await listed(strict, artifact) == []
    missing = {**layer, "digest": "sha256:" + "7" * 64}
    refused = await client.put(artifact, "other", cache(OCI_INDEX, missing, config), OCI_INDEX)
    assert (refused.status, refused.code) == (400, "MANIFEST_BLOB_UNKNOWN")


async def test_a_second_signer_writes_cosigns_tags_again_and_every_move_is_an_entry(
    strict: RunningFront, artifact: str
) -> None:
    client = strict.client()
    image = await client.push(artifact, "1.0", with_source())
    hex_ = image.removeprefix("sha256:")
    for ending, kind in (("sig", COSIGN), ("att", DSSE)):
        tag, layers, digests = f"sha256-{hex_}.{ending}", [], []
        for signer in (b"ada", b"bob"):
            layers.append((kind, signer + ending.encode()))
            body = await made(client, artifact, OCI_CONFIG, *layers)
            said = await client.put(artifact, tag, body)
            assert said.status == 201, said.body
            digests.append(digest_of(body))
        now = await client.ask("HEAD", f"/v2/{artifact}/manifests/{tag}")
        assert now.headers["Docker-Content-Digest"] == digests[1]
        assert (await client.ask("GET", f"/v2/{artifact}/manifests/{digests[0]}")).status == 200, "history stays"
        image_instead = await client.put(artifact, tag, await client.manifest(artifact, with_source()))
        assert (image_instead.status, image_instead.code) == (409, "TAG_INVALID")
    fixed = f"sha256-{hex_}.sbom"
    for content, status in ((b"one", 201), (b"two", 409)):
        said = await client.put(artifact, fixed, await made(client, artifact, OCI_CONFIG, ("text/spdx+json", content)))
        assert said.status == status
    assert "clean" in await run(BIN / "whence-aggregator", "ledger", "check", "--config", strict.aggregator.config)


# --- clients


async def test_several_ranges_keep_their_boundary_and_each_its_place(strict: RunningFront, artifact: str) -> None:
    """As buildah, podman and the estargz snapshotter pull parts of a layer."""
    client = strict.client()
    content = bytes(range(256)) * 400
    digest = (await client.blob(artifact, content))["digest"]
    wanted = [(number * 300, number * 300 + 99) for number in range(300)]
    header = "bytes=" + ",".join(f"{first}-{last}" for first, last in wanted)
    said = await client.ask("GET", f"/v2/{artifact}/blobs/{digest}", headers={"Range": header})
    assert said.status == 206
    kind = said.headers["Content-Type"]
    assert kind.startswith("multipart/byteranges; boundary="), kind
    parts = email.message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + said.body).get_payload()
    assert [one["Content-Range"] for one in parts] == [f"bytes {a}-{b}/{len(content)}" for a, b in wanted]  # type: ignore[index]  # messages
    assert content[300:400] in said.body
    one = await client.ask("GET", f"/v2/{artifact}/blobs/{digest}", headers={"Range": "bytes=5-9"})
    assert (one.status, one.body, one.headers["Content-Range"]) == (206, content[5:10], f"bytes 5-9/{len(content)}")
    assert one.headers["Content-Type"] == "application/octet-stream"


async def test_each_call_of_an_upload_asks_for_a_token_that_may_push(strict: RunningFront, artifact: str) -> None:
    person = strict.client("token-of-ada", basic=True)
    pulls = (await person.ask("GET", f"/v2/token?scope=repository:{artifact}:pull&service=x")).json["token"]
    begun = (await strict.client("token-of-ada").ask("POST", f"/v2/{artifact}/blobs/uploads/")).headers["Location"]
    calls = [("POST", f"/v2/{artifact}/blobs/uploads/"), *((one, begun) for one in ("GET", "PATCH", "PUT", "DELETE"))]
    for client, (method, path) in [(one, call) for one in (strict.nobody(), strict.client(pulls)) for call in calls]:
        said = await client.ask(method, path, body=b"x" if method in ("PATCH", "PUT") else None)
        assert said.status == 401, (method, said.status)
        assert f'scope="repository:{artifact}:pull,push"' in said.headers["WWW-Authenticate"], method
    read = await strict.nobody().ask("GET", f"/v2/{artifact}/blobs/sha256:{'0' * 64}")
    assert f'scope="repository:{artifact}:pull"' in read.headers["WWW-Authenticate"]


async def test_a_star_asks_for_all_that_the_caller_may_do(strict: RunningFront, artifact: str) -> None:
    person = strict.client("token-of-ada", basic=True)
    scopes = f"scope=repository:{artifact}:*&scope=repository:gamma/x:*&scope=repository:busybox:pull&service=x"
    granted = strict.client((await person.ask("GET", f"/v2/token?{scopes}")).json["token"])
    assert (await granted.ask("POST", f"/v2/{artifact}/blobs/uploads/")).status == 202
    assert (await granted.ask("GET", f"/v2/{artifact}/tags/list")).status == 404
    assert (await granted.ask("GET", "/v2/gamma/x/tags/list")).status == 404, "everybody known reads"
    assert (await granted.ask("POST", "/v2/gamma/x/blobs/uploads/")).status == 401
    twice = f"scope=repository:{artifact}:pull,push&scope=repository:{artifact}:pull&service=x"
    both = strict.client((await person.ask("GET", f"/v2/token?{twice}")).json["token"])
    assert (await both.ask("POST", f"/v2/{artifact}/blobs/uploads/")).status == 202


class Asking:
    """A client as Go's are: a token for what the challenge says, kept until another challenge comes."""

    def __init__(self, front: RunningFront) -> None:
        self._front, self._token = front, ""

    async def ask(self, method: str, path: str, **more: Any) -> Any:
        for _ in range(2):
            client = self._front.client(self._token) if self._token else self._front.nobody()
            said = await client.ask(method, path, **more)
            if said.status != 401:
                return said
            scope = re.search(r'scope="([^"]*)"', said.headers["WWW-Authenticate"])
            query = f"?service=x&scope={scope[1].replace(' ', '&scope=')}" if scope is not None else "?service=x"
            person = self._front.client("token-of-ada", basic=True)
            self._token = (await person.ask("GET", f"/v2/token{query}")).json["token"]
        raise AssertionError(f"{method} {path} goes on asking for tokens: {said.headers}")


@pytest.mark.parametrize("way", ["crane", "kaniko", "containerd"])
async def test_go_clients_look_before_they_upload(strict: RunningFront, artifact: str, way: str) -> None:
    client = Asking(strict)
    assert (await client.ask("GET", "/v2/")).status == 200
    if way == "kaniko":  # whether it may push, before it builds
        checked = await client.ask("POST", f"/v2/{artifact}/blobs/uploads/")
        assert checked.status == 202
        assert (await client.ask("DELETE", checked.headers["Location"])).status == 204
    if way == "containerd":
        accept = {"Accept": f"{OCI_MANIFEST}, */*"}
        assert (await client.ask("HEAD", f"/v2/{artifact}/manifests/1.0", headers=accept)).status == 404
    described = []
    for content in (with_source(author=way), b"{}"):
        digest = digest_of(content)
        assert (await client.ask("HEAD", f"/v2/{artifact}/blobs/{digest}")).status == 404
        mount = f"?mount={digest}&from=alpha/never" if way != "kaniko" else f"?mount={digest}"
        begun = await client.ask("POST", f"/v2/{artifact}/blobs/uploads/{mount}")
        assert begun.status == 202, begun.body
        location = begun.headers["Location"]
        if way != "containerd":
            sent = await client.ask("PATCH", location, body=content)  # neither Content-Range nor Content-Type
            assert (sent.status, sent.headers["Range"]) == (202, f"0-{len(content) - 1}")
            location = sent.headers["Location"]
        whole = (
            {"body": content, "headers": {"Content-Type": "application/octet-stream"}} if way == "containerd" else {}
        )
        ended = await client.ask("PUT", f"{location}&digest={digest}", **whole)
        assert (ended.status, ended.headers["Docker-Content-Digest"]) == (201, digest)
        described.append({"digest": digest, "size": len(content)})
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": {"mediaType": OCI_CONFIG, **described[1]},
        "layers": [{"mediaType": LAYER, **described[0]}],
    }).encode()  # fmt: skip
    said = await client.ask(
        "PUT", f"/v2/{artifact}/manifests/1.0", body=manifest, headers={"Content-Type": OCI_MANIFEST}
    )
    assert said.status == 201, said.body
    head = await client.ask("HEAD", f"/v2/{artifact}/manifests/1.0")
    assert (head.status, head.headers["Docker-Content-Digest"]) == (200, digest_of(manifest))


@pytest.mark.parametrize("source", ["", "&from=busybox", "&from=Not/A/Name", "&from=alpha/never-pushed", "&from="])
async def test_a_blob_that_cannot_be_mounted_is_uploaded(strict: RunningFront, artifact: str, source: str) -> None:
    client = strict.client()
    digest = digest_of(b"to be mounted")
    begun = await client.ask("POST", f"/v2/{artifact}/blobs/uploads/?mount={digest}{source}")
    assert begun.status == 202, begun.body
    ended = await client.ask("PUT", f"{begun.headers['Location']}&digest={digest}", body=b"to be mounted")
    assert ended.status == 201


@pytest.mark.parametrize("content", [b"", b"all of it"])
async def test_a_blob_comes_in_one_post_also_an_empty_one(strict: RunningFront, artifact: str, content: bytes) -> None:
    client = strict.client()
    digest = digest_of(content)

    async def chunked() -> AsyncIterator[bytes]:
        yield content

    for body in (content, chunked()):
        said = await client.ask("POST", f"/v2/{artifact}/blobs/uploads/?digest={digest}", body=body)
        assert (said.status, said.headers.get("Location")) == (201, f"/v2/{artifact}/blobs/{digest}"), said.body
    assert (await client.ask("GET", f"/v2/{artifact}/blobs/{digest}")).body == content


async def test_large_annotations_of_a_referrer_are_kept_and_its_list_is_bounded(
    strict: RunningFront, artifact: str
) -> None:
    client = strict.client()
    subject = entry(b"an image")
    annotations = {"Config": "any name", "dev.sigstore.cosign/bundle": "x" * 500_000}
    body = await made(client, artifact, EMPTY, (COSIGN, b"{}"), subject=subject, annotations=annotations)
    assert (await client.put(artifact, digest_of(body), body)).status == 201
    assert (await client.ask("GET", f"/v2/{artifact}/manifests/{digest_of(body)}")).body == body
    (found,) = (await client.ask("GET", f"/v2/{artifact}/referrers/{subject['digest']}")).json["manifests"]
    assert found["annotations"] == {"Config": "any name"}


# --- a registry behind that wants its repositories made first


@pytest.fixture(scope="module")
async def ecr() -> AsyncIterator[LyingRegistry]:
    async with lying_registry() as registry:
        yield registry


@pytest.fixture(scope="module")
async def before(
    ecr: LyingRegistry, authority: SigningAuthority, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningFront]:
    directory = tmp_path_factory.mktemp("before")
    async with registry_front(
        directory, directory, authority_pem={"eu-central-1": authority.pem}, backend=ecr.host, backend_path="/whence"
    ) as running:
        yield running


async def test_a_repository_that_is_missing_behind_is_named_with_what_to_do(
    before: RunningFront, ecr: LyingRegistry
) -> None:
    client = before.client()
    manifest = await client.manifest("alpha/app", b"layer")
    ecr.lie = "unmade"
    try:
        for path in ("", f"?digest={digest_of(b'layer')}", f"?mount={digest_of(b'layer')}&from=alpha/other"):
            said = await client.ask("POST", f"/v2/alpha/app/blobs/uploads/{path}", body=b"layer")
            assert (said.status, said.code, said.headers.get("Retry-After")) == (404, "NAME_UNKNOWN", None), said.body
            message = said.json["errors"][0]["message"]
            assert "whence/alpha/app" in message
            assert "create-repository" in message
        said = await client.put("alpha/app", "1.0", manifest)
        assert (said.status, said.code) == (404, "NAME_UNKNOWN")
    finally:
        ecr.lie = ""
    assert (await client.put("alpha/app", "1.0", manifest)).status == 201


async def test_a_registry_behind_without_ranges_returns_the_whole_blob(
    before: RunningFront, ecr: LyingRegistry
) -> None:
    """As storage behind others' registries does with several ranges (501); clients that ask for parts take the whole."""
    client = before.client()
    digest = (await client.blob("alpha/app", b"0123456789"))["digest"]
    ecr.lie = "no-ranges"
    try:
        said = await client.ask("GET", f"/v2/alpha/app/blobs/{digest}", headers={"Range": "bytes=0-1,4-5"})
    finally:
        ecr.lie = ""
    assert (said.status, said.body) == (200, b"0123456789")


async def test_an_upload_out_of_order_is_refused_with_the_next_byte(strict: RunningFront, artifact: str) -> None:
    """Also where the last bytes come with the PUT, and where a client begins again at 0."""
    client = strict.client()
    begun = (await client.ask("POST", f"/v2/{artifact}/blobs/uploads/")).headers["Location"]
    sent = (await client.ask("PATCH", begun, body=b"hello ")).headers["Location"]
    digest = digest_of(b"hello world")
    gap = await client.ask("PUT", f"{sent}&digest={digest}", body=b"world", headers={"Content-Range": "7-11"})
    again = await client.ask("PATCH", sent, body=b"hello ", headers={"Content-Range": "0-5"})
    assert [(said.status, said.json["errors"][0]["detail"]) for said in (gap, again)] == [(416, {"received": 6})] * 2
    ended = await client.ask("PUT", f"{sent}&digest={digest}", body=b"world", headers={"Content-Range": "6-10"})
    assert ended.status == 201


async def test_ranges_of_another_unit_mean_the_whole(strict: RunningFront, artifact: str) -> None:
    client = strict.client()
    digest = (await client.blob(artifact, b"0123456789"))["digest"]
    for stated, expected in (
        ("items=0-1", (200, b"0123456789")),
        ("bytes=0-", (206, b"0123456789")),
        ("bytes=-2", (206, b"89")),
    ):
        said = await client.ask("GET", f"/v2/{artifact}/blobs/{digest}", headers={"Range": stated})
        assert (said.status, said.body) == expected, stated
