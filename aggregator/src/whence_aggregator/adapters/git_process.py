"""One run of the git program: no settings of the machine, no prompts, bounded files and time, and no child left."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from whence_aggregator.ports import SourceUnavailable
from whence_common.registry_sign_in import Login

_ERROR_BYTES_MAX = 8 * 1024
_HELPER = '!f() {{ test "$1" = get && cat /dev/fd/{}; }}; f'
"""Read once: a login that is refused is not shown again, and "store" and "erase" find nothing to do."""
_PIPE_BYTES_MAX = 32 * 1024
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


async def run_git(
    directory: str, *arguments: str, seconds_max: float, file_bytes_max: int, login: Login | None = None
) -> tuple[int, bytes, str]:
    """Run git in a directory; return its exit code, output and the end of its error output. Raises GitTooSlow.

    A login goes through a pipe to its credential helper: neither argv nor the environment has it.
    """
    with _credentials(login) as descriptor:
        helper = () if descriptor is None else ("-c", f"credential.helper={_HELPER.format(descriptor)}")
        process = await asyncio.create_subprocess_exec(
            "git",
            *helper,
            *arguments,
            cwd=directory,
            env=_ENVIRONMENT,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes_max, file_bytes_max)),
            pass_fds=() if descriptor is None else (descriptor,),
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


@contextmanager
def _credentials(login: Login | None) -> Iterator[int | None]:
    """Yield the read end of a pipe that holds the answer of a credential helper (git-credential(7))."""
    if login is None or not login.username:
        yield None
        return
    said = f"username={login.username}\npassword={login.password}\n".encode()
    assert len(said) < _PIPE_BYTES_MAX, "a login is shorter than what a pipe takes at once"
    read_end, write_end = os.pipe()
    try:
        os.write(write_end, said)
        os.close(write_end)
        yield read_end
    finally:
        os.close(read_end)
