"""The front's pure rules: what is an image, which tags may move, how old an imported tag is, what a missing place says."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from whence_aggregator.adapters.missing_places import missing, place_missing
from whence_aggregator.registry.ages import AgedTag, by_age, made_at
from whence_aggregator.registry.kinds import is_signature_tag, kind_of, subject_of_tag
from whence_common.oci_manifest import Manifest, ManifestInvalid

DIGEST, OTHER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
EMPTY = "application/vnd.oci.empty.v1+json"
TAR = "application/vnd.oci.image.layer.v1.tar+gzip"
NOW = datetime(2026, 11, 25, tzinfo=UTC)


def described(media_type: str, digest: str = DIGEST, **members: object) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest, "size": 2, **members}


def manifest(config: str, *layers: str, **members: object) -> Manifest:
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": described(config),
                "layers": [described(one, OTHER) for one in layers], **members}  # fmt: skip
    return Manifest.parse(json.dumps(document).encode())


def index(*children: dict[str, object], **members: object) -> Manifest:
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(children), **members}
    return Manifest.parse(json.dumps(document).encode())


# --- what is an image


@pytest.mark.parametrize(
    "config, layer",
    [
        (OCI_CONFIG, "application/vnd.in-toto+json"),  # BuildKit's attestation
        (DOCKER_CONFIG, "application/vnd.in-toto+json"),
        (OCI_CONFIG, "application/vnd.dev.cosign.simplesigning.v1+json"),
        (OCI_CONFIG, "application/vnd.dsse.envelope.v1+json"),  # cosign's attestation
        (OCI_CONFIG, "text/spdx+json"),  # cosign attach sbom
        (EMPTY, "application/vnd.dev.sigstore.bundle.v0.3+json"),
        ("application/vnd.cncf.notary.signature", "application/jose+json"),
        ("application/vnd.cncf.helm.config.v1+json", "application/vnd.cncf.helm.chart.content.v1.tar+gzip"),
        ("application/vnd.unknown.config.v1+json", "application/vnd.oci.image.layer.v1.tar"),  # oras's default
        ("application/vnd.buildkit.cacheconfig.v0", TAR),
        (EMPTY, EMPTY),
    ],
)
def test_what_no_machine_can_run_is_an_artifact(config: str, layer: str) -> None:
    assert kind_of(manifest(config, layer)) == "artifact"


@pytest.mark.parametrize(
    "config, layers",
    [
        (OCI_CONFIG, [TAR]),
        (DOCKER_CONFIG, ["application/vnd.docker.image.rootfs.diff.tar.gzip"]),
        (DOCKER_CONFIG, ["application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"]),
        (OCI_CONFIG, ["application/vnd.in-toto+json", "application/vnd.oci.image.layer.v1.tar+zstd"]),
        (OCI_CONFIG, ["application/vnd.oci.image.layer.nydus.blob.v1"]),
        (OCI_CONFIG, ["application/X-TAR"]),
        ("application/octet-stream", [TAR]),
        (OCI_CONFIG.upper().replace("APPLICATION/VND", "application/vnd"), [TAR]),
        (OCI_CONFIG, []),
    ],
)
def test_what_a_machine_could_run_is_an_image(config: str, layers: list[str]) -> None:
    assert kind_of(manifest(config, *layers)) == "image"


def test_an_artifact_type_or_a_subject_makes_no_image_less_of_one() -> None:
    """Else the rule that each image names its source is passed by one line in the manifest."""
    assert kind_of(manifest(OCI_CONFIG, TAR, artifactType="application/vnd.example.sbom")) == "image"
    assert kind_of(manifest(OCI_CONFIG, TAR, subject=described(OCI_MANIFEST))) == "image"


def test_an_index_resolves_to_its_image_and_not_to_an_attestation() -> None:
    image = described(OCI_MANIFEST, platform={"os": "linux", "architecture": "arm64"})
    attestation = described(
        OCI_MANIFEST, OTHER, platform={"os": "unknown", "architecture": "unknown"},
        annotations={"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": DIGEST},
    )  # fmt: skip
    found = index(attestation, image).image
    assert found is not None
    assert found.digest == DIGEST
    assert index(attestation).image is None
    assert index(described(OCI_MANIFEST, artifactType="application/vnd.example.sbom")).image is None, "a fallback tag"
    cache = [described(TAR), described("application/vnd.buildkit.cacheconfig.v0", OTHER)]
    assert index(*cache).image is None


HEX = "0123456789abcdef" * 4


@pytest.mark.parametrize("tag", [f"sha256-{HEX}.sig", f"sha256-{HEX}.att"])
def test_cosigns_two_tags_may_move(tag: str) -> None:
    assert is_signature_tag(tag)
    assert subject_of_tag(tag) == f"sha256:{HEX}"


@pytest.mark.parametrize(
    "tag",
    [f"sha256-{HEX}.sbom", f"sha256-{HEX}", f"sha256-{HEX[:-1]}.sig", f"sha256-{HEX}0.sig", f"sha256-{HEX.upper()}.sig",
     f"sha256-{HEX}.sig.sig", f"sha256-{HEX}.sig\n", f"x-sha256-{HEX}.att", f"sha512-{HEX}.sig", "1.0.sig"],
)  # fmt: skip
def test_no_other_tag_moves_with_them(tag: str) -> None:
    assert not is_signature_tag(tag)


# --- what the specification allows in a manifest


def test_an_empty_list_of_gos_encoder_is_one() -> None:
    assert Manifest.parse(json.dumps({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": described(EMPTY), "layers": None, "manifests": None,
        "subject": None, "artifactType": None, "annotations": None,
    }).encode()).layers == ()  # fmt: skip
    empty = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": None, "config": None, "layers": None}
    assert Manifest.parse(json.dumps(empty).encode()).children == ()
    untyped = {
        "schemaVersion": 2,
        "mediaType": None,
        "config": described(OCI_CONFIG),
        "layers": None,
        "manifests": None,
    }
    assert Manifest.parse(json.dumps(untyped).encode()).media_type == OCI_MANIFEST


def test_an_annotation_may_have_any_name_and_be_large() -> None:
    named = {"Config": "a", "LAYERS": "b", "mediatype": "c", "dev.sigstore.cosign/bundle": "x" * 1_000_000}
    found = manifest(OCI_CONFIG, annotations={**named, **{f"k{number}": "v" for number in range(1_000)}})
    assert found.annotations["Config"] == "a"
    assert len(found.annotations["dev.sigstore.cosign/bundle"]) == 1_000_000
    layer = described("application/vnd.dev.cosign.simplesigning.v1+json", annotations=named)
    assert Manifest.parse(json.dumps(
        {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": described(OCI_CONFIG), "layers": [layer]}
    ).encode()).layers[0].annotations["LAYERS"] == "b"  # fmt: skip


@pytest.mark.parametrize(
    "document",
    [
        {"Layers": []},
        {"layers": [described(TAR, Digest=OTHER)]},
        {"layers": [described(TAR, platform={"OS": "linux"})]},
        {"config": described(OCI_CONFIG, MediaType=EMPTY)},
        {"annotations": {str(number): "" for number in range(20_000)}},
        {"annotations": {"a": None}},
    ],
)
def test_what_two_readers_could_read_differently_stays_refused(document: dict[str, object]) -> None:
    whole = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": described(OCI_CONFIG), "layers": [], **document}
    with pytest.raises(ManifestInvalid):
        Manifest.parse(json.dumps(whole).encode())


# --- how old an imported tag is


def aged(tag: str, made: str | None) -> AgedTag:
    return AgedTag(tag=tag, made_at=datetime.fromisoformat(made) if made else None)


def test_the_newest_tag_is_the_one_that_was_made_last() -> None:
    tags = [
        aged("1.10", "2025-03-01T00:00:00Z"),
        aged("1.9", "2025-02-01T00:00:00Z"),
        aged("a", "2025-01-01T00:00:00Z"),
    ]
    assert [one for one, _ in by_age(tags)] == ["a", "1.9", "1.10"]
    hotfix = [aged("2.0", "2025-01-01T00:00:00Z"), aged("1.9.1", "2025-06-01T00:00:00Z")]
    assert by_age(hotfix)[-1] == ("1.9.1", "2025-06-01T00:00:00.000Z")


def test_versions_order_tags_whose_images_state_no_time() -> None:
    tags = [aged(one, None) for one in ("1.10", "1.0", "1.0.1", "1.0-rc1", "1.9", "1.0-2")]
    assert [one for one, _ in by_age(tags)] == ["1.0-rc1", "1.0", "1.0-2", "1.0.1", "1.9", "1.10"]
    assert {at for _, at in by_age(tags)} == {"1970-01-01T00:00:00.000Z"}


def test_a_tag_without_a_time_is_as_old_as_the_version_before_it() -> None:
    """A team that began to build reproducibly with 2.0: its images since then state 1970."""
    tags = [aged("1.0", "2025-01-01T00:00:00Z"), aged("2.0", None), aged("1.1", "2025-02-01T00:00:00Z")]
    assert by_age(tags) == [
        ("1.0", "2025-01-01T00:00:00.000Z"), ("1.1", "2025-02-01T00:00:00.000Z"), ("2.0", "2025-02-01T00:00:00.000Z"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "created",
    ["1970-01-01T00:00:00Z", "1980-01-01T00:00:01Z", "0001-01-01T00:00:00Z", "2099-01-01T00:00:00Z", "yesterday", "",
     "2025-01-01", None, 7, "9" * 500],
)  # fmt: skip
def test_an_impossible_time_is_none(created: object) -> None:
    assert made_at({"created": created}, {}, NOW) is None


def test_the_annotation_counts_where_the_configuration_states_no_time() -> None:
    annotations = {"org.opencontainers.image.created": "2025-01-02T03:04:05Z"}
    assert made_at({"created": "1970-01-01T00:00:00Z"}, annotations, NOW) == datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)
    nanoseconds = {"created": "2025-01-02T03:04:05.123456789Z"}
    assert made_at(nanoseconds, {}, NOW) == datetime(2025, 1, 2, 3, 4, 5, 123456, tzinfo=UTC)


# --- what a registry says that wants its repositories made first

ECR = b'{"errors":[{"code":"NAME_UNKNOWN","message":"The repository with name \'x\' does not exist in the registry"}]}'


@pytest.mark.parametrize(
    "status, said",
    [
        (404, ECR),
        (400, ECR),
        (404, b'{"errors":[{"code":"NOT_FOUND","message":"project whence not found"}]}'),
        (400, b'{"__type":"RepositoryNotFoundException","message":"no"}'),
    ],
)
def test_a_repository_that_must_be_created_is_distinguished_from_an_unreachable_one(status: int, said: bytes) -> None:
    assert place_missing(status, said)
    refusal = missing("project/alpha/app")
    assert (refusal.code, refusal.status) == ("NAME_UNKNOWN", 404)
    assert "project/alpha/app" in refusal.diagnostics()
    assert "create" in refusal.diagnostics()
    assert "try again later" not in refusal.diagnostics()


@pytest.mark.parametrize(
    "status, said",
    [
        (404, b""),
        (404, b"<html>"),
        (404, b'{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}'),
        (404, b'{"errors":["x"]}'),
        (503, ECR),
        (400, b'{"errors":[{"code":"MANIFEST_INVALID"}]}'),
    ],
)
def test_any_other_refusal_is_not_a_missing_repository(status: int, said: bytes) -> None:
    assert not place_missing(status, said)
