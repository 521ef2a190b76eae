"""Read a checkout's remote, commit and local changes. No program that the repository configures is run.

A repository's configuration can name programs that `git status` runs (fsmonitor, filters, hooks, also in submodules).
Git therefore uses a temporary Git directory, with links to the repository's objects and refs, and with safe settings.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import stat
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from whence_common.errors import InputError, one_line
from whence_common.git_call import PROGRAMS, git_arguments, git_environment

GIT_SECONDS_MAX = 60.0
_SMALL_BYTES_MAX = 64 * 1024
_SUBMODULES_MAX = 200
_SUBMODULES_DEEP_MAX = 8
_LINKS = ("objects", "refs", "packed-refs", "shallow", "reftable")
_LINKS_IN_INFO = ("exclude", "attributes")
_BOOLEAN = "true|false|yes|no|on|off|0|1"
_VALUES = {
    "core.filemode": _BOOLEAN,
    "core.symlinks": _BOOLEAN,
    "core.ignorecase": _BOOLEAN,
    "core.precomposeunicode": _BOOLEAN,
    "core.trustctime": _BOOLEAN,
    "core.checkstat": "default|minimal",
    "core.autocrlf": f"{_BOOLEAN}|input",
    "core.eol": "lf|crlf|native",
    "core.sparsecheckout": _BOOLEAN,
    "core.sparsecheckoutcone": _BOOLEAN,
    "extensions.objectformat": "sha1|sha256",
    "extensions.refstorage": "files|reftable",
}
"""Settings that determine how files are compared, and their allowed values. None of them names a program or a file."""
_HEAD = re.compile(rb"(?:ref: refs/[\x21-\x7e]{1,500}|[0-9a-f]{40}|[0-9a-f]{64})\n?\Z")
_FIX = "use a clone with a commit and a remote named origin, or --scm-source FILE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """A checkout. `changes` is the output of `git status --porcelain`: empty for a clean working tree."""

    url: str
    commit_id: str
    changes: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Places:
    """The directories of a checkout: its files, its own Git directory, and the one that its worktrees share."""

    root: Path
    own: Path
    common: Path


def read_checkout(directory: Path, *, path: str) -> Checkout:
    """Read the checkout that a directory is in. `path` is the search path for Git. Raises InputError."""
    places = _places(_root(directory.resolve()))
    with tempfile.TemporaryDirectory(prefix="whence-attest-") as made:
        return _read(places, Path(made), _Git(path), depth=0)


def _read(places: _Places, made: Path, git: _Git, *, depth: int) -> Checkout:
    settings = git.settings(places)
    directory = _git_directory(places, made / f"{depth}-{len(list(made.iterdir()))}", settings)
    run = git.at(places.root, directory)
    commit_id = run("rev-parse", "--verify", "--quiet", "HEAD^{commit}").strip()
    changes = run("status", "--porcelain", "--ignore-submodules=all", "--untracked-files=normal")
    lines = [changes.rstrip("\n")] if changes.strip() else []
    for name, wanted in _submodules(run("ls-files", "--stage", "-z")):
        inner = places.root / name
        if not os.path.lexists(inner / ".git"):
            continue  # not checked out
        if depth >= _SUBMODULES_DEEP_MAX:
            raise _failed(places.root, f"submodules are nested deeper than {_SUBMODULES_DEEP_MAX} levels")
        found = _read(_places(inner), made, git, depth=depth + 1)
        if found.commit_id != wanted or found.changes:
            lines.append(f" M {name}")
    url, changes = (_text(one) for one in (settings.get("remote.origin.url", ""), "\n".join(lines)))
    return Checkout(url=url, commit_id=commit_id, changes=changes)


class _Git:
    """Runs Git with the arguments and environment of `git_call`, with a timeout; ends all its processes."""

    def __init__(self, path: str) -> None:
        self._path = os.pathsep.join(one for one in path.split(os.pathsep) if Path(one).is_absolute()) or PROGRAMS
        program = shutil.which("git", path=self._path)
        if program is None:
            raise InputError("git-missing", "git is not installed", fix="install it, or use --scm-source FILE")
        self._program = program

    def at(self, root: Path, directory: Path) -> _Run:
        return _Run(self, root, {"GIT_DIR": str(directory), "GIT_WORK_TREE": str(root)})

    def settings(self, places: _Places) -> dict[str, str]:
        """Return the repository's remote and safe settings; included files are not read."""
        kept: dict[str, str] = {}
        for file in (places.common / "config", places.own / "config.worktree"):
            if not _is_file(file):
                continue
            listed = self.run(
                Path("/"), {}, "config", "--file", str(file), "--no-includes", "--null", "--list", where=places.root
            )
            for entry in listed.split("\0"):
                name, _, value = entry.partition("\n")
                allowed = _VALUES.get(name)
                if name == "remote.origin.url" or (allowed is not None and re.fullmatch(allowed, value.lower())):
                    kept[name] = value
        return kept

    def run(self, directory: Path, variables: Mapping[str, str], *arguments: str, where: Path) -> str:
        process = subprocess.Popen(
            git_arguments(*arguments, program=self._program),
            cwd=directory, env={**git_environment(path=self._path), **variables}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        try:
            output, error = process.communicate(timeout=GIT_SECONDS_MAX)
        except subprocess.TimeoutExpired as exc:
            raise _failed(where, f"git {arguments[0]} took over {GIT_SECONDS_MAX:g} seconds") from exc
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
        if process.returncode != 0:
            message = one_line(error[-_SMALL_BYTES_MAX:].decode("utf-8", "replace"), 200)
            raise _failed(where, f"git {arguments[0]} failed: {message or f'exit code {process.returncode}'}")
        return output.decode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True)
class _Run:
    """Git in one checkout."""

    git: _Git
    root: Path
    variables: Mapping[str, str]

    def __call__(self, *arguments: str) -> str:
        return self.git.run(self.root, self.variables, *arguments, where=self.root)


def _git_directory(places: _Places, made: Path, settings: Mapping[str, str]) -> Path:
    """Create the temporary Git directory, with links to the repository's objects and refs."""
    (made / "info").mkdir(parents=True)
    head = _small(places.own / "HEAD")
    if not _HEAD.match(head):
        raise _failed(places.root, "HEAD is neither a branch nor a commit")
    (made / "HEAD").write_bytes(head)
    version = 1 if any(name.startswith("extensions.") for name in settings) else 0
    lines = ["[core]", f"\trepositoryformatversion = {version}", "\tbare = false"]
    for name, value in settings.items():
        section, _, key = name.rpartition(".")
        if name in _VALUES:
            lines += [f"[{section}]", f"\t{key} = {value}"]
    (made / "config").write_text("\n".join(lines) + "\n", encoding="ascii")
    links = {name: places.common / name for name in _LINKS} | {"index": places.own / "index"}
    links |= {f"info/{name}": places.common / "info" / name for name in _LINKS_IN_INFO}
    links |= {"info/sparse-checkout": places.own / "info" / "sparse-checkout"}
    links |= {one.name: one for one in places.own.glob("sharedindex.*")}
    for name, target in links.items():
        if target.exists():
            (made / name).symlink_to(target.resolve())
    return made


def _root(directory: Path) -> Path:
    for one in (directory, *directory.parents):
        if os.path.lexists(one / ".git"):
            return one
    raise InputError("git-failed", f"{directory} is not in a clone of a Git repository", fix=_FIX)


def _places(root: Path) -> _Places:
    """Return the directories of a checkout, also of a worktree or submodule, whose `.git` is a file."""
    own = root / ".git"
    if not own.is_dir():
        named = _small(own).removeprefix(b"gitdir:").strip()
        own = root / os.fsdecode(named)
    common = own
    if _is_file(own / "commondir"):
        common = own / os.fsdecode(_small(own / "commondir").strip())
    if not (common / "objects").is_dir():
        raise InputError("git-failed", f"{root}: .git does not name a Git directory", fix=_FIX)
    return _Places(root=root, own=own, common=common)


def _submodules(listed: str) -> Iterator[tuple[str, str]]:
    """Yield path and commit of each submodule in the index."""
    count = 0
    for entry in listed.split("\0"):
        described, _, name = entry.partition("\t")
        mode, _, rest = described.partition(" ")
        if mode != "160000" or name.startswith("/") or ".." in PurePosixPath(name).parts:
            continue
        count += 1
        if count > _SUBMODULES_MAX:
            raise InputError("git-failed", f"there are more than {_SUBMODULES_MAX} submodules", fix=_FIX)
        yield name, rest.partition(" ")[0]


def _is_file(path: Path) -> bool:
    with suppress(OSError):
        return stat.S_ISREG(path.stat().st_mode)
    return False


def _small(path: Path) -> bytes:
    """Read a small regular file; a pipe, which could block, is refused. Raises InputError."""
    with _opened(path) as descriptor:
        return os.read(descriptor, _SMALL_BYTES_MAX)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as exc:
        raise InputError("git-failed", f"{path} cannot be read: {exc.strerror}", fix=_FIX) from exc
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise InputError("git-failed", f"{path} is not a file", fix=_FIX)
        yield descriptor
    finally:
        os.close(descriptor)


def _text(text: str) -> str:
    """Return text with U+FFFD in place of bytes that are not UTF-8."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _failed(root: Path, why: str) -> InputError:
    return InputError("git-failed", f"{root}: {why}", fix=_FIX)
