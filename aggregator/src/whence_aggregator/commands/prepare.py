"""whence-aggregator prepare: create what the replicas of one log and its witness share, before the first start."""

from __future__ import annotations

import argparse
import sys
from datetime import datetime
from pathlib import Path

from whence_aggregator.wiring.prepare import Installation, prepare
from whence_common.errors import WhenceError


def add_parsers(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `prepare`."""
    about = "create keys, secrets and settings of a new log with several replicas, as containers need them"
    one = commands.add_parser("prepare", help=about, description=about)
    one.add_argument("directory", type=Path, help="where `secrets` and `settings` are created; they must not exist")
    one.add_argument("--audience", required=True, help="the public URL")
    one.add_argument("--account", action="append", required=True, help="AWS account; may be repeated")
    one.add_argument("--witness", required=True, help="the name of the witness in cosignatures")
    one.add_argument("--witness-url", default="http://witness:7383", help="default: %(default)s")
    one.add_argument("--replica", action="append", help="URL of a replica; may be repeated (default: two of compose)")
    one.add_argument("--database", default="postgresql://whence@database/whence", help="DSN (default: %(default)s)")
    one.add_argument("--proxy", action="append", default=[], help="network (CIDR) of proxies in front; may be repeated")
    one.add_argument(
        "--secrets-directory", default="/run/secrets", help="where the programs find the secrets (default: %(default)s)"
    )


def run_prepare(arguments: argparse.Namespace, *, now: datetime) -> int:
    """Run `prepare`; return 0 on success, 1 if files cannot be written, 78 for invalid options."""
    replicas = arguments.replica or ["http://aggregator-1:7381", "http://aggregator-2:7381"]
    wanted = Installation(
        audience=arguments.audience, accounts=arguments.account, witness=arguments.witness,
        witness_url=arguments.witness_url, replicas=replicas, database=arguments.database, proxies=arguments.proxy,
        secrets_directory=arguments.secrets_directory.rstrip("/"),
    )  # fmt: skip
    try:
        files = prepare(arguments.directory, wanted, now=now)
    except WhenceError as exc:
        print(f"whence-aggregator: {exc.diagnostics()}", file=sys.stderr)
        return 78
    except OSError as exc:
        print(f"whence-aggregator: {exc.filename} cannot be written: {exc.strerror}", file=sys.stderr)
        return 1
    for one in files:
        print(one)
    return 0
