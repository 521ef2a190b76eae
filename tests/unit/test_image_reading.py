"""One piece of evidence that a registry denies or spoils makes the source unknown; the image is read all the same."""

from __future__ import annotations

import json

import pytest

from landscape.signing import BUILDER, MANIFEST, new_key, provenance
from whence_aggregator.collect.attached import Trust
from whence_aggregator.collect.collectors import finding_of
from whence_aggregator.collect.image_reader import RegistryImageReader
from whence_aggregator.ports import ImageStore, SourceUnavailable
from whence_common.digest import sha256_digest
from whence_common.image_layers import LayerFinding
from whence_common.image_trust import TrustedBuilder

KEY = new_key()
TRUST = Trust(builders=(TrustedBuilder(builder_id=BUILDER, key=KEY.public_key()),))
CONFIG = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": sha256_digest(b"{}"), "size": 2}
IMAGE = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": CONFIG, "layers": []}).encode()
DIGEST = sha256_digest(IMAGE)


class Store:
    """A registry with one image; asking for a name that ends so raises this code."""

    def __init__(self, spoilt: str, code: str) -> None:
        self.spoilt, self.code = spoilt, code
        envelope = provenance(KEY, DIGEST)
        layer = {
            "mediaType": "application/vnd.dsse.envelope.v1+json",
            "digest": sha256_digest(envelope),
            "size": len(envelope),
        }
        self.held = {
            DIGEST: IMAGE,
            f"{DIGEST.replace(':', '-')}.att": json.dumps({"layers": [layer]}).encode(),
            sha256_digest(envelope): envelope,
            sha256_digest(b"{}"): b"{}",
        }

    def store_of(self, repository: str) -> ImageStore:
        return self

    async def manifest(self, repository: str, reference: str) -> bytes | None:
        if reference.endswith(self.spoilt):
            raise SourceUnavailable(self.code, "HTTP 403")
        return self.held.get(reference)

    async def blob(self, repository: str, digest: str) -> bytes | None:
        return await self.manifest(repository, digest)

    async def referrers(self, repository: str, digest: str) -> bytes | None:
        return None

    async def layer(self, repository: str, digest: str) -> LayerFinding:
        raise AssertionError("the image has no layers")

    async def base_of(self, prefixes: list[str]) -> str | None:
        return None

    async def base_with_commit(self, prefixes: list[str], commit: str) -> str | None:
        return None


def reader(store: Store, trust: Trust = TRUST) -> RegistryImageReader:
    return RegistryImageReader(stores=store, bases=store, trust={"r.example.org": trust})


@pytest.mark.parametrize("code", ["registry-denied", "registry-no-manifest", "registry-wrong-digest"])
async def test_a_denied_attestation_tag_makes_the_source_unknown(code: str) -> None:
    said = await reader(Store(".att", code)).said("r.example.org/a/b", DIGEST, None)
    (reason,) = said.unknown
    assert reason.startswith("not all signatures and attestations were read: ")
    assert reason.endswith(".att: HTTP 403")
    assert (said.awaited, finding_of(said).outcome) == ("a trusted builder's provenance", "found")


async def test_a_denied_signature_tag_does_not_hide_provenance() -> None:
    """The provenance is read; it names no source, which is said too."""
    said = await reader(Store(".sig", "registry-denied")).said("r.example.org/a/b", DIGEST, None)
    assert said.built_by == BUILDER
    assert "does not name one source" in said.unknown[0]


async def test_a_registry_that_fails_for_now_is_asked_again() -> None:
    with pytest.raises(SourceUnavailable):
        await reader(Store(".att", "registry-unreachable")).said("r.example.org/a/b", DIGEST, None)


async def test_nothing_is_asked_where_nothing_is_trusted() -> None:
    said = await reader(Store(".att", "registry-denied"), Trust()).said("r.example.org/a/b", DIGEST, None)
    assert (said.unknown, said.signer_known) == ([], False)
