"""Labels, which images inherit: when they count, when they may be the base image's, and what they can never do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from whence_common.image_provenance import (
    ClaimKind,
    ImageConfig,
    SourceClaim,
    choose,
    claims_of_index,
    claims_of_labels,
    claims_of_manifest,
)
from whence_common.scm_source import ScmSource

COMMIT, OTHER = "a" * 40, "b" * 40
URL = "https://git.example.org/alpha/app"
OCI = {
    "org.opencontainers.image.source": URL,
    "org.opencontainers.image.revision": COMMIT,
    "org.opencontainers.image.created": "2026-05-01T10:00:00.123Z",
}
BUILT = "2026-05-01T10:03:20.987654321Z"
BASE = "sha256:" + "9" * 64


def config(created: str = BUILT, **changes: str) -> ImageConfig:
    return ImageConfig(labels={**OCI, **changes}, created=created)


def test_labels_as_github_actions_writes_them_are_a_claim_that_may_be_inherited() -> None:
    claims, inherited, unknown = claims_of_labels(config(), None)
    assert [(one.kind, one.source.url, one.source.revision, one.maybe_inherited) for one in claims] == [
        ("label", URL, COMMIT, True)
    ]
    assert (inherited, unknown) == ([], [])


@pytest.mark.parametrize("created", ["2026-05-03T10:00:00Z", "2027-01-01T00:00:00.5+02:00"])
def test_labels_long_before_the_image_was_made_are_not_known_to_be_its_own(created: str) -> None:
    claims, _, unknown = claims_of_labels(config(created), None)
    assert claims == []
    assert unknown == ["the labels are older than the image, so they may be the base image's"]


@pytest.mark.parametrize(
    "created", ["", "rubbish", "1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "2026-05-02T09:59:59Z"]
)
def test_an_unknown_time_does_not_change_the_labels(created: str) -> None:
    assert len(claims_of_labels(config(created), None)[0]) == 1


def test_a_time_without_a_zone_leaves_the_labels_as_they_are() -> None:
    assert len(claims_of_labels(replace(config(), created="2027-01-01T00:00:00"), None)[0]) == 1


def test_labels_of_the_named_base_image_do_not_count() -> None:
    assert claims_of_labels(config(), config()) == ([], ["the labels are the base image's"], [])


def test_labels_other_than_those_of_the_named_base_image_are_the_images_own() -> None:
    base = config(**{"org.opencontainers.image.revision": OTHER})
    (claim,), _, _ = claims_of_labels(config(), base)
    assert not claim.maybe_inherited


def test_labels_with_the_commit_of_a_known_image_below_are_unknown() -> None:
    claims, _, unknown = claims_of_labels(config(), None, base_digest=BASE)
    assert claims == []
    assert BASE in unknown[0]


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b'{"config": null}', b'{"config": {"Labels": 5}}', b'{"created": 7}']
)
def test_a_configuration_of_another_shape_has_no_labels(content: bytes) -> None:
    assert ImageConfig.parse(content) == ImageConfig()


def claim(kind: ClaimKind, revision: str, *, maybe_inherited: bool = False) -> SourceClaim:
    source = ScmSource(url=URL, revision=revision, author="", status="", digest="")
    return SourceClaim(kind=kind, source=source, maybe_inherited=maybe_inherited)


@pytest.mark.parametrize("stronger", ["provenance", "annotation", "label", "buildkit", "scm-source"])
def test_labels_that_may_be_inherited_have_the_least_weight_and_contradict_nothing(stronger: ClaimKind) -> None:
    own, weak = claim(stronger, COMMIT), claim("label", OTHER, maybe_inherited=True)
    assert choose([weak, own]) == (own, [])
    assert choose([weak]) == (weak, [])


def test_a_claim_comes_back_from_the_log_as_it_was() -> None:
    for one in (claim("label", COMMIT, maybe_inherited=True), claim("annotation", COMMIT)):
        assert SourceClaim.from_wire(one.to_wire()) == one


def test_annotations_are_read_from_the_manifest_and_from_the_entry_of_the_index() -> None:
    named = b'{"org.opencontainers.image.source": "u", "org.opencontainers.image.revision": "r"}'
    (own,) = claims_of_manifest(b'{"annotations": %s}' % named)
    index = b'{"manifests": [{"digest": "x", "annotations": %s}, {"digest": "y"}, 5]}' % named
    (entry,) = claims_of_index(index, "x")
    assert (own.kind, entry.kind, own.source.revision, entry.source.url) == ("annotation", "index-annotation", "r", "u")
    assert claims_of_index(index, "y") == claims_of_index(b"[]", "x") == claims_of_manifest(b"{") == []
