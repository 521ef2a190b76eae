"""An agent that cannot run states so on the machine's console, which is all that is left of a machine that fails."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from landscape.programs import BIN


def run_agent(tmp_path: Path, settings: str, *, by_systemd: bool = True) -> tuple[int, str, str]:
    """Run the agent until it ends; give its exit code, its standard output and its standard error."""
    config = tmp_path / "agent.yaml"
    config.write_text(settings, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(tmp_path / "notify"))
        if by_systemd:
            environment["NOTIFY_SOCKET"] = str(tmp_path / "notify")
        done = subprocess.run(
            [sys.executable, BIN / "whence-agent", "run", "--config", config],
            env=environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def without_state(tmp_path: Path) -> str:
    """Settings with a state directory below a file, which nobody can make."""
    (tmp_path / "file").write_text("", encoding="ascii")
    return json.dumps(
        {
            "aggregator_url": "http://127.0.0.1:1",
            "state_directory": str(tmp_path / "file/state"),
            "status_port": 0,
            "application_gid": 999,
        }
    )


def test_a_state_directory_that_cannot_be_written_is_on_the_console(tmp_path: Path) -> None:
    code, console, log = run_agent(tmp_path, without_state(tmp_path))
    assert code == 1
    (line,) = console.splitlines()
    assert line.startswith("ERROR: cannot run: ")
    assert "Not a directory" in line
    assert "cannot run: " in log


@pytest.mark.parametrize("settings", ["", "nothing: known\n", "{"])
def test_settings_that_are_wrong_are_on_the_console(tmp_path: Path, settings: str) -> None:
    code, console, _ = run_agent(tmp_path, settings)
    assert code == 78
    (line,) = console.splitlines()
    assert line.startswith(f"ERROR: the settings {tmp_path}/agent.yaml are ")
    assert "journalctl -u whence-agent" in line


def test_at_a_terminal_the_reason_is_there_once(tmp_path: Path) -> None:
    code, console, log = run_agent(tmp_path, without_state(tmp_path), by_systemd=False)
    assert (code, console) == (1, "")
    assert log.count("cannot run: ") == 1
