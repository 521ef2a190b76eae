"""The conformance cases of Pier One, by their numbers in the reference: what stays as it was, what changed, what is new."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.signing_authority import SigningAuthority, launched_now
from landscape.front import OCI_INDEX, OCI_MANIFEST, RunningFront, basic_header, digest_of, registry_front
from landscape.layers import COMMIT, gzipped, tar, with_source, zstd
from landscape.processes import run
from landscape.programs import BIN

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


@pytest.fixture(scope="module")
async def front(authority: SigningAuthority, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningFront]:
    directory = tmp_path_factory.mktemp("front")
    async with registry_front(
        directory, directory, authority_pem={"eu-central-1": authority.pem}, identity_documents=True
    ) as running:
        yield running


@pytest.fixture
def artifact(request: pytest.FixtureRequest) -> str:
    """A repository of its own for each test."""
    return f"alpha/a{digest_of(request.node.nodeid.encode())[7:19]}"


async def source_of(front: RunningFront, artifact: str, tag: str) -> tuple[int, object]:
    team, name = artifact.split("/")
    said = await front.client().ask("GET", f"/teams/{team}/artifacts/{name}/tags/{tag}/scm-source")
    return said.status, json.loads(said.body) if said.body else None


async def test_1_every_known_caller_reads_the_version(front: RunningFront) -> None:
    for client in (front.client(), front.client(basic=True), front.client("token-of-ada")):
        said = await client.ask("GET", "/v2/")
        assert (said.status, said.body) == (200, b"OK")
        assert said.headers["Docker-Distribution-API-Version"] == "registry/2.0"


@pytest.mark.parametrize("header", ["", "Bearer wrong", "Basic !!", "Digest x", basic_header("ada", "token-of-ada")])
async def test_2_an_unknown_caller_receives_401_with_the_challenges(front: RunningFront, header: str) -> None:
    said = await front.nobody().ask("GET", "/v2/", headers={"Authorization": header} if header else {})
    assert (said.status, said.code) == (401, "UNAUTHORIZED")
    challenges = said.headers.getall("WWW-Authenticate")  # type: ignore[attr-defined]  # a multidict
    assert challenges[0].startswith('Bearer realm="http://127.0.0.1')
    assert challenges[1] == 'Basic realm="Pier One Docker Registry"'
    assert said.headers["Docker-Distribution-API-Version"] == "registry/2.0"


async def test_2_an_engine_is_offered_tokens_alone(front: RunningFront) -> None:
    """It answers every challenge, and fails at Basic where it has a token to renew others by, and no password."""
    said = await front.nobody().ask("GET", "/v2/", headers={"User-Agent": "docker/20.10.24 go/go1.19.8 os/linux"})
    (challenge,) = said.headers.getall("WWW-Authenticate")  # type: ignore[attr-defined]  # a multidict
    assert challenge.startswith('Bearer realm="http://127.0.0.1')


async def test_3_what_is_not_there_is_404(front: RunningFront, artifact: str) -> None:
    client = front.client()
    assert (await client.ask("HEAD", f"/v2/{artifact}/blobs/sha256:{'0' * 64}")).status == 404
    missing = await client.ask("GET", f"/v2/{artifact}/manifests/1.0")
    assert (missing.status, missing.code) == (404, "NAME_UNKNOWN")


async def test_4_a_blob_is_uploaded_in_three_calls(front: RunningFront, artifact: str) -> None:
    client = front.client("token-of-ada")
    described = await client.blob(artifact, b"imgdata")
    said = await client.ask("HEAD", f"/v2/{artifact}/blobs/{described['digest']}")
    assert (said.status, said.headers["Content-Length"]) == (200, "7")
    assert (await client.ask("GET", f"/v2/{artifact}/blobs/{described['digest']}")).body == b"imgdata"


async def test_5_and_6_an_upload_ends_with_its_own_digest_only(front: RunningFront, artifact: str) -> None:
    client = front.client()
    for query, code in (("", "DIGEST_INVALID"), (f"&digest=sha256:{'1' * 64}", "DIGEST_INVALID")):
        begun = await client.ask("POST", f"/v2/{artifact}/blobs/uploads/")
        sent = await client.ask("PATCH", begun.headers["Location"], body=b"imgdata")
        said = await client.ask("PUT", sent.headers["Location"] + query)
        assert (said.status, said.code) == (400, code)
    assert (await client.ask("HEAD", f"/v2/{artifact}/blobs/sha256:{'1' * 64}")).status == 404


@pytest.mark.parametrize("body", [b"no JSON", b"[]", b'{"schemaVersion": 4}', b'{"schemaVersion": 1}', b"{}"])
async def test_7_what_is_no_manifest_is_refused(front: RunningFront, artifact: str, body: bytes) -> None:
    said = await front.client().put(artifact, "1.0", body)
    assert (said.status, said.code) == (400, "MANIFEST_INVALID")


async def test_8_a_manifest_names_only_blobs_that_are_here(front: RunningFront, artifact: str) -> None:
    manifest = json.loads(await front.client().manifest(artifact, tar({"a": b"b"})))
    manifest["layers"][0]["digest"] = "sha256:" + "2" * 64
    said = await front.client().put(artifact, "1.0", json.dumps(manifest).encode())
    assert (said.status, said.code) == (400, "MANIFEST_BLOB_UNKNOWN")
    assert "sha256:2222" in said.json["errors"][0]["message"]


async def test_9_10_and_13_a_tag_is_written_once(front: RunningFront, artifact: str) -> None:
    client = front.client()
    first = await client.manifest(artifact, with_source())
    second = await client.manifest(artifact, tar({"other": b""}))
    assert (await client.put(artifact, "1.0", first)).status == 201
    before = (await client.ask("GET", f"/teams/{artifact.replace('/', '/artifacts/')}/tags")).json
    again = await client.put(artifact, "1.0", first)
    assert (again.status, again.headers["Docker-Content-Digest"]) == (201, digest_of(first))
    refused = await client.put(artifact, "1.0", second)
    assert (refused.status, refused.json["errors"]) == (
        409, [{"code": "TAG_INVALID", "message": "tag already exists", "detail": {"Tag": "1.0"}}],
    )  # fmt: skip
    assert (await client.ask("GET", f"/v2/{artifact}/manifests/1.0")).body == first
    assert (await client.ask("GET", f"/teams/{artifact.replace('/', '/artifacts/')}/tags")).json == before
    latest = await client.put(artifact, "latest", second)
    assert (latest.status, latest.code) == (409, "TAG_INVALID")


async def test_11_of_a_hundred_racing_pushes_of_a_tag_one_wins(front: RunningFront, artifact: str) -> None:
    client = front.client()
    manifests = [await client.manifest(artifact, b"", annotations={"number": str(n)}) for n in range(100)]
    said = await asyncio.gather(*(client.put(artifact, "1.0", one) for one in manifests))
    assert sorted(one.status for one in said) == [201] + [409] * 99
    winner = manifests[[one.status for one in said].index(201)]
    assert (await client.ask("GET", f"/v2/{artifact}/manifests/1.0")).body == winner


@pytest.mark.parametrize("layout", [{"indent": 3}, {"separators": (",", ":")}, {"sort_keys": True, "indent": 7}])
async def test_12_bytes_stay_as_they_were_pushed(front: RunningFront, artifact: str, layout: dict[str, object]) -> None:
    client = front.client()
    manifest = json.dumps(json.loads(await client.manifest(artifact, b"layer")), **layout).encode()  # type: ignore[arg-type]  # dumps's own options
    assert (await client.put(artifact, "1.0", manifest)).status == 201
    for reference in ("1.0", digest_of(manifest)):
        said = await client.ask("GET", f"/v2/{artifact}/manifests/{reference}")
        assert (said.body, said.headers["Content-Type"]) == (manifest, OCI_MANIFEST)
        head = await client.ask("HEAD", f"/v2/{artifact}/manifests/{reference}")
        assert (head.status, head.headers["Docker-Content-Digest"]) == (200, digest_of(manifest))
        assert head.headers["Content-Length"] == str(len(manifest))


async def test_14_a_snapshot_may_move_and_every_digest_stays(front: RunningFront, artifact: str) -> None:
    client = front.client()
    first = await client.push(artifact, "1.0-SNAPSHOT", b"one")
    second = await client.push(artifact, "1.0-SNAPSHOT", b"two")
    now = await client.ask("HEAD", f"/v2/{artifact}/manifests/1.0-SNAPSHOT")
    assert now.headers["Docker-Content-Digest"] == second
    assert (await client.ask("GET", f"/v2/{artifact}/manifests/{first}")).status == 200


async def test_15_lists_name_each_tag_and_each_repository_once(front: RunningFront, artifact: str) -> None:
    client = front.client()
    for tag in ("1.0", "1.1", "2.0"):
        await client.push(artifact, tag, tag.encode())
    assert (await client.ask("GET", f"/v2/{artifact}/tags/list")).json == {
        "name": artifact,
        "tags": ["1.0", "1.1", "2.0"],
    }
    page = await client.ask("GET", f"/v2/{artifact}/tags/list?n=2")
    assert page.json["tags"] == ["1.0", "1.1"]
    following = page.headers["Link"].partition(">")[0][1:]
    assert (await client.ask("GET", following)).json["tags"] == ["2.0"]
    assert (await client.ask("GET", "/v2/_catalog")).json["repositories"].count(artifact) == 1


async def test_16_images_are_found_by_the_beginning_of_their_id(front: RunningFront, artifact: str) -> None:
    client = front.client()
    config = json.dumps({"of": artifact}).encode()
    await client.push(artifact, "1.0", b"", config=config)
    team, name = artifact.split("/")
    expected = [{"name": "1.0", "team": team, "artifact": name}]
    for prefix in (digest_of(config), digest_of(config)[7:], digest_of(config)[7:27]):
        assert (await client.ask("GET", f"/tags/{prefix}")).json == expected
    assert (await client.ask("GET", "/tags/" + "0" * 40)).status == 404
    by_first_digit: dict[str, int] = {}
    for number in range(17):
        other = json.dumps({"of": artifact, "n": number}).encode()
        await client.push(artifact, f"2.{number}", b"", config=other)
        by_first_digit[digest_of(other)[7]] = by_first_digit.get(digest_of(other)[7], 0) + 1
    shared = max(by_first_digit, key=lambda one: by_first_digit[one])
    assert (await client.ask("GET", f"/tags/{shared}")).status == 412
    for nonsense in ("%25", "_", "xyz", "sha256:"):
        assert (await client.ask("GET", f"/tags/{nonsense}")).status == 404


async def test_17_an_unknown_artifact_has_no_tags(front: RunningFront, artifact: str) -> None:
    path = f"/teams/{artifact.replace('/', '/artifacts/')}/tags"
    unknown = await front.client().ask("GET", path)
    assert (unknown.status, unknown.body) == (404, b"")
    await front.client().push(artifact, "1.0", b"")
    assert [one["name"] for one in (await front.client().ask("GET", path)).json] == ["1.0"]
    assert (await front.client().ask("GET", "/teams/nobody-at-all/artifacts")).json == []


async def test_18_statistics_count_artifacts_tags_and_each_blob_once(
    authority: SigningAuthority, tmp_path: Path
) -> None:
    async with registry_front(tmp_path, tmp_path, authority_pem={"eu-central-1": authority.pem}) as own:
        client = own.client()
        assert (await client.ask("GET", "/stats")).json == {"teams": 0, "storage": None}
        for tag, layer in (("1.0", b"layer 01"), ("1.1", b"layer 02")):
            await client.push("alpha/app", tag, layer, config=b'{"a": 1}')
        assert (await client.ask("GET", "/stats")).json == {"teams": 1, "storage": 24}
        assert (await client.ask("GET", "/stats/teams/alpha")).json == {"artifacts": 1, "tags": 2}
        assert (await client.ask("GET", "/stats/teams")).json == [
            {"team": "alpha", "stats": {"artifacts": 1, "tags": 2}}
        ]
        assert (await client.ask("GET", "/stats/teams/nobody")).json == {"artifacts": 0, "tags": 0}


async def test_19_and_20_latest_is_the_newest_by_time(front: RunningFront, artifact: str) -> None:
    client = front.client()
    await client.push(artifact, "1.1", b"one", config=b'{"one": 1}')
    digest = await client.push(artifact, "1.0", b"two", config=b'{"two": 2}')
    head = await client.ask("HEAD", f"/v2/{artifact}/manifests/latest")
    assert head.headers["Docker-Content-Digest"] == digest
    found = (await client.ask("GET", f"/v1/repositories/{artifact}/tags")).json
    assert found == {
        "1.1": digest_of(b'{"one": 1}')[7:], "1.0": digest_of(b'{"two": 2}')[7:], "latest": digest_of(b'{"two": 2}')[7:],
    }  # fmt: skip
    unknown = await client.ask("GET", "/v1/repositories/alpha/never-pushed/tags")
    assert (unknown.status, unknown.json) == (404, {})


async def test_21_the_source_is_read_out_of_real_layers(front: RunningFront, artifact: str) -> None:
    client = front.client()
    await client.push(artifact, "1.0", tar({"app": b""}), gzipped(with_source()))
    await client.push(artifact, "1.1", tar({"app": b"sourceless"}))
    status, source = await source_of(front, artifact, "1.0")
    assert status == 200
    assert isinstance(source, dict)
    assert {name: source[name] for name in ("url", "revision", "author", "status")} == {
        "url": "git:https://git.example.org/alpha/app.git", "revision": COMMIT, "author": "ada", "status": "",
    }  # fmt: skip
    assert await source_of(front, artifact, "1.1") == (404, {"message": "the image names no source"})
    assert await source_of(front, artifact, "9.9") == (404, None)


async def test_22_the_topmost_layer_wins_in_whatever_order_they_are_pushed(front: RunningFront, artifact: str) -> None:
    client = front.client()
    base, top = with_source(revision="b" * 40), with_source(revision="a" * 40)
    await client.blob(artifact, top)
    await client.blob(artifact, base)
    await client.push(artifact, "1.0", base, top)
    _, source = await source_of(front, artifact, "1.0")
    assert isinstance(source, dict)
    assert source["revision"] == "a" * 40


@pytest.mark.parametrize("whiteout", [".wh.scm-source.json", "./.wh.scm-source.json", ".wh..wh..opq"])
async def test_23_a_whiteout_hides_what_lies_below(front: RunningFront, artifact: str, whiteout: str) -> None:
    await front.client().push(artifact, "1.0", with_source(), tar({whiteout: b""}))
    assert (await source_of(front, artifact, "1.0"))[0] == 404


@pytest.mark.parametrize(
    "layer, warning",
    [
        (with_source(colour="blue", nested={"a": [1]}), None),
        (with_source(status=None), "scm-source.json lacks status"),
        (with_source(author=7), "scm-source.json lacks author"),
        (zstd(with_source()), None),
        (gzipped(with_source()[:512]) + gzipped(with_source()[512:]), None),
    ],
)
async def test_24_extra_keys_are_tolerated_missing_ones_are_named(
    front: RunningFront, artifact: str, layer: bytes, warning: str | None
) -> None:
    client = front.client()
    said = await client.put(artifact, "1.0", await client.manifest(artifact, layer))
    assert said.status == 201
    assert said.headers.get("Warning") == (f'299 - "{warning}"' if warning else None)
    status, source = await source_of(front, artifact, "1.0")
    assert status == 200
    assert isinstance(source, dict)
    assert all(isinstance(value, str) for value in source.values())


async def test_a_source_in_a_header_is_ignored_with_a_warning(front: RunningFront, artifact: str) -> None:
    client = front.client()
    manifest = await client.manifest(artifact, with_source())
    headers = {"Content-Type": OCI_MANIFEST, "X-SCM-Source": "%7B%22url%22%3A%22git%3Aevil%22%7D"}
    said = await client.ask("PUT", f"/v2/{artifact}/manifests/1.0", body=manifest, headers=headers)
    assert (said.status, "whence attest" in said.headers["Warning"]) == (201, True)
    _, source = await source_of(front, artifact, "1.0")
    assert isinstance(source, dict)
    assert source["revision"] == COMMIT


@pytest.mark.parametrize(
    "token, repository, status",
    [
        ("token-of-ada", "alpha/x", 202),
        ("token-of-ada", "beta/x", 403),
        ("token-of-bare", "alpha/x", 202),
        ("token-of-robot", "beta/x", 202),
        ("token-of-robot", "gamma/x", 403),
        ("token-of-mute", "alpha/x", 403),
        ("token-of-chief", "gamma/x", 202),
        ("token-of-odd", "alpha/x", 403),
        ("token-of-nobody", "alpha/x", 401),
        ("never-issued", "alpha/x", 401),
    ],
)
async def test_26_a_team_is_written_for_by_its_own(
    front: RunningFront, token: str, repository: str, status: int
) -> None:
    said = await front.client(token).ask("POST", f"/v2/{repository}/blobs/uploads/")
    assert said.status == status


async def test_27_with_the_team_service_down_or_unset_no_user_of_tokeninfo_can_push(
    front: RunningFront, authority: SigningAuthority, tmp_path: Path
) -> None:
    front.people.down = True
    try:
        said = await front.client("token-of-robot").ask("POST", "/v2/alpha/x/blobs/uploads/")
        assert (said.status, said.code) == (503, "UNAVAILABLE")
    finally:
        front.people.down = False
    async with registry_front(
        tmp_path,
        tmp_path,
        authority_pem={"eu-central-1": authority.pem},
        backend=front.backend,
        sign_in={"team_url": None},
    ) as unset:
        said = await unset.client("token-of-ada").ask("POST", "/v2/alpha/x/blobs/uploads/")
        assert (said.status, said.code) == (403, "DENIED")
        assert "no team service" in said.json["errors"][0]["message"]


async def test_28_an_instance_pulls_by_its_identity_and_pushes_nothing(
    front: RunningFront, authority: SigningAuthority, artifact: str
) -> None:
    digest = await front.client().push(artifact, "1.0", b"layer")

    def instance(blob: str, user: str = "instance-identity-document") -> dict[str, str]:
        return {"Authorization": basic_header(user, blob)}

    def signed(by: SigningAuthority, **document: str) -> str:
        return by.sign(launched_now("i-0123456789abcdef0", **document))

    good = signed(authority)
    path = f"/v2/{artifact}/manifests/{digest}"
    assert (await front.nobody().ask("GET", path, headers=instance(good))).status == 200
    framed = f"-----BEGIN PKCS7-----\n{good}\n-----END PKCS7-----\n"
    assert (await front.nobody().ask("GET", path, headers=instance(framed))).status == 200
    push = await front.nobody().ask("POST", f"/v2/{artifact}/blobs/uploads/", headers=instance(good))
    assert (push.status, push.code) == (403, "DENIED")
    other = SigningAuthority.make()
    foreign = signed(authority, accountId="999999999999")
    for bad in (instance("junk"), instance(good, "ada"), instance(signed(other)), instance(foreign), instance("")):
        assert (await front.nobody().ask("GET", path, headers=bad)).status == 401


async def test_29_the_body_of_an_unauthenticated_request_is_not_read(front: RunningFront, artifact: str) -> None:
    host, _, port = front.host.partition(":")
    for method, path in (("PUT", f"/v2/{artifact}/manifests/1.0"), ("PATCH", f"/v2/{artifact}/blobs/uploads/x")):
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(f"{method} {path} HTTP/1.1\r\nHost: {front.host}\r\nContent-Length: 1000000000\r\n\r\n".encode())
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        assert b" 401 " in head.split(b"\r\n")[0]
        assert b"connection: close" in head.lower()
        writer.close()


async def test_30_and_31_referrers_are_kept_also_for_what_comes_later(front: RunningFront, artifact: str) -> None:
    client = front.client()
    image = await client.manifest(artifact, b"layer")
    subject = {"mediaType": OCI_MANIFEST, "digest": digest_of(image), "size": len(image)}
    kinds = ["application/vnd.example.sbom", "application/vnd.example.signature", "application/vnd.example.sbom"]
    digests = []
    for number, kind in enumerate(kinds):
        referrer = await client.manifest(
            artifact, b"", subject=subject, artifactType=kind, annotations={"number": str(number)}
        )
        said = await client.put(artifact, digest_of(referrer), referrer)
        assert (said.status, said.headers["OCI-Subject"]) == (201, digest_of(image))
        digests.append(digest_of(referrer))
    assert (await client.put(artifact, "1.0", image)).status == 201
    every = await client.ask("GET", f"/v2/{artifact}/referrers/{digest_of(image)}")
    assert every.headers["Content-Type"] == OCI_INDEX
    assert sorted(one["digest"] for one in every.json["manifests"]) == sorted(digests)
    found = {one["digest"]: one for one in every.json["manifests"]}[digests[1]]
    assert (found["artifactType"], found["annotations"]) == (kinds[1], {"number": "1"})
    some = await client.ask("GET", f"/v2/{artifact}/referrers/{digest_of(image)}?artifactType={kinds[0]}")
    assert (len(some.json["manifests"]), some.headers["OCI-Filters-Applied"]) == (2, "artifactType")
    page = await client.ask("GET", f"/v2/{artifact}/referrers/{digest_of(image)}?n=2")
    following = page.headers["Link"].partition(">")[0][1:]
    assert len(page.json["manifests"]) + len((await client.ask("GET", following)).json["manifests"]) == 3
    nothing = await client.ask("GET", f"/v2/{artifact}/referrers/sha256:{'9' * 64}")
    assert (nothing.status, nothing.json["manifests"]) == (200, [])


async def test_30_an_index_needs_its_images(front: RunningFront, artifact: str) -> None:
    client = front.client()
    image = await client.manifest(artifact, with_source())
    entry = {"mediaType": OCI_MANIFEST, "digest": digest_of(image), "size": len(image),
             "platform": {"os": "linux", "architecture": "amd64"}}  # fmt: skip
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}).encode()
    refused = await client.put(artifact, "1.0", index, OCI_INDEX)
    assert (refused.status, refused.code) == (400, "MANIFEST_BLOB_UNKNOWN")
    assert (await client.put(artifact, digest_of(image), image)).status == 201
    assert (await client.put(artifact, "1.0", index, OCI_INDEX)).status == 201
    assert (await source_of(front, artifact, "1.0"))[0] == 200
    only_images = await client.ask("GET", f"/v2/{artifact}/manifests/1.0", headers={"Accept": DOCKER_MANIFEST})
    assert (only_images.status, only_images.code) == (404, "MANIFEST_UNKNOWN")


async def test_34_tags_have_pier_ones_fields(front: RunningFront, artifact: str) -> None:
    await front.client("token-of-ada").push(artifact, "1.0", b"", config=b'{"x": 1}')
    (tag,) = (await front.client().ask("GET", f"/teams/{artifact.replace('/', '/artifacts/')}/tags")).json
    assert (tag["name"], tag["created_by"], tag["image"]) == ("1.0", "ada", digest_of(b'{"x": 1}'))
    assert (tag["clair_id"], tag["clair_details"]) == (None, None)
    assert tag["created"].endswith("Z")
    assert len(tag["created"]) == len("2026-11-22T12:00:00.000Z")


async def test_a_docker_manifest_keeps_its_media_type(front: RunningFront, artifact: str) -> None:
    client = front.client()
    described = {"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", **await client.blob(artifact, b"x")}
    config = {"mediaType": "application/vnd.docker.container.image.v1+json", **await client.blob(artifact, b"{}")}
    document = {"schemaVersion": 2, "mediaType": DOCKER_MANIFEST, "config": config, "layers": [described]}
    for number, header in enumerate((DOCKER_MANIFEST, "application/json", "application/octet-stream")):
        body = json.dumps(document, indent=number).encode()
        assert (await client.put(artifact, f"1.{number}", body, header)).status == 201
        said = await client.ask("GET", f"/v2/{artifact}/manifests/1.{number}")
        assert said.headers["Content-Type"] == DOCKER_MANIFEST


async def test_a_granted_token_is_for_what_it_was_granted_for(front: RunningFront, artifact: str) -> None:
    person = front.client("token-of-ada", basic=True)
    scope = f"scope=repository:{artifact}:pull,push&scope=repository:beta/x:pull,push&service={front.host}"
    token = (await person.ask("GET", f"/v2/token?{scope}")).json["token"]
    granted = front.client(token)
    await granted.push(artifact, "1.0", b"layer")
    denied = await granted.ask("POST", "/v2/beta/x/blobs/uploads/")
    assert (denied.status, denied.code) == (401, "DENIED")
    assert 'scope="repository:beta/x:pull,push"' in denied.headers["WWW-Authenticate"]
    other = await granted.ask("GET", "/v2/gamma/x/tags/list")
    assert (other.status, other.code) == (401, "DENIED")
    (tag,) = (await front.client().ask("GET", f"/teams/{artifact.replace('/', '/artifacts/')}/tags")).json
    assert tag["created_by"] == "ada"
    assert (await front.nobody().ask("GET", f"/v2/token?{scope}")).status == 401
    form = f"grant_type=password&username=oauth2&password=token-of-ada&service=x&scope=repository:{artifact}:pull"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    posted = await front.nobody().ask("POST", "/v2/token", body=form.encode(), headers=headers)
    assert front.client(posted.json["access_token"]).authorization
    assert (await front.client(posted.json["access_token"]).ask("GET", f"/v2/{artifact}/tags/list")).status == 200
    assert (await granted.ask("GET", f"/v2/token?{scope}")).status == 401, "or one grant would last for ever"
    bent = base64.urlsafe_b64encode(b"x" * 90).decode()
    assert (await front.client(bent).ask("GET", "/v2/")).status == 401
    assert (await front.client(token[:-2] + "AA").ask("GET", "/v2/")).status == 401


async def test_nothing_is_deleted_but_tags_of_scratch_teams(front: RunningFront, artifact: str) -> None:
    client = front.client()
    digest = await client.push(artifact, "1.0", b"layer")
    for path in ("manifests/1.0", f"manifests/{digest}", f"blobs/{digest_of(b'layer')}"):
        said = await client.ask("DELETE", f"/v2/{artifact}/{path}")
        assert (said.status, said.code) == (405, "UNSUPPORTED")
    scratch = await client.push("dinosaur/rex", "latest", b"one")
    moved = await client.push("dinosaur/rex", "latest", b"two")
    assert (await client.ask("DELETE", "/v2/dinosaur/rex/manifests/latest")).status == 202
    assert (await client.ask("GET", "/v2/dinosaur/rex/manifests/latest")).status == 404
    for one in (scratch, moved):
        assert (await client.ask("GET", f"/v2/dinosaur/rex/manifests/{one}")).status == 200
    gone = await client.ask("DELETE", f"/v2/dinosaur/rex/manifests/{moved}")
    assert (gone.status, gone.code) == (404, "MANIFEST_UNKNOWN")


async def test_what_was_pushed_is_in_the_ledger_and_the_ledger_is_clean(front: RunningFront, artifact: str) -> None:
    await front.client("token-of-ada").push(artifact, "1.0", with_source(), config=b'{"t": 1}')
    said = await run(BIN / "whence-aggregator", "ledger", "check", "--config", front.aggregator.config)
    assert "clean" in said


async def test_a_source_that_is_required_is_named_when_it_is_missing(
    front: RunningFront, authority: SigningAuthority, tmp_path: Path
) -> None:
    async with registry_front(
        tmp_path, tmp_path, authority_pem={"eu-central-1": authority.pem}, backend=front.backend,
        scm_source_required=True,
    ) as strict:  # fmt: skip
        client = strict.client()
        for layer, why in ((tar({"a": b""}), "not known"), (with_source(status=None), "lacks status")):
            said = await client.put("alpha/app", "1.0", await client.manifest("alpha/app", layer))
            assert (said.status, said.code) == (400, "MANIFEST_INVALID")
            assert why in said.json["errors"][0]["message"]
        assert (await client.ask("GET", "/v2/alpha/app/tags/list")).status == 404
        await client.push("alpha/app", "1.0", with_source())
