"""Wiring of requests to registries and Git servers, with the login of each."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from whence_aggregator.adapters.backend import Backend
from whence_aggregator.adapters.github_app import CONTENTS, GithubAppLogins
from whence_aggregator.adapters.host_lookup import HostLookup
from whence_aggregator.adapters.layer_stream import Windows
from whence_aggregator.adapters.logins import EcrLogins, FileLogins, Logins, NoLogin
from whence_aggregator.adapters.registry_session import RegistrySession
from whence_aggregator.settings.front import RegistryFrontSettings
from whence_aggregator.settings.places import GithubAppSettings, GitServerSettings, PlaceSettings
from whence_aggregator.settings.server import Settings
from whence_common.clock import utc_now
from whence_common.image_reference import registry_name
from whence_common.registry_address import RegistryPlace, ecr_region

_TOKEN_USER = "x-access-token"  # noqa: S105 - the user name for a file that contains only a token


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """The HTTP session and the host lookup for requests to registries."""

    session: aiohttp.ClientSession
    lookup: HostLookup
    windows: Windows


def open_outgoing(session: aiohttp.ClientSession, stack: AsyncExitStack) -> Outgoing:
    """Add the host lookup to the session of all outgoing HTTP."""
    lookup = HostLookup()
    stack.callback(lookup.close)
    return Outgoing(session=session, lookup=lookup, windows=Windows())


def load_sessions(settings: Settings, outgoing: Outgoing) -> dict[str, RegistrySession]:
    """Build a session for each configured registry. Raises SettingsInvalid."""
    return {
        registry_name(host): _session(registry_name(host), one, settings, outgoing)
        for host, one in settings.registries.items()
    }


def load_backend(registry: RegistryFrontSettings, settings: Settings, outgoing: Outgoing) -> Backend:
    """Build the client of the registry behind the front. Raises SettingsInvalid."""
    parts = urlsplit(registry.backend)
    place = RegistryPlace(
        registry=parts.netloc,
        plain_http=parts.scheme == "http",
        token_hosts=frozenset(registry.backend_token_hosts),
        blob_hosts=frozenset(registry.backend_blob_hosts),
    )
    logins: Logins = NoLogin(place.registry)
    if registry.backend_login_file is not None:
        logins = _file(registry.backend_login_file, place.registry, "")
    elif registry.backend_ecr_region is not None:
        logins = _ecr(place.registry, registry.backend_ecr_region, registry.backend_ecr_role_arn, settings)
    return Backend(session=_to(place, logins, outgoing), path=parts.path)


def _session(host: str, one: PlaceSettings, settings: Settings, outgoing: Outgoing) -> RegistrySession:
    place = RegistryPlace(
        registry=host,
        plain_http=one.plain_http,
        token_hosts=frozenset(one.token_hosts),
        blob_hosts=frozenset(one.blob_hosts),
    )
    region = ecr_region(host)
    logins: Logins = NoLogin(host)
    if one.login_file is not None:
        logins = _file(one.login_file, host, "")
    elif region is not None:
        logins = _ecr(host, region, one.ecr_role_arn, settings)
    return _to(place, logins, outgoing)


def _to(place: RegistryPlace, logins: Logins, outgoing: Outgoing) -> RegistrySession:
    return RegistrySession(
        session=outgoing.session, place=place, logins=logins, seconds=time.monotonic, lookup=outgoing.lookup
    )


def git_logins(host: str, one: GitServerSettings, session: aiohttp.ClientSession) -> Logins:
    """Return the logins of a Git server. Raises SettingsInvalid."""
    if one.github_app is not None:
        return load_github_app(host, one.github_app, session)
    return _file(one.login_file, host, _TOKEN_USER) if one.login_file is not None else NoLogin(host)


def load_github_app(
    host: str, app: GithubAppSettings, session: aiohttp.ClientSession, *, permissions: Sequence[str] = CONTENTS
) -> GithubAppLogins:
    """Return the logins of a GitHub App, for reading only. Raises SettingsInvalid."""
    otherwise = "https://api.github.com" if host == "github.com" else f"https://{host}/api/v3"
    logins = GithubAppLogins(
        session=session, host=host, app_id=app.app_id, key_file=Path(app.key_file),
        api_url=app.api_url or otherwise, installation_id=app.installation_id, now=utc_now,
        permissions=permissions,
    )  # fmt: skip
    logins.check()
    return logins


def _file(name: str, host: str, token_user: str) -> FileLogins:
    logins = FileLogins(path=Path(name), host=host, token_user=token_user, seconds=time.monotonic)
    logins.check()
    return logins


def _ecr(host: str, region: str, role_arn: str | None, settings: Settings) -> EcrLogins:
    return EcrLogins(host=host, region=region, role_arn=role_arn, endpoint_url=settings.aws_endpoint_url, now=utc_now)
