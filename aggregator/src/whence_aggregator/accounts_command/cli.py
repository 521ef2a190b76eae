"""whence-accounts: plan and apply the configuration of AWS accounts. The successor of Seven Seconds.

\b
Exit codes:
  0    converged: no change is pending, or every change of the plan is applied
  1    an error, or something that could not be read or written; the other accounts and steps are reported
  2    changes are pending (plan, configure --dry-run)
  64   invalid usage
  70   internal error
  130  interrupted by Ctrl-C or SIGTERM: apply the plan again to go on
  141  the reader of the output closed the pipe
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from typing import NoReturn

import click

from whence_aggregator import __version__
from whence_aggregator.accounts_command import applied, bootstrapped, described, limits, permitted, planned
from whence_aggregator.accounts_command.ending import ERROR, INTERNAL, INTERRUPTED, READER_GONE, USAGE, ProgramEnd, say
from whence_common.errors import WhenceError
from whence_common.runtime.output import prepare_output
from whence_common.visible import printable


@click.group(help=__doc__, context_settings={"max_content_width": 120})
@click.version_option(__version__, prog_name="whence-accounts")
def accounts() -> None:
    """Dispatch to the subcommands."""


for _command in (
    planned.plan, planned.configure, bootstrapped.bootstrap, applied.apply, applied.show_, applied.submit,
    permitted.check_permissions, limits.limits, described.schema, described.explain, described.import_,
    described.convert_,
):  # fmt: skip
    accounts.add_command(_command)


def main() -> NoReturn:
    """Run the command and exit with a code from the help text, also when interrupted."""
    prepare_output()
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    code = INTERNAL
    try:
        code = _run()
        sys.stdout.flush()
    except BrokenPipeError:
        code = READER_GONE
    except OSError as exc:
        code = ERROR
        say(f"whence-accounts: the output cannot be written: {exc.strerror or exc}")
    os._exit(code)  # not sys.exit: it would flush again, and fail again if the output is closed


def _run() -> int:
    try:
        accounts.main(standalone_mode=False)
    except ProgramEnd as exc:
        return exc.code
    except WhenceError as exc:
        fix = f"\n  fix: {printable(exc.fix)}" if exc.fix else ""
        say("whence-accounts: " + "\n".join(printable(one) for one in exc.message.splitlines()) + fix)
        return ERROR
    except (click.Abort, KeyboardInterrupt):
        say("whence-accounts: interrupted; a plan that was being applied is continued by applying it again")
        return INTERRUPTED
    except click.ClickException as exc:
        exc.show()
        return USAGE
    except SystemExit as exc:
        return exc.code if isinstance(exc.code, int) else 0
    except OSError:
        raise
    except Exception:  # noqa: BLE001 - the traceback is printed; Python's own exit code, 1, would mean an error of AWS
        traceback.print_exc()
        return INTERNAL
    return 0
