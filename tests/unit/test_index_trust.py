"""Evidence may be about the image or about its index, each by its own digest."""

from __future__ import annotations

import pytest

from landscape.signing import BUILDER, new_key, provenance, statement
from whence_agent.boot.image import ImageResolver, ImageUntrusted, TrustPolicy
from whence_agent.ports import ResolvedImage
from whence_agent.progress.stage import StageProgress
from whence_common.backoff import Backoff
from whence_common.image_evidence import ImageEvidence
from whence_common.image_reference import ImageReference
from whence_common.image_trust import TrustedBuilder
from whence_common.registry_sign_in import Login
from whence_common.statement import ImageFacts
from whence_common.user_data.platform import PlatformRules

KEY, STRANGER = new_key(), new_key()
IMAGE, INDEX = "sha256:" + "1" * 64, "sha256:" + "2" * 64
REFERENCE = ImageReference.parse(f"r.example.org/a/b@{INDEX}")
POLICY = TrustPolicy(builders=(TrustedBuilder(builder_id=BUILDER, key=KEY.public_key()),))
SBOM = statement(STRANGER, IMAGE, "https://spdx.dev/Document", {})


class Held:
    """A registry with this evidence, which records the requested digests."""

    def __init__(self, **evidence: ImageEvidence) -> None:
        self.evidence_of = {
            IMAGE: evidence.get("image", ImageEvidence()),
            INDEX: evidence.get("index", ImageEvidence()),
        }
        self.asked: list[str] = []

    async def resolve(self, reference: ImageReference, login: Login | None) -> ResolvedImage:
        return ResolvedImage(digest=IMAGE, index_digest=INDEX)

    async def evidence(self, reference: ImageReference, digest: str, login: Login | None) -> ImageEvidence:
        self.asked.append(digest)
        return self.evidence_of[digest]


class NoRepositories:
    async def tags_move(self, reference: ImageReference) -> str:
        raise AssertionError("the image is named by digest")

    async def sign_in(self, registry: str) -> tuple[str, str]:
        raise AssertionError("the registry is not ECR")


def resolver(registry: Held) -> ImageResolver:
    return ImageResolver(
        registry=registry,
        repositories=NoRepositories(),
        policies={"r.example.org": POLICY},
        rules=PlatformRules(),
        backoff=Backoff(first_seconds=0.0, longest_seconds=0.0, random=lambda: 0.0),
    )


async def resolved(registry: Held) -> tuple[ImageFacts, ResolvedImage]:
    async def nothing() -> None:
        return None

    return await resolver(registry).resolve(REFERENCE, nothing, StageProgress(name="image"))


def envelopes(*held: bytes, unread: tuple[str, ...] = ()) -> ImageEvidence:
    return ImageEvidence(envelopes=held, unread=unread)


async def test_provenance_of_the_index_counts_even_if_the_image_has_another_attestation() -> None:
    registry = Held(image=envelopes(SBOM), index=envelopes(provenance(KEY, INDEX)))
    image, _ = await resolved(registry)
    assert (image.digest, image.built_by) == (IMAGE, BUILDER)


async def test_the_evidence_of_the_index_is_not_fetched_if_the_image_is_trusted() -> None:
    registry = Held(image=envelopes(provenance(KEY, IMAGE)))
    await resolved(registry)
    assert registry.asked == [IMAGE]


@pytest.mark.parametrize(
    "held",
    [
        {},
        {"image": envelopes(provenance(KEY, INDEX))},
        {"index": envelopes(provenance(KEY, IMAGE))},
        {"image": envelopes(provenance(STRANGER, IMAGE)), "index": envelopes(provenance(STRANGER, INDEX))},
    ],
)
async def test_evidence_about_another_digest_does_not_count(held: dict[str, ImageEvidence]) -> None:
    with pytest.raises(ImageUntrusted, match="it has no provenance by a trusted builder"):
        await resolved(Held(**held))


async def test_a_refusal_names_evidence_that_could_not_be_read() -> None:
    registry = Held(image=envelopes(unread=("an envelope is too large",)))
    with pytest.raises(ImageUntrusted, match="some evidence could not be read: an envelope is too large"):
        await resolved(registry)
