"""The program whence-accounts as its users run it, before a counting proxy: it may be killed at any write call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fakes.counted_aws import AwsCall, CountedAws
from landscape.processes import Began, Ended, ended
from landscape.programs import BIN

SECONDS_MAX = 120


@dataclass
class AccountsProgram:
    """Runs the program in a folder, with a home of its own."""

    aws: CountedAws
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    file_bytes_max: int | None = None
    """The longest file that it may write, in whole KiB: the kernel cuts the write that would pass it."""

    async def run(self, *words: str | Path, began: Callable[[Began], None] = lambda _: None) -> Ended:
        """Run a command to its end; `began` is given the process."""
        command = (*self._limited(), BIN / "whence-accounts", *words)
        inherited = {"PATH": "/usr/bin:/bin", "HOME": str(self.folder), "LANG": "C.UTF-8"}
        aws = {"AWS_ENDPOINT_URL": self.aws.url, "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        return await ended(
            *command, cwd=self.folder, environment={**aws, **self.environment}, inherited=inherited,
            seconds_max=SECONDS_MAX, began=began,
        )  # fmt: skip

    def _limited(self) -> tuple[str, ...]:
        if self.file_bytes_max is None:
            return ()
        return "bash", "-c", f'ulimit -f {self.file_bytes_max // 1024}; exec "$@"', "limited"

    async def killed_at(self, number: int, *words: str | Path, has_acted: bool) -> Ended:
        """Run a command and kill it at a write call, counted from 1: before AWS has acted, or after."""
        counted = 0
        running: Began

        def at(call: AwsCall) -> None:
            nonlocal counted
            counted += call.is_write
            if call.is_write and counted == number:
                running.kill()

        def take(process: Began) -> None:
            nonlocal running
            running = process

        self.aws.after = at if has_acted else lambda _: None

        async def before(call: AwsCall) -> None:
            if not has_acted:
                at(call)
                if call.is_write and counted == number:
                    await asyncio.Event().wait()  # AWS never sees it

        self.aws.before = before
        try:
            return await self.run(*words, began=take)
        finally:
            self.aws.after = lambda _: None
            self.aws.before = lambda _: None


@asynccontextmanager
async def accounts_program(backend: str, folder: Path) -> AsyncIterator[AccountsProgram]:
    """Open the program before a running moto server."""
    async with CountedAws(backend).serve() as aws:
        yield AccountsProgram(aws, folder)
