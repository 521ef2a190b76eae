"""Platform settings, /etc/whence/agent.yaml: what the AMI's owner decides, and user data cannot."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import msgspec

from whence_common import settings_file
from whence_common.user_data.platform import PlatformRules


class RegistrySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the platform says of one registry."""

    immutable_tags: bool = False
    """Tags are written once there. Say it only of a registry that enforces it."""
    plain_http: bool = False
    """Reached without TLS. Loopback registries always are."""
    single_segment: bool = False
    """Repositories may have no team before the name, as is common in ECR."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Platform settings with their defaults. Times are in seconds."""

    aggregator_url: str
    aggregator_ca_file: str | None = None
    """PEM file with further authorities to trust for the aggregator; never instead of verifying."""
    state_directory: str = "/var/lib/whence-agent"
    container_directory: str = "/var/lib/whence-agent/container"
    """Mounted read-only at /meta in the container: the filtered taupage.yaml and credentials/."""
    engine_socket: str = "unix:///run/docker.sock"
    container_name: str = "taupageapp"
    publish_address: str = "0.0.0.0"  # noqa: S104 - an application's ports are published as stock did
    metadata_url: str = "http://169.254.169.254"
    aws_endpoint_url: str | None = None
    """For tests and private endpoints; None means AWS's own."""
    status_address: str = "127.0.0.1"
    status_port: int = 7380
    registries: dict[str, RegistrySettings] = {}
    allowed_registries: list[str] | None = None
    """None allows every registry."""
    application_uid: int = 999
    application_group: str = "whence-application"
    """Group that may read the credentials; the container runs with its gid. The package makes it."""
    application_gid: int | None = None
    """Instead of application_group, for machines without that group."""
    tokeninfo_url: str | None = None
    mask_environment: bool = False
    """Mask every environment value in reports, not only what looks secret."""
    credentials_required: bool = True
    """Without a first generation of credentials there is no container."""
    credentials_first_seconds_max: float = 300.0
    credentials_poll_seconds: float = 120.0
    heartbeat_seconds: float = 60.0
    watch_seconds: float = 5.0
    """How often the container is looked at."""
    outbox_statements_max: int = 1_000
    outbox_bytes_max: int = 32 * 1024 * 1024
    delivery_pause_seconds_max: float = 120.0

    def registry_rules(self) -> PlatformRules:
        return PlatformRules(
            immutable=frozenset(host for host, registry in self.registries.items() if registry.immutable_tags),
            allowed=None if self.allowed_registries is None else frozenset(self.allowed_registries),
            single_segment=frozenset(host for host, registry in self.registries.items() if registry.single_segment),
        )


def parse_settings(content: bytes, *, name: str) -> Settings:
    """Parse a settings file. Raises SettingsInvalid naming the place and what is wrong there."""
    settings = settings_file.parse(content, Settings, name=name, least="set aggregator_url at least")
    settings_file.refuse(_what_is_wrong(settings), name=name)
    return settings


def _what_is_wrong(settings: Settings) -> list[str]:
    wrong: list[str] = []
    for key in ("aggregator_url", "metadata_url"):
        parts = urlsplit(getattr(settings, key))
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            wrong.append(f"{key} must be an http or https URL without user name")
    for key in ("credentials_poll_seconds", "heartbeat_seconds", "watch_seconds", "delivery_pause_seconds_max"):
        if not 0 < getattr(settings, key) <= 86_400:
            wrong.append(f"{key} must be more than 0 and at most 86400")
    for key in ("outbox_statements_max", "outbox_bytes_max"):
        if getattr(settings, key) < 1:
            wrong.append(f"{key} must be at least 1")
    for key in ("state_directory", "container_directory"):
        if not getattr(settings, key).startswith("/"):
            wrong.append(f"{key} must be an absolute path")
    if not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,62}", settings.container_name):
        wrong.append("container_name must be letters, digits, _ . and -")
    return wrong + _ranges(settings)


def _ranges(settings: Settings) -> list[str]:
    wrong: list[str] = []
    if settings.application_uid < 1 or settings.application_gid == 0:
        wrong.append("application_uid and application_gid must not be 0: the application is not root")
    if not 0 <= settings.status_port < 65536:
        wrong.append("status_port must be from 0 (any free port) to 65535")
    return wrong
