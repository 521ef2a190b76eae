"""Signing in at registries, and what an image must show: against the real registry and engine, and one that cheats."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest

from fakes.guarded_registry import GuardedRegistry
from fakes.misbehaving import Answer, misbehaving
from landscape.images import BuiltImage
from landscape.signing import (
    BUILDER,
    BUNDLE,
    Pusher,
    bundle,
    new_key,
    provenance,
    sign_digest,
    simple_signing,
    statement,
)
from landscape.whole import Landscape
from whence_agent.adapters.docker_engine import DockerEngine
from whence_agent.adapters.oci_registry import OciRegistry
from whence_agent.adapters.registry_connection import system_lookup
from whence_agent.adapters.registry_reads import RegistryReads
from whence_agent.adapters.this_processor import this_processor
from whence_agent.boot.image import ImageUntrusted, TrustPolicy
from whence_agent.ports import RegistryRefused
from whence_common.clock import utc_now
from whence_common.image_evidence import ImageEvidence
from whence_common.image_reference import ImageReference
from whence_common.image_trust import TrustedBuilder, builder_of, read_bundle, signer_of
from whence_common.keys import key_id
from whence_common.registry_address import RegistryPlace
from whence_common.registry_sign_in import Login
from whence_common.statement import ImageFacts

ROBOT = Login(username="robot", password="hunter2hunter2")
KEY, OTHER = new_key(), new_key()
DIGEST, ELSE = "sha256:" + "a" * 64, "sha256:" + "b" * 64


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(auto_decompress=False) as opened:
        yield opened


@pytest.fixture
async def engine(scape: Landscape) -> AsyncIterator[DockerEngine]:
    opened = DockerEngine(socket=scape.engine)
    yield opened
    await opened.close()


@pytest.fixture(scope="module")
async def image(scape: Landscape) -> BuiltImage:
    return await scape.build("trusted", "1.0", scm=scape.greeter_scm(0))


def registry(session: aiohttp.ClientSession, *places: RegistryPlace) -> OciRegistry:
    return OciRegistry(
        http=RegistryReads(
            session=session, places={place.registry: place for place in places}, lookup=system_lookup, now=utc_now
        ),
        processor=this_processor(),
    )


async def refusal(session: aiohttp.ClientSession, host: str, login: Login | None) -> RegistryRefused:
    with pytest.raises(RegistryRefused) as caught:
        await registry(session).resolve(ImageReference.parse(f"{host}/demo/trusted:1.0"), login)
    assert "hunter2" not in caught.value.diagnostics()
    return caught.value


# --- sign-in


@pytest.mark.parametrize("kind", ["basic", "bearer"])
async def test_a_guarded_image_is_resolved_and_pulled_signed_in(
    session: aiohttp.ClientSession, engine: DockerEngine, scape: Landscape, image: BuiltImage, kind: str
) -> None:
    async with GuardedRegistry(backend=scape.registry, kind=kind).serve() as guard:  # type: ignore[arg-type]  # parametrised
        reference = ImageReference.parse(f"{guard.host}/demo/trusted:1.0")
        resolved = await registry(session).resolve(reference, ROBOT)
        assert resolved.digest == image.digest
        assert await engine.pull(reference.repository, resolved.digest, resolved.login)
        assert guard.seen[0][1] == "", "nothing is shown before it is asked for"


@pytest.mark.parametrize("kind", ["basic", "bearer"])
@pytest.mark.parametrize(
    "login", [None, Login(username="robot", password="wrong"), Login(username="nobody", password="x")]
)
async def test_without_the_right_sign_in_an_image_is_refused_once(
    session: aiohttp.ClientSession, scape: Landscape, kind: str, login: Login | None
) -> None:
    async with GuardedRegistry(backend=scape.registry, kind=kind).serve() as guard:  # type: ignore[arg-type]  # parametrised
        error = await refusal(session, guard.host, login)
        assert (error.code, error.retryable) == ("registry-unauthorised", False)
        assert len(guard.seen) <= 3


async def test_an_identity_token_is_exchanged_for_one_that_pulls(
    session: aiohttp.ClientSession, engine: DockerEngine, scape: Landscape, image: BuiltImage
) -> None:
    async with GuardedRegistry(backend=scape.registry, kind="bearer").serve() as guard:
        reference = ImageReference.parse(f"{guard.host}/demo/trusted:1.0")
        resolved = await registry(session).resolve(reference, Login(identity_token="hunter2hunter2"))
        assert resolved.digest == image.digest
        assert await engine.pull(reference.repository, resolved.digest, resolved.login)
        error = await refusal(session, guard.host, Login(identity_token="hunter2-wrong"))
        assert error.code == "registry-unauthorised"


async def test_a_login_is_not_given_to_an_engine_that_would_show_it_to_a_foreign_token_endpoint(
    session: aiohttp.ClientSession,
) -> None:
    """The agent itself would choose Basic; the engine answers both challenges."""
    both = 'Bearer realm="https://tokens.example.org/token",service="s", Basic realm="r"'
    async with misbehaving(Answer(status=401, headers={"WWW-Authenticate": both})) as host:
        error = await refusal(session, host, ROBOT)
    assert (error.code, error.retryable) == ("registry-realm-foreign", False)
    assert "token_hosts" in error.fix


async def test_the_engine_alone_would_not_get_it(scape: Landscape, engine: DockerEngine, image: BuiltImage) -> None:
    from whence_agent.ports import EngineFailed

    async with GuardedRegistry(backend=scape.registry).serve() as guard:
        with pytest.raises(EngineFailed):
            await engine.pull(f"{guard.host}/demo/trusted", image.digest, None)


async def test_credentials_are_shown_to_a_token_host_only_when_the_platform_named_it(
    session: aiohttp.ClientSession, scape: Landscape, image: BuiltImage
) -> None:
    async with GuardedRegistry(backend=scape.registry, kind="bearer").serve() as thief:
        realm = f"http://{thief.host}/token"
        async with GuardedRegistry(backend=scape.registry, kind="bearer", realm=realm).serve() as guard:
            error = await refusal(session, guard.host, ROBOT)
            assert error.code == "registry-realm-foreign"
            assert thief.seen == []
            guard._tokens = thief._tokens
            named = registry(session, RegistryPlace(registry=guard.host, token_hosts=frozenset({thief.host})))
            resolved = await named.resolve(ImageReference.parse(f"{guard.host}/demo/trusted:1.0"), ROBOT)
            assert resolved.digest == image.digest


@pytest.mark.parametrize(
    "challenge",
    ["Bearer", 'Bearer realm=""', 'Bearer realm="ftp://x/"', 'Bearer realm="http://user:pw@127.0.0.1/"', "Negotiate x",
     'Bearer realm="' + "x" * 5000 + '"'],
)  # fmt: skip
async def test_a_senseless_challenge_is_refused(session: aiohttp.ClientSession, challenge: str) -> None:
    async with misbehaving(Answer(status=401, headers={"WWW-Authenticate": challenge})) as host:
        assert not (await refusal(session, host, ROBOT)).retryable


@pytest.mark.parametrize(
    "body", [b"", b"{}", b'{"token": 7}', b'{"token": ""}', b'{"token": "a\\nb"}', b"[" * 50_000, b"x" * 100_000]
)
async def test_a_token_that_is_none_is_refused(session: aiohttp.ClientSession, body: bytes) -> None:
    answers = {"/token": Answer(body=body), "/1.0": Answer(status=401)}
    async with misbehaving(answers) as host:
        answers["/1.0"] = Answer(status=401, headers={"WWW-Authenticate": f'Bearer realm="http://{host}/token"'})
        error = await refusal(session, host, ROBOT)
    assert error.code in ("registry-unauthorised", "registry-answer-too-large")


async def test_a_redirect_never_carries_the_sign_in_to_another_host(
    session: aiohttp.ClientSession, scape: Landscape, image: BuiltImage
) -> None:
    pusher = Pusher(session, scape.registry, "demo/trusted")
    await pusher.sign(image.digest, KEY)
    async with GuardedRegistry(backend=scape.registry, kind="open").serve() as elsewhere:
        guard = GuardedRegistry(backend=scape.registry, redirect_blobs_to=elsewhere.host)
        async with guard.serve():
            reference = ImageReference.parse(f"{guard.host}/demo/trusted:1.0")
            place = RegistryPlace(registry=guard.host, blob_hosts=frozenset({elsewhere.host}))
            evidence = await registry(session, place).evidence(reference, image.digest, ROBOT)
        assert len(evidence.signatures) == 1
        assert elsewhere.seen
        assert elsewhere.shown() == set()


@pytest.mark.parametrize("says", [True, False])
async def test_the_production_ready_header_is_read_and_its_absence_is_no(
    session: aiohttp.ClientSession, scape: Landscape, image: BuiltImage, says: bool
) -> None:
    async with GuardedRegistry(backend=scape.registry, kind="open", production_ready=says).serve() as guard:
        reference = ImageReference.parse(f"{guard.host}/demo/trusted:1.0")
        assert (await registry(session).resolve(reference, None)).production_ready is says


async def test_redirects_without_end_end(session: aiohttp.ClientSession) -> None:
    async with misbehaving(Answer(status=307, headers={"Location": "/again"})) as host:
        assert (await refusal(session, host, None)).code == "registry-redirects"


@pytest.mark.parametrize("location", ["http://user:pw@127.0.0.1/", "ftp://127.0.0.1/", "file:///etc/passwd", ""])
async def test_a_redirect_to_nowhere_good_is_refused(session: aiohttp.ClientSession, location: str) -> None:
    async with misbehaving(Answer(status=307, headers={"Location": location})) as host:
        assert (await refusal(session, host, None)).code in ("registry-redirect", "registry-redirects")


# --- trust


def shown(evidence: ImageEvidence, policy: TrustPolicy, digest: str = DIGEST, *, ready: bool = False) -> ImageFacts:
    image = ImageFacts(source="s", repository="r.example.org/a/b", digest=digest)
    return policy.verify(image, evidence, production_ready=ready)


def simple(key: object = KEY, *, of: str = DIGEST, kind: str = "cosign container image signature") -> ImageEvidence:
    from landscape.signing import sign_bytes

    body = simple_signing(of, kind=kind)
    return ImageEvidence(signatures=((body, sign_bytes(key, body)),))  # type: ignore[arg-type]  # a key


SIGNED = TrustPolicy(keys=(KEY.public_key(),))
BUILT = TrustPolicy(builders=(TrustedBuilder(builder_id=BUILDER, key=KEY.public_key()),))
SIGN = "https://sigstore.dev/cosign/sign/v1"


@pytest.mark.parametrize(
    "evidence",
    [
        simple(),
        ImageEvidence(digest_signatures=(sign_digest(KEY, DIGEST),)),
        ImageEvidence(envelopes=(statement(KEY, DIGEST, SIGN, {}),)),
        ImageEvidence(signatures=(*simple(OTHER).signatures, *simple().signatures)),
    ],
)
def test_a_signature_by_the_platforms_key_is_believed_in_each_of_its_forms(evidence: ImageEvidence) -> None:
    assert shown(evidence, SIGNED).signed_by == key_id(KEY.public_key())


@pytest.mark.parametrize(
    "evidence",
    [
        ImageEvidence(),
        simple(OTHER),
        simple(of=ELSE),
        simple(kind="something else"),
        ImageEvidence(signatures=((b"", b""), (b"{}", b"junk"), (b"[" * 10_000, b"\x30"))),
        ImageEvidence(digest_signatures=(sign_digest(KEY, ELSE), b"junk")),
        ImageEvidence(envelopes=(statement(OTHER, DIGEST, SIGN, {}),)),
        ImageEvidence(envelopes=(statement(KEY, ELSE, SIGN, {}),)),
        ImageEvidence(envelopes=(statement(KEY, DIGEST, "https://example.org/vuln", {}), b"junk", b"{}")),
        ImageEvidence(envelopes=(provenance(KEY, DIGEST),)),
    ],
)
def test_anything_else_is_no_signature(evidence: ImageEvidence) -> None:
    with pytest.raises(ImageUntrusted) as caught:
        shown(evidence, SIGNED)
    assert caught.value.code == "image-unsigned"


@pytest.mark.parametrize("version", ["v1", "v0.2"])
def test_provenance_by_a_trusted_builder_is_believed(version: str) -> None:
    evidence = ImageEvidence(envelopes=(b"junk", provenance(KEY, DIGEST, version=version)))
    assert shown(evidence, BUILT).built_by == BUILDER


@pytest.mark.parametrize(
    "envelope",
    [
        provenance(OTHER, DIGEST),
        provenance(KEY, ELSE),
        provenance(KEY, DIGEST, builder="https://evil.example.org"),
        provenance(KEY, DIGEST, version="v9"),
        statement(KEY, DIGEST, "https://slsa.dev/provenance/v1", {"runDetails": {"builder": {"id": 7}}}),
        statement(KEY, DIGEST, "https://slsa.dev/provenance/v1", {"runDetails": []}),
        statement(KEY, DIGEST, SIGN, {"builder": {"id": BUILDER}}),
    ],
)
def test_provenance_by_anybody_else_is_none(envelope: bytes) -> None:
    with pytest.raises(ImageUntrusted) as caught:
        shown(ImageEvidence(envelopes=(envelope,)), BUILT)
    assert caught.value.code == "image-no-provenance"


def test_everything_that_is_asked_for_must_be_shown() -> None:
    both = TrustPolicy(keys=SIGNED.keys, builders=BUILT.builders, production_ready_header=True)
    evidence = ImageEvidence(signatures=simple().signatures, envelopes=(provenance(KEY, DIGEST),))
    verified = shown(evidence, both, ready=True)
    assert (verified.signed_by, verified.built_by) == (key_id(KEY.public_key()), BUILDER)
    for less in (ImageEvidence(signatures=evidence.signatures), ImageEvidence(envelopes=evidence.envelopes)):
        with pytest.raises(ImageUntrusted):
            shown(less, both, ready=True)
    with pytest.raises(ImageUntrusted) as caught:
        shown(evidence, both, ready=False)
    assert caught.value.code == "image-not-production-ready"


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"messageSignature": {"signature": "***"}}', b"[" * 5000])
def test_a_bundle_that_is_none_holds_nothing(content: bytes) -> None:
    assert read_bundle(content) == (None, None)


async def test_signatures_and_provenance_are_found_by_tag_and_by_referrer(
    session: aiohttp.ClientSession, scape: Landscape
) -> None:
    built = await scape.build("evidence", "1.0", scm=None)
    digest = built.digest
    pusher = Pusher(session, scape.registry, "demo/evidence")
    reference = ImageReference.parse(built.reference)
    assert await registry(session).evidence(reference, digest, None) == ImageEvidence()
    await pusher.sign(digest, KEY)
    await pusher.attest(digest, provenance(KEY, digest))
    envelope = bundle(envelope=statement(OTHER, digest, SIGN, {}))
    await pusher.referring(digest, (BUNDLE, envelope, {}), (BUNDLE, bundle(signature=sign_digest(KEY, digest)), {}))
    found = await registry(session).evidence(reference, digest, None)
    keys = (KEY.public_key(),)
    assert signer_of(digest, signatures=found.signatures, digest_signatures=(), envelopes=(), keys=keys)
    assert signer_of(digest, signatures=(), digest_signatures=found.digest_signatures, envelopes=(), keys=keys)
    others = (OTHER.public_key(),)
    assert signer_of(digest, signatures=(), digest_signatures=(), envelopes=found.envelopes, keys=others)
    assert builder_of(digest, envelopes=found.envelopes, builders=BUILT.builders) == BUILDER


@pytest.mark.parametrize("layer", [{}, {"mediaType": 7}, {"mediaType": "x", "digest": "../x", "size": 1}, 7, None])
async def test_evidence_that_is_malformed_shows_nothing(session: aiohttp.ClientSession, layer: object) -> None:
    import json

    answers = {f"{DIGEST.replace(':', '-')}.sig": Answer(body=json.dumps({"layers": [layer] * 50}).encode())}
    async with misbehaving(answers) as host:
        reference = ImageReference.parse(f"{host}/a/b@{DIGEST}")
        assert await registry(session).evidence(reference, DIGEST, None) == ImageEvidence()


async def test_a_registry_that_fails_while_evidence_is_asked_for_is_no_evidence_of_absence(
    session: aiohttp.ClientSession,
) -> None:
    async with misbehaving(Answer(status=503)) as host:
        with pytest.raises(RegistryRefused) as caught:
            await registry(session).evidence(ImageReference.parse(f"{host}/a/b@{DIGEST}"), DIGEST, None)
    assert caught.value.retryable
