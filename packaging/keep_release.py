"""Keep the sources of a release for the tests that run it beside later ones: `keep_release.py VERSION [COMMIT]`.

Writes tests/data/releases/VERSION.tar.xz (about half a megabyte): the three distributions' `src`. Made once a release,
in the release's commit; the archive of the release before it may then be removed.
"""

from __future__ import annotations

import lzma
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RELEASES = ROOT / "tests" / "data" / "releases"
PARTS = ("common/src", "agent/src", "aggregator/src")


def main(arguments: list[str]) -> int:
    if arguments in (["-h"], ["--help"]):
        print(__doc__)
        return 0
    if not arguments or len(arguments) > 2 or not re.fullmatch(r"[0-9]+\.[0-9]+\.[0-9]+", arguments[0]):
        print("usage: keep_release.py MAJOR.MINOR.PATCH [COMMIT]; the commit is HEAD unless given", file=sys.stderr)
        return 2
    commit = arguments[1] if len(arguments) == 2 else "HEAD"
    archive = subprocess.run(
        ["git", "archive", "--format=tar", commit, *PARTS], cwd=ROOT, stdout=subprocess.PIPE, check=False
    )
    if archive.returncode:
        return archive.returncode
    kept = RELEASES / f"{arguments[0]}.tar.xz"
    kept.parent.mkdir(exist_ok=True)
    kept.write_bytes(lzma.compress(archive.stdout, preset=9 | lzma.PRESET_EXTREME))
    print(f"{kept.relative_to(ROOT)}: {kept.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
