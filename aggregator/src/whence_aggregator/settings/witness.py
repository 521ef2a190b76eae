"""Settings of a witness, /etc/whence/witness.yaml, checked whole at start."""

from __future__ import annotations

import re

import msgspec

from whence_aggregator.callers.trusted_proxies import AddressFrom, wrong_in_proxies
from whence_common import settings_file
from whence_common.note import LOG, NoteInvalid, VerifierKey
from whence_common.settings_file import Document

DRAIN_SECONDS_MAX = 300.0
_NAME = re.compile(r"[A-Za-z0-9._/-]{1,100}\Z")


class WitnessFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings with their defaults."""

    name: str
    """The witness's own name in cosignatures."""
    log_keys: list[str]
    """Verifier keys of the watched logs; several keys of one name belong to one log."""
    state_directory: str = "/var/lib/whence-witness"
    """The directory of the last checkpoint of each log, and of the witness's own key."""
    key_file: str | None = None
    """The witness's own key, created if missing; None: `witness.key` in `state_directory`."""
    listen_address: str = "127.0.0.1"
    listen_port: int = 7383
    tls_certificate_file: str | None = None
    tls_key_file: str | None = None
    drain_seconds: float = 5.0
    """How long requests are still accepted after SIGTERM, while /ready fails."""
    insecure_listen: bool = False
    trusted_proxies: list[str] = []
    client_address_from: AddressFrom = "x-forwarded-for"


def parse_witness_settings(content: bytes, *, name: str) -> WitnessFile:
    """Parse a settings file. Raises SettingsInvalid with every problem and its place."""
    return read_witness_settings(content, name=name).settings


def read_witness_settings(
    content: bytes, *, name: str, credentials_directory: str | None = None
) -> Document[WitnessFile]:
    """Read a settings file whole. `credentials_directory` is systemd's. Raises SettingsInvalid, as parsing does."""
    return settings_file.read(
        content,
        WitnessFile,
        name=name,
        least="set at least name and log_keys",
        judge=_what_is_wrong,
        credentials_directory=credentials_directory,
    )


def _what_is_wrong(settings: WitnessFile) -> list[str]:
    wrong = []
    if not _NAME.match(settings.name):
        wrong.append("name must be letters, digits and . _ / -")
    if not settings.log_keys:
        wrong.append("log_keys must name at least one log's key")
    for number, text in enumerate(settings.log_keys):
        try:
            if VerifierKey.parse(text).type != LOG:
                wrong.append(f"log_keys[{number}] is a witness's key, not a log's")
        except NoteInvalid as exc:
            wrong.append(f"log_keys[{number}]: {exc.diagnostics()}")
    if not 0 <= settings.drain_seconds <= DRAIN_SECONDS_MAX:
        wrong.append(f"drain_seconds must be from 0 to {DRAIN_SECONDS_MAX:g}")
    if (settings.tls_certificate_file is None) != (settings.tls_key_file is None):
        wrong.append("set both tls_certificate_file and tls_key_file, or neither")
    loopback = settings.listen_address in ("127.0.0.1", "::1", "localhost")
    if not loopback and settings.tls_certificate_file is None and not settings.insecure_listen:
        wrong.append("listen_address is not loopback: set tls_certificate_file and tls_key_file, or insecure_listen")
    return wrong + wrong_in_proxies(settings.trusted_proxies)
