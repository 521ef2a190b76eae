"""Build a release from the commit that carries its tag: packages, checksums and signed provenance, in one folder.

Exits 1 and names what to do if the commit is not a release: uncommitted changes, no such tag, no chapter in the
changelog. The folder appears when everything in it is complete.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import provenance
from cryptography.hazmat.primitives.asymmetric import ec
from parts import PARTS, Making, Source, say
from version import CHANGELOG, ROOT, ReleaseRefused, current, released_on

from whence_aggregator.whence.attest import load_key
from whence_aggregator.whence.git_checkout import read_checkout
from whence_common.clock import to_instant
from whence_common.errors import InputError
from whence_common.scm_source import repository_of

SUMS, PROVENANCE = "SHA256SUMS", "provenance.sigstore.json"
BUILDER = "urn:whence:release"


def source_of(root: Path, repository: str) -> Source:
    """Return what is released. Raises ReleaseRefused or InputError if the checkout is not a release."""
    version = current(root)
    released_on((root / CHANGELOG).read_text(encoding="utf-8"), version)
    checkout = read_checkout(root, path=os.environ.get("PATH", ""))
    if checkout.changes:
        raise ReleaseRefused(
            f"the checkout has uncommitted changes: {checkout.changes.splitlines()[0].strip()}; commit them"
        )
    tags = _git(root, "tag", "--points-at", "HEAD").split()
    if f"v{version}" not in tags:
        stands = f"it carries {', '.join(tags)}" if tags else "it carries no tag"
        raise ReleaseRefused(f"the version is {version}, and HEAD must carry the tag v{version}; {stands}")
    url = repository or checkout.url
    place = repository_of(url)
    if place is None:
        raise ReleaseRefused(f"{url or 'no remote named origin'}: not a repository's URL; name it with --source")
    epoch = int(_git(root, "log", "-1", "--format=%ct"))
    return Source(version=version, repository=f"https://{place}", commit=checkout.commit_id, epoch=epoch)


def main(words: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(words)
    try:
        key = load_key(arguments.key)
        source = source_of(ROOT, arguments.source)
    except (ReleaseRefused, InputError, OSError) as exc:
        print(f"make release: {exc.diagnostics() if isinstance(exc, InputError) else exc}", file=sys.stderr)
        return 1
    parts = tuple(one for one in PARTS if one in (arguments.parts or PARTS))
    started = _now()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".release-", dir=arguments.out) as made:
        out = Path(made) / f"whence-{source.version}"
        out.mkdir()
        making = Making(
            out=out, source=source, base=arguments.base, settings=arguments.settings, builder_id=arguments.builder_id
        )
        for name in parts:
            say(f"building {name}")
            PARTS[name](making)
        _seal(out, source, key, builder_id=arguments.builder_id, parts=parts, started=started)
        final = arguments.out / out.name
        if final.exists():
            shutil.rmtree(final)
        out.rename(final)
    say(f"{final}: {len(list(final.iterdir()))} files of version {source.version}, commit {source.commit}")
    return 0


def _seal(
    out: Path, source: Source, key: ec.EllipticCurvePrivateKey, *, builder_id: str, parts: tuple[str, ...], started: str
) -> None:
    """Write the checksums, and the provenance of all files."""
    say("writing checksums and provenance")
    files = sorted(out.iterdir())
    lines = [f"{provenance.digest(one)}  {one.name}\n" for one in files]
    (out / SUMS).write_text("".join(lines), encoding="utf-8")
    build = provenance.Build(
        repository=source.repository, commit=source.commit, tag=source.tag, parts=parts, builder_id=builder_id,
        started=started, finished=_now(),
    )  # fmt: skip
    (out / PROVENANCE).write_bytes(provenance.bundle([*files, out / SUMS], build, key))
    for one in out.iterdir():
        one.chmod(0o644)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make release", description=__doc__)
    parser.add_argument("--key", type=_key_file, required=True, help="the release's private key, P-256 in PEM (KEY=)")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder for the release's folder")
    parser.add_argument("--part", action="append", dest="parts", choices=list(PARTS), help="build only these")
    parser.add_argument("--base", default="whence-base", help="base of the container image (packaging/container)")
    parser.add_argument("--settings", type=Path, help="the platform's agent.yaml, which the machine image contains")
    parser.add_argument("--source", default="", help="the repository's URL (default: the remote named origin)")
    parser.add_argument("--builder-id", default=BUILDER, help="the builder id that the provenance states")
    return parser


def _key_file(word: str) -> Path:
    if not Path(word).is_file():
        raise argparse.ArgumentTypeError(f"{word!r} is no file: make release KEY=release.key")
    return Path(word)


def _git(root: Path, *words: str) -> str:
    return subprocess.run(
        ("git", "-C", str(root), *words), check=True, stdout=subprocess.PIPE, text=True
    ).stdout.strip()


def _now() -> str:
    return to_instant(datetime.now(UTC))


if __name__ == "__main__":
    sys.exit(main())
