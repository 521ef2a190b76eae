"""Run all benchmarks, or those named: `make bench ARGS="boot idle judge"`."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from benchmarks import boot, fleet, hostile, idle, ingest, judge, kills, peer, registry, scale, trace
from landscape.whole import ROOT

_ALL = {
    "ingest": ingest.measure,
    "trace": trace.measure,
    "storage": scale.storage,
    "queries": scale.queries,
    "receipts": scale.receipts,
    "fleet": fleet.measure,
    "kills": kills.measure,
    "hostile": hostile.measure,
    "registry": registry.measure,
    "boot": boot.measure,
    "idle": idle.measure,
    "judge": judge.measure,
}
_NAMED_ONLY = {"peer": peer.measure, "queries-on-postgres": scale.queries_on_postgres}
"""What needs much that nothing else does, or long."""


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(_ALL), help=f"of: {', '.join(_ALL)}; {', '.join(_NAMED_ONLY)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--limit",
        type=Path,
        default=ROOT.parent / "shared" / "bench" / "limit_bench.py",
        help="the physical limit's program",
    )
    arguments = parser.parse_args()
    for name in arguments.names:
        print(f"== {name}", flush=True)
        with tempfile.TemporaryDirectory(prefix="whence-bench-") as directory:
            await (_ALL | _NAMED_ONLY)[name](Path(directory), rounds=arguments.rounds, limit=arguments.limit)
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
