"""Run a program of the aggregator with a clock that is ahead by the seconds in a file, which a test raises.

    python stepped_clock.py FILE PROGRAM WORD...

All of the aggregator asks `utc_now`; waits take their real time. PROGRAM is ignored: this interpreter runs it.
"""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from pathlib import Path

from whence_common import clock

_real, _ahead = clock.utc_now, Path(sys.argv[1])


def stepped() -> datetime:
    return _real() + timedelta(seconds=float(_ahead.read_text(encoding="ascii")))


if __name__ == "__main__":
    clock.utc_now = stepped
    from whence_aggregator.cli import main

    sys.exit(main(sys.argv[3:]))
