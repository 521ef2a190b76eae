"""What images say of their source in a real registry, by every form there is; and that agent and aggregator agree."""

from __future__ import annotations

import json
import platform
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from fakes.roads import road
from landscape.docker_registry import docker_registry
from landscape.front import OCI_CONFIG, OCI_INDEX, OCI_MANIFEST, Client, digest_of
from landscape.layers import COMMIT, scm_source, tar, with_source
from landscape.signing import BUILDER, BUNDLE, Pusher, bundle, new_key, sign_digest, simple_signing, statement
from whence_agent.adapters.oci_registry import OciRegistry
from whence_agent.adapters.registry_connection import system_lookup
from whence_agent.adapters.registry_reads import RegistryReads
from whence_agent.adapters.this_processor import this_processor
from whence_agent.boot.image import ImageUntrusted, TrustPolicy
from whence_aggregator.adapters.front_images import FrontImageStores
from whence_aggregator.adapters.layer_stream import Windows
from whence_aggregator.adapters.registry_images import RegistryImages
from whence_aggregator.collect.attached import Trust
from whence_aggregator.collect.collectors import finding_of
from whence_aggregator.collect.image_reader import RegistryImageReader
from whence_aggregator.ports import ImageSaid, SourceUnavailable
from whence_common.clock import utc_now
from whence_common.image_provenance import SOURCE, chains
from whence_common.image_reference import ImageReference
from whence_common.image_trust import TrustedBuilder
from whence_common.statement import ImageFacts

NOBODY = Trust()
URL, OTHER = "https://git.example.org/alpha/app", "e" * 40
KEY, STRANGER = new_key(), new_key()
BUILDERS = (TrustedBuilder(builder_id=BUILDER, key=KEY.public_key()),)
V1, V02 = "https://slsa.dev/provenance/v1", "https://slsa.dev/provenance/v0.2"


@pytest.fixture(scope="module")
async def registry(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    directory = tmp_path_factory.mktemp("registry")
    async with docker_registry(directory, directory) as address:
        yield address


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(auto_decompress=False) as opened:
        yield opened


class Known:
    """Images that were read before, by what their layers are."""

    def __init__(self, *layers: list[bytes]) -> None:
        self._chains = {chains([digest_of(one) for one in image])[-1]: f"sha256:{'b' * 64}" for image in layers}

    async def base_of(self, prefixes: list[str]) -> str | None:
        return next((self._chains[one] for one in prefixes if one in self._chains), None)

    async def base_with_commit(self, prefixes: list[str], commit: str) -> str | None:
        return await self.base_of(prefixes) if commit == COMMIT else None


class Place:
    """A repository of its own in the registry, and who reads it."""

    def __init__(self, session: aiohttp.ClientSession, registry: str, name: str) -> None:
        self.session, self.registry, self.path = session, registry, f"demo/{name}"
        self.client = Client(session, f"http://{registry}", "")
        self.pusher = Pusher(session, registry, self.path)

    async def push(self, *layers: bytes, labels: dict[str, str] | None = None, **members: Any) -> str:
        config = json.dumps({"config": {"Labels": labels or {}}}).encode()
        return await self.client.push(self.path, "1.0", *layers, config=config, **members)

    async def said(
        self,
        digest: str,
        index: str | None = None,
        *,
        trust: Trust = NOBODY,
        known: Known | None = None,
    ) -> ImageSaid:
        stores = FrontImageStores(
            others=RegistryImages(sessions={self.registry: road(self.session, self.registry)}, windows=Windows()),
            own={},
        )
        reader = RegistryImageReader(stores=stores, bases=known or Known(), trust={self.registry: trust})
        return await reader.said(f"{self.registry}/{self.path}", digest, index)


@pytest.fixture
def place(request: pytest.FixtureRequest, session: aiohttp.ClientSession, registry: str) -> Place:
    return Place(session, registry, f"p{digest_of(request.node.nodeid.encode())[7:19]}")


def named(said: ImageSaid) -> list[tuple[str, str, str]]:
    return [(one.kind, one.source.url, one.source.revision) for one in said.claims]


OCI = {SOURCE: URL, "org.opencontainers.image.revision": COMMIT}
SCHEMA = {"org.label-schema.vcs-url": URL, "org.label-schema.vcs-ref": COMMIT}


async def test_annotations_are_the_images_own(place: Place) -> None:
    assert named(await place.said(await place.push(tar({}), annotations=OCI))) == [("annotation", URL, COMMIT)]


@pytest.mark.parametrize("labels", [OCI, SCHEMA, {**OCI, **SCHEMA}])
async def test_labels_of_an_image_without_a_known_base_are_claims_that_may_be_inherited(
    place: Place, labels: dict[str, str]
) -> None:
    said = await place.said(await place.push(tar({}), labels=labels))
    assert [one.source.revision for one in said.claims] == [COMMIT] * (len(labels) // 2)
    assert all(one.maybe_inherited for one in said.claims)


async def test_labels_that_a_known_base_image_has_too_do_not_count(place: Place) -> None:
    base, app = tar({"base": b""}), tar({"app": b""})
    said = await place.said(await place.push(base, app, labels=OCI), known=Known([base]))
    assert named(said) == []
    assert "those of the base image" in said.unknown[0]
    other = {**OCI, "org.opencontainers.image.revision": OTHER}
    own = await place.said(await place.push(base, app, labels=other), known=Known([base]))
    assert named(own) == [("label", URL, OTHER)]


async def test_labels_count_where_the_base_image_has_others(place: Place, session: aiohttp.ClientSession) -> None:
    base = Place(session, place.registry, "base")
    of_base = {SOURCE: "https://git.example.org/base/os", "org.opencontainers.image.revision": OTHER}
    digest = await base.push(tar({"os": b""}), labels=of_base)
    annotations = {
        "org.opencontainers.image.base.digest": digest,
        "org.opencontainers.image.base.name": f"{base.registry}/{base.path}:1.0",
    }
    own = await place.said(await place.push(tar({"a": b""}), labels=OCI, annotations=annotations))
    assert named(own) == [("label", URL, COMMIT)]
    inherited = await place.said(await place.push(tar({"b": b""}), labels=of_base, annotations=annotations))
    assert (named(inherited), inherited.notes) == ([], ["the labels are the base image's"])


async def test_a_base_images_scm_source_is_not_the_images_own(place: Place) -> None:
    base, app = with_source(), tar({"app": b""})
    said = await place.said(await place.push(base, app), known=Known([base]))
    assert (said.scm_source, said.inherited) == (None, f"sha256:{'b' * 64}")
    own = await place.said(await place.push(base, app, with_source(revision=OTHER)), known=Known([base]))
    assert own.scm_source == scm_source(revision=OTHER)
    same = await place.said(await place.push(base), known=Known([base]))
    assert same.scm_source == scm_source()


def buildkit(digest: str, kind: str = V1) -> dict[str, Any]:
    source = {"uri": f"{URL}.git#refs/heads/main", "digest": {"sha1": COMMIT}}
    build_type = "https://mobyproject.org/buildkit@v1"
    predicate: dict[str, Any] = {
        "buildType": build_type,
        "invocation": {"configSource": source},
        "builder": {"id": BUILDER},
    }
    if kind == V1:
        predicate = {
            "buildDefinition": {"buildType": build_type, "externalParameters": {"configSource": source}},
            "runDetails": {"builder": {"id": BUILDER}},
        }
    subject = [{"name": "_", "digest": {"sha256": digest.removeprefix("sha256:")}}]
    return {
        "_type": "https://in-toto.io/Statement/v0.1",
        "subject": subject,
        "predicateType": kind,
        "predicate": predicate,
    }


@pytest.mark.parametrize("kind", [V1, V02])
async def test_buildkits_attestations_are_found_in_the_index_and_are_unsigned(place: Place, kind: str) -> None:
    image = await place.push(tar({"a": kind.encode()}))
    size = len(
        (await place.client.ask("GET", f"/v2/{place.path}/manifests/{image}", headers={"Accept": OCI_MANIFEST})).body
    )
    for subject, expected in ((image, [("buildkit", f"{URL}.git", COMMIT)]), ("sha256:" + "1" * 64, [])):
        content = json.dumps(buildkit(subject, kind)).encode()
        layer = {"mediaType": "application/vnd.in-toto+json", **await place.client.blob(place.path, content),
                 "annotations": {"in-toto.io/predicate-type": kind}}  # fmt: skip
        config = {"mediaType": OCI_CONFIG, **await place.client.blob(place.path, b"{}")}
        attestation = json.dumps(
            {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config, "layers": [layer]}
        ).encode()
        assert (await place.client.put(place.path, "attestation", attestation)).status == 201
        unknown = {"architecture": "unknown", "os": "unknown"}
        reference = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": image}
        entries = [
            {"mediaType": OCI_MANIFEST, "digest": image, "size": size, "platform": {"os": "linux", "architecture": "amd64"}},
            {"mediaType": OCI_MANIFEST, "digest": digest_of(attestation), "size": len(attestation), "platform": unknown,
             "annotations": reference},
        ]  # fmt: skip
        index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode()
        assert (await place.client.put(place.path, "index", index, OCI_INDEX)).status == 201
        assert named(await place.said(image, digest_of(index))) == expected


async def test_the_agent_reads_the_annotations_that_the_aggregator_reads(place: Place) -> None:
    image = await place.push(tar({"a": b"annotated"}), annotations=OCI)
    agent = OciRegistry(
        http=RegistryReads(session=place.session, places={}, lookup=system_lookup, now=utc_now),
        processor=this_processor(),
    )
    resolved = await agent.resolve(ImageReference.parse(f"{place.registry}/{place.path}:1.0"), None)
    assert resolved.digest == image
    assert list(resolved.claims) == (await place.said(image)).claims
    size = len(
        (await place.client.ask("GET", f"/v2/{place.path}/manifests/{image}", headers={"Accept": OCI_MANIFEST})).body
    )
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    entry = {"mediaType": OCI_MANIFEST, "digest": image, "size": size, "annotations": OCI,
             "platform": {"os": "linux", "architecture": architecture}}  # fmt: skip
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}).encode()
    assert (await place.client.put(place.path, "index", index, OCI_INDEX)).status == 201
    by_index = await agent.resolve(ImageReference.parse(f"{place.registry}/{place.path}:index"), None)
    assert list(by_index.claims) == (await place.said(image, digest_of(index))).claims
    assert [one.kind for one in by_index.claims] == ["annotation", "index-annotation"]


def signed(digest: str, key: Any = KEY, *, kind: str = V1, builder: str = BUILDER, github: bool = False) -> bytes:
    predicate = buildkit(digest, kind)["predicate"]
    if github:
        predicate = {
            "buildDefinition": {
                "externalParameters": {"workflow": {"repository": URL}},
                "resolvedDependencies": [
                    {
                        "uri": "git+https://git.example.org/alpha/library@refs/heads/main",
                        "digest": {"gitCommit": OTHER},
                    },
                    {"uri": f"git+{URL}@refs/heads/main", "digest": {"gitCommit": COMMIT}},
                ],
            },
            "runDetails": {"builder": {"id": BUILDER}},
        }
    text = json.dumps(predicate).replace(BUILDER, builder)
    return statement(key, digest, kind, json.loads(text))


Evidence = Callable[[Pusher, str], Awaitable[None]]


def by_tag(make: Callable[[str], bytes]) -> Evidence:
    async def push(pusher: Pusher, digest: str) -> None:
        await pusher.attest(digest, make(digest))

    return push


def by_referrer(make: Callable[[str], bytes]) -> Evidence:
    async def push(pusher: Pusher, digest: str) -> None:
        await pusher.referring(digest, (BUNDLE, make(digest), {}))

    return push


def by_signature(key: Any, body: Callable[[str], bytes] = simple_signing) -> Evidence:
    async def push(pusher: Pusher, digest: str) -> None:
        await pusher.sign(digest, key, body=body(digest))

    return push


SBOM = "https://spdx.dev/Document"


def sbom(digest: str) -> bytes:
    return statement(STRANGER, digest, SBOM, {"name": "x" * 300_000})


async def test_provenance_of_the_index_counts_beside_an_untrusted_envelope_of_the_image(place: Place) -> None:
    image = await place.push(tar({"a": b"index"}))
    size = len(
        (await place.client.ask("GET", f"/v2/{place.path}/manifests/{image}", headers={"Accept": OCI_MANIFEST})).body
    )
    entry = {"mediaType": OCI_MANIFEST, "digest": image, "size": size,
             "platform": {"os": "linux", "architecture": "amd64"}}  # fmt: skip
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}).encode()
    assert (await place.client.put(place.path, "index", index, OCI_INDEX)).status == 201
    await place.pusher.attest(image, sbom(image))
    await place.pusher.attest(digest_of(index), signed(digest_of(index)))
    said = await place.said(image, digest_of(index), trust=Trust(builders=BUILDERS))
    assert (named(said), said.built_by, said.unknown) == ([("provenance", f"{URL}.git", COMMIT)], BUILDER, [])


async def test_provenance_is_found_behind_many_other_attestations(place: Place) -> None:
    digest = await place.push(tar({"a": b"many"}))
    kind = "application/vnd.dsse.envelope.v1+json"
    others = [(kind, sbom(digest)[:-1] + b" " * n + b"}", {"predicateType": SBOM}) for n in range(25)]
    await place.pusher.beside(digest, ".att", *others, (kind, signed(digest), {"predicateType": V1}))
    said = await place.said(digest, trust=Trust(builders=BUILDERS))
    assert [one.source.revision for one in said.claims] == [COMMIT]


async def test_a_large_envelope_is_read(place: Place) -> None:
    digest = await place.push(tar({"a": b"large"}))
    predicate = {**buildkit(digest)["predicate"], "more": "x" * 1_500_000}
    await place.pusher.attest(digest, statement(KEY, digest, V1, predicate))
    said = await place.said(digest, trust=Trust(builders=BUILDERS))
    assert [one.source.revision for one in said.claims] == [COMMIT]


async def test_an_envelope_past_the_bound_makes_the_source_unknown(place: Place) -> None:
    digest = await place.push(tar({"a": b"huge"}))
    await place.pusher.attest(digest, statement(KEY, digest, V1, {"more": "x" * 9_000_000}))
    said = await place.said(digest, trust=Trust(keys=(KEY.public_key(),), builders=BUILDERS))
    assert named(said) == []
    assert "at most 8388608 are read" in said.unknown[0]
    finding = finding_of(said)
    assert (finding.outcome, "signed_by" in finding.value) == ("found", False)


async def nothing(_: Pusher, __: str) -> None:
    return None


ELSE = "sha256:" + "a" * 64
SHOWN: dict[str, tuple[Evidence, bool, bool]] = {
    "nothing": (nothing, False, False),
    "a signature by tag": (by_signature(KEY), True, False),
    "a stranger's signature": (by_signature(STRANGER), False, False),
    "a signature over another image": (by_signature(KEY, lambda _: simple_signing(ELSE)), False, False),
    "a signature in a bundle": (by_referrer(lambda d: bundle(signature=sign_digest(KEY, d))), True, False),
    "a bundle over another image": (by_referrer(lambda _: bundle(signature=sign_digest(KEY, ELSE))), False, False),
    "provenance v1 by tag": (by_tag(signed), False, True),
    "provenance v0.2 by tag": (by_tag(lambda d: signed(d, kind=V02)), False, True),
    "provenance of a workflow": (by_tag(lambda d: signed(d, github=True)), False, True),
    "provenance in a bundle": (by_referrer(lambda d: bundle(envelope=signed(d))), False, True),
    "a stranger's provenance": (by_tag(lambda d: signed(d, STRANGER)), False, False),
    "another builder's provenance": (by_tag(lambda d: signed(d, builder="https://evil.example.org")), False, False),
    "provenance of another image": (by_tag(lambda _: signed(ELSE)), False, False),
    "a bent envelope": (by_tag(lambda d: signed(d).replace(b'"payload":"ey', b'"payload":"eX')), False, False),
    "rubbish": (by_tag(lambda _: b"rubbish"), False, False),
}


@pytest.mark.parametrize("shown", SHOWN.values(), ids=SHOWN.keys())
async def test_the_agents_verdict_at_boot_and_the_aggregators_later_agree(
    place: Place, shown: tuple[Evidence, bool, bool]
) -> None:
    """Each fetches the evidence by its own client, from the same registry; both judge by the same code."""
    push, is_signed, is_built = shown
    digest = await place.push(tar({"app": b"x"}))
    await push(place.pusher, digest)
    keys = (KEY.public_key(),)
    said = await place.said(digest, trust=Trust(keys=keys, builders=BUILDERS))
    assert (bool(said.signed_by), bool(said.built_by)) == (is_signed, is_built)
    of_builder = await place.said(digest, trust=Trust(builders=BUILDERS))
    assert of_builder.awaited == ("an SBOM" if is_built else "a trusted builder's provenance")
    alone = await place.said(digest, trust=Trust(keys=keys))
    assert alone.awaited == ("an SBOM" if is_signed else "a trusted signature")
    assert (await place.said(digest)).awaited == ""
    expected = [COMMIT] if is_built else []
    assert [one.source.revision for one in said.claims if one.kind == "provenance"] == expected
    agent = OciRegistry(
        http=RegistryReads(session=place.session, places={}, lookup=system_lookup, now=utc_now),
        processor=this_processor(),
    )
    reference = ImageReference.parse(f"{place.registry}/{place.path}:1.0")
    evidence = await agent.evidence(reference, digest, None)
    facts = ImageFacts(source=str(reference), repository=reference.repository, digest=digest)

    def verdict(policy: TrustPolicy) -> tuple[str, str]:
        try:
            judged = policy.verify(facts, evidence, production_ready=False)
        except ImageUntrusted:
            return "", ""
        return judged.signed_by, judged.built_by

    assert verdict(TrustPolicy(keys=keys))[0] == said.signed_by
    assert verdict(TrustPolicy(builders=BUILDERS))[1] == said.built_by


async def test_a_label_that_may_be_inherited_does_not_stand_in_for_a_layer_that_cannot_be_read(place: Place) -> None:
    """The layer may hold scm-source.json, which counts for more."""
    image = await place.push(b"no tar at all", labels=OCI)
    with pytest.raises(SourceUnavailable, match="cannot be read"):
        await place.said(image)
    annotated = await place.push(b"no tar at all", labels=OCI, annotations=OCI)
    said = await place.said(annotated)
    assert [one.kind for one in said.claims] == ["annotation", "label"]
    assert "cannot be read" in said.notes[0]
