"""What hostile clients, images and registries do to the front: refused, bounded, never half visible."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import tarfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import zstandard

from fakes.lying_registry import LIES, LyingRegistry, lying_registry
from fakes.signing_authority import SigningAuthority
from landscape.endurance import repeated
from landscape.front import LAYER, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST, RunningFront, Said, digest_of, registry_front
from landscape.layers import archive, gzipped, link, scm_source, tar, with_source, zstd
from landscape.processes import run
from landscape.programs import BIN
from whence_common.runtime.pause import pause

EMPTY = digest_of(b"{}")


@pytest.fixture(scope="module")
async def front(authority: SigningAuthority, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningFront]:
    directory = tmp_path_factory.mktemp("front")
    async with registry_front(
        directory, directory, authority_pem={"eu-central-1": authority.pem}, blob_bytes_max=8 * 1024 * 1024
    ) as running:
        yield running


@pytest.fixture
def artifact(request: pytest.FixtureRequest) -> str:
    return f"alpha/h{digest_of(request.node.nodeid.encode())[7:19]}"


@pytest.fixture(scope="module")
async def liar() -> AsyncIterator[LyingRegistry]:
    async with lying_registry() as registry:
        yield registry


@pytest.fixture(scope="module")
async def misled(
    liar: LyingRegistry, authority: SigningAuthority, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningFront]:
    """A front on top of the registry that lies."""
    directory = tmp_path_factory.mktemp("misled")
    async with registry_front(
        directory, directory, authority_pem={"eu-central-1": authority.pem}, backend=liar.host
    ) as running:
        yield running


async def source_of(front: RunningFront, artifact: str) -> int:
    path = f"/teams/{artifact.replace('/', '/artifacts/')}/tags/1.0/scm-source"
    return (await front.client().ask("GET", path)).status


def manifest(**members: Any) -> bytes:
    document = {
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": {"mediaType": OCI_CONFIG, "digest": EMPTY, "size": 2},
        "layers": [], **members,
    }  # fmt: skip
    return json.dumps(document).encode()


def descriptor(**members: Any) -> dict[str, Any]:
    return {"mediaType": LAYER, "digest": EMPTY, "size": 2, **members}


DEEP = b'{"schemaVersion": 2, "layers": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
MANIFESTS = {
    "nested too deep": DEEP,
    "a name twice": manifest()[:-1] + b', "layers": []}',
    "a name in other letters": manifest(Layers=[]),
    "schema version as truth": manifest(schemaVersion=True),
    "schema version as text": manifest(schemaVersion="2"),
    "no layers": json.dumps({"schemaVersion": 2, "config": descriptor()}).encode(),
    "no config": json.dumps({"schemaVersion": 2, "layers": []}).encode(),
    "layers that are none": manifest(layers={"0": descriptor()}),
    "ten thousand layers": manifest(layers=[descriptor()] * 10_000),
    "a digest that is a path": manifest(layers=[descriptor(digest="../../../etc/passwd")]),
    "a digest of another kind": manifest(layers=[descriptor(digest="sha512:" + "0" * 128)]),
    "a digest in capitals": manifest(layers=[descriptor(digest=EMPTY.upper())]),
    "a negative size": manifest(layers=[descriptor(size=-1)]),
    "a size beyond reason": manifest(layers=[descriptor(size=1 << 60)]),
    "a size as truth": manifest(layers=[descriptor(size=True)]),
    "bytes that lie elsewhere": manifest(layers=[descriptor(urls=["https://example.org/layer"])]),
    "a foreign media type": manifest(mediaType="application/vnd.cncf.helm.v1+json"),
    "a media type as list": manifest(mediaType=[OCI_MANIFEST]),
    "annotations without end": manifest(annotations={str(n): "x" for n in range(20_000)}),
    "annotations that are numbers": manifest(annotations={"a": 7}),
    "an index in an image": manifest(manifests=[descriptor()]),
    "a subject that is none": manifest(subject="sha256:"),
    "an artifact type without end": manifest(artifactType="x" * 10_000),
    "schema 1": json.dumps({"schemaVersion": 1, "name": "x", "fsLayers": [{"blobSum": EMPTY}]}).encode(),
    "not UTF-8": b'{"schemaVersion": 2, "a": "\xff\xfe"}',
    "a BOM": b"\xef\xbb\xbf" + manifest(),
    "NUL in an annotation": manifest(annotations={"a": "x\x00"}),
    "NUL in a name": manifest(annotations={"a\x00": "x"}),
    "NUL in an artifact type": manifest(artifactType="a/b\x00"),
}


@pytest.mark.parametrize("body", MANIFESTS.values(), ids=MANIFESTS.keys())
async def test_a_manifest_that_two_readers_could_read_differently_is_refused(
    front: RunningFront, artifact: str, body: bytes
) -> None:
    await front.client().blob(artifact, b"{}")
    said = await front.client().put(artifact, "1.0", body)
    assert (said.status, said.code) == (400, "MANIFEST_INVALID")
    assert (await front.client().ask("GET", f"/v2/{artifact}/manifests/1.0")).status == 404


async def test_a_manifest_that_is_too_large_is_refused_with_413(front: RunningFront, artifact: str) -> None:
    said = await front.client().put(artifact, "1.0", manifest(annotations={"a": "x" * (4 * 1024 * 1024)}))
    assert (said.status, said.code) == (413, "SIZE_INVALID")

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 65_536

    try:
        path = f"/v2/{artifact}/manifests/1.0"
        said = await front.client().ask("PUT", path, body=endless(), headers={"Content-Type": OCI_MANIFEST})
        assert said.status == 413
    except aiohttp.ClientError:
        pass  # the connection was closed while the body was still being sent


@pytest.mark.parametrize(
    "header", ["application/vnd.docker.distribution.manifest.v2+json", OCI_INDEX, "text/html", "x" * 500]
)
async def test_content_type_and_media_type_must_not_disagree(front: RunningFront, artifact: str, header: str) -> None:
    await front.client().blob(artifact, b"{}")
    said = await front.client().put(artifact, "1.0", manifest(), header)
    assert (said.status, said.code) == (400, "MANIFEST_INVALID")


@pytest.mark.parametrize(
    "name",
    [
        "Alpha/App",
        "alpha",
        "alpha//app",
        "alpha/../beta/app",
        "alpha/app%00",
        "alpha/" + "a" * 300,
        "alpha/a b",
        "-/x",
        "alpha/..",
    ],
)
async def test_a_name_outside_the_grammar_is_refused(front: RunningFront, name: str) -> None:
    said = await front.client().ask("POST", f"/v2/{name.replace(' ', '%20')}/blobs/uploads/")
    assert said.status in (400, 404)
    if said.status == 400 and said.body.startswith(b"{"):
        assert said.code == "NAME_INVALID"


@pytest.mark.parametrize("reference", ["a" * 129, "a%20b", "sha256:xyz", ".hidden", "sha256:" + "A" * 64, "-x"])
async def test_a_reference_outside_the_grammar_is_refused(front: RunningFront, artifact: str, reference: str) -> None:
    await front.client().blob(artifact, b"{}")
    assert (await front.client().put(artifact, reference, manifest())).status == 400


async def test_a_manifest_under_another_digest_is_refused(front: RunningFront, artifact: str) -> None:
    await front.client().blob(artifact, b"{}")
    said = await front.client().put(artifact, "sha256:" + "0" * 64, manifest())
    assert (said.status, said.code) == (400, "DIGEST_INVALID")


async def test_a_blob_that_is_larger_than_its_descriptor_is_refused(front: RunningFront, artifact: str) -> None:
    client = front.client()
    described = {**await client.blob(artifact, b"layer"), "mediaType": LAYER, "size": 4}
    await client.blob(artifact, b"{}")
    said = await client.put(artifact, "1.0", manifest(layers=[described]))
    assert (said.status, said.code) == (400, "MANIFEST_BLOB_UNKNOWN")


async def test_a_blob_larger_than_allowed_ends_with_413(front: RunningFront, artifact: str) -> None:
    begun = await front.client().ask("POST", f"/v2/{artifact}/blobs/uploads/")

    async def large(mebibytes: int) -> AsyncIterator[bytes]:
        for _ in range(mebibytes):
            yield b"x" * (1 << 20)

    try:
        said = await front.client().ask("PATCH", begun.headers["Location"], body=large(64))
        assert (said.status, said.code) == (413, "SIZE_INVALID")
    except aiohttp.ClientError:
        pass  # closed while the body was still being sent
    stated = {"Content-Length": str(1 << 40)}
    reader, writer = await asyncio.open_connection(*front.host.split(":"))
    path = begun.headers["Location"]
    head = f"PATCH {path} HTTP/1.1\r\nHost: {front.host}\r\nAuthorization: {front.client().authorization}\r\n"
    writer.write((head + "".join(f"{k}: {v}\r\n" for k, v in stated.items()) + "\r\n").encode())
    assert b" 413 " in await asyncio.wait_for(reader.readline(), 10)
    writer.close()


async def test_an_upload_belongs_to_its_repository_its_person_and_its_number(
    front: RunningFront, artifact: str
) -> None:
    ada, robot = front.client("token-of-ada"), front.client("token-of-robot")
    begun = (await ada.ask("POST", f"/v2/{artifact}/blobs/uploads/")).headers["Location"]
    path, _, query = begun.partition("?")
    number = path.rpartition("/")[2]
    bent = [
        (robot, begun),
        (ada, f"/v2/alpha/other/blobs/uploads/{number}?{query}"),
        (ada, f"/v2/{artifact}/blobs/uploads/00000000-0000-0000-0000-000000000000?{query}"),
        (ada, f"{path}?_state={'A' * 200}"),
        (ada, f"{path}?{query[:-6]}AAAAAA"),
        (ada, path),
        (ada, f"{path}?_state={'A' * 100_000}"),
        (ada, f"{path}?_state=%C3%A9"),
    ]
    for client, location in bent:
        said = await client.ask("PATCH", location, body=b"x")
        assert said.status in (400, 404), location
        assert said.status == 400 or said.code == "BLOB_UPLOAD_UNKNOWN"
    assert (await ada.ask("PATCH", begun, body=b"x")).status == 202


@pytest.mark.parametrize("content_range", ["1-5", "0-3", "5-1", "bytes=9-13", "x", "0-99999999999999999999"])
async def test_bytes_out_of_order_are_refused_with_416(front: RunningFront, artifact: str, content_range: str) -> None:
    client = front.client()
    begun = (await client.ask("POST", f"/v2/{artifact}/blobs/uploads/")).headers["Location"]
    said = await client.ask("PATCH", begun, body=b"12345", headers={"Content-Range": content_range})
    assert said.status == 416


async def test_an_upload_goes_on_where_it_broke_off(front: RunningFront, artifact: str) -> None:
    client = front.client()
    begun = (await client.ask("POST", f"/v2/{artifact}/blobs/uploads/")).headers["Location"]
    first = await client.ask("PATCH", begun, body=b"hello ", headers={"Content-Range": "0-5"})
    status = await client.ask("GET", first.headers["Location"])
    assert (status.status, status.headers["Range"]) == (204, "0-5")
    second = await client.ask("PATCH", status.headers["Location"], body=b"world", headers={"Content-Range": "6-10"})
    digest = digest_of(b"hello world")
    ended = await client.ask("PUT", f"{second.headers['Location']}&digest={digest}")
    assert ended.status == 201
    assert (await client.ask("GET", f"/v2/{artifact}/blobs/{digest}", headers={"Range": "bytes=6-"})).body == b"world"


async def test_a_blob_may_come_in_one_call_and_in_the_last_one(front: RunningFront, artifact: str) -> None:
    client = front.client()
    for content, wrong in ((b"one call", False), (b"wrong", True)):
        digest = digest_of(b"something else" if wrong else content)
        said = await client.ask("POST", f"/v2/{artifact}/blobs/uploads/?digest={digest}", body=content)
        assert said.status == (400 if wrong else 201)
    begun = (await client.ask("POST", f"/v2/{artifact}/blobs/uploads/")).headers["Location"]
    ended = await client.ask("PUT", f"{begun}&digest={digest_of(b'all')}", body=b"all")
    assert ended.status == 201


async def test_a_blob_is_mounted_only_from_where_the_caller_may_read(front: RunningFront, artifact: str) -> None:
    client = front.client()
    digest = (await client.blob(artifact, b"shared bytes"))["digest"]
    other = f"{artifact}-other"
    mounted = await client.ask("POST", f"/v2/{other}/blobs/uploads/?mount={digest}&from={artifact}")
    assert mounted.status == 201
    assert (await client.ask("GET", f"/v2/{other}/blobs/{digest}")).body == b"shared bytes"
    unknown = await client.ask("POST", f"/v2/{other}/blobs/uploads/?mount=sha256:{'3' * 64}&from={artifact}")
    assert unknown.status == 202
    person = front.client("token-of-ada", basic=True)
    token = (await person.ask("GET", f"/v2/token?scope=repository:alpha/mine:pull,push&service=x")).json["token"]  # noqa: F541
    stolen = await front.client(token).ask("POST", f"/v2/alpha/mine/blobs/uploads/?mount={digest}&from={artifact}")
    assert (stolen.status, stolen.code) == (401, "DENIED")
    assert (await client.ask("HEAD", f"/v2/alpha/mine/blobs/{digest}")).status == 404


BOMB = gzip.compress(bytes(64 * 1024 * 1024))
LONG = tarfile.TarInfo("scm-source.json")
LONG.size = 10 * 1024 * 1024
_WIDE = zstandard.ZstdCompressor(
    compression_params=zstandard.ZstdCompressionParameters(window_log=30, enable_ldm=True)
).compressobj()
LAYERS = {
    "a link to the outside": archive(link("scm-source.json", "/etc/passwd")),
    "a hard link": archive(link("scm-source.json", "other", tarfile.LNKTYPE)),
    "a device": archive(link("scm-source.json", "", tarfile.CHRTYPE)),
    "a directory": archive(link("scm-source.json", "", tarfile.DIRTYPE)),
    "ten mebibytes": gzipped(archive((LONG, bytes(LONG.size)))),
    "not JSON": tar({"scm-source.json": b"no JSON"}),
    "a list": tar({"scm-source.json": b"[]"}),
    "nested too deep": tar({"scm-source.json": b"[" * 60_000}),
    "a path that climbs": tar({"../scm-source.json": scm_source()}),
    "an absolute path": tar({"/scm-source.json": scm_source()}),
    "another directory": tar({"app/scm-source.json": scm_source()}),
    "zeros": BOMB,
    "a broken archive": tar({"x": b"y" * 5000})[:1000],
    "gzip that breaks off": gzipped(with_source())[:-20],
    "gzip and then rubbish": gzipped(tar({"x": b""})) + b"rubbish after it" * 100,
    "zstd that breaks off": zstd(with_source())[:-10],
    "zstd with a window beyond reason": _WIDE.compress(with_source()) + _WIDE.flush(),
    "no archive at all": b"rubbish" * 1000,
}


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS.keys())
async def test_a_layer_that_cannot_be_believed_names_no_source(
    front: RunningFront, artifact: str, layer: bytes
) -> None:
    """Nor is the one below it taken instead, where the upper one cannot be read."""
    client = front.client()
    said = await client.put(artifact, "1.0", await client.manifest(artifact, layer))
    assert said.status == 201
    assert await source_of(front, artifact) == 404
    await asyncio.wait_for(client.ask("GET", "/v2/"), 5)


async def test_an_unreadable_layer_is_never_answered_for_by_the_one_below(front: RunningFront, artifact: str) -> None:
    await front.client().push(artifact, "1.0", with_source(), b"rubbish" * 1000)
    assert await source_of(front, artifact) == 404


async def test_ten_thousand_entries_and_the_last_of_a_name_wins(front: RunningFront, artifact: str) -> None:
    files = [(tarfile.TarInfo(f"f{number}"), b"") for number in range(10_000)]
    twice = [(tarfile.TarInfo("scm-source.json"), one) for one in (b"{}", scm_source())]
    for entry, content in twice:
        entry.size = len(content)
    await front.client().push(artifact, "1.0", gzipped(archive(*files, *twice)))
    assert await source_of(front, artifact) == 200


async def test_credentials_in_a_source_are_shown_nowhere(front: RunningFront, artifact: str) -> None:
    secret = "hunter2hunter2"
    await front.client().push(artifact, "1.0", with_source(url=f"git:https://ada:{secret}@git.example.org/a/b.git"))
    team, name = artifact.split("/")
    for path in (f"/teams/{team}/artifacts/{name}/tags/1.0/scm-source", f"/v1/images?repository={artifact}"):
        said = await front.client().ask("GET", path)
        assert said.status == 200
        assert secret.encode() not in said.body
    assert secret not in front.aggregator.process.log.read_text(encoding="utf-8")


async def test_a_client_that_stops_sending_holds_nothing_up(front: RunningFront, artifact: str) -> None:
    begun = (await front.client().ask("POST", f"/v2/{artifact}/blobs/uploads/")).headers["Location"]
    idle = []
    for _ in range(50):
        _, writer = await asyncio.open_connection(*front.host.split(":"))
        head = f"PATCH {begun} HTTP/1.1\r\nHost: {front.host}\r\nAuthorization: {front.client().authorization}\r\n"
        writer.write(f"{head}Content-Length: 1000000\r\n\r\nhello".encode())
        idle.append(writer)
    await asyncio.wait_for(front.client().push(artifact, "1.0", b"meanwhile"), 20)
    for writer in idle:
        writer.close()


async def test_256_slow_readers_with_one_token_do_not_stop_the_registry(front: RunningFront, artifact: str) -> None:
    blob = (await front.client().blob(artifact, b"x" * 7_000_000))["digest"]
    path, statuses = f"/v2/{artifact}/blobs/{blob}", []
    asked = f"GET {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer bare\r\n\r\n".encode()
    async with AsyncExitStack() as stack:
        for _ in range(256):
            reader, writer = await asyncio.open_connection(*front.host.split(":"), limit=1024)
            stack.callback(writer.close)
            writer.write(asked)
            statuses.append((await asyncio.wait_for(reader.readline(), 20.0)).split()[1])
        assert (statuses.count(b"200"), statuses.count(b"429")) == (85, 171)
        said = await front.client("chief").ask("GET", path)
        assert (said.status, digest_of(said.body)) == (200, blob)
        assert (await front.client("chief").push(artifact, "1.0", b"meanwhile")).startswith("sha256:")


async def test_a_client_that_leaves_a_blob_unread_is_no_failure_of_the_registry_behind(
    front: RunningFront, artifact: str
) -> None:
    digest = (await front.client().blob(artifact, os.urandom(4_000_000)))["digest"]

    async def answered(status: int) -> int:
        wanted = f'route="/v2/{{name}}/blobs/{{digest}}",method="GET",status="{status}"'
        text = (await front.nobody().ask("GET", "/metrics")).body.decode()
        return int(next((line.split()[-1] for line in text.splitlines() if wanted in line), "0"))

    failed, left = await answered(503), await answered(499)
    reader, writer = await asyncio.open_connection(*front.host.split(":"), limit=1024)
    head = f"GET /v2/{artifact}/blobs/{digest} HTTP/1.1\r\nHost: a\r\nAuthorization: {front.client().authorization}\r\n\r\n"
    writer.write(head.encode())
    assert b"200" in await reader.readline()
    writer.transport.abort()
    async with asyncio.timeout(20.0):
        while await answered(499) == left:
            assert await answered(503) == failed
            await pause(0.05)


async def test_a_push_that_breaks_off_leaves_no_blob(front: RunningFront, artifact: str) -> None:
    begun = (await front.client().ask("POST", f"/v2/{artifact}/blobs/uploads/")).headers["Location"]
    _, writer = await asyncio.open_connection(*front.host.split(":"))
    head = f"PATCH {begun} HTTP/1.1\r\nHost: {front.host}\r\nAuthorization: {front.client().authorization}\r\n"
    writer.write(f"{head}Content-Length: 1000\r\n\r\npart".encode())
    await writer.drain()
    writer.close()
    assert (await front.client().ask("HEAD", f"/v2/{artifact}/blobs/{digest_of(b'part')}")).status == 404
    status = await front.client().ask("GET", begun)
    assert status.status in (204, 404)


async def test_nothing_of_a_token_stands_in_errors_or_logs(front: RunningFront) -> None:
    token = "secret-token-of-somebody"
    for client in (front.client(token), front.client(token, basic=True)):
        said = await client.ask("GET", "/v2/")
        assert said.status == 401
        assert token.encode() not in said.body
    assert token not in front.aggregator.process.log.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "authorization",
    [b"Bearer \xff\xfe", b"Token \xc3\xa9", b"Basic b2F1dGgyOv/+", b"Basic \xff", b"Basic b2F1dGgyOsOp"],
)
async def test_a_token_that_is_no_text_is_not_known(front: RunningFront, authorization: bytes) -> None:
    reader, writer = await asyncio.open_connection(*front.host.split(":"))
    writer.write(b"GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: " + authorization + b"\r\n\r\n")
    answered = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    assert answered.startswith(b"HTTP/1.1 401 "), answered


async def test_a_forged_host_does_not_send_clients_elsewhere(front: RunningFront) -> None:
    said = await front.nobody().ask("GET", "/v2/", headers={"Host": 'evil.example.org" ,x="'})
    assert said.status in (400, 401)
    if said.status == 401:
        assert "evil" not in said.headers["WWW-Authenticate"]


async def outcome(front: RunningFront, repository: str) -> list[Said]:
    """Do all that a push and a pull do; give the answers, errors among them."""
    client, said = front.client(), []
    begun = await client.ask("POST", f"/v2/{repository}/blobs/uploads/")
    said.append(begun)
    if begun.status == 202:
        sent = await client.ask("PATCH", begun.headers["Location"], body=b"layer bytes")
        said.append(sent)
        if sent.status == 202:
            said.append(await client.ask("PUT", f"{sent.headers['Location']}&digest={digest_of(b'layer bytes')}"))
    layers = [descriptor(digest=digest_of(b"layer bytes"), size=11)]
    said.append(await client.put(repository, "1.0", manifest(layers=layers, annotations={"of": repository})))
    for path in ("manifests/1.0", f"blobs/{digest_of(b'layer bytes')}"):
        try:
            said.append(await client.ask("GET", f"/v2/{repository}/{path}"))
        except aiohttp.ClientPayloadError:
            said.append(Said(502, b"", {}))  # it broke off: the client knows that it has not got the whole
    return said


async def test_the_fake_registry_keeps_the_contract_when_it_does_not_lie(
    misled: RunningFront, liar: LyingRegistry
) -> None:
    liar.lie = ""
    await misled.client().blob("alpha/honest", b"{}")
    assert [one.status for one in await outcome(misled, "alpha/honest")] == [202, 202, 201, 201, 200, 200]


@pytest.mark.parametrize("lie", LIES)
async def test_a_registry_that_lies_makes_no_tag_and_no_wrong_bytes(
    misled: RunningFront, liar: LyingRegistry, lie: str
) -> None:
    """Whatever the front answers, what it gives for a digest are the digest's bytes, and a tag names a whole image."""
    liar.lie = ""
    repository = f"alpha/{lie}"
    await misled.client().blob(repository, b"{}")
    liar.lie = lie
    try:
        said = await outcome(misled, repository)
    finally:
        liar.lie = ""
    assert lie == "wrong-size" or any(one.status >= 400 for one in said), [one.status for one in said]
    assert not any(one.status == 500 for one in said), [one.body for one in said]
    assert said[-1].status >= 400 or said[-1].body == b"layer bytes"
    assert said[-2].status >= 400 or digest_of(said[-2].body) == said[-2].headers["Docker-Content-Digest"]


async def test_a_registry_that_lies_about_a_size_makes_no_tag(misled: RunningFront, liar: LyingRegistry) -> None:
    """The size of what this front has stored itself it knows; of what lay there it asks."""
    liar.blobs["alpha/sized", digest_of(b"old bytes")] = b"old bytes"
    layers = [descriptor(digest=digest_of(b"old bytes"), size=9)]
    await misled.client().blob("alpha/sized", b"{}")
    liar.lie = "wrong-size"
    try:
        said = await misled.client().put("alpha/sized", "1.0", manifest(layers=layers))
    finally:
        liar.lie = ""
    assert (said.status, said.code) == (400, "MANIFEST_BLOB_UNKNOWN")
    assert (await misled.client().put("alpha/sized", "1.0", manifest(layers=layers))).status == 201


async def test_an_unreachable_registry_is_reported(authority: SigningAuthority, tmp_path: Path) -> None:
    async with registry_front(
        tmp_path, tmp_path, authority_pem={"eu-central-1": authority.pem}, backend="127.0.0.1:1"
    ) as alone:
        said = await alone.client().ask("POST", "/v2/alpha/app/blobs/uploads/")
        assert (said.status, said.code, said.headers["Retry-After"]) == (503, "UNAVAILABLE", "5")
        assert (await alone.client().ask("GET", "/teams")).json == []


@pytest.mark.endurance
async def test_a_front_that_is_killed_leaves_every_tag_absent_or_whole(
    front: RunningFront, authority: SigningAuthority, tmp_path: Path
) -> None:
    """Lives of pushing, each killed in the middle of it; then all tags are read, and the ledger is checked."""
    pushed: dict[str, str] = {}
    for life in range(0, 10, 10 // repeated(sample=3, whole=10)):
        async with registry_front(
            tmp_path, tmp_path, authority_pem={"eu-central-1": authority.pem}, backend=front.backend
        ) as own:
            client = own.client()

            async def push(number: int, life: int = life) -> None:
                tag = f"{life}.{number}"
                pushed[tag] = await client.push("alpha/killed", tag, f"layer {tag}".encode() * 1000)  # noqa: B023 - awaited in this turn

            pushing = [asyncio.create_task(push(number)) for number in range(20)]
            done, _ = await asyncio.wait(pushing, return_when=asyncio.FIRST_COMPLETED)
            while len(done) < life:
                more, _ = await asyncio.wait(set(pushing) - done, return_when=asyncio.FIRST_COMPLETED)
                done |= more
            await own.aggregator.process.kill()
            await asyncio.gather(*pushing, return_exceptions=True)
    async with registry_front(
        tmp_path, tmp_path, authority_pem={"eu-central-1": authority.pem}, backend=front.backend
    ) as again:
        client = again.client()
        tags = (await client.ask("GET", "/v2/alpha/killed/tags/list")).json["tags"]
        assert set(pushed) <= set(tags)
        for tag in tags:
            found = await client.ask("GET", f"/v2/alpha/killed/manifests/{tag}")
            assert digest_of(found.body) == found.headers["Docker-Content-Digest"]
            for blob in (found.json["config"], *found.json["layers"]):
                content = await client.ask("GET", f"/v2/alpha/killed/blobs/{blob['digest']}")
                assert digest_of(content.body) == blob["digest"]
        assert "clean" in await run(BIN / "whence-aggregator", "ledger", "check", "--config", again.aggregator.config)


async def test_the_garbage_collector_behind_takes_nothing_that_was_pushed(
    authority: SigningAuthority, tmp_path: Path
) -> None:
    async with registry_front(tmp_path, tmp_path, authority_pem={"eu-central-1": authority.pem}) as own:
        client = own.client()
        moved = await client.push("alpha/app", "1.0-SNAPSHOT", b"first")
        await client.push("alpha/app", "1.0-SNAPSHOT", b"second")
        kept = await client.push("alpha/app", "1.0", b"third")
        untagged = await client.manifest("alpha/app", b"fourth")
        assert (await client.put("alpha/app", digest_of(untagged), untagged)).status == 201
        lost = await client.blob("alpha/app", b"named by no manifest")
        await run("docker-registry", "garbage-collect", "--delete-untagged", tmp_path / "registry.yml")
    async with registry_front(tmp_path, tmp_path, authority_pem={"eu-central-1": authority.pem}) as own:
        client = own.client()
        for digest in (moved, kept, digest_of(untagged)):
            found = await client.ask("GET", f"/v2/alpha/app/manifests/{digest}")
            assert found.status == 200
            for blob in (found.json["config"], *found.json["layers"]):
                assert (await client.ask("GET", f"/v2/alpha/app/blobs/{blob['digest']}")).status == 200
        assert (await client.ask("GET", f"/v2/alpha/app/blobs/{lost['digest']}")).status == 404
