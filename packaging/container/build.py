"""Build an image: `build.py aggregator|database|proxy --base IMAGE --tag NAME`; the aggregator's after `make wheels`.

Third-party wheels come by hash from packaging/aggregator.lock, pip from pip.lock; the image's build needs no network.
The aggregator's image states its commit by labels and by scm-source.json, as Pier One wants it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
KEPT = ROOT / "build" / "container-wheels"
"""Where wheels stay between builds. Those with a hash of the lock are used, and pip verifies it again in the image."""
_PIN = re.compile(r"^[a-z0-9._-]+==.*(?:\n +--hash=.*)*", re.MULTILINE)
_FILES = {
    "database": tuple(HERE / name for name in ("database.sh", "roles.sql", "rights.sql")),
    "proxy": (HERE / "nginx.conf", ROOT / "common/src/whence_common/runtime/probe.py"),
}
_LOGIN = re.compile(r"(?<=://)[^/@]*@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The commit that is built."""

    url: str
    revision: str
    author: str
    status: str
    """Output of `git status --porcelain`."""
    committed_at: str

    def document(self) -> bytes:
        """Return scm-source.json as STUPS's tools write it."""
        revision = self.revision + (" (locally modified)" if self.status else "")
        document = {"url": f"git:{self.url}", "revision": revision, "author": self.author, "status": self.status}
        return json.dumps(document, indent=4).encode() + b"\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image", choices=("aggregator", *_FILES))
    parser.add_argument("--base", required=True, help="image with what the Dockerfile's first lines name")
    parser.add_argument("--tag", required=True, help="name of the image")
    parser.add_argument("--wheels", type=Path, default=ROOT / "dist", help="folder with our wheels (default: dist)")
    parser.add_argument("--source", help="URL of the repository (default: that of the remote origin)")
    parser.add_argument("--git", type=Path, default=ROOT, help="the checkout that is stated (default: this one)")
    parser.add_argument("--settings", type=Path, help="folder that becomes /etc/whence of the aggregator's image")
    arguments = parser.parse_args()
    told = {"BASE": arguments.base}
    with tempfile.TemporaryDirectory(prefix="whence-container-") as directory:
        if arguments.image == "aggregator":
            source = source_of(arguments.git, arguments.source)
            version = write_context(Path(directory), arguments.wheels, source, settings=arguments.settings)
            told |= {"SOURCE": source.url, "REVISION": source.revision, "VERSION": version}
            told |= {"CREATED": source.committed_at}
            print(f"version {version} of {source.revision}{' with local changes' if source.status else ''}")
        else:
            for file in _FILES[arguments.image]:
                shutil.copy(file, directory)
            shutil.copy(HERE / f"{arguments.image}.Dockerfile", Path(directory) / "Dockerfile")
        options = [word for name, value in told.items() for word in ("--build-arg", f"{name}={value}")]
        print(_run("docker", "build", "--quiet", "--force-rm", "--tag", arguments.tag, *options, directory).strip())
    return 0


def source_of(root: Path, url: str | None) -> Source:
    """Return what git states about a checkout. A login in the URL is left out."""
    url = url or _run("git", "-C", str(root), "config", "--default", "", "--get", "remote.origin.url").strip()
    if not url:
        sys.exit("build.py: the clone has no remote named origin: make container SOURCE=URL (--source) names it")
    revision, author, committed_at = _run("git", "-C", str(root), "log", "-1", "--format=%H%n%an%n%cI").splitlines()
    status = _run("git", "-C", str(root), "status", "--porcelain").rstrip("\n")
    url = _LOGIN.sub("", url)
    return Source(url=url, revision=revision, author=author, status=status, committed_at=committed_at)


def write_context(context: Path, ours: Path, source: Source, *, settings: Path | None = None) -> str:
    """Fill the build's folder; return the version of our wheels. Raises CalledProcessError for a wrong hash."""
    sys.path.insert(0, str(ROOT / "packaging" / "deb"))
    from packages import AGGREGATOR  # one list of what botocore is asked, for both

    wheels = context / "wheels"
    wheels.mkdir()
    locked = (ROOT / "packaging" / "aggregator.lock").read_text(encoding="utf-8")
    for wheel in fetched(ROOT / "packaging" / "aggregator.lock"):
        shutil.copy(wheel, wheels)
    version = ""
    for part in ("common", "aggregator"):
        found = list(ours.glob(f"whence_{part}-*.whl"))
        if len(found) != 1:
            sys.exit(f"build.py: {ours} must have one wheel of {part}: run `make wheels`")
        (wheel,) = found
        shutil.copy(wheel, wheels)
        version = wheel.name.split("-")[1]
        locked += f"whence-{part}=={version} --hash=sha256:{_sha256(wheel)}\n"
    (pip,) = fetched(HERE / "pip.lock")
    shutil.copy(pip, context / "pip.whl")
    (context / "wheels.lock").write_text(locked, encoding="utf-8")
    (context / "botocore.services").write_text("\n".join(AGGREGATOR.botocore), encoding="ascii")
    (context / "scm-source.json").write_bytes(source.document())
    (context / "etc").mkdir(mode=0o755)
    for file in sorted(settings.iterdir()) if settings is not None else ():
        shutil.copyfile(file, context / "etc" / file.name)
        (context / "etc" / file.name).chmod(0o644)
    for name in ("Dockerfile", "install.py"):
        shutil.copy(HERE / name, context)
    return version


def fetched(lock: Path) -> list[Path]:
    """Return the wheels that a lock names, for this machine; those kept from the last build are not fetched."""
    KEPT.mkdir(parents=True, exist_ok=True)
    pins = [re.findall(r"--hash=sha256:([0-9a-f]{64})", one) for one in _PIN.findall(lock.read_text(encoding="utf-8"))]
    found = _of(pins)
    if len(found) < len(pins):
        _download(lock)
        found = _of(pins)
    return found


def _of(pins: list[list[str]]) -> list[Path]:
    digests = {_sha256(one): one for one in KEPT.glob("*.whl")}
    return [digests[digest] for pin in pins for digest in pin if digest in digests]


def _download(lock: Path) -> None:
    sys.path.insert(0, str(ROOT / "packaging" / "deb"))
    from targets import Target  # the same wheels as the Debian 12 package's

    architecture = _run("dpkg", "--print-architecture").strip()
    options = Target(python="3.11", architecture=architecture).pip_options
    _run(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
         "--only-binary=:all:", "--require-hashes", "--dest", str(KEPT), *options, "-r", str(lock))  # fmt: skip


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as exc:
        sys.exit(f"build.py: {' '.join(exc.cmd[:2])} failed with exit code {exc.returncode}, see above")
    except OSError as exc:
        sys.exit(f"build.py: {exc}")
    except KeyboardInterrupt:
        sys.exit(130)
