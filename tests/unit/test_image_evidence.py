"""Evidence is gathered whole, or it is named what was not read; what is certainly of no use is never counted."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from landscape.signing import BUNDLE, bundle, new_key, sign_bytes, simple_signing, statement
from whence_common.digest import sha256_digest
from whence_common.image_evidence import BLOBS_MAX, MANIFESTS_MAX, ImageEvidence, Unreadable, gather
from whence_common.image_trust import EVIDENCE_BYTES_MAX, TrustedBuilder, builder_of

KEY = new_key()
DIGEST = "sha256:" + "1" * 64
V1, SBOM = "https://slsa.dev/provenance/v1", "https://spdx.dev/Document"
DSSE = "application/vnd.dsse.envelope.v1+json"
BUILDERS = (TrustedBuilder(builder_id="b", key=KEY.public_key()),)
PROVENANCE = statement(KEY, DIGEST, V1, {"runDetails": {"builder": {"id": "b"}}})


class Shelf:
    """A repository in memory. `broken` are digests that cannot be read."""

    def __init__(self) -> None:
        self.manifests: dict[str, bytes] = {}
        self.blobs: dict[str, bytes] = {}
        self.listed: list[dict[str, Any]] = []
        self.broken: set[str] = set()
        self.asked = 0

    async def manifest(self, name: str) -> bytes | None:
        return self._read(self.manifests, name)

    async def blob(self, digest: str) -> bytes | None:
        return self._read(self.blobs, digest)

    def _read(self, held: dict[str, bytes], name: str) -> bytes | None:
        self.asked += 1
        if name in self.broken:
            raise Unreadable("HTTP 500")
        return held.get(name)

    def layer(
        self, content: bytes, kind: str = DSSE, *, size: int | None = None, predicate: str = ""
    ) -> dict[str, Any]:
        digest = sha256_digest(content)
        self.blobs[digest] = content
        return {
            "mediaType": kind,
            "digest": digest,
            "size": len(content) if size is None else size,
            "annotations": {"predicateType": predicate} if predicate else {},
        }

    def put(self, *layers: dict[str, Any], name: str = "", **members: Any) -> str:
        content = json.dumps({"layers": layers, **members}).encode()
        self.manifests[name or sha256_digest(content)] = content
        return sha256_digest(content)

    def refer(self, *layers: dict[str, Any], number: int = 0, kind: str = BUNDLE, predicate: str = "") -> str:
        named = {"dev.sigstore.bundle.predicateType": predicate} if predicate else {}
        digest = self.put(*layers, annotations={**named, "number": str(number)})
        self.listed.append({"digest": digest, "artifactType": kind, "annotations": named})
        return digest

    async def gathered(self) -> ImageEvidence:
        return await gather(DIGEST, json.dumps({"manifests": self.listed}).encode(), self)


def attested(evidence: ImageEvidence) -> bool:
    return builder_of(DIGEST, envelopes=evidence.envelopes, builders=BUILDERS) == "b"


@pytest.mark.parametrize("kind, predicate", [(BUNDLE, SBOM), ("application/spdx+json", ""), (BUNDLE, "")])
async def test_provenance_is_found_after_many_referrers(kind: str, predicate: str) -> None:
    shelf = Shelf()
    for number in range(90):
        shelf.refer(number=number, kind=kind, predicate=predicate)
    shelf.refer(shelf.layer(bundle(envelope=PROVENANCE), BUNDLE))
    evidence = await shelf.gathered()
    assert (attested(evidence), evidence.unread) == (True, ())
    assert shelf.asked == (93 if not predicate and kind == BUNDLE else 3) + 1


@pytest.mark.parametrize("kind", ["application/vnd.in-toto.provenance+dsse", "application/vnd.in-toto+dsse"])
@pytest.mark.parametrize("listed", ["application/vnd.in-toto+json", ""])
async def test_envelopes_under_in_totos_own_names_count(kind: str, listed: str) -> None:
    shelf = Shelf()
    shelf.refer(shelf.layer(PROVENANCE, kind), kind=listed or kind)
    evidence = await shelf.gathered()
    assert (attested(evidence), evidence.unread) == (True, ())


async def test_referrers_that_state_provenance_are_read_before_those_that_state_nothing() -> None:
    shelf = Shelf()
    for number in range(MANIFESTS_MAX + 50):
        shelf.refer(number=number)
    shelf.refer(shelf.layer(bundle(envelope=PROVENANCE), BUNDLE), predicate=V1)
    evidence = await shelf.gathered()
    assert attested(evidence)
    assert evidence.unread == (f"more than {MANIFESTS_MAX} manifests may hold signatures or attestations",)


async def test_a_fallback_index_without_annotations_is_read_by_the_manifests_own() -> None:
    """Cosign's own fallback index drops annotations (sigstore/cosign#4641)."""
    shelf = Shelf()
    for number in range(50):
        shelf.put(
            shelf.layer(b"sbom", BUNDLE), annotations={"dev.sigstore.bundle.predicateType": SBOM, "n": str(number)}
        )
    shelf.listed = [{"digest": one} for one in shelf.manifests]
    shelf.refer(shelf.layer(bundle(envelope=PROVENANCE), BUNDLE))
    assert attested(await shelf.gathered())
    assert shelf.asked == 2 + 51 + 1


@pytest.mark.parametrize("annotated", [True, False])
async def test_cosigns_attestation_tag_may_hold_many_layers(annotated: bool) -> None:
    shelf = Shelf()
    layers = [shelf.layer(json.dumps({"n": n}).encode(), predicate=SBOM if annotated else "") for n in range(150)]
    shelf.put(*layers, shelf.layer(PROVENANCE, predicate=V1), name=f"{DIGEST.replace(':', '-')}.att")
    evidence = await shelf.gathered()
    assert (attested(evidence), evidence.unread) == (True, ())


async def test_more_attestations_than_the_bound_are_named() -> None:
    shelf = Shelf()
    layers = [shelf.layer(json.dumps({"n": n}).encode()) for n in range(BLOBS_MAX + 1)]
    shelf.put(*layers, name=f"{DIGEST.replace(':', '-')}.att")
    assert (await shelf.gathered()).unread == (f"there are more than {BLOBS_MAX} signatures and attestations",)


@pytest.mark.parametrize("bytes_more", [300_000, 2_000_000, 4_000_000])
async def test_a_large_envelope_counts(bytes_more: int) -> None:
    shelf = Shelf()
    predicate = {"runDetails": {"builder": {"id": "b"}}, "more": "x" * bytes_more}
    large = statement(KEY, DIGEST, V1, predicate)
    shelf.refer(shelf.layer(bundle(envelope=large), BUNDLE))
    evidence = await shelf.gathered()
    assert (attested(evidence), evidence.unread) == (True, ())


async def test_an_envelope_past_the_bound_is_unread() -> None:
    shelf = Shelf()
    layer = shelf.layer(PROVENANCE, size=EVIDENCE_BYTES_MAX + 1)
    shelf.put(layer, name=f"{DIGEST.replace(':', '-')}.att")
    (reason,) = (await shelf.gathered()).unread
    assert reason == f"{layer['digest']} has 8388609 bytes; at most 8388608 are read"


async def test_all_evidence_together_is_bounded() -> None:
    shelf = Shelf()
    layers = [shelf.layer(b"%d" % n, size=EVIDENCE_BYTES_MAX) for n in range(5)]
    shelf.put(*layers, name=f"{DIGEST.replace(':', '-')}.att")
    assert "more than 33554432 bytes" in (await shelf.gathered()).unread[0]


async def test_what_the_registry_lost_or_refuses_is_unread_and_the_rest_is_read() -> None:
    shelf = Shelf()
    lost, refused = shelf.layer(b"{}"), shelf.layer(b"{ }")
    del shelf.blobs[lost["digest"]]
    shelf.broken = {refused["digest"], f"{DIGEST.replace(':', '-')}.sig"}
    shelf.refer(lost, refused, shelf.layer(PROVENANCE))
    evidence = await shelf.gathered()
    assert attested(evidence)
    assert [one.rpartition(": ")[2] for one in evidence.unread] == [
        "HTTP 500", "the registry does not have it", "HTTP 500",
    ]  # fmt: skip


async def test_an_envelope_with_more_signatures_than_are_verified_is_unread() -> None:
    document = json.loads(PROVENANCE)
    document["signatures"] *= 9
    shelf = Shelf()
    shelf.refer(shelf.layer(json.dumps(document).encode()))
    assert "1 to 8 signatures" in (await shelf.gathered()).unread[0]


@pytest.mark.parametrize("rubbish", [b"", b"{}", b"rubbish", b"[" * 5000, b"\xff"])
async def test_rubbish_is_neither_evidence_nor_an_unread_signature(rubbish: bytes) -> None:
    shelf = Shelf()
    shelf.refer(shelf.layer(rubbish + b" "), shelf.layer(rubbish + b"  ", BUNDLE))
    assert await shelf.gathered() == ImageEvidence()


async def test_signatures_by_tag_are_gathered_too() -> None:

    shelf, body = Shelf(), simple_signing(DIGEST)
    signature = base64.b64encode(sign_bytes(KEY, body)).decode()
    layer = shelf.layer(body, "application/vnd.dev.cosign.simplesigning.v1+json")
    layer["annotations"] = {"dev.cosignproject.cosign/signature": signature}
    shelf.put(layer, name=f"{DIGEST.replace(':', '-')}.sig")
    assert [one[0] for one in (await shelf.gathered()).signatures] == [body]
