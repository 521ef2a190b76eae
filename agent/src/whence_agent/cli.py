"""whence-agent: run the agent, validate user data offline, show a running agent's status, keep credentials current."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from whence_agent import __version__

if TYPE_CHECKING:
    from whence_agent.adapters.sigv4 import AwsKeys

SETTINGS_FILE = "/etc/whence/agent.yaml"
BERRY_FILE = "/etc/taupage.yaml"


def main() -> int:
    """Parse the command line, run one command and return its exit code."""
    arguments = make_parser().parse_args()
    try:
        code: int = arguments.command(arguments)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    return code


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="whence-agent", description=__doc__)
    parser.add_argument("--version", action="version", version=f"whence-agent {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (_run, _validate, _explain, _status, _credentials, _machine):
        add(commands)
    return parser


def _command(commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, help_: str,
             command: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:  # fmt: skip
    parser = commands.add_parser(name, help=help_, description=help_)
    parser.set_defaults(command=command)
    return parser


def _run(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    def run(arguments: argparse.Namespace) -> int:
        from whence_agent.commands.run import run
        from whence_agent.proxies import Proxies

        return run(
            arguments.config,
            verbose=arguments.verbose,
            notify_socket=os.environ.get("NOTIFY_SOCKET"),
            watchdog_usec=os.environ.get("WATCHDOG_USEC"),
            proxies=Proxies.of_environment(os.environ),
        )

    help_ = (
        "boot this instance and supervise it (exit 0 on SIGTERM, 1 on failure, 78 on invalid settings; SIGHUP reads "
        "the settings again)"
    )
    parser = _command(commands, "run", help_, run)
    parser.add_argument("--config", default=SETTINGS_FILE, help="platform settings (default: %(default)s)")
    parser.add_argument("--verbose", action="store_true", help="log more")


def _validate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    def validate(arguments: argparse.Namespace) -> int:
        from whence_agent.commands.validate import validate

        return validate(arguments.file, config=arguments.config, form=arguments.format)

    help_ = "validate a user data file offline (exit 0 valid, 1 invalid, 2 unreadable)"
    parser = _command(commands, "validate", help_, validate)
    parser.add_argument("file", metavar="FILE", help="user data; - reads standard input")
    parser.add_argument(
        "--config", help="platform settings; without them, violations of the platform's rules are warnings"
    )
    parser.add_argument("--format", choices=("text", "json", "sarif"), default="text", help="default: %(default)s")


def _explain(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    def explain(arguments: argparse.Namespace) -> int:
        from whence_agent.commands.validate import explain

        return explain(arguments.key)

    def schema(_: argparse.Namespace) -> int:
        from whence_agent.commands.validate import schema

        return schema()

    parser = _command(commands, "explain", "explain a key of user data, and what Taupage did with it", explain)
    parser.add_argument(
        "key", metavar="KEY", nargs="?", help="such as mounts or notify_cfn.stack; by default, list all keys"
    )
    _command(commands, "schema", "print the JSON Schema of user data, for editors", schema)


def _status(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    def status(arguments: argparse.Namespace) -> int:
        from whence_agent.commands.status import status

        return status(
            arguments.config, url=arguments.url, wait=arguments.wait, timeout=arguments.timeout, whole=arguments.json
        )

    help_ = "show the running agent's status (exit 0 ok, 1 failed or unreachable, 2 degraded or booting)"
    parser = _command(commands, "status", help_, status)
    parser.add_argument("--config", default=SETTINGS_FILE, help="platform settings (default: %(default)s)")
    parser.add_argument("--url", help="URL of the status endpoint (default: by the settings)")
    parser.add_argument(
        "--wait", action="store_true", help="wait until the boot has ended and its statement is acknowledged"
    )
    parser.add_argument(
        "--timeout", type=float, default=600.0, metavar="SECONDS", help="longest wait (default: %(default)g)"
    )
    parser.add_argument("--json", action="store_true", help="print the whole status document")


def _credentials(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    def credentials(arguments: argparse.Namespace) -> int:
        from whence_agent.commands.credentials import Options, credentials
        from whence_agent.proxies import Proxies

        return credentials(
            Options(
                directory=arguments.directory,
                config=arguments.config_file,
                application_id=arguments.application_id,
                mint_bucket=arguments.mint_bucket,
                credentials_file=arguments.aws_credentials_file,
                interval_seconds=arguments.interval,
                once=arguments.once,
                verbose=not arguments.silent,
                region=arguments.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"),
                endpoint_url=arguments.endpoint_url,
                environment_keys=_environment_keys(),
                proxies=Proxies.of_environment(os.environ),
            )
        )

    help_ = (
        "keep user.json and client.json of a mint bucket current in a directory, as berry did (exit 0 current, 1 not, "
        "2 invalid usage)"
    )
    parser = _command(commands, "credentials", help_, credentials)
    parser.add_argument("directory", metavar="DIRECTORY", help="directory for the files; it must exist")
    parser.add_argument("-f", "--config-file", default=BERRY_FILE, metavar="FILE",
                        help="YAML with application_id and mint_bucket (default: %(default)s)")  # fmt: skip
    parser.add_argument("-a", "--application-id", metavar="ID", help="application (default: the file's)")
    parser.add_argument("-m", "--mint-bucket", metavar="BUCKET", help="bucket (default: the file's)")
    parser.add_argument("-c", "--aws-credentials-file", metavar="FILE",
                        help="file with lines of application:access key:secret key, for use outside AWS")  # fmt: skip
    parser.add_argument(
        "-i", "--interval", type=_seconds, default=120.0, metavar="SECONDS", help="default: %(default)g"
    )
    parser.add_argument("--once", action="store_true", help="read the objects once, and exit")
    parser.add_argument("-s", "--silent", action="store_true", help="log less")
    parser.add_argument("--region", help="AWS region (default: AWS_REGION, else the bucket's)")
    parser.add_argument("--endpoint-url", help="another URL for S3")


def _machine(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    def machine(arguments: argparse.Namespace) -> int:
        from whence_agent.commands.machine import machine

        return machine(arguments.config, dev=arguments.dev, root=arguments.root, wait_seconds=arguments.wait_seconds,
                       only=arguments.only)  # fmt: skip

    help_ = "serve one request that needs root, from standard input; started by systemd"
    parser = _command(commands, "machine", help_, machine)
    parser.add_argument("--config", default=SETTINGS_FILE, help="platform settings (default: %(default)s)")
    parser.add_argument("--only", choices=("disks", "host"), help="refuse other requests (default: serve all)")
    parser.add_argument("--dev", default="/dev", help="directory of devices (default: %(default)s)")
    parser.add_argument("--root", default="/", help="root directory of the system (default: %(default)s)")
    parser.add_argument(
        "--wait-seconds", type=float, default=60.0, help="longest wait for a device (default: %(default)g)"
    )


def _environment_keys() -> AwsKeys | None:
    from whence_agent.adapters.sigv4 import AwsKeys

    key, secret = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
    return AwsKeys(key, secret, os.environ.get("AWS_SESSION_TOKEN", "")) if key and secret else None


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 1 <= seconds <= 86_400:
        raise argparse.ArgumentTypeError("must be from 1 to 86400 seconds")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
