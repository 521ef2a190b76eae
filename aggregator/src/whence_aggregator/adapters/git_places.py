"""How each Git server is reached: smart HTTP, SSH with a key file and pinned host keys, or a folder of mirrors."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from whence_aggregator.adapters.git_process import HTTP_ROAD, GitRoad
from whence_aggregator.adapters.logins import Logins, NoLogin
from whence_aggregator.ports import SourceUnavailable
from whence_common.scm_source import SourceRepository

SSH = "/usr/bin/ssh"
_UPLOAD_PACK = (
    "git -c 'safe.directory=*' -c uploadpack.allowFilter=true -c uploadpack.allowAnySHA1InWant=true upload-pack"
)
"""A mirror belongs to whoever fills it. Its own configuration can name no program that upload-pack runs."""
_SSH_OPTIONS = (
    "BatchMode=yes", "StrictHostKeyChecking=yes", "GlobalKnownHostsFile=/dev/null", "UpdateHostKeys=no",
    "CheckHostIP=no", "IdentitiesOnly=yes", "IdentityAgent=none", "PreferredAuthentications=publickey",
    "ClearAllForwardings=yes", "ForwardAgent=no", "PermitLocalCommand=no", "ProxyCommand=none", "ControlMaster=no",
    "ControlPath=none", "ConnectTimeout=15", "ServerAliveInterval=10", "ServerAliveCountMax=3", "LogLevel=ERROR",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class GitPlace:
    """One Git server. `url` returns a repository's URL, which contains no login."""

    host: str
    url: Callable[[SourceRepository], str]
    road: GitRoad
    logins: Logins
    web: bool = False
    """Whether it is asked over HTTP, so that it may redirect a renamed repository."""


def http_place(host: str, *, plain_http: bool = False, logins: Logins | None = None) -> GitPlace:
    scheme = "http" if plain_http else "https"
    return GitPlace(
        host=host, url=lambda one: f"{scheme}://{one.host}/{one.path}.git", road=HTTP_ROAD,
        logins=logins or NoLogin(host), web=True,
    )  # fmt: skip


def ssh_place(
    host: str, *, key_file: str, known_hosts_file: str, user: str = "git", port: int = 22, program: str = SSH
) -> GitPlace:
    """Return a server that is reached by SSH. Its host key must be in `known_hosts_file`; no other is accepted."""
    command = [program, "-F", "none", "-i", key_file]
    for option in (*_SSH_OPTIONS, f"UserKnownHostsFile={known_hosts_file}"):
        command += ["-o", option]
    name = host.partition(":")[0]
    return GitPlace(
        host=host,
        url=lambda one: f"ssh://{user}@{name}:{port}/{one.path}.git",
        road=GitRoad(protocols=("ssh",), variables={"GIT_SSH_COMMAND": shlex.join(command), "GIT_SSH_VARIANT": "ssh"}),
        logins=NoLogin(host),
    )


def mirror_place(host: str, *, directory: str) -> GitPlace:
    """Return a server that is never asked: its repositories are in a folder, as PATH.git."""
    root = Path(directory)

    def url(repository: SourceRepository) -> str:
        place = (root / f"{repository.path}.git").resolve()
        if not place.is_relative_to(root.resolve()):
            raise SourceUnavailable(
                "git-mirror-outside", f"{repository}: its mirror is a link to a place outside {directory}",
                fix="copy the repository into the folder",
            )  # fmt: skip
        return f"file://{place}"

    return GitPlace(
        host=host, url=url, logins=NoLogin(host),
        road=GitRoad(protocols=("file",), settings=(f"remote.origin.uploadpack={_UPLOAD_PACK}",)),
    )  # fmt: skip
