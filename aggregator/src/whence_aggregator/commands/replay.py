"""whence-aggregator replay: a verdict again, from a bundle alone, without network, database or trust in who made it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from whence_aggregator.ports import NotFound
from whence_aggregator.replays.verdicts import ReplayedVerdict
from whence_aggregator.wiring.replays import open_bundle, replay_bundle
from whence_common.errors import InputError
from whence_common.visible import printable

DIFFERENT, USAGE, INCOMPLETE = 1, 2, 5


def add_parsers(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `replay`."""
    about = (
        "judge a verdict again from a bundle alone (exit 0 if it is the same, 1 if not, or if the bundle cannot be "
        "verified, 2 if the entry is not a verdict, 5 if entries are missing)"
    )
    replay = commands.add_parser("replay", help=about, description=about)
    replay.add_argument("verdict", type=int, help="the `ledger_index` of the verdict")
    replay.add_argument("bundle", type=Path, help="the file that `whence bundle` wrote, of all accounts")
    replay.add_argument(
        "--log-key", type=Path, action="append", required=True, help="a file of the log's keys; may be repeated"
    )
    replay.add_argument("--authorities", type=Path, help="directory of REGION.pem files in place of AWS's certificates")
    replay.add_argument("--json", action="store_true", help="as GET /v1/verdicts/{index}/replay returns it")


async def run_replay(arguments: argparse.Namespace) -> int:
    """Replay one verdict, and return the exit code. Raises InputError and OSError."""
    with open_bundle(arguments.bundle, arguments.log_key, arguments.authorities) as log:
        try:
            found = await replay_bundle(log, arguments.verdict)
        except (NotFound, InputError) as exc:  # neither is another verdict
            print(f"whence-aggregator: {exc.diagnostics()}", file=sys.stderr)
            return INCOMPLETE if isinstance(exc, NotFound) else USAGE
    wire = found.to_wire()
    if arguments.json:
        print(json.dumps(wire))
    else:
        for one in found.verdicts:
            print(printable(_sentence(one)))
    if found.missing:
        print(f"not in the bundle: entries {', '.join(map(str, found.missing))}", file=sys.stderr)
        return INCOMPLETE
    return 0 if wire["same"] else DIFFERENT


def _sentence(one: ReplayedVerdict) -> str:
    recorded = f"{one.rule} (version {one.version}): {one.recorded.outcome}: {one.recorded.reason}"
    if one.same:
        return f"the same: {recorded}"
    if one.replayed is None:
        return f"not replayed: {recorded}: {one.reason}"
    return f"another: {recorded}; now {one.replayed.outcome}: {one.replayed.reason}"
