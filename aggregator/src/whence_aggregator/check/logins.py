"""Check files with logins and keys for outside places, and that the programs they need are installed."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from whence_aggregator.adapters.github_app import GithubAppLogins
from whence_aggregator.adapters.logins import FileLogins
from whence_aggregator.check.commit_keys import check_commit_keys
from whence_aggregator.check.findings import SettingsProblems
from whence_aggregator.settings.front import RegistryFrontSettings
from whence_aggregator.settings.places import GithubAppSettings
from whence_aggregator.settings.server import Settings
from whence_aggregator.settings.trackers import TOKEN_USER
from whence_common.clock import utc_now
from whence_common.git_call import PROGRAMS as GIT_PATH

_WITHOUT = {
    "git": "commits cannot be collected",
    "ssh": "no server can be asked by SSH",
    "ssh-keygen": "SSH signatures stay unknown",
    "gpg": "OpenPGP signatures stay unknown",
}


def check_logins(findings: SettingsProblems, settings: Settings, session: aiohttp.ClientSession) -> None:
    """Report unusable files, and programs that are missing. Sends no request by the session."""
    for host, place in settings.registries.items():
        _file(findings, f"registries.{host}.login_file", place.login_file, host)
    for host, server in settings.git_servers.items():
        _file(findings, f"git_servers.{host}.login_file", server.login_file, host)
        if server.github_app is not None:
            _app(findings, f"git_servers.{host}", host, server.github_app, session)
        for name in ("ssh_key_file", "ssh_known_hosts_file", "mirror_directory"):
            _readable(findings, f"git_servers.{host}.{name}", getattr(server, name))
    for host, tracker in settings.trackers.items():
        user = "" if tracker.type == "jira-cloud" else TOKEN_USER
        _file(findings, f"trackers.{host}.login_file", tracker.login_file, host, token_user=user)
        if tracker.github_app is not None:
            _app(findings, f"trackers.{host}", host, tracker.github_app, session)
    for owner, keys in settings.commit_trust.items():
        check_commit_keys(findings, owner, keys)
    for program, (setting, package, needed) in _programs(settings).items():
        if needed and shutil.which(program, path=GIT_PATH) is None:
            findings.warn(
                f"{setting}: {program} is not in {GIT_PATH}, so {_WITHOUT[program]}",
                fix=f"install it: apt-get install {package}",
                code=f"{program}-missing",
            )


def _programs(settings: Settings) -> dict[str, tuple[str, str, bool]]:
    """Return the programs that settings need: the setting, Debian's package, and whether it is needed."""
    servers, trust = settings.git_servers.values(), settings.commit_trust.values()
    return {
        "git": ("git_servers", "git", bool(servers)),
        "ssh": ("git_servers", "openssh-client", any(one.ssh_key_file is not None for one in servers)),
        "ssh-keygen": (
            "commit_trust", "openssh-client", any(one.allowed_signers_file is not None for one in trust),
        ),
        "gpg": ("commit_trust", "gnupg", any(one.openpgp_key_files or one.host_key_files for one in trust)),
    }  # fmt: skip


def _readable(findings: SettingsProblems, setting: str, name: str | None) -> None:
    if name is not None and not os.access(name, os.R_OK):
        findings.warn(
            f"{setting}: {name} does not exist, or is not readable", fix="let the aggregator's user read it",
            code="git-file-unreadable",
        )  # fmt: skip


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
