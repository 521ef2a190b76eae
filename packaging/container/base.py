"""Make a base image from Debian's packages: `base.py --out FILE [PACKAGE…]` writes an archive for `docker import`.

Without packages it is a base of the aggregator: Python, git and what git needs. Needs mmdebstrap, and no registry.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

AGGREGATOR = ("python3", "git", "ca-certificates", "openssh-client", "gnupg")
_UNREAD = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/i18n/*")
"""Documentation and translations."""
_NO_CLUSTER = (
    'mkdir "$1/etc/postgresql-common"',
    'echo create_main_cluster = false >"$1/etc/postgresql-common/createcluster.conf"',
)
"""The package would make a cluster, of 40 MB, that no container uses."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("packages", nargs="*", default=AGGREGATOR, help="default: %(default)s")
    parser.add_argument("--out", type=Path, required=True, help="the archive")
    parser.add_argument("--exclude", action="append", default=[], help="files that are left out; may be repeated")
    parser.add_argument("--suite", default="bookworm", help="default: %(default)s, which has Python 3.11")
    arguments = parser.parse_args()
    excluded = [f"--dpkgopt=path-exclude={one}" for one in (*_UNREAD, *arguments.exclude)]
    hooks = [f"--essential-hook={one}" for one in _NO_CLUSTER] if "postgresql" in arguments.packages else []
    command = ["mmdebstrap", "--variant=minbase", *hooks, f"--include={','.join(arguments.packages)}", *excluded]
    if shutil.which(command[0]) is None:
        sys.exit("base.py: mmdebstrap is missing: apt-get install mmdebstrap")
    os.execvp(command[0], [*command, arguments.suite, str(arguments.out)])  # at a signal it removes what it made


if __name__ == "__main__":
    main()
