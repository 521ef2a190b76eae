"""Commands whose output was closed before they started end as if somebody read it."""

from __future__ import annotations

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
