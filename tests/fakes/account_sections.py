"""An account's section with every key of version 10: those that no step reads yet are any value."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from whence_aggregator.accounts.configuration.account import AccountSettings
from whence_aggregator.accounts.configuration.version10 import KEYS10, top_level


def every_section() -> type[AccountSettings]:
    """Return AccountSettings, with the keys of version 10 that it does not have yet."""
    known = {one.name for one in msgspec.structs.fields(AccountSettings)}
    missing = [name for name in top_level() if name not in known and KEYS10[name].fate == "acted"]
    fields = [(name, _section(name), None) for name in missing]
    made = msgspec.defstruct(
        "EverySection", fields, bases=(AccountSettings,), frozen=True, kw_only=True, forbid_unknown_fields=True
    )  # fmt: skip
    return cast("type[AccountSettings]", made)


def _section(name: str) -> Any:
    """Return a structure of the keys directly below a key, or any value."""
    below = [key.removeprefix(f"{name}.") for key in KEYS10 if key.startswith(f"{name}.")]
    if not below or any(set("*[.") & set(key) for key in below):
        return Any
    return msgspec.defstruct(name, [(key, Any, None) for key in below], frozen=True, forbid_unknown_fields=True) | None
