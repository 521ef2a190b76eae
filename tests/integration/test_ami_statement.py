"""The statement about an image's root: what other projects' readers find in it, and what is refused."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.model.bom import Bom
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from spdx_tools.spdx.parser.json import json_parser
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from whence_common.ami_file import AMI_FILE_PATH, AmiFile
from whence_common.ami_provenance import AmiPackage, AmiProvenance
from whence_common.digest import sha256_digest

PROGRAM = Path(__file__).parents[2] / "packaging/ami/statement.py"
COMMIT = "5a" * 20
STATUS = """\
Package: libstdc++6
Status: install ok installed
Architecture: amd64
Version: 12.2.0-14+deb12u1

Package: openssl
Status: install ok installed
Architecture: amd64
Version: 3.0.16-1~deb12u1

Package: tzdata
Status: deinstall ok config-files
Architecture: all
Version: 2026a-0+deb12u1

Package: vim
Status: install ok installed
Architecture: amd64
Version: 2:9.0.1378-2
"""
LISTED = "Package: openssl\nArchitecture: amd64\nVersion: 3.0.16-1~deb12u1\n\nPackage: vim\nArchitecture: amd64\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with four packages, one of them removed, and the environment of whence-agent."""
    root = tmp_path / "root"
    files = {
        "var/lib/dpkg/status": STATUS,
        "usr/lib/os-release": 'NAME="Debian"\nID=debian\nVERSION_ID="12"\n',
        "usr/lib/whence-agent/lib/aiohttp-3.14.5.dist-info/METADATA": "Name: aiohttp\nVersion: 3.14.5\n\nName: no\n",
        "usr/lib/whence-agent/lib/a_b.dist-info/METADATA": "Metadata-Version: 2.1\nName: Charset_Normalizer\nVersion: 3\n",
        "etc/machine-id": "1234\n",
        "var/log/dpkg.log": "installed\n",
        "usr/bin/with space": "x",
    }
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    (root / "usr/bin/vi").symlink_to("/etc/alternatives/vi")
    return root


def scm_source(folder: Path, **changed: str) -> Path:
    file = folder / "scm-source.json"
    stated = {"url": "git:https://git.example.org/demo/image.git", "revision": COMMIT, "author": "a", "status": ""}
    file.write_text(json.dumps({**stated, **changed}))
    return file


def run(
    root: Path, output: Path, source: Path, *, more: tuple[str, ...] = (), **environment: str
) -> subprocess.CompletedProcess[str]:
    command: tuple[str | Path, ...] = (
        sys.executable, PROGRAM, "--root", root, "--output", output, "--name", "whence-1.2",
        "--scm-source", source, "--builder-id", "https://ci.example.org/images", *more,
    )  # fmt: skip
    wanted = {"PATH": os.environ["PATH"], "SOURCE_DATE_EPOCH": "1790000000", **environment}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=wanted)


def written(root: Path, output: Path, source: Path) -> AmiProvenance:
    """Run the program; return the statement that it wrote."""
    done = run(root, output, source)
    assert done.returncode == 0, done.stderr
    found = AmiProvenance.parse((output / "statement.json").read_bytes())
    assert done.stdout == found.digest + "\n"
    return found


def test_a_root_is_stated_with_its_packages_its_commit_and_its_builder(root: Path, tmp_path: Path) -> None:
    found = written(root, tmp_path / "out", scm_source(tmp_path))
    assert (found.name, found.builder_id, found.commit_id) == ("whence-1.2", "https://ci.example.org/images", COMMIT)
    assert (found.repository, found.modified) == ("https://git.example.org/demo/image", False)
    assert found.finished_at == "2026-09-21T14:13:20Z"
    assert [(one.system, one.name, one.version) for one in found.packages] == [
        ("deb", "libstdc++6", "12.2.0-14+deb12u1"), ("deb", "openssl", "3.0.16-1~deb12u1"), ("deb", "vim", "2:9.0.1378-2"),
        ("pypi", "aiohttp", "3.14.5"), ("pypi", "charset-normalizer", "3"),
    ]  # fmt: skip
    assert {one.distribution for one in found.packages if one.system == "deb"} == {"debian-12"}


def test_the_digest_is_of_the_manifest_which_names_what_each_file_is(root: Path, tmp_path: Path) -> None:
    found = written(root, tmp_path / "out", scm_source(tmp_path))
    manifest = (tmp_path / "out/root.mtree").read_bytes()
    assert found.root_digest == sha256_digest(manifest)
    lines = {line.split()[0]: line for line in manifest.decode("ascii").splitlines()}
    assert "type=link" in lines["./usr/bin/vi"]
    assert lines["./usr/bin/vi"].endswith("link=/etc/alternatives/vi")
    x = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
    assert f"size=1 sha256digest={x}" in lines["./usr/bin/with\\040space"]
    assert "./etc/machine-id" not in lines
    assert "./var/log" in lines
    assert "./var/log/dpkg.log" not in lines
    assert f"./{AMI_FILE_PATH}" not in lines


def compared(root: Path, manifest: Path) -> str:
    """Return what NetBSD's mtree finds different between a root and a manifest, without files that are not listed."""
    done = subprocess.run(["mtree", "-e", "-p", root, "-f", manifest], capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == (not done.stdout), done.stderr
    return done.stdout


def test_netbsds_mtree_verifies_a_root_by_the_manifest_and_finds_each_change(root: Path, tmp_path: Path) -> None:
    (root / "usr/bin/ü#\\").write_text("odd")
    written(root, tmp_path / "out", scm_source(tmp_path))
    manifest = tmp_path / "out/root.mtree"
    assert compared(root, manifest) == ""
    (root / "usr/bin/with space").write_text("z")
    assert "usr/bin/with space" in compared(root, manifest)
    (root / "usr/bin/vi").unlink()
    assert "missing: ./usr/bin/vi" in compared(root, manifest)


CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")
"""cap_net_raw=ep, as setcap writes it (linux/capability.h, VFS_CAP_REVISION_2)."""


@pytest.mark.root
def test_a_capability_of_a_file_is_in_the_digest_and_programs_of_mtree_skip_it(root: Path, tmp_path: Path) -> None:
    source, program = scm_source(tmp_path), root / "usr/bin/with space"
    plain = written(root, tmp_path / "plain", source)
    os.setxattr(program, "user.note", b"x")
    os.setxattr(program, "security.capability", CAPABILITY)
    capable = written(root, tmp_path / "capable", source)
    lines = (tmp_path / "capable/root.mtree").read_text().splitlines()
    place = next(number for number, line in enumerate(lines) if "with\\040space" in line)
    assert lines[place + 1 : place + 3] == [
        "# xattr.security.capability=AQAAAgAgAAAAAAAAAAAAAAAAAAA=", "# xattr.user.note=eA=="
    ]  # fmt: skip
    assert compared(root, tmp_path / "capable/root.mtree") == ""
    os.removexattr(program, "security.capability")
    os.setxattr(program, "security.capability", CAPABILITY)
    assert written(root, tmp_path / "again", source).root_digest == capable.root_digest, "in any order of writing"
    os.setxattr(program, "security.capability", CAPABILITY.replace(b"\x20", b"\x40"))
    assert len({plain.root_digest, capable.root_digest, written(root, tmp_path / "other", source).root_digest}) == 3


@pytest.mark.root
def test_attributes_of_folders_and_acls_are_in_the_digest_and_those_of_an_overlay_are_not(
    root: Path, tmp_path: Path
) -> None:
    source = scm_source(tmp_path)
    before = written(root, tmp_path / "one", source).root_digest
    os.setxattr(root / "usr", "trusted.overlay.opaque", b"y")
    assert written(root, tmp_path / "two", source).root_digest == before
    entries = (b"\x01\x00\x07\x00", b"\x02\x00\x07\x00", b"\x04\x00\x05\x00", b"\x10\x00\x07\x00", b"\x20\x00\x05\x00")
    ids = (b"\xff\xff\xff\xff", b"\x01\x00\x00\x00", *(b"\xff\xff\xff\xff",) * 3)
    acl = b"\x02\x00\x00\x00" + b"".join(one + of for one, of in zip(entries, ids, strict=True))
    os.setxattr(root / "usr", "system.posix_acl_default", acl)
    found = written(root, tmp_path / "three", source).root_digest
    assert found != before
    assert "\n# xattr.system.posix_acl_default=" in (tmp_path / "three/root.mtree").read_text()
    assert compared(root, tmp_path / "three/root.mtree") == ""


def test_the_same_root_is_stated_with_the_same_bytes(root: Path, tmp_path: Path) -> None:
    source = scm_source(tmp_path)
    written(root, tmp_path / "one", source)
    (root / "etc/machine-id").write_text("another machine\n")
    os.utime(root / "usr/bin/with space", (1, 1))
    written(root, tmp_path / "two", source)
    for name in ("root.mtree", "sbom.cdx.json", "sbom.spdx.json", "statement.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.parametrize("change", ["content", "mode", "link", "new"])
def test_each_change_of_the_root_changes_its_digest(root: Path, tmp_path: Path, change: str) -> None:
    source = scm_source(tmp_path)
    before = written(root, tmp_path / "one", source)
    if change == "content":
        (root / "usr/bin/with space").write_text("y")
    elif change == "mode":
        (root / "usr/bin/with space").chmod(0o4755)
    elif change == "link":
        (root / "usr/bin/vi").unlink()
        (root / "usr/bin/vi").symlink_to("/tmp/vi")
    else:
        (root / "usr/bin/new").mkdir()
    assert written(root, tmp_path / "two", source).root_digest != before.root_digest


def test_the_file_in_the_image_names_the_statement_and_what_was_installed(root: Path, tmp_path: Path) -> None:
    found = written(root, tmp_path / "out", scm_source(tmp_path))
    file = AmiFile.parse((root / AMI_FILE_PATH).read_bytes())
    assert (file.statement_digest, file.name) == (found.digest, "whence-1.2")
    assert file.packages == [
        ("libstdc++6", "amd64", "12.2.0-14+deb12u1"), ("openssl", "amd64", "3.0.16-1~deb12u1"),
        ("vim", "amd64", "2:9.0.1378-2"),
    ]  # fmt: skip
    assert (root / AMI_FILE_PATH).stat().st_mode & 0o777 == 0o644


def test_the_origin_of_a_package_is_what_apt_states_and_otherwise_unknown(root: Path, tmp_path: Path) -> None:
    lists = root / "var/lib/apt/lists"
    lists.mkdir(parents=True)
    release = "deb.example.org_debian_dists_bookworm"
    (lists / f"{release}_InRelease").write_text("-----BEGIN PGP\n\nOrigin: Debian\nSuite: oldstable\n")
    (lists / f"{release}_main_binary-amd64_Packages.gz").write_bytes(gzip.compress(LISTED.encode()))
    (lists / "other_dists_own_contrib_binary-amd64_Packages").write_text(LISTED + "Version: 2:9.0.1378-2\n")
    found = {one.name: one for one in written(root, tmp_path / "out", scm_source(tmp_path)).packages}
    stated = {name: (one.origin, one.suite, one.component) for name, one in found.items()}
    assert stated["libstdc++6"] == ("unknown", "unknown", "unknown")
    assert stated["openssl"] == ("unknown", "unknown", "unknown"), "two sources offer it and state different origins"
    assert stated["vim"] == ("unknown", "unknown", "contrib")
    (lists / "other_dists_own_contrib_binary-amd64_Packages").unlink()
    again = {one.name: one for one in written(root, tmp_path / "again", scm_source(tmp_path)).packages}
    assert (again["openssl"].origin, again["openssl"].suite, again["openssl"].component) == (
        "Debian",
        "oldstable",
        "main",
    )


def test_origins_that_were_noted_are_stated_after_the_lists_are_gone(root: Path, tmp_path: Path) -> None:
    lists, noted = root / "var/lib/apt/lists", tmp_path / "origins.json"
    lists.mkdir(parents=True)
    release = "deb.example.org_debian_dists_bookworm"
    (lists / f"{release}_InRelease").write_text("Origin: Debian\nSuite: oldstable\n")
    (lists / f"{release}_main_binary-amd64_Packages").write_text(LISTED + "Version: 2:9.0.1378-2\n")
    ran = (sys.executable, PROGRAM.with_name("root_statement.py"), "--root", root, "--note-origins", noted)
    subprocess.run(ran, check=True)
    for one in lists.iterdir():
        one.unlink()
    done = run(root, tmp_path / "out", scm_source(tmp_path), more=("--origins", str(noted)))
    assert done.returncode == 0, done.stderr
    found = AmiProvenance.parse((tmp_path / "out/statement.json").read_bytes())
    assert {one.name: one.origin for one in found.packages if one.system == "deb"} == {
        "libstdc++6": "unknown", "openssl": "Debian", "vim": "Debian",
    }  # fmt: skip
    noted.write_text("[[1]]")
    refused = run(root, tmp_path / "refused", scm_source(tmp_path), more=("--origins", str(noted)))
    assert (refused.returncode, "does not have the origins of packages" in refused.stderr) == (2, True)


def byproducts(statement: Mapping[str, Any]) -> dict[str, str]:
    return {one["name"]: one["digest"]["sha256"] for one in statement["predicate"]["runDetails"]["byproducts"]}


def test_the_cyclonedx_project_reads_the_sbom_that_the_statement_names(root: Path, tmp_path: Path) -> None:
    found = written(root, tmp_path / "out", scm_source(tmp_path))
    content = (tmp_path / "out/sbom.cdx.json").read_bytes()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(content.decode()) is None
    bom = Bom.from_json(json.loads(content))  # type: ignore[attr-defined]  # the library makes it at run time
    assert {str(one.purl) for one in bom.components} == {one.purl for one in found.packages}
    assert bom.metadata.component is not None
    assert bom.metadata.component.name == "whence-1.2"
    statement = json.loads((tmp_path / "out/statement.json").read_bytes())
    assert byproducts(statement)["sbom.cdx.json"] == sha256_digest(content).removeprefix("sha256:")


def test_the_spdx_project_reads_the_sbom_that_the_statement_names(root: Path, tmp_path: Path) -> None:
    found = written(root, tmp_path / "out", scm_source(tmp_path))
    content = (tmp_path / "out/sbom.spdx.json").read_bytes()
    document = json_parser.parse_from_file(str(tmp_path / "out/sbom.spdx.json"))
    assert validate_full_spdx_document(document) == []
    named = {one.name: one.external_references for one in document.packages}
    assert {one.locator for references in named.values() for one in references} == {one.purl for one in found.packages}
    statement = json.loads((tmp_path / "out/statement.json").read_bytes())
    assert byproducts(statement)["sbom.spdx.json"] == sha256_digest(content).removeprefix("sha256:")


@pytest.mark.parametrize(
    "package",
    [
        AmiPackage(system="deb", name="libstdc++6", architecture="amd64", version="2:12.2.0-14+b1~x", distribution="debian-12"),
        AmiPackage(system="pypi", name="a-b", architecture="", version="1.0+local"),
    ],
)  # fmt: skip
def test_a_package_url_is_one_by_the_package_url_project(package: AmiPackage) -> None:
    read = PackageURL.from_string(package.purl)
    assert (read.type, read.name, read.version) == (package.system, package.name, package.version)
    assert read.to_string() == package.purl


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("var/lib/dpkg/status", STATUS + "\n" + STATUS, "libstdc++6:amd64 is listed twice"),
        ("var/lib/dpkg/status", "", "lists no package"),
        ("var/lib/dpkg/updates/0000", STATUS, "dpkg did not finish"),
        ("var/lib/dpkg/status", STATUS.replace("openssl", "\x00"), "no well-formed Package"),
        ("usr/lib/whence-agent/lib/aiohttp-3.14.5.dist-info/METADATA", "Name: aiohttp\n", "states no Name and Version"),
    ],
)
def test_a_root_that_cannot_be_read_whole_gets_no_statement(
    root: Path, tmp_path: Path, file: str, content: str, said: str
) -> None:
    (root / file).parent.mkdir(exist_ok=True)
    (root / file).write_text(content)
    done = run(root, tmp_path / "out", scm_source(tmp_path))
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "out/statement.json").exists()
    assert not (root / AMI_FILE_PATH).exists()


def test_a_root_without_dpkgs_status_a_source_without_a_commit_and_a_wrong_time_are_refused(
    root: Path, tmp_path: Path
) -> None:
    assert "SOURCE_DATE_EPOCH" in run(root, tmp_path / "a", scm_source(tmp_path), SOURCE_DATE_EPOCH="now").stderr
    assert "no full commit id" in run(root, tmp_path / "a", scm_source(tmp_path, revision="main")).stderr
    (root / "var/lib/dpkg/status").unlink()
    assert run(root, tmp_path / "a", scm_source(tmp_path)).returncode == 1


def test_a_link_in_place_of_the_file_is_not_written_through(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("mine")
    (root / AMI_FILE_PATH).parent.mkdir(parents=True)
    (root / f"{AMI_FILE_PATH}.new").symlink_to(outside)
    assert run(root, tmp_path / "out", scm_source(tmp_path)).returncode == 1
    assert outside.read_text() == "mine"
