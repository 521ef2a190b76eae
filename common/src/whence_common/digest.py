"""Digests: `sha256:` and 64 lower-case hex digits, the form that OCI registries use."""

from __future__ import annotations

import hashlib
import re

_SHA256 = re.compile(r"sha256:[0-9a-f]{64}\Z")


def sha256_digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def is_sha256_digest(text: str) -> bool:
    return _SHA256.match(text) is not None
