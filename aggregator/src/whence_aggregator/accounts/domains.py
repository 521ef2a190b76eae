"""Names of DNS domains in one form: lower case, without the last dot. Pure."""

from __future__ import annotations

import re

from whence_common.errors import InputError

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\Z")
_CHARACTERS_MAX = 253
_LABELS_MIN = 2


def parse_domain(text: str, *, key: str, wildcard: bool = False) -> str:
    """Return a domain in one form. `wildcard` allows `*` as the first label. Raises InputError naming the key."""
    name = plain(text)
    labels = name.split(".")
    checked = labels[1:] if wildcard and labels[0] == "*" else labels
    if len(name) > _CHARACTERS_MAX or len(checked) < _LABELS_MIN or not all(map(_LABEL.match, checked)):
        message = f"{key}: {text[:300]!r} is not the name of a domain"
        fix = "write labels of letters, digits and hyphens, such as hello.example.org; punycode for other letters"
        raise InputError("accounts-domain-invalid", message, fix=fix)
    return name


def plain(name: str) -> str:
    """Return a name as DNS compares it."""
    return name.lower().removesuffix(".")


def is_within(name: str, domain: str) -> bool:
    """Return whether a name is a domain or below it."""
    return name == domain or name.endswith(f".{domain}")


def parents(domain: str) -> list[str]:
    """Return the domains above a domain, the nearest first."""
    labels = domain.split(".")
    return [".".join(labels[start:]) for start in range(1, len(labels))]
