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
