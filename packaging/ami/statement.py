"""Write what an image's root consists of: its manifest, SBOMs, the statement about it, and the file for its machines.

    python packaging/ami/statement.py --root ROOT --name whence-1.2 --git . --builder-id URI --output build/ami

Run it last, as root: what changes in the root afterwards is not in the statement. Into --output it writes root.mtree,
sbom.cdx.json, sbom.spdx.json and statement.json; into the root, usr/share/whence/image.json. SOURCE_DATE_EPOCH is the
time of the build; with it, the same root results in the same bytes. `whence attest --ami` signs and sends it.
"""

from __future__ import annotations

import argparse
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from root_manifest import write_manifest
from root_packages import all_packages, debian_packages, make_folder, write_atomically
from sbom import CYCLONEDX_TYPE, SPDX_TYPE, SbomSubject, cyclonedx, spdx

from whence_aggregator.whence.attest import BUILDER, source_of_file, source_of_git
from whence_common import __version__
from whence_common.ami_file import AMI_FILE_PATH, ami_file
from whence_common.ami_provenance import AMI_NAME, ami_provenance
from whence_common.digest import sha256_digest
from whence_common.errors import InputError, WhenceError
from whence_common.scm_source import ScmSource, SourceRepository, repository_of

_INVALID, _FAILED = 2, 1


def main() -> int:
    arguments = _arguments()
    try:
        source = source_of_git(arguments.git) if arguments.git is not None else source_of_file(arguments.scm_source)
        digest = write_statement(
            arguments.root, arguments.output, name=arguments.name, source=source, builder_id=arguments.builder_id,
            built_at=_built_at(os.environ.get("SOURCE_DATE_EPOCH")),
        )  # fmt: skip
    except WhenceError as exc:
        print(f"statement.py: {exc.diagnostics()}", file=sys.stderr)
        return _INVALID
    except OSError as exc:
        print(f"statement.py: {exc}", file=sys.stderr)
        return _FAILED
    print(digest)
    return 0


def write_statement(
    root: Path, output: Path, *, name: str, source: ScmSource, builder_id: str, built_at: datetime
) -> str:
    """Write all files; return the digest of the statement. Raises InputError or OSError."""
    repository, commit_id = stated_source(source)
    if not AMI_NAME.match(name):
        raise InputError("name-malformed", f"--name {name!r} is not a name that EC2 accepts for an AMI")
    packages = all_packages(root)
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


def _built_at(epoch: str | None) -> datetime:
    """Return the time of the build. Raises InputError."""
    if epoch is None:
        return datetime.now(UTC)
    try:
        return datetime.fromtimestamp(int(epoch), UTC)
    except (ValueError, OverflowError, OSError) as exc:
        message = f"SOURCE_DATE_EPOCH is not a number of seconds: {epoch[:40]!r}"
        raise InputError("epoch-malformed", message, fix="unset it, or use git log -1 --format=%ct") from exc


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="statement.py", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="The image's root, complete.")
    parser.add_argument("--output", type=Path, required=True, help="The folder of the files that it writes.")
    parser.add_argument("--name", required=True, help="The name that the AMI is registered with.")
    parser.add_argument("--builder-id", default=BUILDER, help="The builder's id that the aggregator trusts.")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--git", type=Path, help="The clone that the image was built from.")
    source.add_argument("--scm-source", type=Path, help="scm-source.json of the build.")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
