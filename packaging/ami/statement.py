"""Write what an image's root consists of: its manifest, SBOMs, the statement about it, and the file for its machines.

    python packaging/ami/statement.py --root ROOT --name whence-1.2 --git . --builder-id URI --output build/ami

Run it last, as root: what changes in the root afterwards is not in the statement. Into --output it writes root.mtree,
sbom.cdx.json, sbom.spdx.json and statement.json; into the root, usr/share/whence/image.json. SOURCE_DATE_EPOCH is the
time of the build; with it, the same root results in the same bytes. `whence attest --ami` signs and sends it.
"""

from __future__ import annotations

import sys
from pathlib import Path

from root_statement import parser, run, source_of_file

from whence_aggregator.whence.attest import BUILDER, source_of_git


def main() -> int:
    """Write the statement; return the exit code."""
    options = parser("statement.py", __doc__)
    options.add_argument("--builder-id", default=BUILDER, help="The builder's id that the aggregator trusts.")
    source = options.add_mutually_exclusive_group(required=True)
    source.add_argument("--git", type=Path, help="The clone that the image was built from.")
    source.add_argument("--scm-source", type=Path, help="scm-source.json of the build.")
    arguments = options.parse_args()
    for name in ("output", "name"):
        if getattr(arguments, name) is None:
            options.error(f"--{name} is required")
    clone, file = arguments.git, arguments.scm_source
    return run("statement.py", arguments, lambda: source_of_git(clone) if clone is not None else source_of_file(file))


if __name__ == "__main__":
    sys.exit(main())
