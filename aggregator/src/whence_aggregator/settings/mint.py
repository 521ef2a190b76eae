"""The setting `mint`: providers of credentials, the buckets that they are written to, and when they are rotated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from whence_aggregator.mint.bucket_places import BucketPlaces, BucketRow
from whence_aggregator.mint.rules import MintRules
from whence_aggregator.settings.places import is_safe_url
from whence_common.errors import InputError

_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}\Z")
_ACCOUNT = re.compile(r"[0-9]{12}\Z")
_PREFIX = re.compile(r"[a-z0-9_-]{0,20}\Z")
_PATH = re.compile(r"(/[a-z0-9-]{1,40}){1,3}\Z")
_SECONDS: Mapping[str, tuple[float, float]] = {
    "user_seconds": (600.0, 366 * 86_400.0),
    "client_seconds": (600.0, 366 * 86_400.0),
    "poll_seconds_max": (60.0, 86_400.0),
    "bound_seconds": (600.0, 30 * 86_400.0),
    "bucket_look_seconds": (600.0, 7 * 86_400.0),
    "missing_seconds": (3_600.0, 30 * 86_400.0),
}
_PROVIDERS_MAX = 20
_DELETIONS_MAX = 10_000
_BETWEEN_SECONDS_MAX = 60.0


class MintProviderSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A provider that makes credentials."""

    type: Literal["stups", "registration", "keycloak"]
    """STUPS's API of service users, dynamic client registration (RFC 7591, RFC 7592), or Keycloak's admin API."""
    url: str
    """Base URL of the service-user API or of Keycloak; of `registration`: the registration endpoint."""
    token_url: str | None = None
    """Token endpoint, where each new credential is tried; None: Keycloak's own."""
    token_file: str | None = None
    """File with the token that mint presents; of `registration`: the initial access token."""
    client_id: str | None = None
    """mint's own client: of `keycloak`, by which it signs in; of `stups`, by which it tries new passwords."""
    client_secret_file: str | None = None
    realm: str | None = None
    """Keycloak's realm."""
    owner_scopes: dict[str, list[str]] = {}
    """Of `stups`: scopes that need a resource owner's consent, TYPE.SCOPE, by realm."""
    private_addresses: bool = False
    """Whether its host may have an address that is not public."""
    seconds_between: float = 0.0
    """The minimum time between two requests to it."""


class MintBucketSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Buckets whose names match a pattern, and who writes them."""

    pattern: str
    """A name, in which `{prefix}`, `{account_id}` and `{region}` stand for parts of it."""
    role: str = ""
    """ARN of the role that writes, with `{account_id}`; empty: mint's own."""
    external_id_file: str | None = None
    account_id: str = ""
    """Of a pattern without `{account_id}`."""
    region: str = ""
    """Of a pattern without `{region}`."""


class MintSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """mint: the storage API, and the rotation of credentials."""

    key_file: str
    """File with a random key of at least 32 bytes, which seals secrets until they are published; mode 0600."""
    providers: dict[str, MintProviderSettings]
    """By name; an application has one of them."""
    buckets: list[MintBucketSettings]
    accounts: list[str] = []
    """Accounts whose buckets may be written, beside those of the setting `accounts`."""
    default_provider: str | None = None
    """Provider of applications that name none; None: the only one."""
    username_prefix: str = ""
    """Begins the names of new service users."""
    write_all: list[str] = []
    """Names of callers that may write every application, as the uids of mint's `HTTP_ALLOWED_UIDS`."""
    path: str = "/mint"
    """Where the storage API is within `serve`; Kio's applications are at /apps."""
    alone: bool = False
    """Only `whence-aggregator mint` has the key, serves the API and rotates: not `serve`."""
    listen_address: str = "127.0.0.1"
    listen_port: int = 7384
    """Where `whence-aggregator mint` listens; the storage API is at its root."""
    user_seconds: float = 7_200.0
    """Age at which a password is rotated."""
    client_seconds: float = 30 * 86_400.0
    """Age at which the secret of a client is rotated."""
    poll_seconds_max: float = 900.0
    """The longest time after which an instance reads a new object."""
    bound_seconds: float = 86_400.0
    """An old generation ends so long after its successor was published, even where instances have not reported it."""
    bucket_look_seconds: float = 3_600.0
    """How often is looked whether a bucket still holds what mint wrote, at most."""
    missing_seconds: float = 86_400.0
    """An application that is missing from Kio, or inactive, is deleted if it still is after this time."""
    deletions_per_hour_max: int = 10


def rules_of(mint: MintSettings) -> MintRules:
    """Return when mint rotates and deletes."""
    return MintRules(
        user_seconds=mint.user_seconds, client_seconds=mint.client_seconds, poll_seconds_max=mint.poll_seconds_max,
        bound_seconds=mint.bound_seconds, missing_seconds=mint.missing_seconds,
        bucket_look_seconds=mint.bucket_look_seconds, deletions_an_hour_max=mint.deletions_per_hour_max,
    )  # fmt: skip


def default_provider(mint: MintSettings) -> str:
    """Return the name of the provider of applications that name none."""
    return mint.default_provider if mint.default_provider is not None else next(iter(mint.providers))


def bucket_row(one: MintBucketSettings, external_id: str | None = None) -> BucketRow:
    return BucketRow(
        pattern=one.pattern, role=one.role, external_id=external_id, account_id=one.account_id, region=one.region
    )


def wrong_in_mint(mint: MintSettings | None) -> list[str]:
    """Return what is wrong; each problem begins with its setting."""
    if mint is None:
        return []
    wrong = []
    if not mint.key_file:
        wrong.append("mint.key_file must name a file")
    if not 1 <= len(mint.providers) <= _PROVIDERS_MAX:
        wrong.append(f"mint.providers must have 1 to {_PROVIDERS_MAX} providers")
    for name, one in mint.providers.items():
        wrong += _wrong_in_provider(f"mint.providers.{name}", name, one)
    if mint.default_provider is not None and mint.default_provider not in mint.providers:
        wrong.append("mint.default_provider must be one of mint.providers")
    if mint.default_provider is None and len(mint.providers) > 1:
        wrong.append("mint.default_provider must be set where there are several providers")
    if not _PREFIX.match(mint.username_prefix):
        wrong.append("mint.username_prefix must be up to 20 lower-case letters, digits, - and _")
    if not _PATH.match(mint.path):
        wrong.append("mint.path must be a path such as /mint")
    if not 0 <= mint.listen_port < 65536:
        wrong.append("mint.listen_port must be from 0 (any free port) to 65535")
    wrong += [f"mint.accounts: {one!r} is not an account id" for one in mint.accounts if not _ACCOUNT.match(one)]
    return wrong + _wrong_in_buckets(mint) + _wrong_in_times(mint)


def _wrong_in_times(mint: MintSettings) -> list[str]:
    wrong = [
        f"mint.{name} must be from {lowest:g} to {highest:g}"
        for name, (lowest, highest) in _SECONDS.items()
        if not lowest <= getattr(mint, name) <= highest
    ]
    if not 0 <= mint.deletions_per_hour_max <= _DELETIONS_MAX:
        wrong.append(f"mint.deletions_per_hour_max must be from 0 to {_DELETIONS_MAX}")
    if mint.bound_seconds < mint.poll_seconds_max:
        wrong.append("mint.bound_seconds must be at least mint.poll_seconds_max: else instances lose their credentials")
    if mint.user_seconds <= mint.poll_seconds_max or mint.client_seconds <= mint.poll_seconds_max:
        wrong.append("mint.user_seconds and client_seconds must be above mint.poll_seconds_max")
    return wrong


def _wrong_in_buckets(mint: MintSettings) -> list[str]:
    if not mint.buckets:
        return ["mint.buckets must have at least one pattern, or no credential can be published"]
    wrong = [
        f"mint.buckets[{number}].external_id_file needs role"
        for number, one in enumerate(mint.buckets)
        if one.external_id_file is not None and not one.role
    ]
    try:
        BucketPlaces([bucket_row(one) for one in mint.buckets], accounts=frozenset())
    except InputError as exc:
        wrong.append(f"mint.{exc.message}: {exc.fix}")
    return wrong


def _wrong_in_provider(name: str, given: str, one: MintProviderSettings) -> list[str]:
    wrong = []
    if not _NAME.match(given):
        wrong.append(f"{name}: a name is up to 40 lower-case letters, digits and dashes")
    for setting, url in (("url", one.url), ("token_url", one.token_url)):
        if url is not None and (not is_safe_url(url) or urlsplit(url).query or urlsplit(url).fragment):
            wrong.append(f"{name}.{setting} must be an https URL without a query; http is allowed on loopback")
    needed = {
        "stups": ("token_url", "token_file", "client_id", "client_secret_file"),
        "registration": ("token_url",),
        "keycloak": ("realm", "client_id", "client_secret_file"),
    }[one.type]
    wrong += [f"{name}.{setting} must be set for type {one.type}" for setting in needed if not getattr(one, setting)]
    if one.realm is not None and one.type != "keycloak":
        wrong.append(f"{name}.realm is for type keycloak only")
    if one.owner_scopes and one.type != "stups":
        wrong.append(f"{name}.owner_scopes is for type stups only")
    if not 0 <= one.seconds_between <= _BETWEEN_SECONDS_MAX:
        wrong.append(f"{name}.seconds_between must be from 0 to {_BETWEEN_SECONDS_MAX:g}")
    return wrong
