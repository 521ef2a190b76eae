"""Build the Debian package of the agent: its own environment in /usr/lib/whence-agent, nothing shared with the system.

Third-party wheels come from packaging/agent.lock, by hash; ours from --wheels. Needs Debian's python3 and dpkg-deb.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEBIAN_PYTHON = "/usr/bin/python3"
BOTOCORE_KEPT = (
    "autoscaling", "cloudformation", "cloudwatch", "ec2", "ecr", "elb", "elbv2",
    "kms", "s3", "secretsmanager", "ssm", "sts",
)  # fmt: skip
"""botocore describes every service of AWS, 27 MB of them; the agent speaks to these."""
_LAUNCHER = f"""#!{DEBIAN_PYTHON} -IS
import sys

sys.path.insert(0, "/usr/lib/whence-agent")
from whence_agent.cli import main

sys.exit(main())
"""
_CONTROL = """Package: whence-agent
Version: {version}
Architecture: {architecture}
Maintainer: The Whence developers <whence@example.org>
Section: admin
Priority: optional
Depends: python3 (>= 3.11), python3 (<< 3.12), systemd, ca-certificates
Recommends: docker.io | docker-ce, e2fsprogs, mount, util-linux
Suggests: mdadm, xfsprogs, logrotate, tini
Installed-Size: {size}
Description: boots an EC2 instance from its user data and reports what runs there
 Validates the user data, pulls only immutable images, keeps the application's
 credentials, runs its container, and reports, signed, where it all comes from.
"""
_POSTINST = """#!/bin/sh
set -e
if [ "$1" = configure ]; then
    systemd-sysusers whence-agent.conf
    systemd-tmpfiles --create whence-agent.conf || true
    if [ -d /run/systemd/system ]; then
        systemctl daemon-reload
        systemctl enable whence-machine.socket whence-shutdown.service whence-agent.service
        [ ! -e /etc/whence/agent.yaml ] || systemctl restart whence-machine.socket
        [ ! -e /etc/whence/agent.yaml ] || systemctl start whence-shutdown.service
        [ ! -e /etc/whence/agent.yaml ] || systemctl restart whence-agent.service
    else
        systemctl enable whence-machine.socket whence-shutdown.service whence-agent.service || true
    fi
fi
"""
_PRERM = """#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
    systemctl disable --now whence-agent.service whence-shutdown.service whence-machine.socket
fi
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wheels", type=Path, required=True, help="folder with our wheels (make wheels)")
    parser.add_argument("--out", type=Path, required=True, help="folder for the package")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="whence-deb-") as directory:
        root = Path(directory) / "root"
        _environment(root / "usr/lib/whence-agent", arguments.wheels)
        _files(root)
        version = _version(arguments.wheels)
        architecture = _run("dpkg", "--print-architecture").strip()
        _control(root, version, architecture)
        arguments.out.mkdir(parents=True, exist_ok=True)
        package = arguments.out / f"whence-agent_{version}_{architecture}.deb"
        _run("dpkg-deb", "--root-owner-group", "-Zxz", "--build", str(root), str(package))
        print(package)
    return 0


def _environment(target: Path, wheels: Path) -> None:
    """Install into a folder of our own and compile there: the agent's user cannot write it later."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--target", str(target)]
    python = ["--implementation", "cp", "--python-version", "3.11", "--abi", "cp311", "--abi", "abi3", "--abi", "none"]
    machine = os.uname().machine
    platforms = [f"manylinux_2_{minor}_{machine}" for minor in (34, 28, 17)] + [f"manylinux2014_{machine}"]
    options = [option for platform in platforms for option in ("--platform", platform)]
    lock = ["--require-hashes", "--no-deps", "--only-binary=:all:", "-r", str(ROOT / "packaging/agent.lock")]
    _run(*pip, *python, *options, *lock)
    ours = sorted([*wheels.glob("whence_common-*.whl"), *wheels.glob("whence_agent-*.whl")])
    _run(*pip, "--upgrade", "--no-deps", *map(str, ours))
    shutil.rmtree(target / "bin", ignore_errors=True)
    for service in (target / "botocore/data").iterdir():
        if service.is_dir() and service.name not in BOTOCORE_KEPT:
            shutil.rmtree(service)
    _run(DEBIAN_PYTHON, "-m", "compileall", "-q", "-j0", "--invalidation-mode", "unchecked-hash", "-s", str(target),
         "-p", "/usr/lib/whence-agent", str(target))  # fmt: skip


def _files(root: Path) -> None:
    for source, place in (
        ("systemd/whence-agent.service", "usr/lib/systemd/system"),
        ("systemd/whence-machine.socket", "usr/lib/systemd/system"),
        ("systemd/whence-machine@.service", "usr/lib/systemd/system"),
        ("systemd/whence-shutdown.service", "usr/lib/systemd/system"),
        ("systemd/sysusers.d/whence-agent.conf", "usr/lib/sysusers.d"),
        ("systemd/tmpfiles.d/whence-agent.conf", "usr/lib/tmpfiles.d"),
        ("agent/README.md", "usr/share/doc/whence-agent"),
        ("LICENSE", "usr/share/doc/whence-agent"),
    ):
        (root / place).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / source, root / place / Path(source).name)
    launcher = root / "usr/bin/whence-agent"
    launcher.parent.mkdir(parents=True)
    launcher.write_text(_LAUNCHER, encoding="utf-8")
    launcher.chmod(0o755)
    (root / "etc/whence").mkdir(parents=True)


def _control(root: Path, version: str, architecture: str) -> None:
    control = root / "DEBIAN"
    control.mkdir()
    size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file()) // 1024
    text = _CONTROL.format(version=version, architecture=architecture, size=size)
    (control / "control").write_text(text, encoding="utf-8")
    for name, script in (("postinst", _POSTINST), ("prerm", _PRERM)):
        (control / name).write_text(script, encoding="utf-8")
        (control / name).chmod(0o755)


def _version(wheels: Path) -> str:
    (wheel,) = wheels.glob("whence_agent-*.whl")
    return wheel.name.split("-")[1]


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    sys.exit(main())
