"""SBOMs beside an image are found by their types, in each form in which builds attach them; so is copied provenance."""

from __future__ import annotations

import json
from typing import Any

import pytest

from landscape.signing import BUILDER, BUNDLE, MANIFEST, bundle, new_key, provenance, statement
from whence_aggregator.collect.attached import Trust
from whence_aggregator.collect.collectors import finding_of
from whence_aggregator.collect.image_reader import RegistryImageReader
from whence_aggregator.ports import ImageSaid, ImageStore, SourceUnavailable
from whence_common.digest import sha256_digest
from whence_common.image_layers import LayerFinding
from whence_common.image_trust import TrustedBuilder

KEY = new_key()
TRUST = Trust(builders=(TrustedBuilder(builder_id=BUILDER, key=KEY.public_key()),))
CONFIG = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": sha256_digest(b"{}"), "size": 2}
IMAGE = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": CONFIG, "layers": []}).encode()
DIGEST, OTHER = sha256_digest(IMAGE), "sha256:" + "2" * 64
SPDX, SPDX_TYPE, CYCLONEDX = "https://spdx.dev/Document", "application/spdx+json", "application/vnd.cyclonedx+json"
IN_TOTO, DSSE = "application/vnd.in-toto+json", "application/vnd.dsse.envelope.v1+json"
TAG = DIGEST.replace(":", "-")


class Store:
    """A registry with one image, and what was pushed beside it; names in `denied` are refused."""

    def __init__(self, denied: tuple[str, ...] = ()) -> None:
        self.denied = denied
        self.held = {DIGEST: IMAGE, CONFIG["digest"]: b"{}"}
        self.listed: list[dict[str, Any]] = []
        self.index = ""

    def store_of(self, repository: str) -> ImageStore:
        return self

    async def manifest(self, repository: str, reference: str) -> bytes | None:
        if reference in self.denied:
            raise SourceUnavailable("registry-denied", "HTTP 403")
        return self.held.get(reference)

    async def blob(self, repository: str, digest: str) -> bytes | None:
        return await self.manifest(repository, digest)

    async def referrers(self, repository: str, digest: str) -> bytes | None:
        return json.dumps({"manifests": self.listed}).encode()

    async def layer(self, repository: str, digest: str) -> LayerFinding:
        raise AssertionError("the image has no layers")

    async def base_of(self, prefixes: list[str]) -> str | None:
        return None

    async def base_with_commit(self, prefixes: list[str], commit: str) -> str | None:
        return None

    def layer_of(self, content: bytes, kind: str, **annotations: str) -> dict[str, Any]:
        digest = sha256_digest(content)
        self.held[digest] = content
        return {"mediaType": kind, "digest": digest, "size": len(content), "annotations": annotations}

    def push(self, *layers: dict[str, Any], name: str = "", **members: Any) -> str:
        content = json.dumps({"mediaType": MANIFEST, "layers": layers, **members}).encode()
        self.held[name or sha256_digest(content)] = content
        return sha256_digest(content)

    def refer(self, *layers: dict[str, Any], kind: str, **annotations: str) -> None:
        digest = self.push(*layers, artifactType=kind, annotations=annotations)
        self.listed.append({"digest": digest, "artifactType": kind, "annotations": annotations})

    async def said(self, trust: Trust = TRUST) -> ImageSaid:
        reader = RegistryImageReader(stores=self, bases=self, trust={"r.example.org": trust})
        return await reader.said("r.example.org/a/b", DIGEST, self.index or None)


def by_referrer(store: Store) -> None:
    store.refer(store.layer_of(b"sbom", SPDX_TYPE), kind=SPDX_TYPE)


def by_a_referrer_that_the_fallback_tag_lists_without_types(store: Store) -> None:
    store.refer(store.layer_of(b"sbom", CYCLONEDX), kind=CYCLONEDX)
    store.listed = [{"digest": one["digest"]} for one in store.listed]


def by_cosigns_attestation_tag(store: Store) -> None:
    layer = store.layer_of(statement(KEY, DIGEST, SPDX, {}), DSSE, predicateType=SPDX)
    store.push(layer, name=f"{TAG}.att")


def by_cosigns_sbom_tag(store: Store) -> None:
    store.push(store.layer_of(b"sbom", "text/spdx"), name=f"{TAG}.sbom")


def by_a_bundle(store: Store) -> None:
    layer = store.layer_of(bundle(envelope=statement(KEY, DIGEST, SPDX, {})), BUNDLE)
    store.refer(layer, kind=BUNDLE, **{"dev.sigstore.bundle.predicateType": SPDX})


def by_a_bundle_that_states_no_type(store: Store) -> None:
    store.refer(store.layer_of(bundle(envelope=statement(KEY, DIGEST, SPDX, {})), BUNDLE), kind=BUNDLE)


def by_buildkit(store: Store) -> None:
    attestation = store.push(store.layer_of(b"{}", IN_TOTO, **{"in-toto.io/predicate-type": SPDX}))
    described = {"mediaType": MANIFEST, "digest": attestation, "size": len(store.held[attestation])}
    about = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": DIGEST}
    children = [{"mediaType": MANIFEST, "digest": DIGEST, "size": len(IMAGE)}, {**described, "annotations": about}]
    kind = "application/vnd.oci.image.index.v1+json"
    index = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": children}).encode()
    store.index = sha256_digest(index)
    store.held[store.index] = index


@pytest.mark.parametrize(
    "attach",
    [
        by_referrer, by_a_referrer_that_the_fallback_tag_lists_without_types, by_cosigns_attestation_tag,
        by_cosigns_sbom_tag, by_a_bundle, by_a_bundle_that_states_no_type, by_buildkit,
    ],
)  # fmt: skip
async def test_an_sbom_is_found(attach: Any) -> None:
    store = Store()
    attach(store)
    assert (await store.said()).sboms == 1


async def test_an_image_without_an_sbom_is_read_again_because_one_may_be_attached() -> None:
    store = Store()
    store.push(store.layer_of(provenance(KEY, DIGEST), DSSE), name=f"{TAG}.att")
    said = await store.said()
    assert (said.sboms, said.other_subjects, said.awaited) == (0, False, "an SBOM")
    assert {name: finding_of(said).value[name] for name in ("sboms", "other_subjects")} == {
        "sboms": 0, "other_subjects": False,
    }  # fmt: skip


@pytest.mark.parametrize("name", [f"{TAG}.sbom", f"{TAG}.att"])
async def test_where_something_was_not_read_no_sbom_is_known_to_be_absent(name: str) -> None:
    said = await Store(denied=(name,)).said()
    assert (said.sboms, said.other_subjects) == (None, None)
    assert {"sboms", "other_subjects"} & set(finding_of(said).value) == set()


async def test_where_nothing_is_trusted_nothing_is_known_to_be_absent() -> None:
    said = await Store().said(Trust())
    assert (said.sboms, said.other_subjects) == (None, None)


@pytest.mark.parametrize("signer", [KEY, new_key()])
async def test_provenance_that_is_about_another_image_is_noted_whoever_signed_it(signer: Any) -> None:
    store = Store(denied=(f"{TAG}.sig",))
    store.push(store.layer_of(provenance(signer, OTHER), DSSE), name=f"{TAG}.att")
    assert (await store.said()).other_subjects is True


async def test_buildkits_provenance_of_another_image_is_noted() -> None:
    store = Store()
    by_buildkit(store)
    body = {"predicateType": "https://slsa.dev/provenance/v1", "subject": [{"digest": {"sha256": "2" * 64}}]}
    layer = store.layer_of(json.dumps(body).encode(), IN_TOTO)
    attestation = store.push(layer)
    index = json.loads(store.held[store.index])
    index["manifests"][1]["digest"] = attestation
    content = json.dumps(index).encode()
    store.index = sha256_digest(content)
    store.held[store.index] = content
    assert (await store.said()).other_subjects is True


async def test_an_attestation_of_another_kind_about_others_is_no_provenance() -> None:
    store = Store()
    store.push(store.layer_of(statement(KEY, OTHER, "https://cosign.sigstore.dev/x", {}), DSSE), name=f"{TAG}.att")
    assert (await store.said()).other_subjects is False
