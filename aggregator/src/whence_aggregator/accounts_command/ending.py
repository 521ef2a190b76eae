"""Exit codes and messages of the program."""

from __future__ import annotations

import sys
from typing import NoReturn

from whence_common.errors import WhenceError
from whence_common.runtime.output import print_note
from whence_common.visible import printable

CONVERGED, ERROR, PENDING, USAGE, INTERRUPTED, READER_GONE, INTERNAL = 0, 1, 2, 64, 130, 141, 70


class ProgramEnd(Exception):
    """The program ends with a code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def say(text: str) -> None:
    """Print a message for people on stderr, after what was printed on stdout before."""
    print_note(text)


def show(text: str) -> None:
    """Print a line of the result on stdout. Raises End where its reader is gone: click would end with 1."""
    try:
        sys.stdout.write(f"{text}\n")
    except BrokenPipeError:
        raise ProgramEnd(READER_GONE) from None


def end(message: str, code: int) -> NoReturn:
    say(f"whence-accounts: {message}")
    raise ProgramEnd(code)


def fail(exc: WhenceError) -> NoReturn:
    """End with an error that people can act on."""
    lines = [" ".join(printable(one).split()) for one in exc.message.splitlines()]
    fix = f"\n  fix: {printable(exc.fix)}" if exc.fix else ""
    end("\n".join(lines) + fix, ERROR)
