"""A bare repository of ours that fetches from one repository of a server: bounded runs of git in it."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from whence_aggregator.adapters.git_places import GitPlace
from whence_aggregator.adapters.git_process import NO_ROAD, GitBounds, GitInput, GitRoad, GitRuns, GitTooSlow
from whence_aggregator.ports import SourceUnavailable
from whence_common.errors import one_line
from whence_common.registry_sign_in import Login
from whence_common.scm_source import SourceRepository

FETCH = (
    "fetch", "--quiet", "--filter=tree:0", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance",
    "--no-recurse-submodules", "--no-show-forced-updates",
)  # fmt: skip
_UNAUTHORISED = ("Authentication failed", "could not read Username")
_KEY_REFUSED = "Permission denied (publickey"
_DENIED = "The requested URL returned error: 403"
_HOST_KEY = "Host key verification failed"
_ERROR_CHARACTERS_MAX = 200


class GitFailed(SourceUnavailable):
    """A command that contacts no server failed: the repository of ours is damaged, or git is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloneBounds:
    """The bounds of each run of git, and of the whole work."""

    seconds_max: float
    file_bytes_max: int
    until: float
    """By the loop's clock: the work must end before the lease of its task."""


class GitClone:
    """Runs git in one repository. `held` are file descriptors of locks."""

    def __init__(
        self, *, runs: GitRuns, place: GitPlace, repository: SourceRepository, directory: str, bounds: CloneBounds,
        held: tuple[int, ...] = (),
    ) -> None:  # fmt: skip
        self._runs = runs
        self._place = place
        self._bounds = bounds
        self._held = held
        self.repository = repository
        self.directory = directory
        self.url = place.url(repository)

    async def init(self, object_format: str) -> None:
        """Make the repository."""
        await self.git("init", "--quiet", "--bare", f"--object-format={object_format}", "--template=", ".")
        await self.git("remote", "add", "origin", self.url)

    async def run(
        self, *arguments: str, content: bytes = b"", road: GitRoad = NO_ROAD, bytes_max: int | None = None
    ) -> tuple[int, bytes, str]:
        """Run a git command that contacts no server. `bytes_max`: output beyond it is cut off."""
        bounds = self._now()
        if bytes_max is not None:
            bounds = dataclasses.replace(bounds, output_bytes_max=bytes_max, cut=True)
        return await self._run(arguments, bounds, road, GitInput(content=content, held=self._held))

    async def git(self, *arguments: str, content: bytes = b"", bytes_max: int | None = None) -> bytes:
        """Return the output of a git command that contacts no server. Raises GitFailed when it fails."""
        status, output, error = await self.run(*arguments, content=content, bytes_max=bytes_max)
        if status != 0 and not (bytes_max is not None and len(output) == bytes_max):
            raise GitFailed("git-failed", f"git {arguments[0]}: {one_line(error, _ERROR_CHARACTERS_MAX)}")
        return output

    async def ask(self, *arguments: str) -> tuple[int, bytes, str]:
        """Run a git command that contacts the server, with the login. Raises SourceUnavailable when it is refused."""
        logins, host = self._place.logins, self.repository.host
        login = await logins.login(self.repository.path)
        status, output, error = await self._asked(arguments, login)
        if status != 0 and any(sign in error for sign in _UNAUTHORISED):
            raise logins.refused(login)
        if status != 0 and _DENIED in error:
            raise SourceUnavailable("git-denied", f"{self.url}: HTTP 403", fix=f"let the login for {host} read it")
        if status != 0 and _KEY_REFUSED in error:
            raise SourceUnavailable(
                "git-key-refused",
                f"{self.url}: the server does not accept the key",
                fix="let ssh_key_file's key read it",
            )
        if status != 0 and _HOST_KEY in error:
            raise SourceUnavailable(
                "git-host-key", f"{self.url}: the server's host key is not in ssh_known_hosts_file",
                fix="check the server's key, and add it to the file only if it is genuine",
            )  # fmt: skip
        return status, output, error

    async def _asked(self, arguments: tuple[str, ...], login: Login | None) -> tuple[int, bytes, str]:
        return await self._run(arguments, self._now(), self._place.road, GitInput(login=login, held=self._held))

    def is_shallow(self) -> bool:
        """Return whether the history is cut off somewhere, which git notes in a file (gitrepository-layout(5))."""
        place = Path(self.directory, "shallow")
        return place.exists() and place.stat().st_size > 0

    async def has_commit(self, commit_id: str) -> bool:
        """Return whether the repository of ours holds a commit of exactly this id. Nothing is fetched."""
        return not await self.lacking([commit_id])

    async def lacking(self, commit_ids: Sequence[str]) -> list[str]:
        """Return those of the commits that the repository of ours does not hold.

        NOTE: not by `git cat-file`, which looks through all objects of a partial clone for one that is not there.
        """
        asked = ("rev-list", "--no-walk", "--missing=print", "--ignore-missing", *commit_ids, "--")
        held = set((await self.git(*asked)).decode("ascii", "replace").split())
        return [one for one in commit_ids if one not in held]

    def has_full_file(self) -> bool:
        """Return whether a pack reached the bound: git reports only that index-pack failed."""
        packs = Path(self.directory, "objects", "pack").glob("tmp_*")
        return any(one.stat().st_size >= self._bounds.file_bytes_max for one in packs)

    def refused(self, error: str) -> SourceUnavailable:
        message = one_line(error, _ERROR_CHARACTERS_MAX) or "the fetch failed"
        return SourceUnavailable("git-refused", f"{self.url}: {message}")

    @property
    def seconds_max(self) -> float:
        return self._bounds.seconds_max

    @property
    def file_mib_max(self) -> int:
        return self._bounds.file_bytes_max >> 20

    def _now(self) -> GitBounds:
        left = self._bounds.until - asyncio.get_running_loop().time()
        return GitBounds(
            seconds_max=min(self._bounds.seconds_max, max(left, 1.0)), file_bytes_max=self._bounds.file_bytes_max
        )

    async def _run(
        self, arguments: tuple[str, ...], bounds: GitBounds, road: GitRoad, given: GitInput
    ) -> tuple[int, bytes, str]:
        try:
            return await self._runs.run(self.directory, *arguments, bounds=bounds, road=road, given=given)
        except GitTooSlow as exc:
            raise GitTooSlow(exc.code, f"{self.url}: {exc.message}") from exc
