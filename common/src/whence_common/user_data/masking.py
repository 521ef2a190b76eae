"""The copy of user data that may be shown: secret-looking keys, ciphertext and what looks random read MASKED."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from whence_common.scm_source import without_credentials

MASKED = "MASKED"
_SECRET_NAMES = (
    "pass",
    "private",
    "secret",
    "token",
    "credential",
    "auth",
    "apikey",
    "api_key",
    "account_key",
    "access_key",
)
_NEVER_SECRET = frozenset(
    {"application_id", "application_version", "runtime", "source", "mint_bucket", "health_check_path"}
)
_URL_NAME = re.compile(r"_(?:url|uri|host|port|path)\Z")
_WORD = re.compile(r"[A-Za-z0-9+/=_-]{20,}")
_ENTROPY_BITS_MIN = 3.6
_TEXT_CHARACTERS_MAX = 2_000


def masked(document: Mapping[str, Any], *, whole_environment: bool = False) -> dict[str, Any]:
    """Copy a document for reports and status. `whole_environment` masks every environment value."""
    copy = {name: value if name in _NEVER_SECRET else _masked(name, value) for name, value in document.items()}
    if whole_environment:
        sidecars = copy.get("containers")
        for holder in (copy, *(sidecars.values() if isinstance(sidecars, dict) else ())):
            environment = holder.get("environment") if isinstance(holder, dict) else None
            if isinstance(environment, dict):
                holder["environment"] = dict.fromkeys(environment, MASKED)
    return copy


def _masked(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        if is_secret_name(name):
            return MASKED
        return {str(key): _masked(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list):
        return MASKED if is_secret_name(name) else [_masked(name, inner) for inner in value]
    if value is None or isinstance(value, bool):
        return value
    if is_secret_name(name):
        return MASKED
    return _masked_text(value) if isinstance(value, str) else value


def is_secret_name(name: str) -> bool:
    """Say whether a key, or a dotted path, names something that may be secret."""
    lowered = name.lower()
    return any(word in lowered for word in _SECRET_NAMES) and not _URL_NAME.search(lowered)


def _masked_text(text: str) -> str:
    if text.startswith(("aws:kms:", "aws:secretsmanager:", "aws:ssm:")):
        return MASKED
    if any(_looks_random(word) for word in _WORD.findall(text)):
        return MASKED
    return without_credentials(text)[:_TEXT_CHARACTERS_MAX]


def _looks_random(word: str) -> bool:
    """Judge by Shannon entropy; words of letters only, or with slashes like a path, need not hide."""
    if not (any(c.isdigit() for c in word) and any(c.isalpha() for c in word)) or word.count("/") > 1:
        return False
    bits = -sum(n / len(word) * math.log2(n / len(word)) for n in Counter(word).values())
    return bits >= _ENTROPY_BITS_MIN
