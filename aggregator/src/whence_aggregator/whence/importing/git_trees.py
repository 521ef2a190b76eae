"""Catalog files of a repository: one commit is fetched into a temporary bare clone, and nothing is checked out.

Only URLs below a prefix on the allow-list are fetched. No program that a repository or its server names is run, and
redirects are not followed.
"""

from __future__ import annotations

import fnmatch
import os
import posixpath
import resource
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from whence_aggregator.whence.importing.fields import holds_secret
from whence_aggregator.whence.importing.values import Origin, Unmapped
from whence_aggregator.whence.importing.yaml_documents import FILE_BYTES_MAX
from whence_common.errors import InputError, one_line
from whence_common.git_call import git_arguments, git_environment
from whence_common.registry_sign_in import Login

FETCH_SECONDS_MAX = 120.0
PACK_BYTES_MAX = 512 * 1024 * 1024
LISTING_BYTES_MAX = 64 * 1024 * 1024
_SCHEMES = ("https", "http", "ssh")
_SSH = "ssh -o BatchMode=yes -o StrictHostKeyChecking=yes -o ClearAllForwardings=yes"
_HELPER = '!f() {{ test "$1" = get && cat /dev/fd/{}; }}; f'
_ERROR_BYTES_MAX = 8 * 1024
_REGULAR = ("100644", "100755")
_LINK = "120000"
_SETTINGS = ("http.lowSpeedLimit=1", "http.lowSpeedTime=30")


def checked_repository(url: str, allowed: Sequence[str]) -> str:
    """Return a repository's URL if the allow-list has a prefix of it. Raises InputError.

    A prefix matches whole segments of the path: `https://git.example.org/shop` allows `…/shop/cart`, not `…/shopping`.
    """
    parts = _parts(url)
    for prefix in allowed:
        other = _parts(prefix)
        same = (parts.scheme, parts.netloc.lower()) == (other.scheme, other.netloc.lower())
        if same and f"{parts.path.rstrip('/')}/".startswith(f"{other.path.rstrip('/')}/"):
            return url
    raise InputError(
        "import-not-allowed", f"{one_line(url, 200)} is not below a prefix on the allow-list",
        fix="allow it: --allow PREFIX or WHENCE_IMPORT_ALLOW, as in https://git.example.org/shop",
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class GitAccess:
    """How repositories are fetched. `path` is the search path for programs."""

    path: str
    logins: Mapping[str, Login] = field(default_factory=dict)
    """By host with its port; sent by https only."""
    ca_file: str | None = None
    """PEM file with the CA certificates for Git servers, in place of the system's."""
    seconds_max: float = FETCH_SECONDS_MAX


class GitTree:
    """The files of the newest commit of a repository's default branch."""

    def __init__(self, url: str, directory: Path, *, file_names: Sequence[str], access: GitAccess) -> None:
        """Fetch a repository into an empty directory. Raises InputError."""
        self.repository = url
        self._directory = directory
        self._access = access
        self._file_names = file_names
        self._files: dict[str, tuple[str, str]] = {}
        self._fetch()

    def starts(self) -> Iterator[str | Unmapped]:
        for path, (mode, _) in sorted(self._files.items()):
            if not any(fnmatch.fnmatchcase(posixpath.basename(path), pattern) for pattern in self._file_names):
                continue
            if mode in _REGULAR:
                yield path
            else:
                kind = "symbolic link" if mode == _LINK else "submodule"
                yield Unmapped(
                    origin=Origin(file=self.shown(path)), code="import-unreadable", unread=True,
                    reason=f"is a {kind}, which is not followed", fix="replace it by a file",
                )  # fmt: skip

    def shown(self, path: str) -> str:
        return f"{self.repository}/{path}"

    def identity(self, path: str) -> str:
        return f"{self.repository} {path}"

    def read(self, path: str) -> bytes:
        mode, blob = self._files.get(path, ("", ""))
        if mode not in _REGULAR:
            reason = "there is no such file" if not mode else "is not a regular file; links are not followed"
            raise InputError("import-unreadable", reason, fix="correct the path")
        size = self._run("cat-file", "-s", blob).strip()
        if not size.isdigit() or int(size) > FILE_BYTES_MAX:
            raise InputError("import-file-too-large", f"the file is larger than {FILE_BYTES_MAX} bytes", fix="split it")
        return self._run("cat-file", "blob", blob)

    def _fetch(self) -> None:
        parts = urlsplit(self.repository)
        login = self._access.logins.get(parts.netloc.rpartition("@")[2].lower()) if parts.scheme == "https" else None
        self._run("init", "--quiet", "--bare", ".")
        fetch = ("fetch", "--quiet", "--depth=1", "--no-tags", "--", self.repository, "+HEAD:refs/whence/head")
        self._run(*fetch, protocol=parts.scheme, login=login)
        listed = self._run("ls-tree", "-r", "-z", "--full-tree", "refs/whence/head").decode("utf-8", "surrogateescape")
        for entry in listed.split("\0"):
            described, _, path = entry.partition("\t")
            mode, _, rest = described.partition(" ")
            if path:
                self._files[path] = mode, rest.rpartition(" ")[2]

    def _run(self, *arguments: str, protocol: str = "", login: Login | None = None) -> bytes:
        """Run git with its output in a file, so that it is bounded as the pack is; its whole group has ended then."""
        with _credentials(login) as descriptor:
            trusted = () if self._access.ca_file is None else (f"http.sslCAInfo={self._access.ca_file}",)
            helper = () if descriptor is None else (f"credential.helper={_HELPER.format(descriptor)}",)
            protocols = (protocol,) if protocol else ()
            command = git_arguments(*arguments, protocols=protocols, settings=(*_SETTINGS, *trusted, *helper))
            environment = {**git_environment(protocols=protocols, path=self._access.path), **_ssh(protocol)}
            output, errors = self._directory / "whence-output", self._directory / "whence-errors"
            status = self._process(command, environment, (output, errors), descriptor)
        error = _end_of(errors)
        if status == -signal.SIGXFSZ or "File too large" in error:
            raise _failed(self.repository, f"it is larger than {PACK_BYTES_MAX >> 20} MiB")
        if status:
            raise _failed(self.repository, f"git {arguments[0]} failed: {error or f'exit code {status}'}")
        if output.stat().st_size > LISTING_BYTES_MAX:
            raise _failed(self.repository, f"it has too many files: over {LISTING_BYTES_MAX >> 20} MiB of names")
        return output.read_bytes()

    def _process(
        self, command: list[str], environment: Mapping[str, str], files: tuple[Path, Path], descriptor: int | None
    ) -> int:
        """Run a command with its output in two files; return its exit code. Raises InputError after the deadline."""
        bound = (PACK_BYTES_MAX, PACK_BYTES_MAX)
        with files[0].open("wb") as output, files[1].open("wb") as errors:
            try:
                process = subprocess.Popen(
                    command, cwd=self._directory, env=environment, stdin=subprocess.DEVNULL, stdout=output,
                    stderr=errors, start_new_session=True, pass_fds=() if descriptor is None else (descriptor,),
                    preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, bound),
                )  # fmt: skip
            except FileNotFoundError as exc:
                raise InputError("git-missing", "git is not installed", fix="install it, or pass a directory") from exc
        try:
            return process.wait(timeout=self._access.seconds_max)
        except subprocess.TimeoutExpired as exc:
            raise _failed(self.repository, f"git took over {self._access.seconds_max:g} seconds") from exc
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _end_of(errors: Path) -> str:
    """Return the end of git's error output, which a server can make long, as one line."""
    with errors.open("rb") as stream:
        stream.seek(max(0, errors.stat().st_size - _ERROR_BYTES_MAX))
        return one_line(stream.read(_ERROR_BYTES_MAX).decode("utf-8", "replace"), 200)


@contextmanager
def _credentials(login: Login | None) -> Iterator[int | None]:
    """Yield the read end of a pipe with a credential helper's answer: a login is in neither argv nor environment."""
    if login is None:
        yield None
        return
    read_end, write_end = os.pipe()
    try:
        os.write(write_end, f"username={login.username}\npassword={login.password}\n".encode())
        os.close(write_end)
        yield read_end
    finally:
        os.close(read_end)


def _parts(url: str) -> SplitResult:
    """Return the parts of a repository's URL. Raises InputError if it could be read in more than one way."""
    fix = "write https://HOST/PATH or ssh://git@HOST/PATH"
    shown = "the URL" if holds_secret(url) else repr(one_line(url, 200))
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as exc:
        raise InputError("import-url", f"{shown} is not a URL", fix=fix) from exc
    if parts.scheme not in _SCHEMES or not parts.hostname or parts.hostname.startswith("-"):
        raise InputError("import-url", f"{shown} is not an https or ssh URL of a repository", fix=fix)
    if holds_secret(url):
        raise InputError("import-url", f"a URL of {parts.hostname} has a login in it", fix="use --git-login HOST=FILE")
    plain = url.isascii() and url.isprintable() and not any(one in url for one in " \\%?#")
    if not plain or any(part in (".", "..") for part in parts.path.split("/")) or "//" in parts.path:
        raise InputError("import-url", f"{shown} has characters or segments that are not accepted", fix=fix)
    return parts


def _ssh(protocol: str) -> dict[str, str]:
    """Return the environment for SSH with the person's own keys and agent; unknown hosts are refused."""
    if protocol != "ssh":
        return {}
    agent = os.environ.get("SSH_AUTH_SOCK", "")
    return {"GIT_SSH_COMMAND": _SSH, **({"SSH_AUTH_SOCK": agent} if agent else {})}


def _failed(url: str, why: str) -> InputError:
    fix = "check the URL and the login; a repository can also be cloned by hand, and passed as a directory"
    return InputError("import-repository", f"{url}: {why}", fix=fix)
