"""Write packaging/agent.lock and aggregator.lock: each package they need, at one version, with its wheels' hashes.

The wheels are those for CPython 3.11 on Linux, x86-64 and 64-bit Arm: what the AMI and the Debian packages install.
Beside it, packaging/dev.constraints: the versions in this .venv, so that a new machine gets the ones that were tested.
`lock.py peers` writes tests/benchmarks/*.lock instead, for this platform: what `make bench ARGS="peers accounts"`
compares with. `lock.py peers NAME…` writes only those named.
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
CONSTRAINTS = ROOT / "packaging" / "dev.constraints"
_PLATFORMS = ("x86_64", "aarch64")
_HEAD = "# Made by `make lock`; do not edit. Installed with --require-hashes and no index.\n"
_HEAD_OF_PEERS = "# Made by `packaging/lock.py peers`; do not edit. Installed with --require-hashes.\n"
_PEERS = {"custodian": "c7n==0.9.53", "prowler": "prowler==5.46.0", "sevenseconds": "stups-sevenseconds==1.2.112"}


def main() -> int:
    if sys.argv[1:2] == ["peers"]:
        for name in sys.argv[2:] or _PEERS:
            _write(ROOT / "tests" / "benchmarks" / f"{name}.lock", _reported([_PEERS[name]]), head=_HEAD_OF_PEERS)
        return 0
    for part in ("agent", "aggregator"):
        _lock(part)
    frozen = _frozen()
    CONSTRAINTS.write_text("# Made by `make lock`; do not edit.\n" + "\n".join(frozen) + "\n", encoding="utf-8")
    print(f"{CONSTRAINTS.relative_to(ROOT)}: {len(frozen)} packages")
    return 0


def _lock(part: str) -> None:
    wanted = [name for one in ("common", part) for name in _dependencies(one) if not name.startswith("whence-")]
    _write(ROOT / "packaging" / f"{part}.lock", [one for name in _PLATFORMS for one in _resolve(wanted, name)])


def _write(lock: Path, packages: list[dict[str, Any]], *, head: str = _HEAD) -> None:
    hashes: dict[str, set[str]] = {}
    for package in packages:
        metadata, archive = package["metadata"], package["download_info"]["archive_info"]
        pin = f"{metadata['name'].lower()}=={metadata['version']}"
        hashes.setdefault(pin, set()).add(archive["hashes"]["sha256"])
    lines = [
        " \\\n    ".join([pin, *(f"--hash=sha256:{one}" for one in sorted(found))])
        for pin, found in sorted(hashes.items())
    ]
    lock.write_text(head + "\n".join(lines) + "\n", encoding="utf-8")
    print(f"{lock.relative_to(ROOT)}: {len(lines)} packages")


def _frozen() -> list[str]:
    command = [sys.executable, "-m", "pip", "freeze", "--exclude-editable"]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return sorted(line for line in output.splitlines() if "==" in line)


def _dependencies(part: str) -> list[str]:
    """Give what a part needs, its extras too."""
    project = tomllib.loads((ROOT / part / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project.get("optional-dependencies", {}).values()
    return [*project["dependencies"], *(one for extra in extras for one in extra)]


def _resolve(wanted: list[str], machine: str) -> list[dict[str, Any]]:
    """Ask pip what it would install on a platform."""
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in (34, 28, 17)] + [f"manylinux2014_{machine}"]
    with tempfile.TemporaryDirectory() as target:
        return _reported(
            [
                "--only-binary=:all:", "--implementation", "cp", "--python-version", "3.11", "--abi", "cp311",
                "--abi", "abi3", "--abi", "none", "--target", target,
                *(option for platform in platforms for option in ("--platform", platform)), *wanted,
            ]
        )  # fmt: skip


def _reported(arguments: list[str]) -> list[dict[str, Any]]:
    """Return the packages that pip reports it would install."""
    options = ["--dry-run", "--ignore-installed", "--quiet", "--report", "-"]
    command = [sys.executable, "-m", "pip", "install", *options, *arguments]
    packages: list[dict[str, Any]] = json.loads(subprocess.check_output(command))["install"]
    return packages


if __name__ == "__main__":
    sys.exit(main())
