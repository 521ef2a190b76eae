"""Progress on a terminal: one line that is overwritten; nothing where stderr is no terminal."""

from __future__ import annotations

import sys

from whence_aggregator.accounts_command.ending import say
from whence_common.visible import printable


class ProgressLine:
    """Counts what is done of a known number. `total` is the number of accounts or changes."""

    def __init__(self, word: str, total: int) -> None:
        self._word = word
        self._total = total
        self._done = 0
        self._shows = sys.stderr.isatty()

    def step(self, name: str) -> None:
        """Note that one more is done; `name` is shown beside the count."""
        self._done += 1
        if self._shows:
            shown = printable(name)[:60]
            sys.stderr.write(f"\r\x1b[K{self._word} {self._done}/{self._total}  {shown}")
            sys.stderr.flush()

    def say(self, text: str) -> None:
        """Print a message on a line of its own, also where there is no terminal."""
        self.end()
        say(f"whence-accounts: {printable(text)}")

    def end(self) -> None:
        if self._shows:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
