"""Write packaging/agent.lock and aggregator.lock: each package they need, at one version, with its wheels' hashes.

The wheels are those of each release and architecture that packages are built for (packaging/deb/targets.py), all of one
version. Beside it, packaging/dev.constraints: the versions in this .venv, so that a new machine gets the ones that were
tested. `lock.py keep` keeps the locked versions and writes only the hashes of their wheels.
`lock.py peers` writes tests/benchmarks/*.lock instead, for this platform: what `make bench ARGS="peers accounts"`
compares with. `lock.py peers NAME…` writes only those named.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent / "deb"))
from targets import TARGETS, Target

ROOT = Path(__file__).resolve().parents[1]
CONSTRAINTS = ROOT / "packaging" / "dev.constraints"
_HEAD = "# Made by `make lock`; do not edit. Installed with --require-hashes and no index.\n"
_HEAD_OF_PEERS = "# Made by `packaging/lock.py peers`; do not edit. Installed with --require-hashes.\n"
_PEERS = {"custodian": "c7n==0.9.53", "prowler": "prowler==5.46.0", "sevenseconds": "stups-sevenseconds==1.2.112"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("keep", "peers"), help="default: new versions of everything")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of peers: {', '.join(_PEERS)}")
    arguments = parser.parse_args()
    if arguments.names and (arguments.what != "peers" or not set(arguments.names) <= _PEERS.keys()):
        parser.error(f"names are those of peers: {', '.join(_PEERS)}")
    if arguments.what == "peers":
        for name in arguments.names or _PEERS:
            _write(ROOT / "tests" / "benchmarks" / f"{name}.lock", _reported([_PEERS[name]]), head=_HEAD_OF_PEERS)
        return 0
    keep = arguments.what == "keep"
    for part in ("agent", "aggregator"):
        _lock(part, keep=keep)
    if keep:
        return 0
    frozen = _frozen()
    CONSTRAINTS.write_text("# Made by `make lock`; do not edit.\n" + "\n".join(frozen) + "\n", encoding="utf-8")
    print(f"{CONSTRAINTS.relative_to(ROOT)}: {len(frozen)} packages")
    return 0


def _lock(part: str, *, keep: bool) -> None:
    lock = ROOT / "packaging" / f"{part}.lock"
    wanted = [name for one in ("common", part) for name in _dependencies(one) if not name.startswith("whence-")]
    chosen = _pins(lock.read_text(encoding="utf-8")) if keep else []
    packages: list[dict[str, Any]] = []
    for target in TARGETS:
        packages += _resolve([*wanted, *chosen], target)
        chosen = [f"{name}=={version}" for name, version in map(_named, packages)]
    _write(lock, packages)


def _pins(lock: str) -> list[str]:
    return [line.split()[0] for line in lock.splitlines() if "==" in line]


def _named(package: dict[str, Any]) -> tuple[str, str]:
    return package["metadata"]["name"].lower(), package["metadata"]["version"]


def _write(lock: Path, packages: list[dict[str, Any]], *, head: str = _HEAD) -> None:
    hashes: dict[str, set[str]] = {}
    for package in packages:
        pin = "==".join(_named(package))
        hashes.setdefault(pin, set()).add(package["download_info"]["archive_info"]["hashes"]["sha256"])
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


def _resolve(wanted: list[str], target: Target) -> list[dict[str, Any]]:
    """Ask pip what it would install for a target."""
    with tempfile.TemporaryDirectory() as directory:
        return _reported(["--only-binary=:all:", *target.pip_options, "--target", directory, *wanted])


def _reported(arguments: list[str]) -> list[dict[str, Any]]:
    """Return the packages that pip reports it would install."""
    options = ["--dry-run", "--ignore-installed", "--quiet", "--report", "-"]
    command = [sys.executable, "-m", "pip", "install", *options, *arguments]
    packages: list[dict[str, Any]] = json.loads(subprocess.check_output(command))["install"]
    return packages


if __name__ == "__main__":
    sys.exit(main())
