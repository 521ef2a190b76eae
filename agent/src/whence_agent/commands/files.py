"""Read the files that a command line names, and print why they cannot be read."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from whence_agent.settings import Settings
from whence_agent.settings import read_settings as read_settings_of
from whence_common.settings_file import SETTINGS_BYTES_MAX, Document, SettingsInvalid

SAMPLE_FILE = "/etc/whence/agent.sample.yaml"


def read(path: str, bytes_max: int) -> bytes | None:
    """Return the content of a file, or of standard input for -; None after printing the error."""
    try:
        if path == "-":
            return sys.stdin.buffer.read(bytes_max)
        with Path(path).open("rb") as stream:
            return stream.read(bytes_max)
    except OSError as exc:
        print(f"whence-agent: {path} cannot be read: {exc.strerror}", file=sys.stderr)
        return None


def read_settings(path: str) -> Settings | None:
    """Return the platform's settings; None after printing every error."""
    document = read_document(path)
    return document.settings if document is not None else None


def read_document(path: str) -> Document[Settings] | None:
    """Return the platform's settings with their places; None after printing every error."""
    if not Path(path).exists():
        fix = f"copy {SAMPLE_FILE} to it, edit it, then: systemctl restart whence-agent"
        print(f"whence-agent: there are no settings: {path} does not exist ({fix})", file=sys.stderr)
        return None
    content = read(path, SETTINGS_BYTES_MAX + 1)
    if content is None:
        return None
    try:
        return read_settings_of(content, name=path, credentials_directory=os.environ.get("CREDENTIALS_DIRECTORY"))
    except SettingsInvalid as exc:
        print(f"whence-agent: {exc.diagnostics()}", file=sys.stderr)
        return None
