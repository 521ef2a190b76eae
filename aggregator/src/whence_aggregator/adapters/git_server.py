"""Exactly one commit from any Git server: a partial fetch of its object into a throw-away repository."""

from __future__ import annotations

import asyncio
import resource
import tempfile
from collections.abc import Mapping

from whence_aggregator.ports import SourceUnavailable
from whence_common.errors import one_line
from whence_common.identifiers import COMMIT_ID
from whence_common.scm_source import Repository

COMMIT_BYTES_MAX = 1024 * 1024
FETCH_SECONDS_MAX = 60.0
_FILE_BYTES_MAX = 64 * 1024 * 1024
"""A server that ignores the filter sends everything; it must not fill the disk."""
_ERROR_BYTES_MAX = 8 * 1024
_NO_SUCH_COMMIT = ("not our ref", "couldn't find remote ref", "no such remote ref", "Server does not allow request")
_ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/nonexistent",
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "http:https",
}


class GitServerReader:
    """Asks the Git servers it is told to, and no others: the address comes out of an image, so from outside."""

    def __init__(self, *, plain_http: Mapping[str, bool]) -> None:
        self._plain_http = plain_http

    async def commit(self, repository: Repository, commit_id: str) -> bytes | None:
        """Fetch a commit object; Git itself checks that the bytes hash to the id. Raises SourceUnavailable."""
        assert COMMIT_ID.match(commit_id)
        if repository.host not in self._plain_http:
            raise SourceUnavailable(
                "git-not-configured", f"{repository.host} is not among the Git servers in the aggregator's settings"
            )
        scheme = "http" if self._plain_http[repository.host] else "https"
        url = f"{scheme}://{repository.host}/{repository.path}.git"
        with tempfile.TemporaryDirectory(prefix="whence-git-") as directory:
            await self._git(directory, "init", "--quiet", "--bare", ".")
            await self._git(directory, "remote", "add", "origin", url)
            options = ("-c", "http.followRedirects=false", "-c", "fetch.fsckObjects=true", "-c", "gc.auto=0")
            fetch = ("fetch", "--quiet", "--depth=1", "--filter=tree:0", "--no-tags", "origin", commit_id)
            status, _, error = await _run(directory, *options, *fetch)
            if status != 0:
                if any(sign in error for sign in _NO_SUCH_COMMIT):
                    return None
                raise SourceUnavailable("git-refused", f"{url}: {one_line(error, 200) or 'the fetch failed'}")
            size = (await self._git(directory, "cat-file", "-s", commit_id)).strip()
            if not size.isdigit() or int(size) > COMMIT_BYTES_MAX:
                raise SourceUnavailable("git-commit-too-large", f"{url}: the commit object is too large")
            return await self._git(directory, "cat-file", "commit", commit_id)

    async def _git(self, directory: str, *arguments: str) -> bytes:
        status, output, error = await _run(directory, *arguments)
        if status != 0:
            raise SourceUnavailable("git-failed", f"git {arguments[0]}: {one_line(error, 200)}")
        return output


async def _run(directory: str, *arguments: str) -> tuple[int, bytes, str]:
    process = await asyncio.create_subprocess_exec(
        "git",
        *arguments,
        cwd=directory,
        env=_ENVIRONMENT,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        preexec_fn=_bound_files,
    )
    try:
        async with asyncio.timeout(FETCH_SECONDS_MAX):
            output, error = await process.communicate()
    except TimeoutError as exc:
        raise SourceUnavailable("git-too-slow", f"git {arguments[0]} took over {FETCH_SECONDS_MAX:g} seconds") from exc
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, output, error[-_ERROR_BYTES_MAX:].decode("utf-8", "replace")


def _bound_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE_BYTES_MAX, _FILE_BYTES_MAX))
