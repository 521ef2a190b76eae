"""Provenance of AMIs is read strictly: what is not stated as it must be is refused, and never completed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from whence_common.ami_facts import PackageFacts
from whence_common.ami_file import DIFFERENCES_MAX, AmiFile, AmiFileInvalid, ami_facts, ami_file
from whence_common.ami_provenance import (
    STATEMENT_BYTES_MAX,
    AmiPackage,
    AmiProvenance,
    AmiProvenanceInvalid,
    ami_provenance,
)
from whence_common.installed_packages import PACKAGES_MAX, InstalledPackage

OPENSSL = AmiPackage(
    system="deb", name="openssl", architecture="amd64", version="3.0.16-1", distribution="debian-12", origin="Debian"
)
DIGEST = "sha256:" + "ab" * 32


def provenance(packages: list[AmiPackage] | None = None) -> bytes:
    return ami_provenance(
        name="whence-1.2", root_digest=DIGEST, builder_id="https://ci.example.org", repository="https://git.example.org/a/b",
        commit_id="c" * 40, modified=False, finished_at="2026-11-22T12:00:00Z", packages=packages or [OPENSSL],
    )  # fmt: skip


def changed(**paths: Any) -> bytes:
    """Return the bytes with members replaced: `a__b` is member b of member a; None removes it."""
    document = json.loads(provenance())
    for path, value in paths.items():
        *folders, last = path.split("__")
        place = document
        for one in folders:
            place = place[one]
        if value is None:
            del place[last]
        else:
            place[last] = value
    return json.dumps(document).encode()


def test_a_statement_is_read_as_it_was_written() -> None:
    found = AmiProvenance.parse(provenance())
    assert (found.name, found.root_digest, found.commit_id) == ("whence-1.2", DIGEST, "c" * 40)
    assert list(found.packages) == [OPENSSL]
    assert found.packages[0].suite == "unknown"


def test_unknown_members_and_dependencies_of_other_kinds_are_ignored() -> None:
    listed = json.loads(provenance())["predicate"]["buildDefinition"]["resolvedDependencies"]
    more = [*listed, {"uri": "https://example.org/x.iso"}, {"uri": "pkg:npm/left-pad@1.0.0"}, {"name": "x"}, 7]
    found = AmiProvenance.parse(changed(predicate__buildDefinition__resolvedDependencies=more, more=1))
    assert list(found.packages) == [OPENSSL]


DEFINITION, DETAILS = "predicate__buildDefinition", "predicate__runDetails"


@pytest.mark.parametrize(
    "change",
    [
        {"_type": "https://in-toto.io/Statement/v0.1"},
        {"predicateType": "https://slsa.dev/provenance/v0.2"},
        {f"{DEFINITION}__buildType": "urn:whence:build:image:v1"},
        {"subject": []},
        {"subject": [{"name": "a1b", "digest": {"sha256": "ab" * 32}}] * 2},
        {"subject": [{"name": "a1b", "digest": {"sha256": "AB" * 32}}]},
        {"subject": [{"name": "a1b", "digest": {"sha512": "ab" * 32}}]},
        {"subject": [{"name": "no\nname", "digest": {"sha256": "ab" * 32}}]},
        {f"{DETAILS}__builder": {"id": ""}},
        {f"{DETAILS}__builder": {"id": 7}},
        {f"{DETAILS}__metadata": {}},
        {f"{DETAILS}__metadata": {"finishedOn": "yesterday"}},
        {f"{DETAILS}__metadata": {"finishedOn": "2026-11-22T12:00:00"}},
        {f"{DEFINITION}__resolvedDependencies": None},
        {f"{DEFINITION}__resolvedDependencies": []},
        {f"{DEFINITION}__resolvedDependencies": [{"uri": "pkg:deb/debian/openssl"}]},
        {f"{DEFINITION}__resolvedDependencies": [{"uri": "pkg:deb/debian/openssl@1"}]},
        {f"{DEFINITION}__resolvedDependencies": [{"uri": "pkg:deb/debian/openssl@1?arch"}]},
        {f"{DEFINITION}__resolvedDependencies": [{"uri": "pkg:deb/debian/open ssl@1?arch=amd64"}]},
        {f"{DEFINITION}__resolvedDependencies": [{"uri": "pkg:deb/debian/openssl@1%0A?arch=amd64"}]},
        {f"{DEFINITION}__resolvedDependencies": [{"uri": "pkg:deb/debian/openssl@%FF%FE?arch=amd64"}]},
        {f"{DEFINITION}__resolvedDependencies": [{"uri": "pkg:deb/debian/openssl@" + "1" * 900 + "?arch=amd64"}]},
        {f"{DEFINITION}__resolvedDependencies": [{"uri": "pkg:pypi/Aio_Http@1"}]},
        {f"{DEFINITION}__resolvedDependencies": [{"uri": OPENSSL.purl}, {"uri": "PKG:DEB/debian/vim@1?arch=amd64"}]},
        {f"{DEFINITION}__resolvedDependencies": [{"uri": OPENSSL.purl}, {"uri": "pkg://deb/debian/vim@1?arch=amd64"}]},
        {f"{DEFINITION}__resolvedDependencies": [{"uri": OPENSSL.purl}, {"uri": OPENSSL.purl.replace("16", "17")}]},
    ],
)
def test_a_statement_that_is_not_one_about_an_image_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(AmiProvenanceInvalid):
        AmiProvenance.parse(changed(**change))


@pytest.mark.parametrize("payload", [b"", b"[]", b"\xff", b"{", b'{"_type": 1}', b"[" * 100_000])
def test_bytes_that_are_no_statement_are_refused(payload: bytes) -> None:
    with pytest.raises(AmiProvenanceInvalid):
        AmiProvenance.parse(payload)


def test_a_statement_that_is_too_large_and_one_with_too_many_packages_are_refused() -> None:
    with pytest.raises(AmiProvenanceInvalid, match=f"larger than {STATEMENT_BYTES_MAX} bytes"):
        AmiProvenance.parse(b" " * (STATEMENT_BYTES_MAX + 1))
    many = [{"uri": f"pkg:pypi/p{number}@1"} for number in range(PACKAGES_MAX + 1)]
    with pytest.raises(AmiProvenanceInvalid, match=f"1 to {PACKAGES_MAX} packages"):
        AmiProvenance.parse(changed(**{f"{DEFINITION}__resolvedDependencies": many}))


def test_the_most_packages_without_origins_fit_into_a_statement() -> None:
    many = [{"uri": f"pkg:deb/debian/python3-p{n}@1.0-1?arch=amd64&distro=debian-12"} for n in range(PACKAGES_MAX)]
    assert len(AmiProvenance.parse(changed(**{f"{DEFINITION}__resolvedDependencies": many})).packages) == PACKAGES_MAX


def test_a_builder_cannot_write_what_nobody_could_read() -> None:
    with pytest.raises(AmiProvenanceInvalid):
        provenance([OPENSSL, OPENSSL])


@pytest.mark.parametrize("origin", [7, "", "a\nb", None])
def test_an_origin_that_is_not_a_text_is_unknown(origin: Any) -> None:
    listed = [{"uri": OPENSSL.purl, "annotations": {"origin": origin, "suite": "x" * 500}}]
    (found,) = AmiProvenance.parse(changed(**{f"{DEFINITION}__resolvedDependencies": listed})).packages
    assert (found.origin, found.suite) == ("unknown", "x" * 100)


IMAGE = ami_file("whence-1.2", DIGEST, [InstalledPackage("a", "all", "1"), InstalledPackage("b", "amd64", "2")])


def test_an_agent_states_what_was_added_removed_and_changed_since_the_image_was_built() -> None:
    image = AmiFile.parse(IMAGE.to_wire())
    found = ami_facts(image, [InstalledPackage("b", "amd64", "3"), InstalledPackage("c", "all", "1")])
    assert (found.statement_digest, found.differing) == (DIGEST, 3)
    assert found.differences == [
        PackageFacts(name="a", architecture="all", image="1", machine=""),
        PackageFacts(name="b", architecture="amd64", image="2", machine="3"),
        PackageFacts(name="c", architecture="all", image="", machine="1"),
    ]


def test_a_machine_without_changes_states_none() -> None:
    same = [InstalledPackage("b", "amd64", "2"), InstalledPackage("a", "all", "1")]
    found = ami_facts(IMAGE, same)
    assert (found.differing, found.differences) == (0, [])
    assert found.packages_digest.startswith("sha256:")


def test_more_differences_than_fit_are_counted() -> None:
    found = ami_facts(IMAGE, [InstalledPackage(f"p{number}", "all", "1") for number in range(500)])
    assert (found.differing, len(found.differences)) == (502, DIFFERENCES_MAX)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{}", b"\xff", b"[" * 100_000,
        IMAGE.to_wire().replace(b'"version":1', b'"version":2'),
        IMAGE.to_wire().replace(b"sha256:ab", b"sha256:AB"),
        IMAGE.to_wire().replace(b'["a","all"', b'["b","amd64"'),
        IMAGE.to_wire().replace(b'"all"', b'"a l"'),
        IMAGE.to_wire().replace(b'"1"', b'"1 2"'),
        IMAGE.to_wire().replace(b'"1"', b"1"),
        IMAGE.to_wire().replace(b"whence-1.2", b"a\\nb"),
    ],
)  # fmt: skip
def test_a_file_of_an_image_that_is_malformed_is_refused_with_what_to_do(content: bytes) -> None:
    with pytest.raises(AmiFileInvalid) as caught:
        AmiFile.parse(content)
    assert "packaging/ami/statement.py" in caught.value.diagnostics()
