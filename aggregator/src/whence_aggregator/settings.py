"""Settings of the aggregator, /etc/whence/aggregator.yaml, checked whole at start."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from whence_common import settings_file
from whence_common.identifiers import ACCOUNT_ID


class PlaceSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A registry or Git server that may be asked."""

    plain_http: bool = False


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings with their defaults."""

    audience: str
    """This aggregator's own name in proofs, usually its public URL. A proof for another one is refused."""
    accounts: list[str]
    """AWS accounts whose instances may enrol."""
    database: str = "sqlite:///var/lib/whence-aggregator/ledger.db"
    """sqlite:///PATH or postgresql://…; the environment's WHENCE_DATABASE comes first."""
    listen_address: str = "127.0.0.1"
    listen_port: int = 7381
    tls_certificate_file: str | None = None
    tls_key_file: str | None = None
    insecure_listen: bool = False
    """Listen without TLS on an address that is not loopback: only behind a proxy that speaks TLS."""
    heartbeat_secret_file: str = "/var/lib/whence-aggregator/heartbeat.secret"  # noqa: S105 - a path
    """32 bytes or more, the same on all replicas; made when missing."""
    tokens_file: str = "/etc/whence/tokens"
    authorities_directory: str | None = None
    """REGION.pem files to trust instead of AWS's certificates: for tests, never in production."""
    registries: dict[str, PlaceSettings] = {}
    git_servers: dict[str, PlaceSettings] = {}
    silent_after_seconds: float = 300.0


def parse_settings(content: bytes, *, name: str) -> Settings:
    """Parse a settings file. Raises SettingsInvalid naming the place and what is wrong there."""
    settings = settings_file.parse(content, Settings, name=name, least="set audience and accounts at least")
    settings_file.refuse(_what_is_wrong(settings), name=name)
    return settings


def _what_is_wrong(settings: Settings) -> list[str]:
    wrong = [f"accounts: {account!r} is no account id (12 digits, in quotes)" for account in settings.accounts
             if not ACCOUNT_ID.match(account)]  # fmt: skip
    if not settings.accounts:
        wrong.append("accounts must name at least one account: an empty list would let nobody enrol")
    if not settings.audience or not settings.audience.isascii() or not settings.audience.isprintable():
        wrong.append("audience must be printable ASCII")
    if urlsplit(settings.database).scheme not in ("sqlite", "postgresql", "postgres"):
        wrong.append("database must be sqlite:///PATH or postgresql://…")
    if (settings.tls_certificate_file is None) != (settings.tls_key_file is None):
        wrong.append("tls_certificate_file and tls_key_file go together")
    loopback = settings.listen_address in ("127.0.0.1", "::1", "localhost")
    if not loopback and settings.tls_certificate_file is None and not settings.insecure_listen:
        wrong.append("listen_address is not loopback: set tls_certificate_file and tls_key_file, or insecure_listen")
    if not 0 <= settings.listen_port < 65536:
        wrong.append("listen_port must be from 0 (any free port) to 65535")
    if not 1 <= settings.silent_after_seconds <= 7 * 86_400:
        wrong.append("silent_after_seconds must be from 1 to 604800")
    return wrong
