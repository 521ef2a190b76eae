"""Build the Debian packages, each with its own environment in /usr/lib and nothing shared with the system.

Third-party wheels come from packaging/*.lock, by hash; ours from --wheels. Needs Debian's python3 and dpkg-deb.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from packages import PACKAGES, Package

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = Path(__file__).resolve().parent / "scripts"
DEBIAN_PYTHON = "/usr/bin/python3"
_LAUNCHER = f"""#!{DEBIAN_PYTHON} -IS
import sys

sys.path.insert(0, "{{home}}")
from {{module}} import main

sys.exit(main())
"""
_CONTROL = """Package: {name}
Version: {version}
Architecture: {architecture}
Maintainer: The Whence developers <whence@example.org>
Section: admin
Priority: optional
Depends: python3 (>= 3.11), python3 (<< 3.12), systemd, ca-certificates, {depends}
Installed-Size: {size}
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wheels", type=Path, required=True, help="folder with our wheels (make wheels)")
    parser.add_argument("--out", type=Path, required=True, help="folder for the packages")
    parser.add_argument("--compression", choices=("xz", "zstd"), default="xz", help="zstd is faster, xz smaller")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for package in PACKAGES:
        print(_build(package, arguments.wheels, arguments.out, arguments.compression), flush=True)
    return 0


def _build(package: Package, wheels: Path, out: Path, compression: str) -> Path:
    with tempfile.TemporaryDirectory(prefix="whence-deb-") as directory:
        root = Path(directory) / "root"
        _environment(package, root, wheels)
        _files(package, root)
        version = _version(package, wheels)
        architecture = _run("dpkg", "--print-architecture").strip()
        _control(package, root, version, architecture)
        file = out / f"{package.name}_{version}_{architecture}.deb"
        _run("dpkg-deb", "--root-owner-group", f"-Z{compression}", "--build", str(root), str(file))
        return file


def _environment(package: Package, root: Path, wheels: Path) -> None:
    """Install into a folder of its own and compile there: the program's user cannot write it later."""
    target = root / package.home[1:]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--target", str(target)]
    python = ["--implementation", "cp", "--python-version", "3.11", "--abi", "cp311", "--abi", "abi3", "--abi", "none"]
    machine = os.uname().machine
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in (34, 28, 17)] + [f"manylinux2014_{machine}"]
    options = [option for platform in platforms for option in ("--platform", platform)]
    lock = str(ROOT / f"packaging/{package.part}.lock")
    _run(*pip, *python, *options, "--require-hashes", "--no-deps", "--only-binary=:all:", "-r", lock)
    ours = [wheel for part in ("common", package.part) for wheel in wheels.glob(f"whence_{part}-*.whl")]
    _run(*pip, "--upgrade", "--no-deps", *map(str, ours))
    shutil.rmtree(target / "bin", ignore_errors=True)
    for service in (target / "botocore/data").iterdir():
        if service.is_dir() and service.name not in package.botocore:
            shutil.rmtree(service)
    _run(DEBIAN_PYTHON, "-m", "compileall", "-q", "-j0", "--invalidation-mode", "unchecked-hash", "-s", str(target),
         "-p", package.home, str(target))  # fmt: skip


def _files(package: Package, root: Path) -> None:
    for source, place in package.files:
        (root / place).mkdir(parents=True, exist_ok=True)
        copied = Path(shutil.copyfile(ROOT / source, root / place / Path(source).name))
        copied.chmod(0o644)
    (root / "usr/bin").mkdir(parents=True)
    for command, module in package.commands.items():
        launcher = root / "usr/bin" / command
        launcher.write_text(_LAUNCHER.format(home=package.home, module=module), encoding="utf-8")
        launcher.chmod(0o755)
    for private in package.private:
        (root / private).mkdir(parents=True)
        (root / private).chmod(0o700)


def _control(package: Package, root: Path, version: str, architecture: str) -> None:
    control = root / "DEBIAN"
    control.mkdir()
    size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file()) // 1024
    head = _CONTROL.format(
        name=package.name, version=version, architecture=architecture, size=size, depends=package.depends
    )
    (control / "control").write_text(head + package.control, encoding="utf-8")
    settings = sorted(path for path in (root / "etc").rglob("*") if path.is_file())
    conffiles = "".join(f"/{path.relative_to(root)}\n" for path in settings)
    (control / "conffiles").write_text(conffiles, encoding="utf-8")
    for name in ("postinst", "prerm", "postrm"):
        shutil.copyfile(SCRIPTS / f"{package.name}.{name}", control / name)
        (control / name).chmod(0o755)


def _version(package: Package, wheels: Path) -> str:
    (wheel,) = wheels.glob(f"whence_{package.part}-*.whl")
    return wheel.name.split("-")[1]


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    sys.exit(main())
