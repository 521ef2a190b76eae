"""Build a release from the commit that carries its tag: packages, checksums and signed provenance, in one folder.

Exits 1 and names what to do if the commit is not a release: uncommitted changes, no such tag, no chapter in the
changelog. The folder appears when everything in it is complete. A run after an interrupted one of the same commit goes
on where that one stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import provenance
from cryptography.hazmat.primitives.asymmetric import ec
from parts import PARTS, ROUNDS, Making, Source
from steps import Step, Work, digest, say
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
    arguments.out = arguments.out.resolve()
    try:
        key = load_key(arguments.key)
        source = source_of(ROOT, arguments.source)
    except (ReleaseRefused, InputError, OSError) as exc:
        print(f"make release: {exc.diagnostics() if isinstance(exc, InputError) else exc}", file=sys.stderr)
        return 1
    parts = tuple(one for one in PARTS if one in (arguments.parts or PARTS))
    if "image" in parts and arguments.settings is None:
        print("make release: the part image needs --settings, the platform's agent.yaml", file=sys.stderr)
        return 1
    started, work = _now(), _work(source, arguments)
    making = Making(
        finished=work.files, source=source, base=arguments.base, settings=arguments.settings,
        builder_id=arguments.builder_id,
    )  # fmt: skip
    built: list[Step] = []
    for names in ROUNDS:
        if chosen := [name for name in names if name in parts]:
            say(f"building {', '.join(chosen)}")
            steps = [step for name in chosen for step in PARTS[name](making)]
            work.run(steps)
            built += steps
    files = [work.files / name for name in work.names(built)]
    final = _seal(work, files, source, key, builder_id=arguments.builder_id, parts=parts, started=started)
    say(f"{final}: {len(list(final.iterdir()))} files of version {source.version}, commit {source.commit}")
    return 0


def _work(source: Source, arguments: argparse.Namespace) -> Work:
    """Return the folder that this commit is built in, as an interrupted run with the same choices has left it."""
    settings = digest(arguments.settings) if arguments.settings is not None else ""
    choices = (
        source.version,
        source.repository,
        source.epoch,
        _image_id(arguments.base),
        settings,
        arguments.builder_id,
    )
    named = hashlib.sha256(json.dumps(choices).encode()).hexdigest()
    folder = arguments.out / f".release-{source.commit[:12]}-{named[:12]}"
    for other in arguments.out.glob(".release-*"):
        if other != folder:
            shutil.rmtree(other)
    return Work(folder)


def _image_id(name: str) -> str:
    """Return the id of a base on the engine; empty if there is none: then the part container fails."""
    with suppress(OSError):
        words = ("docker", "image", "inspect", "--format", "{{.Id}}", name)
        return subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False).stdout
    return ""


def _seal(
    work: Work, files: list[Path], source: Source, key: ec.EllipticCurvePrivateKey, *,
    builder_id: str, parts: tuple[str, ...], started: str,
) -> Path:  # fmt: skip
    """Write the checksums, and the provenance of all files; return the folder with everything in it."""
    say("writing checksums and provenance")
    out = work.folder / f"whence-{source.version}"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    files = [one.rename(out / one.name) for one in files]
    lines = [f"{digest(one)}  {one.name}\n" for one in files]
    (out / SUMS).write_text("".join(lines), encoding="utf-8")
    build = provenance.Build(
        repository=source.repository, commit=source.commit, tag=source.tag, parts=parts, builder_id=builder_id,
        started=started, finished=_now(),
    )  # fmt: skip
    (out / PROVENANCE).write_bytes(provenance.bundle([*files, out / SUMS], build, key))
    for one in out.iterdir():
        one.chmod(0o644)
    final = work.folder.parent / out.name
    shutil.rmtree(final, ignore_errors=True)
    out.rename(final)
    work.remove()
    return final


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
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("make release: interrupted; a run of the same commit goes on from here", file=sys.stderr)
        sys.exit(130)
