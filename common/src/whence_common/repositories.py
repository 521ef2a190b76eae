"""Compare repository URLs of different protocols and forms. Pure; if the result is not certain, it is `unclear`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal
from urllib.parse import urlsplit

from whence_common.scm_source import SourceRepository, repository_of

Comparison = Literal["same", "other", "unclear"]
_HOSTS = {
    "ssh.github.com": "github.com", "www.github.com": "github.com", "altssh.gitlab.com": "gitlab.com",
    "www.gitlab.com": "gitlab.com", "altssh.bitbucket.org": "bitbucket.org", "www.bitbucket.org": "bitbucket.org",
    "ssh.dev.azure.com": "dev.azure.com", "vs-ssh.visualstudio.com": "dev.azure.com", "api.github.com": "github.com",
}  # fmt: skip
"""Alternative hosts of the same service: for SSH, for browsers, for APIs."""
_OLD_AZURE = ".visualstudio.com"
"""Azure's older hosts: ORGANISATION.visualstudio.com."""
_ROAD = re.compile(r"\A(?:ssh|www|altssh)\.")
_ADDRESS = re.compile(r"[0-9.]+\Z")
_PAGE_OF_GITWEB = re.compile(r"[?&;]p=")
_CASELESS_HOSTS = frozenset({"github.com", "gitlab.com", "bitbucket.org", "dev.azure.com", "codeberg.org"})
_WEB_PAGES = frozenset(
    {"-", "tree", "blob", "src", "browse", "commit", "commits", "issues", "pulls", "wiki", "releases", "actions"}
)
"""What follows a repository's path in the URLs of its pages."""
_PREFIXES = re.compile(r"\A(?:scm:)?(?:git\+|git:(?!//))?", re.IGNORECASE)
_WITHOUT_SCHEME = re.compile(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?::[0-9]{1,5})?/")
_WEB = ("http", "https")
_PORTS = {"http": 80, "https": 443, "ssh": 22, "git": 9418}
_KEPT_CHARACTERS_MAX = 300
"""Longer URLs are parsed each time: a fleet has few repositories, and each instance names one of them many times."""


@dataclass(frozen=True, slots=True)
class _Place:
    scheme: str
    host: str
    port: int
    path: tuple[str, ...]


def compare(one: str, other: str) -> Comparison:
    """Compare two repositories by host and path."""
    first, second = _place(one), _place(other)
    if first is None or second is None:
        return "unclear"
    if first.host != second.host:
        return _compare_hosts(first.host, second.host)
    if first.path != second.path:
        return _compare_paths(first, second)
    web = first.scheme in _WEB and second.scheme in _WEB
    usual = first.port == _PORTS[first.scheme] and second.port == _PORTS[second.scheme]
    return (
        "unclear" if web and first.port != second.port and not usual else "same"
    )  # other ports may be other servers on one machine


def repository_named(url: str) -> SourceRepository | None:
    """Return the repository that a URL names, as its server is asked for it; None when it names none.

    Other hosts of the same service (`ssh.github.com`) and the paths of web pages lead to the repository itself. The
    case of a path is kept, as only its server knows whether it matters, but for hosts that are known to ignore it.
    """
    return _known(url) if len(url) <= _KEPT_CHARACTERS_MAX else _named(url)


def _named(url: str) -> SourceRepository | None:
    text = _PREFIXES.sub("", url.strip())
    found = repository_of(text if "://" in text or not _WITHOUT_SCHEME.match(text) else f"https://{text}")
    if found is None:
        return None
    host, _, port = found.host.partition(":")
    host = host.rstrip(".")
    host = _HOSTS.get(host, host)
    parts = found.path.split("/")
    if parts[0] == "repos" and "api.github.com" in found.host:
        parts = parts[1:]
    known = host in _CASELESS_HOSTS
    page = next((at for at, one in enumerate(parts) if at >= 2 and (one in _WEB_PAGES if known else one == "-")), None)
    path = "/".join(parts[:page]).removesuffix(".git")
    usual = not port or _PORTS.get(text.partition("://")[0].lower()) == int(port)
    place = host if usual else f"{host}:{port}"
    return SourceRepository(host=place, path=folded_place(f"{place}/{path}")[len(place) + 1 :]) if path else None


_known = lru_cache(maxsize=4096)(_named)


def folded_place(place: str) -> str:
    """Return `host/path`, and what follows it, in lower case if the host is known to ignore the case of paths."""
    return place.lower() if place.partition("/")[0].lower() in _CASELESS_HOSTS else place


def _compare_hosts(first: str, second: str) -> Comparison:
    """Compare different hosts: a short name, an IP address or an ssh. host may be the same server."""
    whole = all(("." in host and not _ADDRESS.match(host)) or host == "localhost" for host in (first, second))
    return "other" if whole and _ROAD.sub("", first) != _ROAD.sub("", second) else "unclear"


def _compare_paths(first: _Place, second: _Place) -> Comparison:
    folded = [tuple(part.lower() for part in one.path) for one in (first, second)]
    if folded[0] == folded[1]:
        return "same" if first.host in _CASELESS_HOSTS else "unclear"
    short, long = sorted(folded, key=len)
    inside = long[: len(short)] == short or long[-len(short) :] == short
    return "unclear" if inside else "other"  # an organisation's page, a page of the repository, or a path prefix


def _place(url: str) -> _Place | None:
    if _PAGE_OF_GITWEB.search(url):
        return None
    text = _PREFIXES.sub("", url.strip()).partition("#")[0].partition("?")[0]
    scheme, marker, rest = text.partition("://")
    if marker:
        text = f"{scheme.lower()}://{rest}"
    elif _WITHOUT_SCHEME.match(text):
        text, scheme = f"https://{text}", "https"
    else:
        scheme = "ssh"
    repository = repository_of(text)
    scheme = scheme.lower()
    if repository is None or scheme not in _PORTS:
        return None
    host = repository.host.partition(":")[0].rstrip(".")
    port = (urlsplit(text).port if "://" in text else None) or _PORTS[scheme]
    parts = repository.path.split("/")
    if host.endswith(_OLD_AZURE) and host not in _HOSTS:
        parts = [host.removesuffix(_OLD_AZURE), *(part for part in parts if part != "DefaultCollection")]
        host = "dev.azure.com"
    elif host == "api.github.com" and parts[0] == "repos":
        parts = parts[1:]
    return _Place(scheme, _HOSTS.get(host, host), port, _path(parts))


def _path(parts: list[str]) -> tuple[str, ...]:
    """Return the path of the clone URL: without pages, and with Bitbucket's and Azure's alternative forms resolved."""
    page = next((at for at, part in enumerate(parts) if at >= 2 and part in _WEB_PAGES), len(parts))
    parts = parts[:page]
    match parts:
        case ["scm", project, name] | ["projects", project, "repos", name, *_]:
            return project.lower(), name.removesuffix(".git").lower()
        case ["users", user, "repos", name, *_]:
            return f"~{user}".lower(), name.removesuffix(".git").lower()
        case ["v3", organisation, project, name]:
            return organisation, project, "_git", name
        case [organisation, "_git", name]:  # a project's repository of the same name
            return organisation, name, "_git", name
    return (*parts[:-1], parts[-1].removesuffix(".git"))
