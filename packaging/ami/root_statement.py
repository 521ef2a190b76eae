"""Write what an image's root consists of: its manifest, SBOMs, the statement about it, and the file for its machines.

    python3 root_statement.py --root / --note-origins FILE
    python3 root_statement.py --root ROOT --output DIR --name NAME --scm-source FILE --builder-id URI [--origins FILE]

It needs Python's standard library and whence_common only, both of which the image has, so that it also runs on the
machine that Packer makes the image on (state.sh). The first command notes where the packages come from, which is known
before the image is cleaned only; the second one runs last: what changes in the root afterwards is not in the statement.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from root_manifest import write_manifest
from root_packages import (
    Origin,
    PackageKey,
    all_packages,
    debian_packages,
    make_folder,
    read_origins,
    write_atomically,
    write_origins,
)
from sbom import CYCLONEDX_TYPE, SPDX_TYPE, SbomSubject, cyclonedx, spdx

from whence_common import __version__
from whence_common.ami_file import AMI_FILE_PATH, ami_file
from whence_common.ami_provenance import AMI_NAME, ami_provenance
from whence_common.digest import sha256_digest
from whence_common.errors import InputError, WhenceError
from whence_common.scm_source import FILE_BYTES_MAX, ScmSource, SourceRepository, repository_of

STATED_FILES = ("root.mtree", "sbom.cdx.json", "sbom.spdx.json", "statement.json")
_INVALID, _FAILED = 2, 1


def write_statement(
    root: Path,
    output: Path,
    *,
    name: str,
    source: ScmSource,
    builder_id: str,
    built_at: datetime,
    origins: Mapping[PackageKey, Origin] | None = None,
) -> str:
    """Write all files; return the digest of the statement. Raises InputError or OSError.

    `origins`: those that were noted before the root was cleaned; None: those that apt's lists in the root state.
    """
    repository, commit_id = stated_source(source)
    if not AMI_NAME.match(name):
        raise InputError("name-malformed", f"--name {name!r} is not a name that EC2 accepts for an AMI")
    packages = all_packages(root, origins)
    output.mkdir(parents=True, exist_ok=True)
    make_folder(root / AMI_FILE_PATH)  # before the manifest, which has the folder and not the file
    root_digest = write_manifest(root, output / "root.mtree")
    at = built_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    subject = SbomSubject(name=name, digest=root_digest, created_at=at, tool_version=__version__)
    byproducts = []
    for file, content, media_type in (
        ("sbom.cdx.json", cyclonedx(subject, packages), CYCLONEDX_TYPE),
        ("sbom.spdx.json", spdx(subject, packages), SPDX_TYPE),
    ):
        (output / file).write_bytes(content)
        digest = {"sha256": sha256_digest(content).removeprefix("sha256:")}
        byproducts.append({"name": file, "digest": digest, "mediaType": media_type})
    payload = ami_provenance(
        name=name, root_digest=root_digest, builder_id=builder_id, repository=f"https://{repository}",
        commit_id=commit_id, modified=bool(source.dirty), finished_at=at, packages=packages,
        byproducts=byproducts,
    )  # fmt: skip
    (output / "statement.json").write_bytes(payload)
    statement_digest = sha256_digest(payload)
    write_atomically(root / AMI_FILE_PATH, ami_file(name, statement_digest, debian_packages(root)).to_wire())
    return statement_digest


def stated_source(source: ScmSource) -> tuple[SourceRepository, str]:
    """Return repository and commit id that a statement names. Raises InputError where the source lacks one of them."""
    repository = repository_of(source.url)
    if repository is None or source.commit_id is None:
        raise InputError(
            "source-malformed", f"the source {source.url[:200]!r} names no repository, or no full commit id",
            fix="use a clone with a commit and a remote named origin, whose URL has host, team and name",
        )  # fmt: skip
    return repository, source.commit_id


def parser(program: str, description: str | None) -> argparse.ArgumentParser:
    """Return the options that state the image; where its source is from is up to the program."""
    made = argparse.ArgumentParser(prog=program, description=(description or "").splitlines()[0])
    made.add_argument("--root", type=Path, required=True, help="The image's root, complete.")
    made.add_argument("--output", type=Path, help="The folder of the files that it writes.")
    made.add_argument("--name", help="The name that the AMI is registered with.")
    made.add_argument("--origins", type=Path, help="The packages' origins, noted before the root was cleaned.")
    return made


def run(program: str, arguments: argparse.Namespace, source: Callable[[], ScmSource]) -> int:
    """Write the statement that the options ask for, and print its digest; return the exit code."""
    try:
        origins = read_origins(arguments.origins) if arguments.origins is not None else None
        digest = write_statement(
            arguments.root, arguments.output, name=arguments.name, source=source(), builder_id=arguments.builder_id,
            built_at=built_at(os.environ.get("SOURCE_DATE_EPOCH")), origins=origins,
        )  # fmt: skip
    except WhenceError as exc:
        print(f"{program}: {exc.diagnostics()}", file=sys.stderr)
        return _INVALID
    except OSError as exc:
        print(f"{program}: {exc}", file=sys.stderr)
        return _FAILED
    print(digest)
    return 0


def source_of_file(path: Path) -> ScmSource:
    """Return the source in a scm-source.json. Raises InputError or OSError."""
    with path.open("rb") as stream:
        return ScmSource.parse(stream.read(FILE_BYTES_MAX + 1))


def built_at(epoch: str | None) -> datetime:
    """Return the time of the build. Raises InputError."""
    if epoch is None:
        return datetime.now(UTC)
    try:
        return datetime.fromtimestamp(int(epoch), UTC)
    except (ValueError, OverflowError, OSError) as exc:
        message = f"SOURCE_DATE_EPOCH is not a number of seconds: {epoch[:40]!r}"
        raise InputError("epoch-malformed", message, fix="unset it, or use git log -1 --format=%ct") from exc


def main() -> int:
    """Run one of the two commands."""
    options = parser("root_statement.py", __doc__)
    options.add_argument("--builder-id", help="The builder's id that the aggregator trusts.")
    options.add_argument("--scm-source", type=Path, help="scm-source.json of the build.")
    options.add_argument(
        "--note-origins", type=Path, metavar="FILE", help="Write the packages' origins, and nothing else."
    )
    arguments = options.parse_args()
    if arguments.note_origins is not None:
        write_origins(arguments.root, arguments.note_origins)
        return 0
    missing = [one for one in ("output", "name", "builder_id", "scm_source") if getattr(arguments, one) is None]
    if missing:
        options.error(f"--{missing[0].replace('_', '-')} is required")
    return run("root_statement.py", arguments, lambda: source_of_file(arguments.scm_source))


if __name__ == "__main__":
    sys.exit(main())
