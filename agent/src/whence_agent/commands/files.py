"""Files that a command line names, read with a clear word when they cannot be."""

from __future__ import annotations

import sys
from pathlib import Path

from whence_agent.settings import Settings, parse_settings
from whence_common.settings_file import SETTINGS_BYTES_MAX, SettingsInvalid


def read(path: str, bytes_max: int) -> bytes | None:
    """Read a file, or standard input for -; None after saying why not."""
    try:
        if path == "-":
            return sys.stdin.buffer.read(bytes_max)
        with Path(path).open("rb") as stream:
            return stream.read(bytes_max)
    except OSError as exc:
        print(f"whence-agent: {path} cannot be read: {exc.strerror}", file=sys.stderr)
        return None


def read_settings(path: str) -> Settings | None:
    """Read the platform's settings; None after saying what is wrong."""
    content = read(path, SETTINGS_BYTES_MAX + 1)
    if content is None:
        return None
    try:
        return parse_settings(content, name=path)
    except SettingsInvalid as exc:
        print(f"whence-agent: {exc.diagnostics()}", file=sys.stderr)
        return None
