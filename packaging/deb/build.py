"""Build the Debian packages, each with its own environment in /usr/lib and nothing shared with the system.

One package is for one Python and one architecture, whatever machine builds it: third-party wheels come from
packaging/*.lock, by hash; ours from --wheels. The same sources give the same bytes. Needs dpkg-deb.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from control import describe
from environment import BuildRefused, fill
from epoch import EpochUnknown, source_date_epoch
from packages import PACKAGES, Package
from targets import ARCHITECTURES, PYTHONS, Target

ROOT = Path(__file__).resolve().parents[2]
_OVERRIDES = Path(__file__).resolve().parent / "overrides"
_MANUAL = Path(__file__).resolve().parent / "manual.py"
_REVISION = "1"
_LAUNCHER = """#!/usr/bin/python3 -IS
import sys

sys.path.insert(0, "{home}")
from {module} import main

sys.exit(main())
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wheels", type=Path, required=True, help="folder with our wheels (make wheels)")
    parser.add_argument("--out", type=Path, required=True, help="folder for the packages")
    parser.add_argument("--wheelhouse", type=Path, default=ROOT / "build/wheelhouse", help="keeps downloaded wheels")
    parser.add_argument("--python", choices=PYTHONS, default="3.11", help="the release's Python (default: 3.11)")
    parser.add_argument("--architecture", choices=ARCHITECTURES, help="default: this machine's")
    parser.add_argument("--package", choices=[one.name for one in PACKAGES], action="append", help="default: both")
    parser.add_argument("--compression", choices=("xz", "gzip", "zstd"), default="xz", help="xz is the smallest")
    arguments = parser.parse_args()
    try:
        for program in ("dpkg", "dpkg-deb"):
            if shutil.which(program) is None:
                raise BuildRefused(f"{program} is missing: install the package dpkg")
        architecture = arguments.architecture or _run("dpkg", "--print-architecture").strip()
        epoch = source_date_epoch(os.environ)
        for package in PACKAGES:
            if package.name in (arguments.package or [package.name]):
                build = Build(package, Target(python=arguments.python, architecture=architecture), epoch, arguments)
                print(build.write(), flush=True)
    except (BuildRefused, EpochUnknown, OSError) as exc:
        print(f"build: {exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("build: interrupted", file=sys.stderr)
        return 130
    return 0


class Build:
    """One package for one target."""

    def __init__(self, package: Package, target: Target, epoch: int, arguments: argparse.Namespace) -> None:
        self._package = package
        self._target = target
        self._epoch = epoch
        self._arguments = arguments
        self._ours = [
            wheel for part in ("common", package.part) for wheel in arguments.wheels.glob(f"whence_{part}-*.whl")
        ]
        if len(self._ours) != 2:
            raise BuildRefused(
                f"{arguments.wheels} must have one wheel of common and one of {package.part}: `make wheels`"
            )

    def write(self) -> Path:
        """Build the package; return its file, which appears when it is complete. Raises BuildRefused or OSError."""
        upstream = self._ours[1].name.split("-")[1]
        version = f"{upstream}-{_REVISION}+{self._target.suffix}"
        name = f"{self._package.name}_{version}_{self._target.architecture}"
        try:
            return self._write(f"{name}.partial", upstream, version).rename(self._arguments.out / f"{name}.deb")
        finally:
            (self._arguments.out / f"{name}.partial").unlink(missing_ok=True)

    def _write(self, name: str, upstream: str, version: str) -> Path:
        with tempfile.TemporaryDirectory(prefix="whence-deb-") as directory:
            root = Path(directory) / "root"
            self._environment(root / self._package.home[1:])
            self._files(root)
            self._manuals(root, Path(directory) / "ours", upstream)
            describe(self._package, root, target=self._target, version=version, epoch=self._epoch)
            _settle(root, self._package, self._epoch)
            self._arguments.out.mkdir(parents=True, exist_ok=True)
            file: Path = self._arguments.out / name
            # xz's output depends on the number of its threads. Level 3 takes less than half of 6's time, for 8 % more.
            fast = ["-z1"] if self._arguments.compression != "xz" else ["-z3", "--threads-max=1"]
            _run(
                "dpkg-deb", "--root-owner-group", f"-Z{self._arguments.compression}", *fast, "--build", str(root),
                str(file), environment={"SOURCE_DATE_EPOCH": str(self._epoch)},
            )  # fmt: skip
        return file

    def _environment(self, folder: Path) -> None:
        lock = ROOT / f"packaging/{self._package.part}.lock"
        try:
            fill(self._target, folder, lock=lock, ours=self._ours, wheelhouse=self._arguments.wheelhouse)
        except subprocess.CalledProcessError as exc:
            fix = "check the network, pip's index (PIP_INDEX_URL) and proxy; finished downloads are kept"
            raise BuildRefused(f"pip could not install the wheels of {lock.name}, see above: {fix}") from exc
        for service in (folder / "botocore/data").iterdir():
            if service.is_dir() and service.name not in self._package.botocore:
                shutil.rmtree(service)

    def _files(self, root: Path) -> None:
        overrides = (str(_OVERRIDES / self._package.name), "usr/share/lintian/overrides")
        for source, place in (*self._package.files, overrides):
            (root / place).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / source, root / place / Path(source).name)
        (root / "usr/bin").mkdir(parents=True)
        for command, (module, _) in self._package.commands.items():
            launcher = _LAUNCHER.format(home=self._package.home, module=module)
            (root / "usr/bin" / command).write_text(launcher, encoding="utf-8")
        for private in self._package.private:
            (root / private).mkdir(parents=True)

    def _manuals(self, root: Path, ours: Path, upstream: str) -> None:
        """Document the commands as they are in our wheels; other distributions may be for another processor."""
        for wheel in self._ours:
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(ours)
        environment = {"PYTHONPATH": str(ours), "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
        commands = [f"{name}={module}:{parser}" for name, (module, parser) in self._package.commands.items()]
        words = (str(root), f"Whence {upstream}", str(self._epoch), *commands)
        _run(sys.executable, str(_MANUAL), *words, environment=environment)


def _settle(root: Path, package: Package, epoch: int) -> None:
    """Give every file the mode and the time that it has in the package, whatever the umask and the clock were."""
    for path in sorted(root.rglob("*"), reverse=True):
        place = path.relative_to(root)
        script = place.parent.as_posix() == "usr/bin" or place.name in ("postinst", "prerm", "postrm")
        path.chmod(0o755 if path.is_dir() or script else 0o644)
        if place.as_posix() in package.private:
            path.chmod(0o700)
        os.utime(path, (epoch, epoch))
    root.chmod(0o755)
    os.utime(root, (epoch, epoch))


def _run(*command: str, environment: Mapping[str, str] | None = None) -> str:
    """Return what a command prints; its errors are the build's. Raises BuildRefused."""
    whole = {**os.environ, **(environment or {})}
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True, env=whole)
    if done.returncode != 0:
        raise BuildRefused(f"{Path(command[0]).name} failed with exit code {done.returncode}, see above")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
