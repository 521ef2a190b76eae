"""The files that mint's settings name."""

from __future__ import annotations

from pathlib import Path

from whence_aggregator.mint.key import KEY_BYTES
from whence_aggregator.settings.cloud_trail import EXTERNAL_ID
from whence_common.settings_file import SettingsInvalid

_EXTERNAL_ID_BYTES_MAX = 2_048
_OTHERS = 0o007


def load_mint_key(name: str) -> bytes:
    """Load mint's key. Raises SettingsInvalid.

    It is never created: a new key cannot open what another one sealed.
    """
    path, fix = Path(name), f"create it: (umask 077; head -c 32 /dev/urandom > {name})"
    try:
        content, mode = path.read_bytes(), path.stat().st_mode
    except OSError as exc:
        raise SettingsInvalid("mint-key", f"mint.key_file: {name} cannot be read: {exc.strerror}", fix=fix) from exc
    if len(content) < KEY_BYTES:
        message = f"mint.key_file: {name} contains less than {KEY_BYTES} bytes"
        raise SettingsInvalid("mint-key", message, fix=f"restore it from the backup; of a new mint, {fix}")
    if mode & _OTHERS:
        message = f"mint.key_file: every user can use {name}"
        raise SettingsInvalid("mint-key", message, fix=f"chmod 0600 {name}")
    return content


def load_external_id(setting: str, name: str) -> str:
    """Load the external id of a role. Raises SettingsInvalid."""
    try:
        with Path(name).open("rb") as stream:
            text = stream.read(_EXTERNAL_ID_BYTES_MAX).decode("ascii", "replace").strip()
    except OSError as exc:
        message = f"{setting}: {name} cannot be read: {exc.strerror}"
        raise SettingsInvalid("mint-external-id", message, fix="correct the path or the file's mode") from exc
    if not EXTERNAL_ID.match(text):
        message = f"{setting}: {name} does not contain an external id"
        raise SettingsInvalid("mint-external-id", message, fix="write 2 to 1224 letters, digits or +=,.@:/_-")
    return text
