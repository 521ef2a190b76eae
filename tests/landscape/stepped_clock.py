"""Run a program with a clock that is ahead by the seconds in a file, which a test raises.

    python stepped_clock.py FILE PROGRAM WORD...

All of the aggregator and the agent asks `utc_now`; waits take their real time. This interpreter runs the program, which
is whence-agent or else whence-aggregator.
"""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from pathlib import Path


def step_clock(ahead: Path, seconds: float) -> None:
    """Put a clock ahead by more seconds; no reader sees half a number."""
    before = float(ahead.read_text(encoding="ascii")) if ahead.exists() else 0.0
    new = ahead.with_suffix(".new")
    new.write_text(str(before + seconds), encoding="ascii")
    new.replace(ahead)


def _main() -> int:
    from whence_common import clock

    real, ahead = clock.utc_now, Path(sys.argv[1])

    def stepped() -> datetime:
        return real() + timedelta(seconds=float(ahead.read_text(encoding="ascii")))

    clock.utc_now = stepped
    sys.argv = sys.argv[2:]
    if Path(sys.argv[0]).name == "whence-agent":
        from whence_agent.cli import main as agent

        return agent()
    from whence_aggregator.cli import main

    return main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(_main())
