"""Write packaging/agent.lock: every package the agent needs, at one version, with the hashes of its wheels.

The wheels are those for CPython 3.11 on Linux, x86-64 and 64-bit Arm: what the AMI and the Debian package install.
Beside it, packaging/dev.constraints: the versions in this .venv, so that a new machine gets the ones that were tested.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "packaging" / "agent.lock"
CONSTRAINTS = ROOT / "packaging" / "dev.constraints"
_PLATFORMS = ("x86_64", "aarch64")
_HEAD = "# Made by `make lock`; do not edit. Installed with --require-hashes and no index.\n"


def main() -> int:
    wanted = [name for part in ("common", "agent") for name in _dependencies(part) if not name.startswith("whence-")]
    hashes: dict[str, set[str]] = {}
    for platform in _PLATFORMS:
        for package in _resolve(wanted, platform):
            metadata, archive = package["metadata"], package["download_info"]["archive_info"]
            pin = f"{metadata['name'].lower()}=={metadata['version']}"
            hashes.setdefault(pin, set()).add(archive["hashes"]["sha256"])
    lines = [
        " \\\n    ".join([pin, *(f"--hash=sha256:{one}" for one in sorted(found))])
        for pin, found in sorted(hashes.items())
    ]
    LOCK.write_text(_HEAD + "\n".join(lines) + "\n", encoding="utf-8")
    print(f"{LOCK.relative_to(ROOT)}: {len(lines)} packages")
    frozen = _frozen()
    CONSTRAINTS.write_text("# Made by `make lock`; do not edit.\n" + "\n".join(frozen) + "\n", encoding="utf-8")
    print(f"{CONSTRAINTS.relative_to(ROOT)}: {len(frozen)} packages")
    return 0


def _frozen() -> list[str]:
    command = [sys.executable, "-m", "pip", "freeze", "--exclude-editable"]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return sorted(line for line in output.splitlines() if "==" in line)


def _dependencies(part: str) -> list[str]:
    project = tomllib.loads((ROOT / part / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return list(project["dependencies"])


def _resolve(wanted: list[str], machine: str) -> list[dict[str, Any]]:
    """Ask pip what it would install on a platform."""
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in (34, 28, 17)] + [f"manylinux2014_{machine}"]
    with tempfile.TemporaryDirectory() as target:
        output = subprocess.run(
            [
                sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", "--report", "-",
                "--only-binary=:all:", "--implementation", "cp", "--python-version", "3.11", "--abi", "cp311",
                "--abi", "abi3", "--abi", "none", "--target", target,
                *(option for platform in platforms for option in ("--platform", platform)), *wanted,
            ],
            check=True, stdout=subprocess.PIPE,
        ).stdout  # fmt: skip
    report = json.loads(output)
    packages: list[dict[str, Any]] = report["install"]
    return packages


if __name__ == "__main__":
    sys.exit(main())
