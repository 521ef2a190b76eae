"""The previous release's programs, out of its kept sources, started beside this checkout's."""

from __future__ import annotations

import lzma
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

RELEASES = Path(__file__).resolve().parents[1] / "data" / "releases"


@dataclass(frozen=True)
class Release:
    """A release's sources, unpacked."""

    version: str
    sources: Path

    @property
    def agent(self) -> tuple[str, ...]:
        """Return the command that starts the release's agent."""
        return self._program("whence_agent")

    @property
    def aggregator(self) -> tuple[str, ...]:
        """Return the command that starts the release's aggregator."""
        return self._program("whence_aggregator")

    def _program(self, module: str) -> tuple[str, ...]:
        return ("env", f"PYTHONPATH={self.path}", sys.executable, "-m", module)

    @property
    def path(self) -> str:
        return ":".join(str(self.sources / part / "src") for part in ("common", "agent", "aggregator"))

    def origin(self, module: str) -> Path:
        """Return the file that a module of the release's programs is loaded from."""
        code = f"import {module}; print({module}.__file__)"
        command = ["env", f"PYTHONPATH={self.path}", sys.executable, "-c", code]
        return Path(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout.strip())


def previous_release(directory: Path) -> Release:
    """Unpack the newest release that is kept."""
    newest = max(RELEASES.glob("*.tar.xz"), key=lambda file: [int(part) for part in _version(file).split(".")])
    with lzma.open(newest) as stream, tarfile.open(fileobj=stream) as archive:
        archive.extractall(directory, filter="data")
    return Release(_version(newest), directory)


def _version(file: Path) -> str:
    return file.name.removesuffix(".tar.xz")
