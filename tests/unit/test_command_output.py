"""Both streams of commands: one that was closed before the start is discarded; in one file, they are in order."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("command", ["whence", "whence-accounts"])
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_command_whose_output_is_closed_ends_as_otherwise(command: str, closed: str) -> None:
    at = Path(sys.executable).with_name(command)
    ended = subprocess.run(["bash", "-c", f"'{at}' --version {closed}"], capture_output=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_what_is_noted_comes_after_what_was_printed_before_it() -> None:
    text = "from whence_aggregator.whence.output import note, out; out('link\\n'); note('valid once'); out('end\\n')"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    ended = subprocess.run(
        [sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, check=True
    )
    assert ended.stdout == b"link\nvalid once\nend\n"
