"""Settings of the aggregator, /etc/whence/aggregator.yaml, checked whole at start."""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from whence_aggregator.callers.trusted_proxies import AddressFrom, wrong_in_proxies
from whence_aggregator.compliance.rule_settings import NO_RULE_SETTINGS, RuleSettings, wrong_in_rules
from whence_aggregator.settings.account_configuration import (
    AccountConfigurationSettings,
    wrong_in_account_configuration,
)
from whence_aggregator.settings.approvals import ApprovalSettings, wrong_in_approvals
from whence_aggregator.settings.cloud_trail import EXTERNAL_ID, CloudTrailSettings, wrong_in_cloud_trail
from whence_aggregator.settings.console import ConsoleSettings, wrong_in_console
from whence_aggregator.settings.findings import FindingSettings, wrong_in_findings
from whence_aggregator.settings.front import RegistryFrontSettings, wrong_in_front
from whence_aggregator.settings.instance_logs import InstanceLogSettings, wrong_in_instance_logs
from whence_aggregator.settings.mint import MintSettings, wrong_in_mint
from whence_aggregator.settings.notifications import NotificationSettings, wrong_in_notifications
from whence_aggregator.settings.organisation import OrganisationSettings, wrong_in_organisation
from whence_aggregator.settings.places import (
    CommitTrustSettings,
    GitCacheSettings,
    GitServerSettings,
    PlaceSettings,
    wrong_in_commits,
    wrong_in_places,
    wrong_keys,
)
from whence_aggregator.settings.replicas import ReplicaSettings, wrong_in_replicas
from whence_aggregator.settings.rules import wrong_in_rules_off
from whence_aggregator.settings.sign_in import SignInSettings, maps_groups, wrong_in_sign_in
from whence_aggregator.settings.trackers import TrackerPlaceSettings, wrong_in_trackers
from whence_common import settings_file
from whence_common.identifiers import ACCOUNT_ID, REGION
from whence_common.image_reference import twice_named
from whence_common.log_policy import count_distinct
from whence_common.note import WITNESS, NoteInvalid, VerifierKey
from whence_common.settings_file import Document

DRAIN_SECONDS_MAX = 300.0


class WitnessSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A witness that cosigns this log's checkpoints."""

    url: str
    key: str
    """Its verifier key: name+hex id+BASE64."""


class InventorySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which accounts' instances are listed by the EC2 API, and how."""

    regions: list[str]
    role_name: str = "whence-inventory"
    """Role that is assumed in each of `accounts`."""
    seconds: float = 300.0
    """How often each account and region is asked."""
    session_name: str = "whence-aggregator"
    external_id: str | None = None
    """External id that the trust policies of these roles require."""


class LimitSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rate limits, in calls a second on average; ten times as many in a burst, at least ten.

    Those in bytes are bytes a second; a burst is ten seconds' worth, at least 4 MiB.
    """

    statements_per_instance: float = 5.0
    statements_per_account: float = 1_000.0
    statement_bytes_per_instance: float = 4096.0
    statement_bytes_per_account: float = 4.0 * 1024 * 1024
    application_bytes_per_caller: float = 4096.0
    application_bytes_per_team: float = 4096.0
    finding_bytes_per_caller: float = 4.0 * 1024 * 1024
    """A file of findings is taken whole; the next one is refused until the bytes are paid off at this rate."""
    heartbeats_per_instance: float = 1.0
    enrolments_per_instance: float = 0.1
    enrolments_per_account: float = 50.0
    challenges_per_address: float = 50.0
    """A challenge that names its key is refused if this is used up both for its address and for the key."""
    enrolment_attempts_per_address: float = 1.0
    """An attempt that proves nothing is refused where this and its instance's `enrolments_per_instance` are used up."""
    sign_in_attempts_per_address: float = 20.0
    """Tokens that are refused; those that are known do not count."""


class RetentionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long the bodies of entries stay in the database, in days; None: for ever. Hashes always stay."""

    statement_days: int | None = None
    verdict_days: int | None = None
    finding_days: int | None = None
    """Findings of scanners that have been fixed for so long, with the reports about them."""
    member_days: int | None = None
    """Lists of a team's members that a newer one has replaced; the newest of each team stays."""
    archive_bucket: str | None = None
    """S3 bucket that bundles of old entries are moved to before their bodies are deleted."""
    archive_prefix: str = ""
    archive_region: str = "eu-central-1"


class BuilderSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A builder whose provenance counts if this key has signed it."""

    id: str
    key_file: str


class ImageTrustSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose signatures count for the images of one registry."""

    signature_key_files: list[str] = []
    """PEM public keys, P-256, as cosign writes them."""
    builders: list[BuilderSettings] = []


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings with their defaults."""

    audience: str
    """This aggregator's name in proofs, usually its public URL. A proof for another name is refused."""
    accounts: list[str] | Literal["organization"]
    """AWS accounts whose instances may enrol; `organization`: those that AWS Organizations lists as ACTIVE."""
    database: str = "sqlite:///var/lib/whence-aggregator/ledger.db"
    """sqlite:///PATH or postgresql://…; the environment's WHENCE_DATABASE takes precedence."""
    database_connections_max: int = 10
    """Maximum of connections to PostgreSQL of this process: two write, the others read."""
    listen_address: str = "127.0.0.1"
    listen_port: int = 7381
    tls_certificate_file: str | None = None
    tls_key_file: str | None = None
    metrics_public_labels: bool = False
    """/metrics names accounts and hosts without a token too."""
    drain_seconds: float = 5.0
    """How long requests are still accepted after SIGTERM, while /ready fails: until a load balancer has noticed."""
    insecure_listen: bool = False
    """Listen without TLS on an address that is not loopback: only behind a proxy that terminates TLS."""
    trusted_proxies: list[str] = []
    """Networks of the proxies before this server, in CIDR form: only they may name the client of a request."""
    client_address_from: AddressFrom = "x-forwarded-for"
    """How they name it: the header X-Forwarded-For, or the PROXY protocol (version 1 or 2)."""
    heartbeat_secret_file: str = "/var/lib/whence-aggregator/heartbeat.secret"  # noqa: S105 - a path
    """32 bytes or more, the same on all replicas; created if missing."""
    tokens_file: str = "/etc/whence/tokens"
    sign_in: SignInSettings = SignInSettings()
    authorities_directory: str | None = None
    """REGION.pem files to trust instead of AWS's certificates: for tests, never in production."""
    log_origin: str | None = None
    """The log's name in checkpoints; None: the audience without its scheme. Never change it."""
    log_key_file: str = "/var/lib/whence-aggregator/log.key"
    """The log's private keys, the same on all replicas; the first is created if missing."""
    checkpoint_file: str = "/var/lib/whence-aggregator/log.checkpoint"
    """The last signed checkpoint; on another disk than the database, if there is one."""
    checkpoint_seconds: float = 10.0
    """How often a checkpoint is published and witnesses are asked."""
    witnesses: list[WitnessSettings] = []
    replicas: ReplicaSettings | None = None
    """Where a replica without `checkpoint_file` copies it from; None: the start is refused."""
    sts: Literal["off", "accepted", "required"] = "required"
    """The fresh proof of identity at enrolment. Without it, anyone with an identity document may bind a key first."""
    document_seconds_max: float = 3600.0
    """The maximum age of an identity document that binds a key without that proof."""
    aws_endpoint_url: str | None = None
    """For tests and private endpoints; None: AWS's own."""
    inventory: InventorySettings | None = None
    cloud_trail: CloudTrailSettings | None = None
    """Queues and buckets of CloudTrail; None: events are not read."""
    organisation: OrganisationSettings | None = None
    account_configuration: AccountConfigurationSettings | None = None
    """The declared state of accounts; None: nothing is compared with it."""
    limits: LimitSettings = LimitSettings()
    retention: RetentionSettings = RetentionSettings()
    registries: dict[str, PlaceSettings] = {}
    trust: dict[str, ImageTrustSettings] = {}
    """By the registry's host."""
    ami_builders: list[BuilderSettings] = []
    """Whose statements about AMIs are accepted, and count in lineages."""
    registry_front: RegistryFrontSettings | None = None
    mint: MintSettings | None = None
    """Credentials of applications; None: none are minted."""
    git_servers: dict[str, GitServerSettings] = {}
    trackers: dict[str, TrackerPlaceSettings] = {}
    """Code hosts and trackers, by host: as in the URLs of repositories and tickets."""
    approvals: ApprovalSettings | None = None
    """What a version needs to be approved; None: approvals are recorded, and not judged."""
    rules: RuleSettings = NO_RULE_SETTINGS
    """What is allowed: a rule whose setting is missing is not in force."""
    own_rules_directory: str | None = None
    """Rules that users wrote: *.yaml files; None: there are none."""
    rules_off: dict[str, str] = {}
    """Rules that are switched off, by id, each with the reason, which is recorded in the log."""
    findings: FindingSettings = FindingSettings()
    """Scanners, and what their findings mean."""
    notifications: NotificationSettings | None = None
    """Who is told of violations; None: nobody."""
    console: bool | ConsoleSettings = False
    """Pages for people, below /console; true serves them at the audience."""
    instance_logs: InstanceLogSettings | None = None
    """Logs that Taupage's agents send without a signature; None: they are refused."""
    git_cache: GitCacheSettings | None = None
    commit_trust: dict[str, CommitTrustSettings] = {}
    """By host, or host and the beginning of the path."""
    required_links: list[str] | None = None
    """What a lineage must have to be complete; None: every link but `approval`, reviews too."""
    silent_after_seconds: float = 300.0
    verifier_process: bool | None = None
    """Verify signatures in a separate process; None: if there is more than one core."""
    judging_process: bool | None = None
    """Judge backlogs in a separate process; None: if there is more than one core."""


_RENAMED = {"registry": "registry_front"}
"""Names of settings of earlier versions, and their names now."""


def accounts_named(settings: Settings) -> list[str]:
    """Return the accounts that the settings themselves name."""
    return settings.accounts if isinstance(settings.accounts, list) else []


def log_origin(settings: Settings) -> str:
    """Return the log's name."""
    return settings.log_origin or settings.audience.partition("://")[2].rstrip("/") or settings.audience


def parse_settings(content: bytes, *, name: str) -> Settings:
    """Parse a settings file. Raises SettingsInvalid with every problem and its place."""
    return read_settings(content, name=name).settings


def read_settings(content: bytes, *, name: str, credentials_directory: str | None = None) -> Document[Settings]:
    """Read a settings file whole. `credentials_directory` is systemd's. Raises SettingsInvalid, as parsing does."""
    return settings_file.read(
        content,
        Settings,
        name=name,
        least="set at least audience and accounts",
        judge=_what_is_wrong,
        renamed=_RENAMED,
        credentials_directory=credentials_directory,
    )


def _what_is_wrong(settings: Settings) -> list[str]:
    named = accounts_named(settings)
    wrong = [f"accounts: {account!r} is not an account id (12 digits, in quotes)" for account in named
             if not ACCOUNT_ID.match(account)]  # fmt: skip
    if settings.accounts == "organization" and (settings.organisation is None or settings.organisation.aws is None):
        wrong.append("accounts: `organization` needs organisation.aws, which lists them")
    if (
        settings.organisation is not None
        and settings.organisation.groups is not None
        and not maps_groups(settings.sign_in)
    ):
        wrong.append("organisation.groups: no issuer of sign_in, nor introspection, has claims.groups")
    if not settings.accounts:
        wrong.append("accounts must name at least one account: with an empty list, no instance can enrol")
    if not settings.audience or not settings.audience.isascii() or not settings.audience.isprintable():
        wrong.append("audience must be printable ASCII")
    if urlsplit(settings.database).scheme not in ("sqlite", "postgresql", "postgres"):
        wrong.append("database must be sqlite:///PATH or postgresql://…")
    if (settings.tls_certificate_file is None) != (settings.tls_key_file is None):
        wrong.append("set both tls_certificate_file and tls_key_file, or neither")
    loopback = settings.listen_address in ("127.0.0.1", "::1", "localhost")
    if not loopback and settings.tls_certificate_file is None and not settings.insecure_listen:
        wrong.append("listen_address is not loopback: set tls_certificate_file and tls_key_file, or insecure_listen")
    if not 0 <= settings.listen_port < 65536:
        wrong.append("listen_port must be from 0 (any free port) to 65535")
    if not 0 <= settings.drain_seconds <= DRAIN_SECONDS_MAX:
        wrong.append(f"drain_seconds must be from 0 to {DRAIN_SECONDS_MAX:g}")
    if not 1 <= settings.silent_after_seconds <= 7 * 86_400:
        wrong.append("silent_after_seconds must be from 1 to 604800")
    return wrong + _wrong_in_parts(settings)


def _wrong_in_parts(settings: Settings) -> list[str]:
    wrong = _wrong_in_witnesses(settings.witnesses) + wrong_in_replicas(settings.replicas)
    wrong += wrong_in_proxies(settings.trusted_proxies)
    if not 1 <= settings.checkpoint_seconds <= 3600:
        wrong.append("checkpoint_seconds must be from 1 to 3600")
    if not 60 <= settings.document_seconds_max <= 30 * 86_400:
        wrong.append("document_seconds_max must be from 60 to 2592000")
    if settings.inventory is not None:
        wrong += _wrong_in_inventory(settings.inventory)
    if settings.cloud_trail is not None:
        wrong += wrong_in_cloud_trail(settings.cloud_trail)
    if settings.organisation is not None:
        wrong += wrong_in_organisation(settings.organisation)
    if settings.approvals is not None:
        wrong += wrong_in_approvals(settings.approvals)
    wrong += wrong_in_account_configuration(settings.account_configuration)
    wrong += wrong_in_mint(settings.mint)
    wrong += wrong_in_rules(settings.rules)
    wrong += wrong_in_rules_off(settings.rules_off)
    wrong += wrong_in_findings(settings.findings)
    if settings.notifications is not None:
        wrong += wrong_in_notifications(settings.notifications)
    wrong += wrong_in_console(settings.console, settings.audience)
    if settings.instance_logs is not None:
        wrong += wrong_in_instance_logs(settings.instance_logs)
    wrong += _wrong_in_database(settings)
    wrong += wrong_in_places(settings.registries, settings.git_servers)
    wrong += wrong_in_trackers(settings.trackers)
    wrong += wrong_in_commits(settings.git_cache, settings.commit_trust)
    wrong += wrong_keys("trust", settings.trust)
    wrong += [f"trust: {names} are one registry; write it once" for names in twice_named(settings.trust)]
    if settings.registry_front is not None:
        wrong += wrong_in_front(settings.registry_front)
        if settings.registry_front.pulls == "own-teams" and settings.organisation is None:
            wrong.append("registry_front.pulls: own-teams needs organisation, which states who owns each account")
    wrong += wrong_in_sign_in(settings.sign_in)
    if any(rate <= 0 for rate in msgspec.structs.astuple(settings.limits)):
        wrong.append("limits: each limit must be above 0")
    return wrong + _wrong_in_retention(settings.retention)


def _wrong_in_retention(retention: RetentionSettings) -> list[str]:
    wrong = []
    days = (retention.statement_days, retention.verdict_days, retention.finding_days, retention.member_days)
    if any(one is not None and one < 1 for one in days):
        wrong.append("retention: statement_days, verdict_days, finding_days and member_days must be at least 1")
    if retention.member_days is not None and retention.archive_bucket is not None:
        wrong.append("retention.member_days and archive_bucket exclude each other: the archive would keep the names")
    return wrong


def _wrong_in_inventory(inventory: InventorySettings) -> list[str]:
    wrong = [f"inventory.regions: {one!r} is not a region" for one in inventory.regions if not REGION.match(one)]
    if not inventory.regions or not 10 <= inventory.seconds <= 86_400:
        wrong.append("inventory needs regions, and seconds from 10 to 86400")
    if not re.fullmatch(r"[A-Za-z0-9+=,.@_/-]{1,200}", inventory.role_name):
        wrong.append("inventory.role_name must be the name of a role, with its path if it has one")
    if not re.fullmatch(r"[A-Za-z0-9+=,.@_-]{2,64}", inventory.session_name):
        wrong.append("inventory.session_name must be 2 to 64 letters, digits or +=,.@_-")
    if inventory.external_id is not None and not EXTERNAL_ID.match(inventory.external_id):
        wrong.append("inventory.external_id must be 2 to 1224 letters, digits or +=,.@:/_-")
    return wrong


def _wrong_in_database(settings: Settings) -> list[str]:
    if not 4 <= settings.database_connections_max <= 1000:
        return ["database_connections_max must be from 4 (two write, two read) to 1000"]
    return []


def _wrong_in_witnesses(witnesses: list[WitnessSettings]) -> list[str]:
    wrong, witness_keys = [], list[VerifierKey]()
    for number, witness in enumerate(witnesses):
        if urlsplit(witness.url).scheme not in ("http", "https"):
            wrong.append(f"witnesses[{number}].url must be an http or https URL")
        try:
            witness_keys.append(VerifierKey.parse(witness.key))
            if witness_keys[-1].type != WITNESS:
                wrong.append(f"witnesses[{number}].key is a log's key, not a witness's")
        except NoteInvalid as exc:
            wrong.append(f"witnesses[{number}].key: {exc.diagnostics()}")
    if count_distinct(witness_keys) < len(witness_keys):
        wrong.append("witnesses: two witnesses have the same key or name")
    return wrong
