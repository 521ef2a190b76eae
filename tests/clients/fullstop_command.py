"""Runs stups-fullstop 1.1.31 unmodified: its own module `fullstop.time` cannot be imported by Python 3.11 and later.

Python refuses the global flag that is not at the start of its expression. `kio.time` is the same module, without that
expression: it takes its place, under its name, before the command is imported.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    import kio.time  # type: ignore[import-not-found]  # of the environment of other people's clients

    sys.modules["fullstop.time"] = kio.time
    from fullstop.cli import main  # type: ignore[import-not-found]  # likewise

    sys.exit(main())
