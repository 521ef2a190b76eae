"""Files of packages appear whole or not at all, and a refusal leaves the published repository as it was."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from landscape.whole import ROOT

_CONTROL = "Package: greeter\nVersion: {version}\nArchitecture: amd64\nMaintainer: a <a@example.org>\nDescription: a\n"
_UNKNOWN_KEY = "0" * 40


def package(folder: Path, version: str = "1.0+deb12") -> Path:
    content = folder.parent / f"content-{version}"
    (content / "DEBIAN").mkdir(parents=True)
    (content / "DEBIAN/control").write_text(_CONTROL.format(version=version), encoding="utf-8")
    (content / "greeting").write_text("hello\n" * 10_000, encoding="utf-8")
    folder.mkdir(exist_ok=True)
    file = folder / f"greeter_{version}_amd64.deb"
    subprocess.run(["dpkg-deb", "-Zgzip", "--build", content, file], check=True, stdout=subprocess.DEVNULL)
    return file


def repository(tmp_path: Path, *words: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, ROOT / "packaging/deb/repository.py", "--packages", tmp_path / "packages", "--out",
         tmp_path / "apt", *words],
        capture_output=True, text=True, check=False, env={**os.environ, "GNUPGHOME": str(tmp_path)},
    )  # fmt: skip
    return done.returncode, done.stderr


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_key_that_is_missing_leaves_the_published_indices_as_they_were(tmp_path: Path) -> None:
    package(tmp_path / "packages")
    assert repository(tmp_path, "--unsigned") == (0, "")
    before = content(tmp_path / "apt/dists")
    package(tmp_path / "packages", "1.1+deb12")
    code, said = repository(tmp_path, "--key", _UNKNOWN_KEY)
    assert (code, "gpg cannot sign" in said) == (1, True)
    assert content(tmp_path / "apt/dists") == before


def test_a_truncated_package_is_refused_before_it_is_published(tmp_path: Path) -> None:
    file = package(tmp_path / "packages")
    file.write_bytes(file.read_bytes()[:-40])
    code, said = repository(tmp_path, "--unsigned")
    assert (code, f"{file} is not a whole package" in said) == (1, True)
    assert content(tmp_path / "apt") == {}


def test_a_file_with_another_name_than_a_package_is_named(tmp_path: Path) -> None:
    package(tmp_path / "packages").rename(tmp_path / "packages/greeter.deb")
    code, said = repository(tmp_path, "--unsigned")
    assert (code, "greeter.deb is not named PACKAGE_VERSION_ARCHITECTURE.deb" in said) == (1, True)


@pytest.mark.parametrize("words", [("repository.py", "--unsigned", "--packages"), ("build.py", "--wheels")])
def test_a_missing_program_is_named_with_its_package(words: tuple[str, ...], tmp_path: Path) -> None:
    program, *options = words
    done = subprocess.run(
        [sys.executable, ROOT / "packaging/deb" / program, "--out", tmp_path / "out", *options, tmp_path],
        capture_output=True, text=True, check=False, env={"PATH": str(tmp_path), "SOURCE_DATE_EPOCH": "1"},
    )  # fmt: skip
    assert done.returncode == 1
    assert "dpkg-deb is missing: " in done.stderr or "dpkg is missing: " in done.stderr
    assert "Traceback" not in done.stderr
