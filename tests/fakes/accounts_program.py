"""The program whence-accounts as its users run it, before a counting proxy: it may be killed at any write call."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fakes.counted_aws import AwsCall, CountedAws

SECONDS_MAX = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a run ended. A negative code is that of a signal."""

    code: int
    out: str
    err: str


@dataclass
class AccountsProgram:
    """Runs the program in a folder, with a home of its own."""

    aws: CountedAws
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    file_bytes_max: int | None = None
    """The longest file that it may write, in whole KiB: the kernel cuts the write that would pass it."""

    async def run(
        self, *words: str | Path, started: Callable[[asyncio.subprocess.Process], None] | None = None
    ) -> Ended:
        """Run a command to its end; `started` is given the process."""
        process = await asyncio.create_subprocess_exec(
            *self._limited(), str(Path(sys.executable).with_name("whence-accounts")), *map(str, words), cwd=self.folder,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env={
                "PATH": "/usr/bin:/bin", "HOME": str(self.folder), "LANG": "C.UTF-8", "AWS_ENDPOINT_URL": self.aws.url,
                "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", **self.environment,
            },
        )  # fmt: skip
        if started is not None:
            started(process)
        async with asyncio.timeout(SECONDS_MAX):
            out, err = await process.communicate()
        assert process.returncode is not None
        return Ended(code=process.returncode, out=out.decode(), err=err.decode())

    def _limited(self) -> tuple[str, ...]:
        if self.file_bytes_max is None:
            return ()
        return "bash", "-c", f'ulimit -f {self.file_bytes_max // 1024}; exec "$@"', "limited"

    async def killed_at(self, number: int, *words: str | Path, has_acted: bool) -> Ended:
        """Run a command and kill it at a write call, counted from 1: before AWS has acted, or after."""
        counted = 0
        running: asyncio.subprocess.Process

        def at(call: AwsCall) -> None:
            nonlocal counted
            counted += call.is_write
            if call.is_write and counted == number:
                running.kill()

        def take(process: asyncio.subprocess.Process) -> None:
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
            return await self.run(*words, started=take)
        finally:
            self.aws.after = lambda _: None
            self.aws.before = lambda _: None


@asynccontextmanager
async def accounts_program(backend: str, folder: Path) -> AsyncIterator[AccountsProgram]:
    """Open the program before a running moto server."""
    async with CountedAws(backend).serve() as aws:
        yield AccountsProgram(aws, folder)
