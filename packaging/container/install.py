"""Install the wheels of a build context, by hash and without network; runs in the build stage of the Dockerfile.

Files get one time, and byte code does not depend on it: equal wheels make equal files.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

_USER = "whence:x:65532:65532:whence:/tmp:/usr/sbin/nologin\n"
"""ssh, which git starts, refuses a user without an entry."""
_STATE = ("whence-aggregator", "whence-witness")


def main(context: Path, target: Path) -> None:
    run(sys.executable, "-m", "venv", "--without-pip", str(target))
    pip = (sys.executable, str(context / "pip.whl" / "pip"), "--python", str(target / "bin/python3"))
    options = ("--no-index", "--no-deps", "--no-compile", "--require-hashes", "--find-links", str(context / "wheels"))
    run(*pip, "install", "--quiet", "--disable-pip-version-check", *options, "-r", str(context / "wheels.lock"))
    (packages,) = (target / "lib").glob("python3.*/site-packages")
    wanted = (context / "botocore.services").read_text(encoding="ascii").split()
    for service in (packages / "botocore/data").iterdir():
        if service.is_dir() and service.name not in wanted:
            shutil.rmtree(service)
    run(sys.executable, "-m", "compileall", "-q", "-j0", "--invalidation-mode", "unchecked-hash", str(packages))
    for name in _STATE:
        (context / "state" / name).mkdir(mode=0o700, parents=True)
    known = Path("/etc/passwd").read_text(encoding="utf-8")
    (context / "passwd").write_text(known + ("" if ":65532:" in known else _USER), encoding="utf-8")
    for place in (target, context / "state", context / "passwd"):
        for path in (place, *place.rglob("*")):
            os.utime(path, (0, 0), follow_symlinks=False)


def run(*command: str) -> None:
    subprocess.run(command, check=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
