"""A person at a terminal, who runs the real `whence` in a home folder of their own."""

from __future__ import annotations

import asyncio
import json
import os
import re
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fakes.openid_provider import Browser
from landscape.processes import Ended, ended

WHENCE = Path(sys.executable).parent / "whence"
_SECONDS_MAX = 60.0
_LEFT_OUT = ("WHENCE_TOKEN", "WHENCE_PROFILE", "XDG_STATE_HOME", "DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "SSH_TTY",
             "SSH_CONNECTION")  # fmt: skip


@dataclass
class Running:
    """A command that runs, with what it has printed to stderr so far."""

    process: asyncio.subprocess.Process
    printed: str = ""

    async def prints(self, pattern: str) -> str:
        """Wait until stderr has text of a pattern; return its first group."""
        assert self.process.stderr is not None
        async with asyncio.timeout(_SECONDS_MAX):
            while (found := re.search(pattern, self.printed)) is None:
                line = await self.process.stderr.readline()
                assert line, f"it ended, and printed {self.printed}"
                self.printed += line.decode()
        return found[1]

    async def ends(self) -> Ended:
        async with asyncio.timeout(_SECONDS_MAX):
            stdout, stderr = await self.process.communicate()
        return Ended(code=self.process.returncode or 0, out=stdout.decode(), err=self.printed + stderr.decode())


@dataclass
class Terminal:
    """`environment` is added to that of the commands."""

    url: str
    home: Path
    environment: dict[str, str] = field(default_factory=dict)

    async def begin(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Running:
        process = await asyncio.create_subprocess_exec(
            WHENCE, *arguments, env=self._whole(environment),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        return Running(process)

    async def run(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Ended:
        return await ended(WHENCE, *arguments, inherited=self._whole(environment), seconds_max=_SECONDS_MAX)

    def _whole(self, environment: Mapping[str, str] | None) -> dict[str, str]:
        base = {name: value for name, value in os.environ.items() if name not in _LEFT_OUT}
        return {**base, "HOME": str(self.home), "WHENCE_URL": self.url, **self.environment, **(environment or {})}

    async def sign_in(self, browser: Browser, *arguments: str) -> Ended:
        """Run `whence login` and be the browser on the same machine."""
        running = await self.begin("login", "--no-browser", *arguments)
        page = await browser.open_slowly(await running.prints(r"(http://\S+/auth\?\S+)"))
        assert "You may close this page" in page
        return await running.ends()

    async def whoami(self) -> dict[str, Any]:
        shown = await self.run("whoami", "--json")
        assert shown.code == 0, shown.told
        found: dict[str, Any] = json.loads(shown.out)
        return found

    @property
    def folder(self) -> Path:
        return self.home / ".local/state/whence/tokens"

    def file(self) -> Path:
        """Return the only file with tokens."""
        (found,) = self.folder.glob("*.json")
        return found

    def kept(self) -> dict[str, Any]:
        """Return what is kept; checks that nobody else may read it."""
        file = self.file()
        assert (stat.S_IMODE(file.stat().st_mode), stat.S_IMODE(self.folder.stat().st_mode)) == (0o600, 0o700)
        found: dict[str, Any] = json.loads(file.read_text())
        return found

    def change(self, **changes: object) -> None:
        """Change what is kept, such as its times."""
        self.file().write_text(json.dumps({**self.kept(), **changes}))
