"""The version stands in one place, its copies agree, and a release is cut without a word of the changelog lost."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import whence_agent
import whence_aggregator
import whence_common
from landscape.whole import ROOT

PROGRAM = "packaging/release/version.py"
PLACES = (
    "common/src/whence_common/__init__.py", "agent/pyproject.toml", "aggregator/pyproject.toml",
    "aggregator/src/whence_aggregator/openapi.yaml", "packaging/container/compose.yaml", "packaging/container/README.md",
    "packaging/kubernetes/README.md", "packaging/kubernetes/aggregator.yaml", "packaging/kubernetes/tables.yaml",
    "packaging/kubernetes/witness.yaml",
)  # fmt: skip
LOG = "# Changelog\n\n## Unreleased\n\n- A.\n\n## 0.0.1, 2026-01-01\n\n- B.\n"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in (PROGRAM, *PLACES):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "CHANGELOG.md").write_text(LOG, encoding="utf-8")
    return tmp_path


def run(root: Path, *words: str) -> tuple[int, str]:
    done = subprocess.run([sys.executable, root / PROGRAM, *words], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_every_copy_of_the_version_agrees_with_its_source() -> None:
    code, said = run(ROOT)
    assert code == 0, said
    assert {whence_common.__version__, whence_agent.__version__, whence_aggregator.__version__} == {said.strip()}


def test_a_copy_that_differs_is_named(copy: Path) -> None:
    file = copy / "agent/pyproject.toml"
    file.write_text(file.read_text("utf-8").replace("whence-common==", "whence-common==9."), encoding="utf-8")
    code, said = run(copy)
    assert (code, "agent/pyproject.toml states 9." in said) == (1, True)


def test_an_image_of_another_version_is_named(copy: Path) -> None:
    file = copy / "packaging/container/compose.yaml"
    file.write_text(file.read_text("utf-8").replace("whence-proxy:0", "whence-proxy:9"), encoding="utf-8")
    code, said = run(copy)
    assert (code, "packaging/container/compose.yaml states" in said) == (1, True), said


def test_a_release_sets_every_place_and_cuts_the_changelog(copy: Path) -> None:
    code, said = run(copy, "7.8.9", "2026-12-01")
    assert (code, "git tag v7.8.9" in said) == (0, True), said
    assert run(copy) == (0, "7.8.9\n")
    texts = [(copy / name).read_text("utf-8") for name in PLACES]
    assert all("7.8.9" in text and not re.search("(?:aggregator|proxy|database):0.1.0", text) for text in texts)
    assert (copy / "CHANGELOG.md").read_text("utf-8") == LOG.replace(
        "## Unreleased\n", "## Unreleased\n\n## 7.8.9, 2026-12-01\n"
    )


@pytest.mark.parametrize(
    "words, reason",
    [
        (["7.8"], "MAJOR.MINOR.PATCH"), (["v7.8.9"], "MAJOR.MINOR.PATCH"), (["7.8.9rc1"], "MAJOR.MINOR.PATCH"),
        (["07.8.9"], "MAJOR.MINOR.PATCH"), (["7.8.9\n"], "MAJOR.MINOR.PATCH"), (["0.0.0"], "below the present version"),
        (["7.8.9", "tomorrow"], "tomorrow"), (["7.8.9", "2026-12-01", "more"], "usage"),
    ],
)  # fmt: skip
def test_what_is_no_release_is_refused_and_changes_nothing(copy: Path, words: list[str], reason: str) -> None:
    before = {name: (copy / name).read_text("utf-8") for name in (*PLACES, "CHANGELOG.md")}
    code, said = run(copy, *words)
    assert (code, reason in said, "Traceback" in said) == (1, True, False), said
    assert {name: (copy / name).read_text("utf-8") for name in before} == before


@pytest.mark.parametrize(
    "changelog, reason",
    [
        ("# Changelog\n", "states nothing under"), (LOG.replace("- A.\n", ""), "states nothing under"),
        (LOG.replace("0.0.1", "7.8.9"), "has a chapter for 7.8.9 already"),
    ],
)  # fmt: skip
def test_a_changelog_that_cannot_be_cut_is_refused(copy: Path, changelog: str, reason: str) -> None:
    (copy / "CHANGELOG.md").write_text(changelog, encoding="utf-8")
    code, said = run(copy, "7.8.9")
    assert (code, reason in said) == (1, True), said
    assert "7.8.9" not in (copy / PLACES[0]).read_text("utf-8")


def test_a_source_archive_is_built_with_the_time_of_the_chapter_that_a_release_begins(copy: Path) -> None:
    (copy / "packaging/deb").mkdir()
    shutil.copy(ROOT / "packaging/deb/epoch.py", copy / "packaging/deb/epoch.py")
    assert run(copy, "0.2.0", "2026-12-01")[0] == 0
    done = subprocess.run(
        [sys.executable, copy / "packaging/deb/epoch.py"],
        capture_output=True, text=True, check=False, env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("1796083200\n", "")


@pytest.mark.parametrize("program", sorted(
    str(path.relative_to(ROOT)) for path in (ROOT / "packaging").rglob("*.py")
    if "\ndef main(" in path.read_text(encoding="utf-8") and path.name not in ("manual.py", "install.py")
))  # fmt: skip
def test_help_of_every_program_of_packaging_explains_it_and_changes_nothing(program: str) -> None:
    where = {**os.environ, "PYTHONPATH": f"{ROOT}/packaging/deb:{ROOT}/packaging/ami"}
    done = subprocess.run(
        [sys.executable, ROOT / program, "--help"], capture_output=True, text=True, check=False, env=where
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout) > 100
