"""The files that settings name: certificates, tokens, secrets, and keys of trusted builders."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from whence_aggregator.adapters.server_tls import ServerTls
from whence_aggregator.callers.tokens import CallerToken, parse_tokens
from whence_aggregator.collect.attached import Trust
from whence_aggregator.settings.server import ImageTrustSettings, Settings
from whence_common.identity_document import Authorities
from whence_common.image_trust import TrustedBuilder, TrustKeyInvalid, load_public_key
from whence_common.keys import key_id
from whence_common.runtime.files import make_once_for_owner
from whence_common.settings_file import SettingsInvalid

_SECRET_BYTES_MIN = 32
_TOKENS_BYTES_MAX = 16 * 1024 * 1024


def load_authorities(directory: str | None) -> Authorities:
    """Load AWS's certificates, which ship with the package, or those of a directory. Raises SettingsInvalid."""
    if directory is None:
        files = (resources.files("whence_aggregator") / "aws_certificates").iterdir()
        return Authorities.from_pem({file.name.removesuffix(".pem"): file.read_bytes() for file in files})
    pem = {path.stem: path.read_bytes() for path in sorted(Path(directory).glob("*.pem"))}
    if not pem:
        raise SettingsInvalid("authorities-empty", f"authorities_directory: {directory} contains no REGION.pem file")
    try:
        return Authorities.from_pem(pem)
    except ValueError as exc:
        raise SettingsInvalid("authorities-invalid", f"authorities_directory: {directory}: {exc}") from exc


def load_callers(path: str) -> Mapping[str, CallerToken]:
    """Load the file of token hashes. Raises SettingsInvalid or TokensInvalid."""
    try:
        with Path(path).open("rb") as stream:
            content = stream.read(_TOKENS_BYTES_MAX + 1)
    except OSError as exc:
        raise SettingsInvalid(
            "tokens-unreadable",
            f"tokens_file {path} cannot be read: {exc.strerror}",
            fix=f"create one: whence-aggregator token NAME --file {path}"
            if isinstance(exc, FileNotFoundError)
            else "let the service's user read the file",
        ) from exc
    if len(content) > _TOKENS_BYTES_MAX:
        raise SettingsInvalid("tokens-too-large", f"tokens_file {path} is larger than {_TOKENS_BYTES_MAX} bytes")
    try:
        return parse_tokens(content.decode("utf-8"), name=path)
    except UnicodeDecodeError as exc:
        raise SettingsInvalid("tokens-not-utf8", f"tokens_file {path} is not UTF-8 at byte {exc.start}") from exc


def load_secret(path: Path) -> bytes:
    """Load the secret that heartbeat keys are derived from; create it at the first start. Raises SettingsInvalid."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        content = make_once_for_owner(path, secrets.token_bytes(_SECRET_BYTES_MIN))
    except OSError as exc:
        message = f"heartbeat_secret_file: {path} cannot be read: {exc.strerror}"
        fix = "make the service's user its owner: chown USER FILE"
        raise SettingsInvalid("heartbeat-secret", message, fix=fix) from exc
    if len(content) < _SECRET_BYTES_MIN:
        message = f"heartbeat_secret_file: {path} contains less than {_SECRET_BYTES_MIN} bytes"
        raise SettingsInvalid("heartbeat-secret", message, fix="restore it from the backup: all agents depend on it")
    return content


def load_tls(settings: Settings) -> ServerTls | None:
    """Load certificate and key. Raises SettingsInvalid."""
    return load_tls_files(settings.tls_certificate_file, settings.tls_key_file)


def load_tls_files(certificate: str | None, key: str | None) -> ServerTls | None:
    """Load certificate and key. Raises SettingsInvalid."""
    return ServerTls(certificate, key) if certificate is not None and key is not None else None


def load_trust(host: str, trust: ImageTrustSettings) -> Trust:
    return Trust(
        keys=tuple(_key(name, host) for name in trust.signature_key_files),
        builders=tuple(TrustedBuilder(builder_id=one.id, key=_key(one.key_file, host)) for one in trust.builders),
    )


def load_ami_builders(settings: Settings) -> tuple[TrustedBuilder, ...]:
    """Load the keys of the builders whose statements about AMIs count. Raises SettingsInvalid."""
    return tuple(
        TrustedBuilder(builder_id=one.id, key=_key_file(one.key_file, "ami_builders")) for one in settings.ami_builders
    )


def trusted_ami_builders(settings: Settings) -> frozenset[tuple[str, str]]:
    """Return these builders, each with the id of its key. Raises SettingsInvalid."""
    return frozenset((one.builder_id, key_id(one.key)) for one in load_ami_builders(settings))


def _key(name: str, host: str) -> ec.EllipticCurvePublicKey:
    return _key_file(name, f"trust.{host}")


def _key_file(name: str, setting: str) -> ec.EllipticCurvePublicKey:
    try:
        return load_public_key(Path(name).read_bytes(), name=name)
    except OSError as exc:
        raise SettingsInvalid("trust-key", f"{setting}: {name} cannot be read: {exc.strerror}") from exc
    except TrustKeyInvalid as exc:
        raise SettingsInvalid(exc.code, f"{setting}: {exc.message}", fix=exc.fix) from exc
