"""whence-aggregator: serve the API and the collectors; check the ledger; witness other teams' logs; create tokens."""

from __future__ import annotations

import argparse
import gc
import os
import resource
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import uvloop

from whence_aggregator import __version__
from whence_aggregator.callers.tokens import TokensInvalid
from whence_aggregator.check.command import PROGRAMS, SETTINGS_FILE, WITNESS_FILE, check, load_settings, open_settings
from whence_aggregator.commands import events, ledger, prepare, replay, rules, tokens
from whence_aggregator.settings.server import Settings, read_settings
from whence_aggregator.settings.witness import WitnessFile, read_witness_settings
from whence_aggregator.wiring.audit import run_witness
from whence_aggregator.wiring.front import import_registry, run_registry
from whence_aggregator.wiring.mint import run_mint
from whence_aggregator.wiring.parts import open_database
from whence_aggregator.wiring.serve import run_aggregator
from whence_common.clock import utc_now
from whence_common.errors import WhenceError, leaves
from whence_common.runtime import logs
from whence_common.runtime.memory import keep_little
from whence_common.settings_file import Document, SettingsInvalid
from whence_common.visible import printable

_SWITCH_SECONDS = 0.0005
"""Interpreter switch interval, so that a committing thread need not wait longer: the default, 5 ms, equals a commit."""


def main(words: Sequence[str] | None = None) -> int:
    """Parse the command line, run one command and return its exit code."""
    arguments = make_parser().parse_args(words)
    commands = {"serve": _serve, "check": _check, "token": _token, "witness": _witness, "ledger": _ledger}
    commands |= {"registry": _registry, "migrate": _migrate, "backup": _backup, "events": _events, "rules": _rules}
    commands |= {"replay": _replay, "mint": _mint, "prepare": _prepare}
    try:
        return commands[arguments.command](arguments)
    finally:
        logs.take_down()


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="whence-aggregator", description=__doc__)
    parser.add_argument("--version", action="version", version=f"whence-aggregator {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="serve until SIGTERM (exit 0; 1 on failure; 78 on invalid settings)")
    serve.add_argument("--config", default=SETTINGS_FILE, help="settings (default: %(default)s)")
    serve.add_argument("--verbose", action="store_true", help="log more")
    serve.add_argument("--port-file", help="file to write the port to, for listen_port: 0")
    check = commands.add_parser(
        "check", help="find every reason why a program would fail to start (exit 0 if none, else 78)"
    )
    check.add_argument("program", nargs="?", choices=PROGRAMS, default="serve", help="default: %(default)s")
    check.add_argument("--config", help="settings (default: the program's own)")
    check.add_argument("--as-user", metavar="USER", help="check as this user (needs root)")
    migrate = commands.add_parser("migrate", help="create or update the database's tables, and exit")
    migrate.add_argument("--config", default=SETTINGS_FILE, help="settings (default: %(default)s)")
    witness = commands.add_parser("witness", help="cosign checkpoints of other teams' logs until SIGTERM")
    witness.add_argument("--config", default=WITNESS_FILE, help="settings (default: %(default)s)")
    witness.add_argument("--port-file", help="file to write the port to, for listen_port: 0")
    registry = commands.add_parser("registry", help="serve only the front until SIGTERM (registry_front.alone)")
    registry.add_argument(
        "--import", dest="adopted", nargs="*", metavar="REPOSITORY",
        help="instead, record the images that the registry behind already has, in all or these repositories, and exit",
    )  # fmt: skip
    registry.add_argument("--config", default=SETTINGS_FILE, help="settings (default: %(default)s)")
    registry.add_argument("--verbose", action="store_true", help="log more")
    registry.add_argument("--port-file", help="file to write the port to, for listen_port: 0")
    mint = commands.add_parser("mint", help="serve only mint, and rotate credentials, until SIGTERM (mint.alone)")
    mint.add_argument("--config", default=SETTINGS_FILE, help="settings (default: %(default)s)")
    mint.add_argument("--verbose", action="store_true", help="log more")
    mint.add_argument("--port-file", help="file to write the port to, for listen_port: 0")
    ledger.add_parsers(commands, settings_file=SETTINGS_FILE)
    events.add_parsers(commands, settings_file=SETTINGS_FILE)
    rules.add_parsers(commands, settings_file=SETTINGS_FILE)
    replay.add_parsers(commands)
    prepare.add_parsers(commands)
    token = commands.add_parser("token", help="create a token (printed once; the file has its hash), list or revoke")
    tokens.add_arguments(token, config=SETTINGS_FILE)
    return parser


def _serve(arguments: argparse.Namespace) -> int:
    document = _document(arguments.config)
    if document is None:
        return 78
    logs.set_up(verbose=arguments.verbose)
    gc.freeze()
    gc.set_threshold(20_000, 50, 50)  # with the default thresholds, the collector took a sixth of ingest's time
    return _run(
        run_aggregator(
            document.settings,
            read=partial(_read_settings, arguments.config),
            database_location=os.environ.get("WHENCE_DATABASE"),
            listening=_listening(arguments.port_file),
        ),
        document,
    )


def _registry(arguments: argparse.Namespace) -> int:
    document = _document(arguments.config)
    if document is None:
        return 78
    logs.set_up(verbose=arguments.verbose)
    location = os.environ.get("WHENCE_DATABASE")
    if arguments.adopted is not None:
        return _run(_import(document.settings, tuple(arguments.adopted), location), document)
    return _run(
        run_registry(
            document.settings,
            read=partial(_read_settings, arguments.config),
            database_location=location,
            listening=_listening(arguments.port_file),
        ),
        document,
    )


def _mint(arguments: argparse.Namespace) -> int:
    document = _document(arguments.config)
    if document is None:
        return 78
    logs.set_up(verbose=arguments.verbose)
    return _run(
        run_mint(
            document.settings,
            read=partial(_read_settings, arguments.config),
            database_location=os.environ.get("WHENCE_DATABASE"),
            listening=_listening(arguments.port_file),
        ),
        document,
    )


async def _import(settings: Settings, repositories: tuple[str, ...], location: str | None) -> int:
    outcome = await import_registry(
        settings, repositories, database_location=location, say=lambda text: print(printable(text), flush=True)
    )
    for refused in outcome.refused:
        print(f"not recorded: {printable(refused)}")
    print(f"{outcome.new} tags recorded, {outcome.known} known before, {len(outcome.refused)} not recorded")
    return 1 if outcome.refused else 0


def _witness(arguments: argparse.Namespace) -> int:
    document = open_settings(arguments.config, read_witness_settings, os.environ)
    if document is None:
        return 78
    logs.set_up(verbose=False)
    read = partial(_read_witness_settings, arguments.config)
    return _run(run_witness(document.settings, read=read, listening=_listening(arguments.port_file)), document)


def _migrate(arguments: argparse.Namespace) -> int:
    document = _document(arguments.config)
    if document is None:
        return 78

    async def migrate(settings: Settings) -> int:
        await (await open_database(os.environ.get("WHENCE_DATABASE") or settings.database)).close()
        print("the database has the tables of this program's version")
        return 0

    return _run(migrate(document.settings), document)


def _ledger(arguments: argparse.Namespace) -> int:
    return _about_log(arguments, ledger.run_ledger)


def _events(arguments: argparse.Namespace) -> int:
    return _about_log(arguments, events.run_events)


def _rules(arguments: argparse.Namespace) -> int:
    if getattr(arguments, "directory", None) is not None:
        return _run(rules.run_rules(None, arguments), None)
    document = _document(arguments.config)
    if document is None:
        return 78
    return _run(rules.run_rules(document.settings, arguments), document)


def _replay(arguments: argparse.Namespace) -> int:
    return _run(replay.run_replay(arguments), None)


def _prepare(arguments: argparse.Namespace) -> int:
    return prepare.run_prepare(arguments, now=utc_now())


def _backup(arguments: argparse.Namespace) -> int:
    return _about_log(arguments, ledger.run_backup)


def _about_log(
    arguments: argparse.Namespace, work: Callable[[Settings, argparse.Namespace, str | None], Coroutine[Any, Any, int]]
) -> int:
    document = _document(arguments.config)
    if document is None:
        return 78
    settings = document.settings
    logs.set_up(verbose=False)
    return _run(work(settings, arguments, os.environ.get("WHENCE_DATABASE")), document)


def _listening(port_file: str | None) -> Callable[[int], None]:
    def listening(port: int) -> None:
        if port_file is not None:
            partial = Path(port_file + ".tmp")
            partial.write_text(f"{port}\n", encoding="ascii")
            partial.replace(port_file)

    return listening


def _run(work: Coroutine[Any, Any, int | None], document: Document[Any] | None) -> int:
    """Run to the end; return 78 for errors that only an operator can correct, so that systemd does not restart it."""
    sys.setswitchinterval(_SWITCH_SECONDS)
    keep_little()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a reload during the start must not end the process
    _, files_max = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # if raising it is forbidden, the present limit applies
        resource.setrlimit(resource.RLIMIT_NOFILE, (files_max, files_max))  # one per connection; systemd sets 1,024
    try:
        return uvloop.run(work) or 0
    except (SettingsInvalid, TokensInvalid) as exc:
        explained = document.explain(exc) if document is not None else exc.diagnostics()
        print(f"whence-aggregator: {explained}", file=sys.stderr)
        return 78
    except (OSError, WhenceError) as exc:
        print(f"whence-aggregator: cannot run: {_message_of(exc)}", file=sys.stderr)
        return 1
    except BaseExceptionGroup as group:
        if group.split((OSError, WhenceError))[1] is not None:
            raise
        found = leaves(group)
        print(f"whence-aggregator: cannot run: {'; '.join(map(_message_of, found))}", file=sys.stderr)
        return 78 if any(isinstance(one, SettingsInvalid) for one in found) else 1


def _check(arguments: argparse.Namespace) -> int:
    return check(arguments.program, config=arguments.config, as_user=arguments.as_user, environment=os.environ)


def _token(arguments: argparse.Namespace) -> int:
    needed = arguments.file is None or arguments.words == ["list"]
    there = needed and (arguments.config != SETTINGS_FILE or Path(arguments.config).exists())
    document = _document(arguments.config) if there else None
    if there and document is None:
        return 78
    settings = document.settings if document is not None else None
    return tokens.run(arguments, settings, database_location=os.environ.get("WHENCE_DATABASE"), now=utc_now())


def _document(path: str) -> Document[Settings] | None:
    return open_settings(path, read_settings, os.environ)


def _read_settings(path: str) -> Settings:
    """Read the settings again. Raises OSError or SettingsInvalid."""
    document: Document[Settings] = load_settings(path, read_settings, os.environ)
    return document.settings


def _read_witness_settings(path: str) -> WitnessFile:
    """Read a witness's settings again. Raises OSError or SettingsInvalid."""
    document: Document[WitnessFile] = load_settings(path, read_witness_settings, os.environ)
    return document.settings


def _message_of(exc: BaseException) -> str:
    if isinstance(exc, FileNotFoundError) and exc.filename:
        return f"{exc.filename} cannot be opened: the file or its directory does not exist"
    return exc.diagnostics() if isinstance(exc, WhenceError) else str(exc)


if __name__ == "__main__":
    sys.exit(main())
