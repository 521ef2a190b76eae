"""Check files with keys and secrets: valid and of the right name; a missing one can be created at the start."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from whence_aggregator.adapters.log_files import load_signers
from whence_aggregator.check.findings import SettingsProblems
from whence_aggregator.settings.server import BuilderSettings, ImageTrustSettings, Settings, log_origin
from whence_aggregator.wiring.settings_files import load_secret
from whence_common.image_trust import load_public_key
from whence_common.note import LOG


def check_keys(findings: SettingsProblems, settings: Settings) -> None:
    """Report problems of the log's keys, the heartbeat secret and the checkpoint file."""
    check_signers(findings, "log_key_file", Path(settings.log_key_file), name=log_origin(settings))
    secret = Path(settings.heartbeat_secret_file)
    if is_there(findings, "heartbeat_secret_file", secret):
        findings.attempt("heartbeat_secret_file", lambda: load_secret(secret))
    checkpoint = Path(settings.checkpoint_file)
    findings.writable("checkpoint_file", checkpoint.parent)
    findings.file_writable("checkpoint_file", checkpoint, code="checkpoint-rights")


def check_signers(findings: SettingsProblems, setting: str, path: Path, *, name: str, type_: int = LOG) -> None:
    """Report problems of a file of private keys."""
    if is_there(findings, setting, path):
        findings.attempt(setting, lambda: load_signers(path, name=name, type_=type_))


def is_there(findings: SettingsProblems, setting: str, path: Path) -> bool:
    """Return whether a file exists. The first start creates a missing one, so its directory must be writable."""
    try:
        path.stat()
    except FileNotFoundError:
        findings.writable(setting, path.parent)
        return False
    except OSError as exc:
        fix = "grant the service's user access to its directories"
        findings.error(f"{setting}: {path} cannot be read: {exc.strerror}", fix=fix)
        return False
    return True


def check_trust(
    findings: SettingsProblems, trust: Mapping[str, ImageTrustSettings], ami_builders: Sequence[BuilderSettings]
) -> None:
    """Report invalid public keys."""
    of_amis = ((f"ami_builders[{number}].key_file", one.key_file) for number, one in enumerate(ami_builders))
    for setting, name in (*_public_keys(trust), *of_amis):
        content = findings.content(setting, name)
        if content is not None:
            findings.attempt(setting, partial(load_public_key, content, name=name))


def _public_keys(trust: Mapping[str, ImageTrustSettings]) -> Iterator[tuple[str, str]]:
    for host, one in trust.items():
        for number, name in enumerate(one.signature_key_files):
            yield f"trust.{host}.signature_key_files[{number}]", name
        for number, builder in enumerate(one.builders):
            yield f"trust.{host}.builders[{number}].key_file", builder.key_file
