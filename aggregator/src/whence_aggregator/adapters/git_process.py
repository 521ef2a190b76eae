"""One run of the git program: no settings of the machine, no prompts, bounded files and time, and no child left."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from contextlib import suppress

from whence_aggregator.ports import SourceUnavailable

_ERROR_BYTES_MAX = 8 * 1024
_ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/nonexistent",
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "http:https",
    "GIT_NO_LAZY_FETCH": "1",
}


class GitTooSlow(SourceUnavailable):
    """Git was given up after its time."""


async def run_git(directory: str, *arguments: str, seconds_max: float, file_bytes_max: int) -> tuple[int, bytes, str]:
    """Run git in a directory; return its exit code, output and the end of its error output. Raises GitTooSlow."""
    process = await asyncio.create_subprocess_exec(
        "git",
        *arguments,
        cwd=directory,
        env=_ENVIRONMENT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes_max, file_bytes_max)),
    )
    try:
        async with asyncio.timeout(seconds_max):
            output, error = await process.communicate()
    except TimeoutError as exc:
        raise GitTooSlow("git-too-slow", f"git took over {seconds_max:g} seconds") from exc
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return process.returncode or 0, output, error[-_ERROR_BYTES_MAX:].decode("utf-8", "replace")
