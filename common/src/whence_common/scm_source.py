"""scm-source.json, STUPS's file at an image's root that states the commit that the image was built from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec

from whence_common.digest import sha256_digest
from whence_common.errors import InputError, one_line
from whence_common.identifiers import COMMIT_ID

FILE_NAME = "scm-source.json"
FILE_BYTES_MAX = 64 * 1024
KEYS = ("url", "revision", "author", "status")
_FIELD_CHARACTERS_MAX = 4096
_LOCALLY_MODIFIED = " (locally modified)"
_PATH_CHARACTERS_MAX = 500
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,252}(?::[0-9]{1,5})?\Z")
"""Excludes options of Git (`-x`) and IPv6 addresses. The settings state which hosts are contacted."""
_PATH = re.compile(r"[A-Za-z0-9._/~+-]+\Z")
_AMBIGUOUS = re.compile(r"[\x00-\x20\x7f\\]")
"""Parsers of URLs disagree about them: Python's drops line ends and tabs, browsers take a backslash for a slash."""
_SCP_LIKE = re.compile(r"(?:[A-Za-z0-9._-]+@)?(?P<host>[A-Za-z0-9.-]+):(?P<path>(?!//)[^:]+)\Z")
_REFERENCE = re.compile(r"\A((?:[A-Za-z:]+://)?+(?:[^@/\s]*@)?+[^@/\s:]+(?::[0-9]+)?[/:][^@\s]*)@.*\Z")
"""A repository's URL, then `@` and a reference. An `@` before the host ends the user name."""


class RepositoryInvalid(InputError):
    """The text does not name a repository."""


class ScmSourceInvalid(InputError):
    """The file exists, but is not a valid scm-source.json."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScmSource:
    """The source that an image states. All text is verbatim, except that credentials in the URL are removed."""

    url: str
    revision: str
    author: str
    status: str
    """Output of `git status --porcelain`: empty, or `false`, if the working tree was clean."""
    digest: str
    """Digest of the file's bytes."""
    missing_keys: tuple[str, ...] = ()
    """Required keys that are missing or not text."""

    @classmethod
    def parse(cls, content: bytes) -> ScmSource:
        """Parse the file's bytes. Raises ScmSourceInvalid; unknown keys are ignored, missing ones are empty."""
        if len(content) > FILE_BYTES_MAX:
            raise ScmSourceInvalid("scm-source-too-large", f"scm-source.json is larger than {FILE_BYTES_MAX} bytes")
        try:
            document = msgspec.json.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            raise ScmSourceInvalid("scm-source-not-json", "scm-source.json is not JSON") from exc
        if not isinstance(document, dict):
            raise ScmSourceInvalid("scm-source-not-object", "scm-source.json is not a JSON object")
        return cls(
            url=without_credentials(_text(document, "url")),
            revision=_text(document, "revision"),
            author=_text(document, "author"),
            status=_text(document, "status"),
            digest=sha256_digest(content),
            missing_keys=tuple(key for key in KEYS if not isinstance(document.get(key), str)),
        )

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> ScmSource:
        url, revision, author, status, digest = (str(wire.get(name, "")) for name in (*KEYS, "digest"))
        return cls(url=url, revision=revision, author=author, status=status, digest=digest)

    def to_wire(self) -> dict[str, object]:
        return {
            "url": self.url,
            "revision": self.revision,
            "author": self.author,
            "status": self.status,
            "digest": self.digest,
        }

    @property
    def dirty(self) -> bool:
        """Whether the working tree had uncommitted changes."""
        status = self.status.strip().lower()
        return status not in ("", "false") or self.revision.endswith((_LOCALLY_MODIFIED, "-dirty"))

    @property
    def commit_id(self) -> str | None:
        """The full commit id in `revision`, or None."""
        revision = self.revision.removesuffix(_LOCALLY_MODIFIED).removesuffix("-dirty").strip().lower()
        return revision if COMMIT_ID.match(revision) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRepository:
    """A repository, independent of the protocol: `host` in lower case with its port, `path` without `.git`."""

    host: str
    path: str

    def __str__(self) -> str:
        return f"{self.host}/{self.path}"

    @classmethod
    def parse(cls, text: str) -> SourceRepository:
        """Parse `host/path`. Raises RepositoryInvalid."""
        host, _, path = text.partition("/")
        if not is_git_host(host) or not _is_path(path):
            raise RepositoryInvalid(
                "repository-malformed", f"{one_line(text, 80)!r} is not a repository's host and path",
                fix="write git.example.org/team/name",
            )  # fmt: skip
        return cls(host=host, path=path)


def is_git_host(text: str) -> bool:
    """Return whether a text is a host, with or without a port, that URL parsers and Git read in the same way."""
    return _HOST.match(text) is not None and text == text.lower()


def _is_path(path: str) -> bool:
    if len(path) > _PATH_CHARACTERS_MAX or not _PATH.match(path) or path.startswith("-"):
        return False
    return not any(part in ("", ".", "..") for part in path.split("/"))


def repository_of(url: str) -> SourceRepository | None:
    """Return the repository that a URL names, or None.

    Accepted are `git:` and `git+` prefixes, `user@host:path`, `ssh://`, `http(s)://` and `git://`. A reference after
    the path (`@v1.2`, `@<commit>`, `@refs/heads/x`, `#main`, `?ref=main`) is ignored.
    """
    text = without_reference(url)
    if _AMBIGUOUS.search(text):
        return None
    text = text.removeprefix("git:") if not text.startswith("git://") else text
    scheme, marker, _ = text.partition("://")
    if marker:
        if scheme.lower() not in ("http", "https", "ssh", "git"):
            return None
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            return None
        host = (parts.hostname or "") + (f":{port}" if port is not None and scheme.lower() in ("http", "https") else "")
        path = parts.path
    else:
        match = _SCP_LIKE.match(text)
        if match is None:
            return None
        host, path = match["host"], match["path"]
    path, host = path.strip("/").removesuffix(".git"), host.lower()
    return SourceRepository(host=host, path=path) if is_git_host(host) and _is_path(path) else None


def same_repository(one: str, other: str) -> bool:
    """Return whether two URLs name one repository: the same host, owners and name, by any protocol."""
    first, second = repository_of(one), repository_of(other)
    if first is None or second is None:
        return one == other
    return _folded(first) == _folded(second)


def without_reference(url: str) -> str:
    """Remove `git+` and the reference from a repository's URL: `#…`, `?…`, and `@…` after the path."""
    text = url.strip().removeprefix("git+")
    text = text.partition("#")[0].partition("?")[0]
    return _REFERENCE.sub(r"\1", text)


def _folded(repository: SourceRepository) -> tuple[str, str]:
    return repository.host.partition(":")[0], repository.path.lower()


def without_credentials(url: str) -> str:
    """Return a URL without user and password: builds have left tokens there."""
    return re.sub(r"(?<=//)[^/@\s]*@", "", url)


def _text(document: Mapping[str, Any], name: str) -> str:
    found = document.get(name)
    return found[:_FIELD_CHARACTERS_MAX] if isinstance(found, str) else ""
