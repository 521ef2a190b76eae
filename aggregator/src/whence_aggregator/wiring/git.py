"""Wiring of Git servers: how each is reached, what is kept of them, and whose signatures of commits count."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import aiohttp

from whence_aggregator.adapters.git_cache import GitCache
from whence_aggregator.adapters.git_history import Protection
from whence_aggregator.adapters.git_places import GitPlace, http_place, mirror_place, ssh_place
from whence_aggregator.adapters.git_process import GitRuns
from whence_aggregator.adapters.git_renamed import HttpRenames
from whence_aggregator.adapters.git_server import GitServerReader
from whence_aggregator.adapters.git_signatures import CommitKeys, CommitTrust
from whence_aggregator.adapters.logins import Logins
from whence_aggregator.collect.branches import BranchCollector
from whence_aggregator.collect.collectors import Collector
from whence_aggregator.collect.commits import CommitCollector, RangeCollector, SignatureCollector
from whence_aggregator.collect.protection import ProtectionSources
from whence_aggregator.ports import ProtectedNames
from whence_aggregator.settings.places import CommitTrustSettings, GitCacheSettings, GitServerSettings
from whence_aggregator.settings.server import Settings
from whence_aggregator.trace.facts import BRANCH_KIND, RANGE_KIND, SIGNATURE_KIND
from whence_aggregator.trackers.protection import ProtectionReader
from whence_common.clock import utc_now
from whence_common.settings_file import SettingsInvalid

GitLogins = Callable[[str, GitServerSettings, aiohttp.ClientSession], Logins]


def load_git(settings: Settings, session: aiohttp.ClientSession, logins: GitLogins) -> GitServerReader:
    """Build the reader of the configured Git servers. Raises SettingsInvalid."""
    servers = settings.git_servers
    return GitServerReader(
        runs=GitRuns(),
        places={host: _place(host, one, session, logins) for host, one in servers.items()},
        protected={
            host: Protection(branches=tuple(one.protected_branches), tags=tuple(one.protected_tags))
            for host, one in servers.items()
        },
        trust=CommitTrust(keys={place: _keys(one) for place, one in settings.commit_trust.items()}),
        cache=_cache(settings.git_cache) if settings.git_cache is not None else None,
        renames=HttpRenames(session),
    )


def git_collectors(
    settings: Settings, git: GitServerReader, hosts: Mapping[str, ProtectionReader]
) -> dict[str, Collector]:
    """Return the collectors that ask Git servers, by kind. `hosts` state what else is protected."""
    protection = ProtectionSources(
        settings={
            host: ProtectedNames(branches=tuple(one.protected_branches), tags=tuple(one.protected_tags))
            for host, one in settings.git_servers.items()
        },
        hosts=hosts, now=utc_now,
    )  # fmt: skip
    return {
        "commit": CommitCollector(git),
        BRANCH_KIND: BranchCollector(git, protection),
        SIGNATURE_KIND: SignatureCollector(git),
        RANGE_KIND: RangeCollector(git),
    }


def _place(host: str, one: GitServerSettings, session: aiohttp.ClientSession, logins: GitLogins) -> GitPlace:
    if one.mirror_directory is not None:
        return mirror_place(host, directory=one.mirror_directory)
    if one.ssh_key_file is not None and one.ssh_known_hosts_file is not None:
        return ssh_place(
            host, key_file=one.ssh_key_file, known_hosts_file=one.ssh_known_hosts_file, user=one.ssh_user,
            port=one.ssh_port,
        )  # fmt: skip
    return http_place(host, plain_http=one.plain_http, logins=logins(host, one, session))


def _cache(settings: GitCacheSettings) -> GitCache:
    try:
        return GitCache(
            Path(settings.directory), seconds=time.monotonic, now=time.time, bytes_max=settings.mib_max << 20
        )
    except OSError as exc:
        raise SettingsInvalid(
            "git-cache", f"git_cache.directory: {settings.directory} cannot be made: {exc.strerror}",
            fix="create it for the aggregator's user, with mode 0700",
        ) from exc  # fmt: skip


def _keys(one: CommitTrustSettings) -> CommitKeys:
    return CommitKeys(
        allowed_signers_file=one.allowed_signers_file or "",
        revoked_keys_file=one.revoked_keys_file or "",
        openpgp_key_files=tuple(one.openpgp_key_files),
        host_key_files=tuple(one.host_key_files),
    )
