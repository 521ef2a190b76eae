"""All keys of user data, by dotted path."""

from __future__ import annotations

from whence_common.user_data.keys_container import CONTAINER_KEYS
from whence_common.user_data.keys_machine import MACHINE_KEYS
from whence_common.user_data.schema import Key, children

KEYS: dict[str, Key] = {key.name: key for key in (*CONTAINER_KEYS, *MACHINE_KEYS)}
TOP_KEYS: dict[str, Key] = children(KEYS, "")
