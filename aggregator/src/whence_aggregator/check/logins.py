"""Check files with logins for registries, Git servers and trackers, and that Git is installed if needed."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from whence_aggregator.adapters.github_app import GithubAppLogins
from whence_aggregator.adapters.logins import FileLogins
from whence_aggregator.check.findings import SettingsProblems
from whence_aggregator.settings.front import RegistryFrontSettings
from whence_aggregator.settings.places import GithubAppSettings
from whence_aggregator.settings.server import Settings
from whence_aggregator.settings.trackers import TOKEN_USER
from whence_common.clock import utc_now
from whence_common.git_call import PROGRAMS as GIT_PATH


def check_logins(findings: SettingsProblems, settings: Settings, session: aiohttp.ClientSession) -> None:
    """Report unusable login files, and Git if it is missing. Sends no request by the session."""
    for host, place in settings.registries.items():
        _file(findings, f"registries.{host}.login_file", place.login_file, host)
    for host, server in settings.git_servers.items():
        _file(findings, f"git_servers.{host}.login_file", server.login_file, host)
        if server.github_app is not None:
            _app(findings, f"git_servers.{host}", host, server.github_app, session)
    for host, tracker in settings.trackers.items():
        user = "" if tracker.type == "jira-cloud" else TOKEN_USER
        _file(findings, f"trackers.{host}.login_file", tracker.login_file, host, token_user=user)
        if tracker.github_app is not None:
            _app(findings, f"trackers.{host}", host, tracker.github_app, session)
    if settings.git_servers and shutil.which("git", path=GIT_PATH) is None:
        findings.warn(
            f"git_servers: git is not in {GIT_PATH}, so commits cannot be collected",
            fix="install it: apt-get install git",
            code="git-missing",
        )


def check_backend_login(findings: SettingsProblems, registry: RegistryFrontSettings) -> None:
    """Report an unusable login file for the registry behind the front."""
    _file(findings, "registry_front.backend_login_file", registry.backend_login_file, urlsplit(registry.backend).netloc)


def _app(
    findings: SettingsProblems, place: str, host: str, app: GithubAppSettings, session: aiohttp.ClientSession
) -> None:
    setting = f"{place}.github_app.key_file"
    logins = GithubAppLogins(
        session=session, host=host, app_id=app.app_id, key_file=Path(app.key_file), api_url="",
        installation_id=app.installation_id, now=utc_now,
    )  # fmt: skip
    if findings.attempt(setting, logins.check):
        findings.readable_by_others(setting, app.key_file)


def _file(findings: SettingsProblems, setting: str, name: str | None, host: str, *, token_user: str = "") -> None:
    if name is not None:
        logins = FileLogins(path=Path(name), host=host, token_user=token_user, seconds=time.monotonic)
        if findings.attempt(setting, logins.check):
            findings.readable_by_others(setting, name)
