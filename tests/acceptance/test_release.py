"""A release: built from a tagged commit only, and each of its files is traced to that commit by whoever downloads it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from spdx_tools.spdx.parser.json import json_parser
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from landscape.programs import BIN
from landscape.whole import ROOT

REPOSITORY = "https://git.example.org/whence/whence"
VERSION = "7.8.9"


def run(*command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": "packaging/deb:packaging/ami"}
    return subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=200, check=False
    )  # fmt: skip


def done(*command: str | Path, cwd: Path | None = None) -> str:
    ran = run(*command, cwd=cwd)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout.strip()


@dataclass
class Release:
    """A clone with the tag, what was built from it, and the keys."""

    clone: Path
    folder: Path
    commit: str
    key: Path
    public: Path

    def verify(self, name: str, *options: str | Path) -> tuple[int, str]:
        provenance = self.folder / "provenance.sigstore.json"
        ran = run(
            BIN / "whence",
            "verify",
            self.folder / name,
            "--provenance",
            provenance,
            *(options or ("--key", self.public)),
        )
        return ran.returncode, " ".join((ran.stdout + ran.stderr).split())

    def build(self, *options: str | Path) -> subprocess.CompletedProcess[str]:
        program = self.clone / "packaging/release/release.py"
        parts = ("--part", "wheels", "--part", "sboms")
        return run(sys.executable, program, "--key", self.key, *parts, *options, cwd=self.clone)


def keys(directory: Path, name: str) -> tuple[Path, Path]:
    private, public = directory / f"{name}.key", directory / f"{name}.pub"
    done("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", private)
    done("openssl", "ec", "-in", private, "-pubout", "-out", public)
    return private, public


def cloned(directory: Path) -> Path:
    """Return a repository with what is checked out here, committed by this test."""
    clone = directory / "clone"
    listed = done("git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard", "-z").split("\0")
    for name in (one for one in listed if one and not one.startswith("tests/") and (ROOT / one).is_file()):
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, clone / name)
    done("git", "init", "--quiet", clone)
    done("git", "remote", "add", "origin", REPOSITORY + ".git", cwd=clone)
    done("git", "config", "user.name", "Ada", cwd=clone)
    done("git", "config", "user.email", "ada@example.org", cwd=clone)
    return clone


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    directory = tmp_path_factory.mktemp("release")
    clone = cloned(directory)
    done(sys.executable, clone / "packaging/release/version.py", VERSION, cwd=clone)
    done("git", "add", "--all", cwd=clone)
    done("git", "commit", "--quiet", "--message", f"Release {VERSION}", cwd=clone)
    done("git", "tag", f"v{VERSION}", cwd=clone)
    key, public = keys(directory, "release")
    commit = done("git", "rev-parse", "HEAD", cwd=clone)
    one = Release(clone=clone, folder=clone / "dist" / f"whence-{VERSION}", commit=commit, key=key, public=public)
    built = one.build()
    assert built.returncode == 0, built.stdout + built.stderr
    return one


def test_a_release_has_the_version_of_its_tag_and_sums_that_hold(release: Release) -> None:
    assert sorted(one.name for one in release.folder.iterdir()) == [
        "SHA256SUMS", "provenance.sigstore.json", f"whence-agent-{VERSION}.cdx.json", f"whence-agent-{VERSION}.spdx.json",
        f"whence-aggregator-{VERSION}.cdx.json", f"whence-aggregator-{VERSION}.spdx.json", f"whence_agent-{VERSION}-py3-none-any.whl",
        f"whence_aggregator-{VERSION}-py3-none-any.whl", f"whence_common-{VERSION}-py3-none-any.whl",
    ]  # fmt: skip
    assert done("sha256sum", "--check", "--strict", "SHA256SUMS", cwd=release.folder).count(": OK") == 7
    wheel = release.folder / f"whence_agent-{VERSION}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = [archive.read(name) for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
    assert f"Requires-Dist: whence-common=={VERSION}".encode() in metadata


def test_each_file_is_traced_to_the_commit(release: Release) -> None:
    for one in release.folder.glob("*.whl"):
        code, said = release.verify(one.name)
        assert (code, f"built by urn:whence:release from commit {release.commit} of {REPOSITORY}" in said) == (
            0,
            True,
        ), said


def test_what_is_expected_beside_the_signature_must_be_stated(release: Release) -> None:
    name = f"whence_agent-{VERSION}-py3-none-any.whl"
    right = ("--key", release.public, "--builder-id", "urn:whence:release", "--commit", release.commit,
             "--source", "git@git.example.org:whence/whence.git")  # fmt: skip
    assert release.verify(name, *right)[0] == 0
    for option, value, reason in (
        ("--builder-id", "urn:other", "the builder must be urn:other"),
        ("--commit", "0" * 40, "the commit must be 000"),
        ("--source", "https://git.example.org/other", "the source must be"),
    ):
        code, said = release.verify(name, *right, option, value)
        assert (code, reason in said) == (1, True), said


def test_a_changed_file_is_refused(release: Release) -> None:
    changed = release.folder / "changed.whl"
    changed.write_bytes(next(release.folder.glob("*.whl")).read_bytes() + b"\0")
    try:
        code, said = release.verify(changed.name)
    finally:
        changed.unlink()
    assert (code, "does not list a file with the digest sha256:" in said) == (1, True), said


def test_anothers_key_verifies_nothing(release: Release, tmp_path: Path) -> None:
    _, stranger = keys(tmp_path, "stranger")
    code, said = release.verify("SHA256SUMS", "--key", stranger)
    assert (code, "has no valid signature of the key" in said) == (1, True), said


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "is not a Sigstore bundle"), (b"[]", "is not a Sigstore bundle"), (b"{" * 100_000, "is not a Sigstore bundle"),
        (b'{"dsseEnvelope": {}}', "no valid signature"), (b"\xff" * 10, "is not a Sigstore bundle"),
        (b" " * (4 * 1024 * 1024 + 1), "is larger than"),
    ],
)  # fmt: skip
def test_what_is_no_provenance_is_refused_with_a_reason(
    release: Release, tmp_path: Path, content: bytes, reason: str
) -> None:
    file = tmp_path / "other.sigstore.json"
    file.write_bytes(content)
    ran = run(BIN / "whence", "verify", release.folder / "SHA256SUMS", "--provenance", file, "--key", release.public)
    said = " ".join(ran.stderr.split())
    assert (ran.returncode, reason in said, "Traceback" in said) == (1, True, False), said


@pytest.mark.parametrize(
    "options",
    [["--provenance", "SHA256SUMS"], ["--key", "SHA256SUMS"], ["--builder-id", "x", "--log-key", "SHA256SUMS"]],
)
def test_options_that_do_not_go_together_are_invalid_usage(release: Release, options: list[str]) -> None:
    assert run(BIN / "whence", "verify", "SHA256SUMS", *options, cwd=release.folder).returncode == 2


def test_sigstores_own_library_verifies_the_provenance(release: Release) -> None:
    verifier = ("node", ROOT / "tests/clients/verify_bundle.js", release.folder / "provenance.sigstore.json")
    statement = json.loads(done(*verifier, release.public))
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    assert len(statement["subject"]) == 8
    assert statement["predicate"]["buildDefinition"]["externalParameters"]["ref"] == f"refs/tags/v{VERSION}"


@pytest.mark.parametrize("program", ["agent", "aggregator"])
def test_other_projects_read_the_sboms(release: Release, program: str) -> None:
    name = f"whence-{program}-{VERSION}"
    lock = (ROOT / f"packaging/{program}.lock").read_text("utf-8")
    content = (release.folder / f"{name}.cdx.json").read_text("utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(content) is None
    listed = {one["purl"] for one in json.loads(content)["components"]}
    assert f"pkg:pypi/whence-common@{VERSION}" in listed
    assert len(listed) == lock.count("==") + 1
    document = json_parser.parse_from_file(str(release.folder / f"{name}.spdx.json"))
    assert validate_full_spdx_document(document) == []
    assert len(document.packages) == len(listed) + 1


def test_a_release_built_again_has_the_same_files(release: Release, tmp_path: Path) -> None:
    before = (release.folder / "SHA256SUMS").read_bytes()
    built = release.build("--out", tmp_path)
    assert built.returncode == 0, built.stderr
    assert (tmp_path / release.folder.name / "SHA256SUMS").read_bytes() == before


def test_a_machine_image_without_settings_is_refused_before_anything_is_built(release: Release, tmp_path: Path) -> None:
    refused = release.build("--part", "image", "--out", tmp_path / "out")
    assert (refused.returncode, "needs --settings" in refused.stderr) == (1, True), refused.stderr
    assert not (tmp_path / "out").exists()


def test_a_commit_that_is_no_release_is_refused(release: Release) -> None:
    clone = release.clone
    (clone / "README.md").write_text("changed\n", encoding="utf-8")
    refused = release.build()
    assert (refused.returncode, "uncommitted changes: M README.md" in refused.stderr) == (1, True), refused.stderr
    done("git", "commit", "--quiet", "--all", "--message", "Change", cwd=clone)
    refused = release.build()
    assert (refused.returncode, f"must carry the tag v{VERSION}; it carries no tag" in refused.stderr) == (1, True)
    done("git", "reset", "--quiet", "--hard", "HEAD~1", cwd=clone)
    refused = release.build("--source", "not a url")
    assert (refused.returncode, "name it with --source" in refused.stderr) == (1, True), refused.stderr
    refused = run(sys.executable, clone / "packaging/release/release.py", "--key", release.public)
    assert (refused.returncode, "is not a private key" in refused.stderr) == (1, True), refused.stderr
    assert [one.name for one in (clone / "dist").iterdir()] == [release.folder.name]
