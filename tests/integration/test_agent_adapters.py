"""What the agent speaks to: the real thing where there is one, and what lies, breaks off or is away."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

import aiohttp
import docker
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from fakes.clocks import FakeClock, a_day
from fakes.loopback import loopback
from fakes.metadata_service import MetadataService
from fakes.misbehaving import Answer, misbehaving
from fakes.signing_authority import SigningAuthority
from landscape.aws import REGION
from landscape.layers import tar
from landscape.processes import free_port
from landscape.whole import Landscape
from whence_agent.adapters.aggregator import HttpAggregator
from whence_agent.adapters.aws_http import AwsSecrets, S3Objects, SignedHttp
from whence_agent.adapters.docker_engine import DockerEngine
from whence_agent.adapters.http_probe import HttpProbe
from whence_agent.adapters.imds import ImdsMetadata
from whence_agent.adapters.oci_registry import OciRegistry
from whence_agent.adapters.registry_connection import system_lookup
from whence_agent.adapters.registry_reads import RegistryReads
from whence_agent.adapters.role import GivenKeys, RoleKeys
from whence_agent.adapters.sigv4 import AwsKeys, canonical_path, signed_headers
from whence_agent.adapters.this_processor import this_processor
from whence_agent.boot.pull import ImagePull
from whence_agent.patience import Patience
from whence_agent.ports import (
    ContainerSpec,
    EngineFailed,
    LogDriver,
    MetadataUnavailable,
    ObjectUnavailable,
    RegistryRefused,
    SecretUnavailable,
)
from whence_agent.ports_aggregator import AggregatorUnavailable
from whence_agent.progress.stage import StageProgress
from whence_common.backoff import Backoff
from whence_common.clock import utc_now
from whence_common.digest import sha256_digest
from whence_common.image_reference import ImageReference
from whence_common.statement import ImageFacts, SourceClaimFacts
from whence_common.user_data.options import ContainerOptions

MANIFEST = json.dumps(
    {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": {}, "layers": []}
).encode()
SCHEMA_1 = b'{"schemaVersion": 1, "name": "demo/x", "tag": "1", "fsLayers": [], "history": [], "signatures": []}'
TYPE = {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}
INDEX_TYPE = {"Content-Type": "application/vnd.oci.image.index.v1+json"}


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(auto_decompress=False) as opened:
        yield opened


# --- metadata service


async def test_the_metadata_service_is_read_by_version_2(
    session: aiohttp.ClientSession, authority: SigningAuthority
) -> None:
    async with MetadataService("i-0123456789abcdef0", b"#taupage", authority).serve() as service:
        found = await ImdsMetadata(session=session, url=service.url).read()
        assert (found.document, found.user_data) == (service.document, b"#taupage")
        assert service.requests[0] == "/latest/api/token"
        async with session.get(service.url + "/latest/user-data") as answer:
            assert answer.status == 401
        async with session.put(service.url + "/latest/api/token") as answer:
            assert answer.status == 400


async def test_no_user_data_is_none(session: aiohttp.ClientSession, authority: SigningAuthority) -> None:
    async with MetadataService("i-0123456789abcdef0", None, authority).serve() as service:
        assert (await ImdsMetadata(session=session, url=service.url).read()).user_data is None


async def test_a_service_of_version_1_only_is_refused(
    session: aiohttp.ClientSession, authority: SigningAuthority
) -> None:
    async with MetadataService("i-0123456789abcdef0", b"", authority, version_1_only=True).serve() as service:
        with pytest.raises(MetadataUnavailable) as caught:
            await ImdsMetadata(session=session, url=service.url).read()
    assert caught.value.code == "metadata-no-token"


@pytest.mark.parametrize(
    "answer, code",
    [
        (Answer(status=500), "metadata-no-token"),
        (Answer(status=403), "metadata-no-token"),
        (Answer(status=302, headers={"Location": "http://127.0.0.1:1/"}), "metadata-no-token"),
        (Answer(body=b"x" * 200_000), "metadata-no-token"),
        (Answer(endless=True), "metadata-no-token"),
        (Answer(body=b"token", cut_off=True), "metadata-unreachable"),
    ],
)
async def test_a_misbehaving_metadata_service_is_named(
    session: aiohttp.ClientSession, answer: Answer, code: str
) -> None:
    async with misbehaving(answer) as host:
        with pytest.raises(MetadataUnavailable) as caught:
            await ImdsMetadata(session=session, url=f"http://{host}").read()
    assert caught.value.code == code


@pytest.mark.parametrize("answer", [Answer(body=b"x" * 200_000), Answer(endless=True)])
async def test_a_document_that_is_too_large_is_read_no_further(session: aiohttp.ClientSession, answer: Answer) -> None:
    async with misbehaving({"api/token": Answer(body=b"token"), "document": answer}) as host:
        with pytest.raises(MetadataUnavailable) as caught:
            await ImdsMetadata(session=session, url=f"http://{host}").read()
    assert (caught.value.code, caught.value.retryable) == ("metadata-too-large", False)


async def test_no_metadata_service_at_all_is_unreachable(session: aiohttp.ClientSession) -> None:
    with pytest.raises(MetadataUnavailable) as caught:
        await ImdsMetadata(session=session, url=f"http://127.0.0.1:{free_port()}").read()
    assert (caught.value.code, caught.value.retryable) == ("metadata-unreachable", True)


# --- registry


def registry(session: aiohttp.ClientSession) -> OciRegistry:
    return OciRegistry(
        http=RegistryReads(session=session, places={}, lookup=system_lookup, now=utc_now), processor=this_processor()
    )


def own_word(code: str, message: str = "m") -> bytes:
    """Give an error document as the distribution specification has it."""
    return json.dumps({"errors": [{"code": code, "message": message}]}).encode()


async def refusal(session: aiohttp.ClientSession, reference: str) -> RegistryRefused:
    with pytest.raises(RegistryRefused) as caught:
        await registry(session).resolve(ImageReference.parse(reference), None)
    return caught.value


async def test_a_tag_becomes_the_digest_that_was_pushed(session: aiohttp.ClientSession, scape: Landscape) -> None:
    image = await scape.build("resolved", "1.0", scm=None)
    resolved = await registry(session).resolve(ImageReference.parse(image.reference), None)
    assert (resolved.digest, resolved.index_digest) == (image.digest, None)
    by_digest = ImageReference.parse(f"{scape.registry}/demo/resolved@{image.digest}")
    assert (await registry(session).resolve(by_digest, None)).digest == image.digest


async def test_an_image_that_is_not_there_is_not_asked_for_again(
    session: aiohttp.ClientSession, scape: Landscape
) -> None:
    for reference in (f"{scape.registry}/demo/nowhere:1", f"{scape.registry}/demo/nowhere@sha256:{'0' * 64}"):
        error = await refusal(session, reference)
        assert (error.code, error.retryable) == ("registry-image-unknown", False)


async def test_a_registry_that_is_down_may_be_asked_again(session: aiohttp.ClientSession) -> None:
    error = await refusal(session, f"127.0.0.1:{free_port()}/demo/x:1")
    assert (error.code, error.retryable) == ("registry-unreachable", True)


@pytest.mark.parametrize(
    "answer, code, retryable",
    [
        (Answer(status=401), "registry-unauthorised", False),
        (Answer(status=403), "registry-unauthorised", True),
        (Answer(status=403, body=own_word("DENIED")), "registry-unauthorised", False),
        (Answer(status=403, body=own_word("DENIED", "Request exceeded pull rate limit")), "registry-error", True),
        (Answer(status=404), "registry-image-unknown", True),
        (Answer(status=404, body=b"<html>"), "registry-image-unknown", True),
        (Answer(status=404, body=own_word("MANIFEST_UNKNOWN")), "registry-image-unknown", False),
        (Answer(status=404, body=own_word("NAME_UNKNOWN")), "registry-image-unknown", False),
        (Answer(status=400), "registry-error", False),
        (Answer(status=405), "registry-error", False),
        (Answer(status=408), "registry-error", True),
        (Answer(status=425), "registry-error", True),
        (Answer(status=502, body=b"<html>" * 2_000_000), "registry-error", True),
        (Answer(status=500), "registry-error", True),
        (Answer(status=503, headers={"Retry-After": "7"}), "registry-error", True),
        (Answer(status=429), "registry-error", True),
        (Answer(status=302, headers={"Location": "http://127.0.0.1:1/"}), "registry-redirect", False),
        (Answer(body=MANIFEST, headers={**TYPE, "Docker-Content-Digest": "sha256:" + "0" * 64}), "registry-wrong-digest", False),
        (Answer(body=MANIFEST, headers=TYPE, cut_off=True), "registry-unreachable", True),
        (Answer(endless=True, headers=TYPE), "registry-answer-too-large", False),
        (Answer(body=b"<html>", headers=TYPE), "registry-not-json", False),
        (Answer(body=b"<html>", headers={"Content-Type": "text/html"}), "registry-not-json", True),
        (Answer(body=SCHEMA_1, headers=TYPE), "image-schema-1", False),
        (Answer(body=SCHEMA_1, headers={"Content-Type": "application/vnd.docker.distribution.manifest.v1+prettyjws"}), "image-schema-1", False),
        (Answer(body=b"[]", headers=TYPE), "registry-not-json", False),
        (Answer(body=b"[" * 100_000, headers=TYPE), "registry-not-json", False),
        (Answer(body=b"{}", headers={"Content-Type": "text/html"}), "registry-media-type", False),
        (Answer(body=MANIFEST, headers=INDEX_TYPE), "registry-media-type", False),
        (Answer(body=b'{"manifests": []}', headers=INDEX_TYPE), "registry-no-platform", False),
        (Answer(body=b'{"manifests": [7, {"platform": 7}]}', headers=INDEX_TYPE), "registry-no-platform", False),
    ],
)  # fmt: skip
async def test_a_lying_registry_is_an_error_with_a_name(
    session: aiohttp.ClientSession, answer: Answer, code: str, retryable: bool
) -> None:
    async with misbehaving(answer) as host:
        error = await refusal(session, f"{host}/demo/x:1")
    assert (error.code, error.retryable) == (code, retryable)


async def test_a_registry_that_serves_another_digest_than_asked_for_is_refused(session: aiohttp.ClientSession) -> None:
    async with misbehaving(Answer(body=MANIFEST, headers=TYPE)) as host:
        error = await refusal(session, f"{host}/demo/x@sha256:{'0' * 64}")
    assert error.code == "registry-wrong-digest"


async def test_an_index_leads_to_this_machines_platform_and_both_digests_are_kept(
    session: aiohttp.ClientSession,
) -> None:
    digest = sha256_digest(MANIFEST)
    index = json.dumps(
        {
            "manifests": [
                {"digest": "sha256:" + "1" * 64, "platform": {"os": "linux", "architecture": "s390x"}},
                {"digest": digest, "platform": {"os": "linux", "architecture": "amd64"}},
                {"digest": digest, "platform": {"os": "linux", "architecture": "arm64"}},
            ]
        }
    ).encode()
    answers = {"/1": Answer(body=index, headers=INDEX_TYPE), digest: Answer(body=MANIFEST, headers=TYPE)}
    async with misbehaving(answers) as host:
        resolved = await registry(session).resolve(ImageReference.parse(f"{host}/demo/x:1"), None)
    assert (resolved.digest, resolved.index_digest) == (digest, sha256_digest(index))


# --- S3 and KMS


@pytest.fixture
async def aws(
    scape: Landscape, session: aiohttp.ClientSession, authority: SigningAuthority
) -> AsyncIterator[SignedHttp]:
    """Requests signed with the role's keys from the metadata service, as on an instance."""
    async with MetadataService("i-0123456789abcdef0", b"", authority).serve() as service:
        keys = RoleKeys(metadata=ImdsMetadata(session=session, url=service.url), now=utc_now, up_seconds=a_day)
        yield SignedHttp(
            session=session, keys=keys, region=lambda: REGION, endpoint_url=scape.aws.url, now=utc_now, up_seconds=a_day
        )


def s3_error(code: str) -> bytes:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>m</Message></Error>".encode()


@pytest.mark.parametrize(
    "answer, state",
    [
        (Answer(status=403, body=s3_error("AccessDenied")), "not-synced-or-denied"),
        (Answer(status=403), "unreachable"),
        (Answer(status=403, body=b"<html>blocked: <Code>AccessDenied</Code></html>"), "unreachable"),
        (Answer(status=404, body=b"<html>404 Not Found</html>"), "unreachable"),
        (Answer(status=304), "unreachable"),
        (Answer(status=400, body=s3_error("ExpiredToken")), "identity"),
        (Answer(status=403, body=s3_error("InvalidAccessKeyId")), "identity"),
        (Answer(body=b"x" * 1000, headers={"ETag": '"e"'}, cut_off=True), "unreachable"),
        (Answer(status=418, body=b"<garbage"), "unreachable"),
    ],
)
async def test_each_bad_answer_of_s3_has_its_own_state(
    session: aiohttp.ClientSession, answer: Answer, state: str
) -> None:
    async with misbehaving(answer) as host:
        http = SignedHttp(
            session=session, keys=GivenKeys(AwsKeys("a", "b")), region=lambda: REGION, endpoint_url=f"http://{host}",
            now=utc_now, up_seconds=a_day,
        )  # fmt: skip
        with pytest.raises(ObjectUnavailable) as caught:
            await S3Objects(http).get("b-b-b", "app/user.json", etag=None)
    assert caught.value.state == state


@pytest.mark.parametrize(
    ("headers", "metadata"),
    [
        ({"X-Amz-Meta-Whence-Generation": "0a"}, {"whence-generation": "0a"}),
        ({"x-amz-meta-whence-generation": "0a", "x-amz-meta-more": "x" * 4096}, {}),
        ({f"x-amz-meta-{number}": "x" * 50 for number in range(80)}, {}),
    ],
)
async def test_metadata_that_s3_would_not_keep_is_left_out(
    session: aiohttp.ClientSession, headers: dict[str, str], metadata: dict[str, str]
) -> None:
    async with misbehaving(Answer(body=b"{}", headers=headers)) as host:
        store = S3Objects(SignedHttp(
            session=session, keys=GivenKeys(AwsKeys("a", "b")), region=lambda: REGION, endpoint_url=f"http://{host}",
            now=utc_now, up_seconds=a_day,
        ))  # fmt: skip
        found = await store.get("b-b-b", "app/user.json", etag=None)
    assert found is not None
    assert found.metadata == metadata


@pytest.mark.parametrize(("version", "asked"), [("v-1", 2), ("v-2", 3), ("", 2)])
async def test_the_same_bytes_are_read_again_if_they_are_another_version(
    session: aiohttp.ClientSession, version: str, asked: int
) -> None:
    """S3's etag may be of the bytes alone; who wrote them last is another question."""
    requests: list[str | None] = []

    async def answer(request: web.Request) -> web.Response:
        requests.append(request.headers.get("If-None-Match"))
        named = "v-1" if len(requests) == 1 else version
        headers = {"ETag": '"e"', **({"x-amz-version-id": named} if named else {})}
        return web.Response(status=304 if requests[-1] else 200, headers=headers)

    application = web.Application()
    application.router.add_get("/{path:.*}", answer)
    async with loopback(application) as host:
        store = S3Objects(SignedHttp(
            session=session, keys=GivenKeys(AwsKeys("a", "b")), region=lambda: REGION, endpoint_url=f"http://{host}",
            now=utc_now, up_seconds=a_day,
        ))  # fmt: skip
        await store.get("b-b-b", "app/user.json", etag=None)
        again = await store.get("b-b-b", "app/user.json", etag='"e"')
    assert (len(requests), again is None) == (asked, asked == 2)
    assert again is None or again.version_id == "v-2"


@pytest.mark.parametrize("document", [None, b"", b"{}", b"[]", b'{"AccessKeyId": "a"}', b"\xff"])
async def test_an_instance_without_usable_keys_says_so(
    session: aiohttp.ClientSession, authority: SigningAuthority, document: bytes | None
) -> None:
    async with MetadataService("i-0123456789abcdef0", b"", authority, role_document=document).serve() as service:
        keys = RoleKeys(metadata=ImdsMetadata(session=session, url=service.url), now=utc_now, up_seconds=a_day)
        http = SignedHttp(
            session=session,
            keys=keys,
            region=lambda: REGION,
            endpoint_url="http://127.0.0.1:1",
            now=utc_now,
            up_seconds=a_day,
        )
        with pytest.raises(ObjectUnavailable) as caught:
            await S3Objects(http).get("b-b-b", "app/user.json", etag=None)
    assert caught.value.state == "identity"


async def test_the_roles_keys_are_asked_for_again_before_they_end(
    session: aiohttp.ClientSession, authority: SigningAuthority
) -> None:
    clock = FakeClock()
    clock.moment = datetime.now(UTC)
    async with MetadataService("i-0123456789abcdef0", b"", authority).serve() as service:
        keys = RoleKeys(metadata=ImdsMetadata(session=session, url=service.url), now=clock, up_seconds=a_day)
        for seconds in (0, 3_600, 5 * 3_600):
            clock.advance(seconds)
            await keys()
        asked = [path for path in service.requests if path.endswith("/app-demo")]
    assert len(asked) == 2


@pytest.mark.parametrize(
    "region, bucket, place",
    [
        ("eu-central-1", "mint", "https://mint.s3.eu-central-1.amazonaws.com/app/user.json"),
        ("eu-central-1", "mint.dotted", "https://s3.eu-central-1.amazonaws.com/mint.dotted/app/user.json"),
        ("cn-north-1", "mint", "https://mint.s3.cn-north-1.amazonaws.com.cn/app/user.json"),
        ("eusc-de-east-1", "mint", "https://mint.s3.eusc-de-east-1.amazonaws.eu/app/user.json"),
    ],
)
def test_an_object_is_asked_for_where_its_partition_keeps_it(region: str, bucket: str, place: str) -> None:
    http = SignedHttp(session=None, keys=None, region=lambda: region, endpoint_url=None, now=utc_now, up_seconds=a_day)  # type: ignore[arg-type]  # nothing is sent
    assert "".join(S3Objects(http)._place(bucket, "app/user.json", region)) == place


printable = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)


@given(key=printable, path=st.text("abc/-_.~ %+ü=", max_size=20), body=st.binary(max_size=50), token=st.sampled_from(["", "T+/="]),
       service=st.sampled_from(["s3", "kms"]))  # fmt: skip
def test_a_signature_is_the_one_that_botocore_makes(key: str, path: str, body: bytes, token: str, service: str) -> None:
    from botocore.auth import S3SigV4Auth, SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    encoded = canonical_path("/" + path) if service == "s3" else "/"
    request = AWSRequest(
        method="GET", url=f"https://host.example.org{encoded}", data=body, headers={"If-None-Match": f'"{key}"'}
    )
    signer = (S3SigV4Auth if service == "s3" else SigV4Auth)(Credentials("AKIA", key, token or None), service, REGION)
    signer.add_auth(request)
    stamp = request.headers["X-Amz-Date"]
    ours = signed_headers(
        method="GET", host="host.example.org", path=encoded, headers={"If-None-Match": f'"{key}"'}, body=body,
        keys=AwsKeys("AKIA", key, token), region=REGION, service=service,
        now=datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC),
    )  # fmt: skip
    assert ours["authorization"] == request.headers["Authorization"]


async def test_a_kms_value_is_decrypted(scape: Landscape, aws: SignedHttp) -> None:
    import base64

    ciphertext = base64.b64decode(await scape.aws.encrypt("a secret"))
    assert await AwsSecrets(aws).decrypt(ciphertext, {}) == "a secret"


async def test_what_kms_cannot_decrypt_is_refused_without_quoting_it(aws: SignedHttp) -> None:
    with pytest.raises(SecretUnavailable) as caught:
        await AwsSecrets(aws).decrypt(b"hunter2hunter2", {})
    assert "hunter2" not in caught.value.diagnostics()


# --- engine


@pytest.fixture
async def engine(scape: Landscape) -> AsyncIterator[DockerEngine]:
    opened = DockerEngine(socket=scape.engine)
    yield opened
    await opened.close()


def spec(image: str, image_id: str, **changes: Any) -> ContainerSpec:
    values: dict[str, Any] = {
        "name": "whence-test-engine", "image": image, "image_id": image_id, "environment": {"A": "b c\n$d"},
        "options": ContainerOptions(), "network": "bridge", "publish_address": "127.0.0.1", "user": "999:999", "mounts": (),
        "log": LogDriver(name="json-file", options={}), "pids_max": 100, "stop_seconds": 5, "fingerprint": "f1", **changes,
    }  # fmt: skip
    return ContainerSpec(**values)


async def test_an_images_labels_are_read_from_the_engine(scape: Landscape, engine: DockerEngine) -> None:
    """As docker/metadata-action gives them, which is all that many images state about their source."""
    client = docker.APIClient(base_url=scape.engine, version="auto", timeout=60)
    repository = f"{scape.registry}/demo/labelled"
    labels = {
        "org.opencontainers.image.source": "https://git.example.org/a/b",
        "org.opencontainers.image.revision": "a" * 40,
    }

    def push() -> str:
        changes = [f"LABEL {name}={value}" for name, value in labels.items()]
        client.import_image_from_data(tar({"app": b"x"}), repository=repository, tag="1.0", changes=changes)
        client.push(repository, tag="1.0")
        named = client.inspect_image(f"{repository}:1.0")["RepoDigests"]
        return str(named[0]).partition("@")[2]

    digest = await asyncio.to_thread(push)
    image = ImageFacts(source=f"{repository}:1.0", repository=repository, digest=digest)

    async def nothing() -> None:
        return None

    patience = Patience(backoff=Backoff(first_seconds=0.1, longest_seconds=0.1, random=lambda: 0.5))
    pull = ImagePull(
        engine=engine, patience=patience, monotonic=time.monotonic, stage=StageProgress(name="pull"), image=image,
        login=None, again=nothing,
    )  # fmt: skip
    image_id, seen = await pull.run()
    assert (seen.status, seen.claims) == (
        "missing",
        [SourceClaimFacts(kind="label", url="https://git.example.org/a/b", revision="a" * 40, maybe_inherited=True)],
    )
    assert (await engine.config(image_id)).created
    client.close()


async def test_an_image_is_pulled_run_adopted_and_stopped_by_digest(scape: Landscape, engine: DockerEngine) -> None:
    image = await scape.build("engine", "1.0", scm=scape.greeter_scm(0))
    repository = f"{scape.registry}/demo/engine"
    image_id = await engine.pull(repository, image.digest, None)
    assert await engine.read_file(image_id, "/scm-source.json", 65_536) == scape.greeter_scm(0)
    assert await engine.read_file(image_id, "/nothing", 65_536) is None
    with pytest.raises(EngineFailed, match="larger"):
        await engine.read_file(image_id, "/bin/busybox", 65_536)
    by_digest = f"{repository}@{image.digest}"
    first = await engine.run(spec(by_digest, image_id))
    try:
        assert (first.state, first.image_digest) == ("running", image.digest)
        assert (await engine.run(spec(by_digest, image_id))).container_id == first.container_id
        other = await engine.run(spec(by_digest, image_id, fingerprint="f2"))
        assert other.container_id != first.container_id
    finally:
        await engine.stop("whence-test-engine")
    assert await engine.inspect("whence-test-engine") is None
    await engine.stop("whence-test-engine")


async def test_a_digest_that_is_nowhere_cannot_be_pulled(scape: Landscape, engine: DockerEngine) -> None:
    with pytest.raises(EngineFailed):
        await engine.pull(f"{scape.registry}/demo/engine", "sha256:" + "0" * 64, None)


LAYER = b"x" * 100_000


@pytest.mark.parametrize(
    "served", [Answer(body=b"y" * 100_000), Answer(body=LAYER, cut_off=True), Answer(body=LAYER), Answer(status=404)]
)
async def test_a_layer_that_lies_breaks_off_or_is_no_layer_is_an_error_and_leaves_no_image(
    scape: Landscape, engine: DockerEngine, served: Answer
) -> None:
    layer = LAYER
    config = b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'
    docker = "application/vnd.docker.distribution.manifest.v2+json"
    manifest = json.dumps(
        {
            "schemaVersion": 2, "mediaType": docker,
            "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "size": len(config),
                       "digest": sha256_digest(config)},
            "layers": [{"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": len(layer),
                        "digest": sha256_digest(layer)}],
        }
    ).encode()  # fmt: skip
    digest = sha256_digest(manifest)
    answers: Mapping[str, Answer] = {
        "/v2/": Answer(headers={"Docker-Distribution-API-Version": "registry/2.0"}),
        digest: Answer(body=manifest, headers={"Content-Type": docker, "Docker-Content-Digest": digest}),
        sha256_digest(config): Answer(body=config),
        sha256_digest(layer): served,
    }
    async with misbehaving(answers) as host:
        with pytest.raises(EngineFailed) as caught:
            await engine.pull(f"{host}/demo/x", digest, None)
    assert caught.value.code == ("image-compression" if served.body == LAYER and not served.cut_off else "engine-pull")


async def test_a_port_that_is_taken_is_an_error_and_leaves_no_container(scape: Landscape, engine: DockerEngine) -> None:
    from whence_common.user_data.container import PortMapping

    image = await scape.build("engine", "1.0", scm=scape.greeter_scm(0))
    image_id = await engine.pull(f"{scape.registry}/demo/engine", image.digest, None)
    taken = int(scape.registry.rpartition(":")[2])
    ports = (PortMapping(host=taken, container=8080, protocol="tcp"),)
    with pytest.raises(EngineFailed):
        await engine.run(
            spec(f"{scape.registry}/demo/engine@{image.digest}", image_id, options=ContainerOptions(ports=ports))
        )
    assert await engine.inspect("whence-test-engine") is None


async def test_no_engine_is_unreachable() -> None:
    with pytest.raises(EngineFailed) as caught:
        await DockerEngine(socket="unix:///nonexistent.sock").inspect("x")
    assert caught.value.code == "engine-unreachable"


# --- aggregator and probe


@pytest.mark.parametrize(
    "answer, code, retryable",
    [
        (Answer(status=500), "http-500", True),
        (Answer(status=429, headers={"Retry-After": "3"}, body=b'{"code": "too-busy"}'), "http-429", True),
        (Answer(status=403, body=b'{"code": "account-not-allowed", "detail": "no"}'), "http-403", True),
        (Answer(status=302, headers={"Location": "http://127.0.0.1:1/"}), "http-302", True),
        (Answer(status=201, body=b"not json"), "answer-malformed", True),
        (Answer(status=201, body=b"{}"), "answer-malformed", True),
        (Answer(status=201, body=b'{"digest": 1, "ledger_index": "x"}'), "answer-malformed", True),
        (Answer(status=201, body=b"[" * 60_000), "answer-malformed", True),
        (Answer(status=201, endless=True), "aggregator-unreachable", True),
        (Answer(status=201, body=b'{"digest": "x"}', cut_off=True), "aggregator-unreachable", True),
    ],
)
async def test_a_misbehaving_aggregator_is_named(
    session: aiohttp.ClientSession, answer: Answer, code: str, retryable: bool
) -> None:
    async with misbehaving(answer) as host:
        client = HttpAggregator(session=session, url=f"http://{host}", ca_file=None)
        with pytest.raises(AggregatorUnavailable) as caught:
            await client.submit(b"{}")
    assert (caught.value.code, caught.value.retryable) == (code, retryable)


async def test_a_probe_gives_the_status_or_none(session: aiohttp.ClientSession) -> None:
    async with misbehaving(Answer(status=503)) as host:
        assert await HttpProbe(session=session).status(f"http://{host}/health", seconds_max=5) == 503
    assert await HttpProbe(session=session).status(f"http://127.0.0.1:{free_port()}/", seconds_max=5) is None
