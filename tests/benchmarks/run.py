"""Run all benchmarks, or those named: `make bench ARGS="boot idle judge"`.

`make bench ARGS="boot idle --beside ../whence-before"` measures the agent of another checkout in turns with this one's.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from functools import partial
from pathlib import Path

from benchmarks import (
    accounts,
    applications,
    boot,
    commits,
    diffs,
    fleet,
    front,
    git_caches,
    hostile,
    idle,
    image,
    ingest,
    judge,
    kills,
    mint,
    overview,
    pages,
    peer,
    peers,
    rules,
    scale,
    sign_in,
    summary,
    trace,
    trail,
    violations,
    visible,
    weather,
)
from landscape.whole import ROOT

_ALL = {
    "ingest": ingest.measure,
    "trace": trace.measure,
    "sign-in": sign_in.measure,
    "storage": scale.storage,
    "queries": scale.queries,
    "receipts": scale.receipts,
    "fleet": fleet.measure,
    "kills": kills.measure,
    "hostile": hostile.measure,
    "registry": front.measure,
    "judge": judge.measure,
    "applications": applications.measure,
    "commits": commits.measure,
    "diffs": diffs.measure,
    "git-cache": git_caches.measure,
    "summary": summary.measure,
    "overview": overview.measure,
    "trail": trail.measure,
    "violations": violations.measure,
}
_AGENTS = {"boot": boot.measure, "idle": idle.measure}
"""These can measure another checkout's agent too."""
_NAMED_ONLY = {
    "accounts": accounts.measure,
    "image": image.measure,
    "mint": mint.measure,
    "peer": peer.measure,
    "rules": rules.measure,
    "visible": visible.measure,
    "pages": pages.measure,
    "peers": peers.measure,
    "queries-on-postgres": scale.queries_on_postgres,
    "weather": weather.Weather().measure,
}
"""What needs much that nothing else does, or long."""


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "names",
        nargs="*",
        default=[*_ALL, *_AGENTS],
        help=f"of: {', '.join([*_ALL, *_AGENTS])}; {', '.join(_NAMED_ONLY)}",
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--limit",
        type=Path,
        default=ROOT.parent / "shared" / "bench" / "limit_bench.py",
        help="the physical limit's program",
    )
    parser.add_argument(
        "--beside", type=Path, help="another checkout with an environment: boot and idle measure it too"
    )
    of_weather = parser.add_argument_group("weather")
    of_weather.add_argument("--seed", type=int, help="repeats a run; without one a seed is drawn, and printed")
    of_weather.add_argument("--boots", type=int, default=weather.BOOTS)
    of_weather.add_argument("--only", type=int, nargs="+", default=(), help="do these boots of the seed alone")
    of_weather.add_argument("--scale", type=float, default=1.0, help="multiplies the times of faults and deadlines")
    arguments = parser.parse_args()
    told = weather.Weather(
        seed=arguments.seed, boots=arguments.boots, only=tuple(arguments.only), scale=arguments.scale
    )
    agents = {name: partial(one, beside=arguments.beside) for name, one in _AGENTS.items()}
    measures = _ALL | agents | _NAMED_ONLY | {"weather": told.measure}
    for name in arguments.names:
        print(f"== {name}", flush=True)
        with tempfile.TemporaryDirectory(prefix="whence-bench-") as directory:
            await measures[name](Path(directory), rounds=arguments.rounds, limit=arguments.limit)
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
