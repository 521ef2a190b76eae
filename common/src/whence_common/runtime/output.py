"""The output of commands: any text can be written, also to a stream that was closed before the start."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path


def prepare_output() -> None:
    """Have both streams escape what their encoding lacks. A stream that is closed discards what is written."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who started it: nobody reads it
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - never closed
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # text streams, as Python opens them


def print_note(text: str) -> None:
    """Print a line to stderr, after what was printed to stdout before, also where both are one file. Raises OSError."""
    with suppress(OSError):  # stdout's reader is gone: who writes the rest finds out
        sys.stdout.flush()
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()
