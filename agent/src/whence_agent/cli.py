"""whence-agent: run the agent, judge user data offline, ask a running agent how it is."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from whence_agent import __version__
from whence_agent.settings import Settings, parse_settings
from whence_common.errors import WhenceError
from whence_common.problems import has_errors, render
from whence_common.settings_file import SETTINGS_BYTES_MAX, SettingsInvalid
from whence_common.user_data.judge import judge
from whence_common.user_data.platform import PlatformRules
from whence_common.user_data.keys import KEYS
from whence_common.user_data.schema import json_schema

SETTINGS_FILE = "/etc/whence/agent.yaml"
_READ_BYTES_MAX = 1024 * 1024
_EXIT_OF_STATE = {"ok": 0, "failed": 1, "degraded": 2, "booting": 2}
_USAGE = 64


def main() -> int:
    """Parse the command line and run one command; give its exit code."""
    arguments = _parser().parse_args()
    command = {"run": _run, "validate": _validate, "status": _status, "schema": _schema}[arguments.command]
    try:
        return command(arguments)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="whence-agent", description=__doc__)
    parser.add_argument("--version", action="version", version=f"whence-agent {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run", help="boot this instance and stay (exit 0 on SIGTERM, 1 on failure, 78 on bad settings)"
    )
    run.add_argument("--config", default=SETTINGS_FILE, help="platform settings (default: %(default)s)")
    run.add_argument("--verbose", action="store_true", help="log more")
    validate = commands.add_parser(
        "validate", help="judge a user-data file offline (exit 0 valid, 1 invalid, 2 unreadable)"
    )
    validate.add_argument("file", metavar="FILE", help="user data; - reads standard input")
    validate.add_argument(
        "--config", help="platform settings to judge by; without them doubts about registries are warnings"
    )
    validate.add_argument("--format", choices=("text", "json"), default="text", help="default: %(default)s")
    status = commands.add_parser(
        "status", help="ask the running agent (exit 0 ok, 1 failed or away, 2 degraded or booting)"
    )
    status.add_argument("--config", default=SETTINGS_FILE, help="platform settings (default: %(default)s)")
    status.add_argument("--url", help="status endpoint, instead of the one in the settings")
    status.add_argument(
        "--wait", action="store_true", help="wait until the boot has ended and its statement is acknowledged"
    )
    status.add_argument(
        "--timeout", type=float, default=600.0, metavar="SECONDS", help="longest wait (default: %(default)g)"
    )
    status.add_argument("--json", action="store_true", help="print the whole status document")
    commands.add_parser("schema", help="print the JSON Schema of user data, for editors")
    return parser


def _run(arguments: argparse.Namespace) -> int:
    from whence_agent.wiring import run_agent
    from whence_common import logs

    settings = _settings(arguments.config)
    if settings is None:
        return 78
    logs.set_up(verbose=arguments.verbose)
    try:
        asyncio.run(run_agent(settings, notify_socket=os.environ.get("NOTIFY_SOCKET")))
    except SettingsInvalid as exc:
        print(f"whence-agent: {exc.diagnostics()}", file=sys.stderr)
        return 78
    except (OSError, WhenceError) as exc:
        print(f"whence-agent: cannot run: {exc}", file=sys.stderr)
        return 1
    except BaseExceptionGroup as group:
        errors = group.split((OSError, WhenceError))
        if errors[1] is not None:
            raise
        print(f"whence-agent: cannot run: {'; '.join(str(exc) for exc in group.exceptions)}", file=sys.stderr)
        return 1
    return 0


def _validate(arguments: argparse.Namespace) -> int:
    raw = _read(arguments.file, _READ_BYTES_MAX)
    if raw is None:
        return 2
    rules = PlatformRules(platform_known=False)
    if arguments.config is not None:
        settings = _settings(arguments.config)
        if settings is None:
            return 2
        rules = settings.registry_rules()
    judgement = judge(raw, rules)
    if arguments.format == "json":
        print(json.dumps({"problems": [problem.to_wire() for problem in judgement.problems]}, indent=2))
    else:
        name = "standard input" if arguments.file == "-" else arguments.file
        if judgement.problems:
            print(render(judgement.problems, name=name, lines=judgement.lines))
        errors = sum(problem.severity == "error" for problem in judgement.problems)
        warnings = len(judgement.problems) - errors
        print(f"{name}: {'invalid' if errors else 'valid'}, {errors} errors, {warnings} warnings")
    return 1 if has_errors(judgement.problems) else 0


def _status(arguments: argparse.Namespace) -> int:
    url = arguments.url
    if url is None:
        settings = _settings(arguments.config)
        if settings is None:
            return 1
        host = "127.0.0.1" if settings.status_address == "0.0.0.0" else settings.status_address  # noqa: S104 - compared
        url = f"http://{host}:{settings.status_port}"
    if not url.startswith(("http://", "https://")):
        print(f"whence-agent: {url!r} is no http URL", file=sys.stderr)
        return _USAGE
    ends = time.monotonic() + arguments.timeout
    while True:
        document = _ask(url.rstrip("/") + "/status")
        settled = document is not None and document["state"] in ("ok", "failed")
        if not arguments.wait or settled or time.monotonic() >= ends:
            break
        time.sleep(min(0.3, max(0.0, ends - time.monotonic())))
    if document is None:
        print(f"whence-agent: no agent answers at {url}: see systemctl status whence-agent", file=sys.stderr)
        return 1
    if arguments.json:
        print(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        reasons = document["reasons"]
        assert isinstance(reasons, list)
        print("\n".join([str(document["state"]), *(f"  {reason}" for reason in reasons)]))
        print(f"  what to do: {document['what_to_do']}")
    return _EXIT_OF_STATE.get(str(document["state"]), 2)


def _schema(_: argparse.Namespace) -> int:
    print(json.dumps(json_schema(KEYS), indent=2))
    return 0


def _ask(url: str) -> dict[str, object] | None:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - the scheme has been checked
            document = json.loads(answer.read(_READ_BYTES_MAX))
    except (urllib.error.URLError, OSError, ValueError):
        return None
    return document if isinstance(document, dict) and "state" in document else None


def _settings(path: str) -> Settings | None:
    content = _read(path, SETTINGS_BYTES_MAX + 1)
    if content is None:
        return None
    try:
        return parse_settings(content, name=path)
    except SettingsInvalid as exc:
        print(f"whence-agent: {exc.diagnostics()}", file=sys.stderr)
        return None


def _read(path: str, bytes_max: int) -> bytes | None:
    try:
        if path == "-":
            return sys.stdin.buffer.read(bytes_max)
        with Path(path).open("rb") as stream:
            return stream.read(bytes_max)
    except OSError as exc:
        print(f"whence-agent: {path} cannot be read: {exc.strerror}", file=sys.stderr)
        return None


if __name__ == "__main__":
    sys.exit(main())
