"""Updating AWS's certificates: what is shipped passes, what is wrong is refused and named, nothing is written unasked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fakes.signing_authority import SigningAuthority
from landscape.whole import ROOT

PROGRAM = ROOT / "packaging" / "certificates.py"
SHIPPED = ROOT / "aggregator/src/whence_aggregator/aws_certificates"


def run(folder: Path) -> tuple[int, str]:
    done = subprocess.run([sys.executable, PROGRAM, folder], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_what_is_shipped_is_unchanged_by_itself() -> None:
    assert run(SHIPPED) == (0, "")
    assert len(list(SHIPPED.glob("*.pem"))) >= 39


def test_a_difference_is_shown_and_not_written(tmp_path: Path) -> None:
    before = (SHIPPED / "eu-central-1.pem").read_bytes()
    (tmp_path / "eu-central-1.pem").write_bytes(SigningAuthority.make().pem)
    code, said = run(tmp_path)
    assert (code, said.startswith("eu-central-1: ")) == (0, True)
    assert (SHIPPED / "eu-central-1.pem").read_bytes() == before


@pytest.mark.parametrize(
    "name, content", [("nowhere.pem", None), ("eu-central-1.pem", b"x"), ("eu-central-1.txt", b"")]
)
def test_what_is_no_regions_certificate_is_refused(tmp_path: Path, name: str, content: bytes | None) -> None:
    (tmp_path / name).write_bytes(SigningAuthority.make().pem if content is None else content)
    assert run(tmp_path)[0] == 1
