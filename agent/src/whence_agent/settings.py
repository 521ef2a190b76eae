"""Platform settings, /etc/whence/agent.yaml, which the owner of the AMI sets and user data cannot change."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from whence_agent.proxies import Proxies, find_errors
from whence_agent.registry_settings import RegistrySettings, SignInMethod
from whence_agent.stage_table import STAGE_SECONDS_MAX, StageRow
from whence_common import settings_file
from whence_common.errors import one_line
from whence_common.image_reference import is_host, registry_name, twice_named
from whence_common.settings_file import Document
from whence_common.user_data.keys import TOP_KEYS
from whence_common.user_data.options import CAPABILITIES
from whence_common.user_data.platform import DEFAULT_CAPABILITIES, DEFAULT_SYSCTLS, PlatformRules, is_ecr


class ProxySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Outbound proxies, which replace those of the environment; an empty mapping means no proxy."""

    https: str = ""
    """URL of the proxy for https, used by CONNECT."""
    http: str = ""
    no_proxy: list[str] = []
    """Hosts, domains, addresses and networks, with or without a port, that are reached directly; * matches all."""
    login_file: str | None = None
    """File with one line, USER:PASSWORD, for proxies that require a login."""

    def proxies(self) -> Proxies:
        """Return the proxies, without the login."""
        return Proxies(https=self.https, http=self.http, no_proxy=tuple(self.no_proxy))


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Platform settings with their defaults. Times are in seconds."""

    aggregator_url: str
    aggregator_ca_file: str | None = None
    """PEM file with further authorities to trust for the aggregator; verification cannot be disabled."""
    aggregator_log_keys: list[str] = []
    """Verifier keys of the aggregator's log, which must sign receipts; if empty, those named at enrolment."""
    aggregator_witness_keys: list[str] = []
    """Verifier keys of witnesses: a statement leaves the disk only once they have cosigned its receipt."""
    aggregator_witnesses_least: int | None = None
    """How many of them are required; None means all."""
    state_directory: str = "/var/lib/whence-agent"
    container_directory: str = "/var/lib/whence-agent/container"
    """Mounted read-only at /meta in the container: the filtered taupage.yaml and credentials/."""
    mounts_directory: str = "/mounts"
    """Directory of the `mounts` of user data on the host."""
    engine_socket: str = "unix:///run/docker.sock"
    machine_socket: str = "/run/whence-machine.sock"
    """The helper that does what needs root: kernel settings, sshd's ports, power."""
    disks_socket: str = "/run/whence-disks.sock"
    """The helper for disks and mounts; both may be one socket."""
    container_name: str = "taupageapp"
    publish_address: str = "0.0.0.0"  # noqa: S104 - an application's ports are public, as on Taupage
    metadata_url: str = "http://169.254.169.254"
    aws_endpoint_url: str | None = None
    """For tests and private endpoints; None means AWS's endpoints."""
    proxy: ProxySettings | None = None
    """None means HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the environment."""
    status_address: str = "127.0.0.1"
    status_port: int = 7380
    status_hosts: list[str] = []
    """Further names that requests may have as Host, besides the machine's own, loopback and IP addresses."""

    registries: dict[str, RegistrySettings] = {}
    allowed_registries: list[str] | None = None
    """None allows every registry."""
    docker_config_file: str | None = None
    """Docker's configuration file with `auths`, for registries from which all instances may pull."""
    oauth_token_url: str | None = None
    """Token endpoint for `tokens` of user data and for registries with sign_in: mint."""
    web_identity_audience: str | None = None
    """Audience of the tokens that AWS signs for token_source: web-identity; None means oauth_token_url."""

    application_uid: int = 999
    application_group: str = "whence-application"
    """Group that may read the credentials; the container runs with its gid. The package creates it."""
    application_gid: int | None = None
    """Replaces application_group on machines without that group."""
    allow_privileged: bool = False
    allow_engine_socket: bool = False
    allow_host_network: bool = True
    """With the host's network a container can use the instance's role, whatever the metadata service's hop limit."""
    allowed_capabilities: tuple[str, ...] = tuple(sorted(DEFAULT_CAPABILITIES))
    allowed_sysctls: tuple[str, ...] = DEFAULT_SYSCTLS
    """Patterns; * matches anything."""
    platform_containers: list[str] = []
    """Name patterns of containers that the platform runs and that are not drift; * matches anything."""
    instance_users: list[str] = []
    """Users whose authorized_keys are removed unless user data says keep_instance_users."""
    user_data_defaults: dict[str, Any] = {}
    """Values for keys that user data omits."""
    user_data_platform: dict[str, Any] = {}
    """Values that user data cannot change; applications see them in /meta/taupage.yaml."""
    pids_max: int = 4096
    log_driver: str = "json-file"
    log_options: dict[str, str] = msgspec.field(default_factory=lambda: {"max-size": "64m", "max-file": "4"})
    tokeninfo_url: str | None = None
    mask_environment: bool = True
    """Mask every environment value in reports except those of `show_environment`, not only what looks secret."""
    show_environment: list[str] = []
    """Name patterns of variables whose values are shown unless they look secret; * matches anything."""

    credentials_required: bool = True
    """Whether the container starts only with a first generation of credentials."""
    credentials_first_seconds_max: float = 300.0
    credentials_poll_seconds: float = 120.0
    credentials_revoked_after_polls: int = 15
    """After so many consecutive answers that the objects are absent, they count as revoked; 0 means never."""
    credentials_revoked: Literal["mark", "remove"] = "mark"
    expired_tokens: Literal["keep", "remove"] = "keep"

    on_failure: Literal["hold", "terminate", "unhealthy", "retry"] = "hold"
    retry_pause_seconds_max: float = 600.0
    """Longest pause before a failed boot is tried again, with on_failure: retry."""
    stage_seconds_max: dict[str, float] = {}
    """Deadlines of boot stages that differ from the defaults (stage_table.STAGE_SECONDS_MAX), by stage."""
    pull_stall_seconds_max: float = 60.0
    """A pull that downloads nothing for so long is stopped and tried again; extraction may take ten times longer."""
    volumes_seconds_max: float = 300.0
    heartbeat_seconds: float = 60.0
    watch_seconds: float = 5.0
    """Interval of inspections of the containers, in addition to the engine's events."""
    health_seconds: float = 10.0
    """Interval of health checks of the application after the boot."""
    notice_seconds: float = 5.0
    """Interval of requests to the metadata service for spot and other notices."""
    drain_on_rebalance: bool = False
    """Drain on a rebalance recommendation too; useful only if the group replaces such instances."""
    metrics_seconds: float = 300.0
    packages_seconds: float = 300.0
    """Interval of readings of the installed packages, if the image names its statement."""
    outbox_statements_max: int = 1_000
    outbox_bytes_max: int = 32 * 1024 * 1024
    delivery_pause_seconds_max: float = 120.0

    def platform_rules(self) -> PlatformRules:
        """Return the rules by which user data is judged."""
        hosts = [(registry_name(host), registry) for host, registry in self.registries.items()]
        platform = {"tokeninfo_url": self.tokeninfo_url} if self.tokeninfo_url is not None else {}
        return PlatformRules(
            immutable=frozenset(host for host, registry in hosts if registry.immutable_tags is True),
            asked=frozenset(host for host, registry in hosts if registry.immutable_tags == "ask"),
            allowed=None if self.allowed_registries is None else frozenset(map(registry_name, self.allowed_registries)),
            single_segment=frozenset(host for host, registry in hosts if registry.single_segment),
            privileged=self.allow_privileged,
            engine_socket=self.allow_engine_socket,
            host_network=self.allow_host_network,
            capabilities=frozenset(self.allowed_capabilities),
            sysctls=tuple(self.allowed_sysctls),
            defaults=self.user_data_defaults,
            values={**platform, **self.user_data_platform},
            own_ports=frozenset({self.status_port} - {0}),
        )

    def stage_seconds(self, stage: str) -> float:
        """Return the deadline in seconds that `stage_seconds_max` sets, or its default."""
        return self.stage_seconds_max.get(stage, STAGE_SECONDS_MAX[stage])

    def deadline_seconds(self, row: StageRow) -> float:
        """Return a stage's deadline in seconds, without the part that user data sets."""
        usual = sum(self.stage_seconds(name) for name in row.usual_seconds)
        return usual + sum(float(getattr(self, name)) for name in row.settings) + row.spare_seconds

    def registry(self, host: str) -> RegistrySettings:
        """Return the settings of a registry, by any of its names."""
        named = {registry_name(name): one for name, one in self.registries.items()}
        return named.get(registry_name(host), RegistrySettings())

    def sign_in_of(self, host: str) -> SignInMethod:
        """Return how to sign in to a registry; `auto` becomes `ecr` for an ECR host name."""
        sign_in = self.registry(host).sign_in
        return "ecr" if sign_in == "auto" and is_ecr(host) else sign_in


def parse_settings(content: bytes, *, name: str) -> Settings:
    """Parse a settings file. Raises SettingsInvalid with every error and its place."""
    return read_settings(content, name=name).settings


def read_settings(content: bytes, *, name: str, credentials_directory: str | None = None) -> Document[Settings]:
    """Parse a settings file into a document. `credentials_directory` is systemd's. Raises SettingsInvalid."""
    return settings_file.read(
        content,
        Settings,
        name=name,
        least="set aggregator_url at least",
        judge=_find_errors,
        credentials_directory=credentials_directory,
    )


_SECONDS = (
    "credentials_poll_seconds", "credentials_first_seconds_max", "heartbeat_seconds", "watch_seconds", "health_seconds",
    "notice_seconds", "metrics_seconds", "packages_seconds", "volumes_seconds_max", "delivery_pause_seconds_max",
    "retry_pause_seconds_max", "pull_stall_seconds_max",
)  # fmt: skip


def _find_errors(settings: Settings) -> Iterator[str]:
    yield from _find_url_errors(settings)
    for key in _SECONDS:
        if not 0 < getattr(settings, key) <= 86_400:
            yield f"{key} must be more than 0 and at most 86400"
    yield from _find_stage_errors(settings)
    for key in ("outbox_statements_max", "outbox_bytes_max", "pids_max"):
        if getattr(settings, key) < 1:
            yield f"{key} must be at least 1"
    for key in ("state_directory", "container_directory", "mounts_directory", "machine_socket", "disks_socket"):
        if not getattr(settings, key).startswith("/"):
            yield f"{key} must be an absolute path"
    if not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,62}", settings.container_name):
        yield "container_name must be letters, digits, _ . and -"
    if settings.application_uid < 1 or settings.application_gid == 0:
        yield "application_uid and application_gid must not be 0: the application must not run as root"
    if not 0 <= settings.status_port < 65536:
        yield "status_port must be from 0 (any free port) to 65535"
    if settings.credentials_revoked_after_polls < 0:
        yield "credentials_revoked_after_polls must be at least 0"
    yield from _find_log_key_errors(settings)
    yield from _find_registry_errors(settings)
    yield from _find_user_data_errors(settings)


def _find_stage_errors(settings: Settings) -> Iterator[str]:
    for stage, seconds in settings.stage_seconds_max.items():
        if stage not in STAGE_SECONDS_MAX:
            yield f"stage_seconds_max: {one_line(stage, 60)!r} is not one of {', '.join(STAGE_SECONDS_MAX)}"
        elif not 0 < seconds <= 86_400:
            yield f"stage_seconds_max.{stage} must be more than 0 and at most 86400"


def _find_log_key_errors(settings: Settings) -> Iterator[str]:
    if not settings.aggregator_log_keys and not settings.aggregator_witness_keys:
        if settings.aggregator_witnesses_least is not None:
            yield "aggregator_witnesses_least requires aggregator_witness_keys"
        return
    yield from _find_verifier_key_errors(settings)


def _find_verifier_key_errors(settings: Settings) -> Iterator[str]:
    from whence_common.log_policy import count_distinct, wrong_witnesses
    from whence_common.note import NoteInvalid, VerifierKey

    found: dict[str, list[VerifierKey]] = {"aggregator_log_keys": [], "aggregator_witness_keys": []}
    for name, keys in found.items():
        for number, text in enumerate(getattr(settings, name)):
            try:
                keys.append(VerifierKey.parse(text))
            except NoteInvalid as exc:
                yield f"{name}[{number}]: {exc.diagnostics()}"
    witnesses = found["aggregator_witness_keys"]
    for wrong in wrong_witnesses(found["aggregator_log_keys"], (), witnesses):
        yield f"aggregator_witness_keys or aggregator_log_keys: {wrong}"
    least, known = settings.aggregator_witnesses_least, count_distinct(witnesses)
    if least is not None and not 1 <= least <= known:
        yield f"aggregator_witnesses_least must be from 1 to {known}, the number of aggregator_witness_keys"


def _find_url_errors(settings: Settings) -> Iterator[str]:
    for key in ("aggregator_url", "metadata_url", "oauth_token_url", "tokeninfo_url", "aws_endpoint_url"):
        parts = urlsplit(getattr(settings, key) or "https://none")
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            yield f"{key} must be an http or https URL without a user name"
    if settings.proxy is not None:
        yield from find_errors(settings.proxy.proxies(), "proxy")
    for host in settings.status_hosts:
        if not is_host(host) or ":" in host:
            yield f"status_hosts: {one_line(host, 60)!r} is not a host; write it without scheme and port"


def _find_registry_errors(settings: Settings) -> Iterator[str]:
    for names in twice_named(settings.registries):
        yield f"registries: {names} are one registry; write it once"
    for host in (*settings.registries, *(settings.allowed_registries or ())):
        if not is_host(host):
            where = "registries" if host in settings.registries else "allowed_registries"
            yield f"{where}: {one_line(host, 60)!r} is not a host: write HOST or HOST:PORT"
    for host, registry in settings.registries.items():
        for other in (*registry.token_hosts, *registry.blob_hosts):
            if not is_host(other):
                yield f"registries.{host}: {one_line(other, 60)!r} in token_hosts or blob_hosts is not a host"
        if registry.sign_in == "mint" and settings.oauth_token_url is None:
            yield f"registries.{host}: sign_in: mint requires oauth_token_url"
        if registry.immutable_tags == "ask" and settings.sign_in_of(host) != "ecr":
            yield f"registries.{host}: immutable_tags: ask works with ECR only; set sign_in: ecr, or true or false"


def _find_user_data_errors(settings: Settings) -> Iterator[str]:
    unknown = sorted(set(settings.allowed_capabilities) - CAPABILITIES)
    if unknown:
        yield f"allowed_capabilities: {', '.join(unknown)} is not a capability; write it without CAP_"
    required = sorted(name for name in settings.user_data_defaults if TOP_KEYS.get(name) and TOP_KEYS[name].required)
    if required:
        yield f"user_data_defaults must leave {', '.join(required)} to user data"
    for user in settings.instance_users:
        if not re.fullmatch(r"[a-z_][a-z0-9_-]{0,31}", user) or user == "root":
            yield f"instance_users: {user!r} is not the name of an ordinary user"
