"""This instance's own key and the counter of what it has said, both on disk and readable by the agent alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from whence_common.counting import is_number
from whence_common.errors import InputError
from whence_common.keys import key_id
from whence_common.runtime.files import write_durably

_MODE = 0o600


class KeyUnusable(InputError):
    """The key file is there, but holds no P-256 key."""


class InstanceKey:
    """A P-256 key made on first use. `next_sequence` is durable before a statement with it exists."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.private = self._load_or_make()
        self.id = key_id(self.private.public_key())

    def next_sequence(self) -> int:
        """Take the next sequence; never given twice for one key, whatever happens in between.

        Where the record holds no number, begin at 1: the aggregator states which one is the newest it took.
        """
        found = self.remembered("sequence").get("next")
        sequence = found if isinstance(found, int) and is_number(found) else 1
        self.remember("sequence", {"next": sequence + 1})
        return sequence

    def continue_after(self, sequence: int) -> None:
        """Have the next statement follow a sequence that the aggregator states: this directory is an older copy."""
        self.remember("sequence", {"next": sequence + 1})

    def remembered(self, name: str) -> dict[str, Any]:
        """Give what was remembered beside this key; empty when nothing was, or for another key."""
        try:
            found = json.loads((self._directory / f"{name}.json").read_bytes())
        except (FileNotFoundError, ValueError):
            return {}
        return found if isinstance(found, dict) and found.get("key") == self.id else {}

    def remember(self, name: str, values: dict[str, Any]) -> None:
        """Keep values durably beside the key."""
        content = json.dumps({**values, "key": self.id}).encode()
        write_durably(self._directory / f"{name}.json", content, mode=_MODE)

    def replace(self, notice: dict[str, Any]) -> None:
        """Make another key, and remember why under its `name`. What was remembered for the old one counts no more.

        The old private key is overwritten. Raises OSError; a crash in between leaves the old key.
        """
        private, before = ec.generate_private_key(ec.SECP256R1()), self.id
        self.id = key_id(private.public_key())
        try:
            self.remember(notice["name"], notice)
            self._write(private)
        except OSError:
            self.id = before
            raise
        self.private = private

    def _write(self, key: ec.EllipticCurvePrivateKey) -> None:
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write_durably(self._directory / "key.pem", pem, mode=_MODE)

    def _load_or_make(self) -> ec.EllipticCurvePrivateKey:
        path = self._directory / "key.pem"
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            key = ec.generate_private_key(ec.SECP256R1())
            self._write(key)
            return key
        try:
            loaded = serialization.load_pem_private_key(content, password=None)
        except ValueError as exc:
            raise _unusable(path) from exc
        if not isinstance(loaded, ec.EllipticCurvePrivateKey) or not isinstance(loaded.curve, ec.SECP256R1):
            raise _unusable(path)
        return loaded


def _unusable(path: Path) -> KeyUnusable:
    fix = "move it away; a new key is made, and the aggregator must agree to it"
    return KeyUnusable("instance-key-unusable", f"{path} holds no P-256 key", fix=fix)
