"""Registries and Git servers in the settings: which may be read, and with which login."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

import msgspec

from whence_common.errors import one_line
from whence_common.identifiers import ROLE_ARN
from whence_common.image_reference import is_host, is_loopback_registry, twice_named
from whence_common.registry_address import ecr_region

_PLAIN_PATH = re.compile(r"/[A-Za-z0-9._/@+-]{1,400}\Z")
"""Paths of files that are named in a command line of ssh."""


class PlaceSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A registry that images may be read from."""

    plain_http: bool = False
    login_file: str | None = None
    """File with USER:PASSWORD, or Docker's config.json; read again when it changes."""
    ecr_role_arn: str | None = None
    """Role that is assumed for ECR's password; None is the aggregator's own."""
    token_hosts: list[str] = []
    """Hosts, besides the registry's own, that may receive its credentials and return a token."""
    blob_hosts: list[str] = []
    """Hosts with private addresses that its blobs may be redirected to."""


class GithubAppSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A GitHub App that reads commits."""

    app_id: str
    """Its id or client id, in quotes."""
    key_file: str
    """File with its private key in PEM, as GitHub generated it."""
    installation_id: str | None = None
    """None: looked up by the repository's owner."""
    api_url: str | None = None
    """None: https://api.github.com for github.com, and https://HOST/api/v3 for other hosts."""


class GitServerSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A Git server that commits may be read from."""

    plain_http: bool = False
    login_file: str | None = None
    """File with USER:PASSWORD or a token alone; read again when it changes."""
    github_app: GithubAppSettings | None = None
    ssh_key_file: str | None = None
    """Private key, without a passphrase: the server is asked by SSH."""
    ssh_known_hosts_file: str | None = None
    """Host keys as known_hosts has them; no other key is accepted."""
    ssh_user: str = "git"
    ssh_port: int = 22
    mirror_directory: str | None = None
    """Folder with bare repositories as PATH.git: the server is never asked."""
    protected_branches: list[str] = []
    """Patterns of branches that count besides the default branch."""
    protected_tags: list[str] = []
    """Patterns of tags that count; a tag proves nothing where everybody may set it."""
    shared: bool = False
    """Whether every application may show its commits and reviews; else only one that states the repository."""


class GitCacheSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where histories are kept between questions."""

    directory: str
    mib_max: int = 2048


class CommitTrustSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose signatures of commits are verified, for a host or the beginning of its paths."""

    allowed_signers_file: str | None = None
    """SSH keys with their principals, as ssh-keygen(1) describes."""
    revoked_keys_file: str | None = None
    openpgp_key_files: list[str] = []
    """Public keys of people, armoured or not."""
    host_key_files: list[str] = []
    """OpenPGP keys of the code host itself, which signs what anybody commits in its pages."""


def wrong_in_places(registries: Mapping[str, PlaceSettings], git_servers: Mapping[str, GitServerSettings]) -> list[str]:
    """Return what is wrong; each problem begins with its setting."""
    wrong = [f"registries: {names} are one registry; write it once" for names in twice_named(registries)]
    wrong += wrong_keys("registries", registries) + wrong_keys("git_servers", git_servers)
    for host, place in registries.items():
        name = f"registries.{host}"
        wrong += wrong_hosts(name, [*place.token_hosts, *place.blob_hosts], "token_hosts or blob_hosts")
        if place.ecr_role_arn is not None and ecr_region(host) is None:
            wrong.append(f"{name}.ecr_role_arn is for ECR's own hosts only")
        if place.ecr_role_arn is not None and not ROLE_ARN.match(place.ecr_role_arn):
            wrong.append(f"{name}.ecr_role_arn is not an ARN of a role")
        if place.login_file is not None and place.ecr_role_arn is not None:
            wrong.append(f"{name}.login_file and ecr_role_arn exclude each other")
        if place.login_file is not None and place.plain_http and not is_loopback_registry(host):
            wrong.append(f"{name}.login_file with plain_http would send the password in clear text")
    return wrong + _wrong_in_git_servers(git_servers)


def _wrong_in_git_servers(git_servers: Mapping[str, GitServerSettings]) -> list[str]:
    wrong = []
    for host, server in git_servers.items():
        name, app = f"git_servers.{host}", server.github_app
        signed_in = server.login_file is not None or app is not None
        if server.login_file is not None and app is not None:
            wrong.append(f"{name}.login_file and github_app exclude each other")
        if signed_in and server.plain_http and not is_loopback_registry(host):
            wrong.append(f"{name}: a login with plain_http would be sent in clear text")
        if app is not None:
            wrong += wrong_in_app(f"{name}.github_app", app)
        wrong += _wrong_in_road(name, server) + _wrong_in_patterns(name, server)
    return wrong


def _wrong_in_road(name: str, server: GitServerSettings) -> list[str]:
    """Return what is wrong with how a server is reached: by HTTP, by SSH, or not at all."""
    wrong = []
    ssh = server.ssh_key_file is not None or server.ssh_known_hosts_file is not None
    web = server.login_file is not None or server.github_app is not None or server.plain_http
    if ssh and (server.ssh_key_file is None or server.ssh_known_hosts_file is None):
        wrong.append(f"{name}: set both ssh_key_file and ssh_known_hosts_file, or neither")
    if (ssh and web) or (server.mirror_directory is not None and (ssh or web)):
        wrong.append(f"{name}: SSH, HTTP with a login, and mirror_directory exclude each other")
    for setting in ("ssh_key_file", "ssh_known_hosts_file"):
        path = getattr(server, setting)
        if path is not None and not _PLAIN_PATH.match(path):
            wrong.append(f"{name}.{setting} must be an absolute path of letters, digits and ._/@+-")
    if server.mirror_directory is not None and not server.mirror_directory.startswith("/"):
        wrong.append(f"{name}.mirror_directory must be an absolute path")
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}", server.ssh_user):
        wrong.append(f"{name}.ssh_user is not the name of a user")
    if not 0 < server.ssh_port < 65536:
        wrong.append(f"{name}.ssh_port must be from 1 to 65535")
    return wrong


def _wrong_in_patterns(name: str, server: GitServerSettings) -> list[str]:
    return [
        f"{name}: {one_line(one, 60)!r} in {setting} is not the name of a ref, with * for any characters"
        for setting, patterns in (("protected_branches", server.protected_branches),
                                  ("protected_tags", server.protected_tags))
        for one in patterns
        if not re.fullmatch(r"[A-Za-z0-9*_][A-Za-z0-9*._/@+-]{0,199}", one) or ".." in one
    ]  # fmt: skip


def wrong_in_commits(cache: GitCacheSettings | None, trust: Mapping[str, CommitTrustSettings]) -> list[str]:
    """Return what is wrong with the cache of histories, and with whose signatures are verified."""
    wrong = []
    if cache is not None and (not cache.directory.startswith("/") or not 16 <= cache.mib_max <= 1_048_576):
        wrong.append("git_cache needs an absolute directory, and mib_max from 16 to 1048576")
    for place, one in trust.items():
        host, _, path = place.partition("/")
        if not is_host(host) or place != place.rstrip("/") or (path and not re.fullmatch(r"[A-Za-z0-9._/~+-]+", path)):
            wrong.append(f"commit_trust: {one_line(place, 60)!r} is not a host, or a host and the beginning of a path")
        if one.allowed_signers_file is None and not one.openpgp_key_files and not one.host_key_files:
            wrong.append(f"commit_trust.{place}: set allowed_signers_file, openpgp_key_files or host_key_files")
        if one.revoked_keys_file is not None and one.allowed_signers_file is None:
            wrong.append(f"commit_trust.{place}.revoked_keys_file needs allowed_signers_file")
    return wrong


def wrong_in_app(name: str, app: GithubAppSettings) -> list[str]:
    """Return what is wrong with a GitHub App's settings."""
    wrong = []
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,100}", app.app_id):
        wrong.append(f"{name}.app_id is not the id of a GitHub App")
    if app.installation_id is not None and not re.fullmatch(r"[0-9]{1,20}", app.installation_id):
        wrong.append(f"{name}.installation_id is not a number (in quotes)")
    if app.api_url is not None and not is_safe_url(app.api_url):
        wrong.append(f"{name}.api_url must be an https URL")
    return wrong


def wrong_keys(name: str, hosts: Iterable[str]) -> list[str]:
    """Return the problems of a mapping whose keys are hosts: a key that is a URL would match nothing."""
    return [
        f"{name}: {one_line(one, 60)!r} is not a host: write HOST or HOST:PORT" for one in hosts if not is_host(one)
    ]


def wrong_hosts(name: str, hosts: list[str], where: str) -> list[str]:
    """Return the problems of a list of hosts: entries that are not hosts."""
    return [f"{name}: {one_line(one, 60)!r} in {where} is not a host" for one in hosts if not is_host(one)]


def is_safe_url(url: str) -> bool:
    """Return whether a URL is one of https, or of http on loopback, and has no user."""
    parts = urlsplit(url)
    return (
        bool(parts.hostname)
        and parts.username is None
        and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback_registry(parts.netloc)))
    )
