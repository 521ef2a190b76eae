"""whence-aggregator ledger …, backup: check, rebuild, repair and save a log."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from whence_aggregator.adapters.log_files import add_key, load_signers
from whence_aggregator.settings.server import Settings, log_origin
from whence_aggregator.wiring.audit import check_ledger, rebuild_ledger
from whence_aggregator.wiring.backup import back_up
from whence_aggregator.wiring.forgetting import forget
from whence_aggregator.wiring.ledger import (
    Decision,
    accept_checkpoint,
    accept_heartbeat_secret,
    continue_log,
    known_keys,
    revoke_key,
)
from whence_common.errors import WhenceError
from whence_common.visible import printable


def add_parsers(commands: argparse._SubParsersAction[argparse.ArgumentParser], *, settings_file: str) -> None:
    """Add `ledger` with its actions, and `backup`."""
    ledger = commands.add_parser("ledger", help="check, rebuild and repair the log, and manage its keys")
    actions = ledger.add_subparsers(dest="action", required=True, metavar="ACTION")

    def action(name: str, about: str, *, reasoned: bool = False) -> argparse.ArgumentParser:
        one = actions.add_parser(name, help=about, description=about)
        one.add_argument("--config", default=settings_file, help="settings (default: %(default)s)")
        if reasoned:
            one.add_argument("--reason", required=True, help="the reason, which is recorded in the public log")
        return one

    action("check", "check every entry, hash and row (exit 0 if clean, else 1)")
    action("rebuild", "rebuild all derived tables from the entries")
    action("keys", "print the verifier keys and the revoked keys")
    action("add-key", "create a key that signs first; the others keep signing (restart all replicas)")
    revoke = action("revoke-key", "revoke a stolen or lost key, create a new one; recorded in the log", reasoned=True)
    revoke.add_argument("key", help="the verifier key, or its id (8 hex digits)")
    revoke.add_argument("--lost", action="store_true", help="no attacker has the key: its earlier signatures count")
    revoke.add_argument("--from-size", type=int, help="log size from which it is not trusted (default: the present)")
    about = "continue the log under a new name after entries were lost; recorded in the log"
    action("continue", about, reasoned=True).add_argument("--origin", required=True, help="the log's new name")
    action("accept-checkpoint", "sign the log in its current state after the checkpoint file was lost", reasoned=True)
    action("accept-secret", "create a heartbeat secret after it was lost; agents enrol again")
    about = "remove the bodies of entries that name a person, and state it in the log; without --remove, list them"
    forget_ = action("forget", about, reasoned=True)
    forget_.add_argument(
        "--person", action="append", default=[], metavar="TEXT", help="a uid, name or e-mail address; may be repeated"
    )
    forget_.add_argument(
        "--entry", action="append", default=[], type=int, metavar="INDEX", help="one entry; may be repeated"
    )
    forget_.add_argument("--remove", action="store_true", help="remove them; this cannot be undone")
    backup = commands.add_parser("backup", help="save database, keys, secret, tokens and settings to a new directory")
    backup.add_argument("directory", type=Path, help="created with access for its owner only: it has the private keys")
    backup.add_argument("--config", default=settings_file, help="settings (default: %(default)s)")


async def run_ledger(settings: Settings, arguments: argparse.Namespace, location: str | None) -> int:
    """Run one action of `ledger`."""
    decision = Decision(
        settings=settings, location=location or settings.database, reason=getattr(arguments, "reason", "")
    )
    actions: dict[str, Callable[[Decision, argparse.Namespace], Awaitable[int]]] = {
        "check": _check, "rebuild": _rebuild, "keys": _keys, "add-key": _add_key, "revoke-key": _revoke,
        "continue": _continue, "accept-checkpoint": _accept_checkpoint, "accept-secret": _accept_secret,
        "forget": _forget,
    }  # fmt: skip
    return await actions[arguments.action](decision, arguments)


async def run_backup(settings: Settings, arguments: argparse.Namespace, location: str | None) -> int:
    """Run `backup`."""
    saved = await back_up(
        settings, arguments.directory, location=location or settings.database, config=Path(arguments.config)
    )
    print(f"{arguments.directory}: {', '.join(saved.files)}")
    for name in saved.missing:
        print(f"not found, and not saved: {name}", file=sys.stderr)
    if saved.without:
        print(saved.without, file=sys.stderr)
    else:
        print(f"the saved log has {saved.size} entries")
    return 0


async def _check(decision: Decision, arguments: argparse.Namespace) -> int:
    shows = sys.stderr.isatty()

    def progress(text: str) -> None:
        if shows:
            print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)

    outcome = await check_ledger(decision.settings, database_location=decision.location, progress=progress)
    if shows:
        print("\r\033[K", end="", file=sys.stderr)
    for finding in outcome.findings:
        print(finding)
    pruned = "".join(f", {count} bodies of kind {kind} pruned" for kind, count in sorted(outcome.pruned.items()))
    verdict = f"{len(outcome.findings)} findings" if outcome.findings else "clean"
    print(f"{outcome.entries} entries{pruned}: {verdict}")
    return 1 if outcome.findings else 0


async def _forget(decision: Decision, arguments: argparse.Namespace) -> int:
    found = await forget(decision, persons=arguments.person, entries=arguments.entry, remove=arguments.remove)
    for one in found.entries:
        stays = f"kept: {one.kept}" if one.kept else "removed" if arguments.remove else "to be removed"
        print(printable(f"entry {one.ledger_index} {one.kind} {one.about}: {stays}"))
    kept = sum(bool(one.kept) for one in found.entries)
    count = len(found.entries) - kept
    said = f"{found.removed} bodies removed" if found.removed is not None else f"{count} bodies to be removed"
    print(f"{said}, {kept} kept")
    if found.removed is None and count:
        print("nothing was removed: run it again with --remove", file=sys.stderr)
    print("not searched: statements, which instances signed; backups; and the database's free pages (README: Erasure)",
          file=sys.stderr)  # fmt: skip
    return 1 if kept else 0


async def _rebuild(decision: Decision, arguments: argparse.Namespace) -> int:
    count = await rebuild_ledger(decision.settings, database_location=decision.location)
    print(f"{count} entries: all derived tables were rebuilt")
    return 0


async def _keys(decision: Decision, arguments: argparse.Namespace) -> int:
    try:
        signers, revoked = await known_keys(decision)
    except WhenceError as exc:
        signers, revoked = load_signers(decision.keys_file, name=log_origin(decision.settings), made=False), ()
        print(f"whence-aggregator: revoked keys are not shown: {exc.diagnostics()}", file=sys.stderr)
    for line in (*(one.verifier for one in signers), *revoked):
        print(line)
    return 0


async def _add_key(decision: Decision, arguments: argparse.Namespace) -> int:
    path, name = decision.keys_file, log_origin(decision.settings)
    load_signers(path, name=name, made=False)
    add_key(path, name=name)
    about = "the new key signs first; distribute its verifier key to auditors and agents, and restart"
    print(f"{path}: {about}", file=sys.stderr)
    return await _keys(decision, arguments)


async def _revoke(decision: Decision, arguments: argparse.Namespace) -> int:
    revoked = await revoke_key(decision, arguments.key, stolen=not arguments.lost, from_size=arguments.from_size)
    print(
        f"{revoked.key} is revoked. Copy {decision.keys_file} to all replicas, restart them, and distribute these lines"
        " to auditors, agents and witnesses:",
        file=sys.stderr,
    )
    return await _keys(decision, arguments)


async def _continue(decision: Decision, arguments: argparse.Namespace) -> int:
    key, size, lost = await continue_log(decision, arguments.origin)
    count = "an unknown number" if lost is None else lost
    print(
        f"the log continues with {size} entries; {count} signed entries are lost, which is recorded in the log. Set"
        f" log_origin: {arguments.origin}, copy {decision.keys_file} to all replicas, distribute this key to auditors,"
        " agents and witnesses, and start:",
        file=sys.stderr,
    )
    print(key)
    return 0


async def _accept_checkpoint(decision: Decision, arguments: argparse.Namespace) -> int:
    size, names = await accept_checkpoint(decision)
    print(f"signed {size} entries; witnesses that have seen no more: {', '.join(names) or 'none is configured'}")
    return 0


async def _accept_secret(decision: Decision, arguments: argparse.Namespace) -> int:
    count = await accept_heartbeat_secret(decision)
    print(
        f"{count} rows of heartbeats have new MACs; copy {decision.settings.heartbeat_secret_file} to all"
        " replicas and restart them: each agent's next heartbeat is refused, and the agent enrols again by itself"
    )
    return 0
