"""mint as an operator configures it, for programs on loopback."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

NOWHERE = "http://127.0.0.1:1"
PATTERN = "{prefix}-stups-mint-{account_id}-{region}"


def mint_settings(directory: Path, issuer: str = NOWHERE, **more: object) -> Mapping[str, Any]:
    """Return the setting `mint`, for a provider that registers clients (RFC 7591); its key is in the directory."""
    key = directory / "mint.key"
    key.write_bytes(b"k" * 32)
    key.chmod(0o600)
    return {
        "key_file": str(key),
        "providers": {
            "issuer": {
                "type": "registration", "url": f"{issuer}/reg", "token_url": f"{issuer}/token",
                "private_addresses": True,
            }
        },
        "buckets": [{"pattern": PATTERN}],
        **more,
    }  # fmt: skip
