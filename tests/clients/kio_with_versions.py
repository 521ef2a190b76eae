"""Runs stups-kio 0.1.18 unmodified: the last release with `kio versions`, made for Python before 3.11.

Python 3.11 refuses global flags that are not at the start of an expression, and this release has one after a line break.
Here they are read as Python read them before; nothing of the command is changed.
"""

from __future__ import annotations

import re
import sys
from typing import Any

_compile = re.compile


def _as_before(pattern: Any, flags: int = 0) -> Any:
    """Compile an expression whose first characters besides white space are the flag for white space."""
    if isinstance(pattern, str) and pattern.lstrip().startswith("(?x)"):
        return _compile(pattern.lstrip().removeprefix("(?x)"), flags | re.VERBOSE)
    return _compile(pattern, flags)


if __name__ == "__main__":
    re.compile = _as_before
    from kio.cli import main  # type: ignore[import-not-found]  # of the environment of other people's clients

    sys.exit(main())
