"""What the agent may ask of the helper, and what comes back: one JSON object a line."""

from __future__ import annotations

import msgspec

from whence_common.errors import RoadError

REQUEST_BYTES_MAX = 256 * 1024
"""More than the largest storage that user data can ask for."""
ANSWER_LINE_BYTES_MAX = 64 * 1024


class MachineFailed(RoadError):
    """The machine could not be made as asked; what was done before stays, and doing it again is harmless.

    What the helper refuses, it refuses again: only a helper that is away may be back with the next try.
    """

    def __init__(self, code: str, message: str, *, fix: str = "", retryable: bool = False) -> None:
        super().__init__(code, message, fix=fix, retryable=retryable)


class ArrayRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    device: str
    level: str
    devices: list[str]


class MountRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`erase` is decided: the agent has looked at the volume's tag."""

    path: str
    device: str | None
    file_system: str
    options: list[str]
    erase: bool
    owner: tuple[int, int] | None = None


class StorageRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="storage"):
    """`volumes` tells which EBS volume stands behind a device name."""

    volumes: dict[str, str] = {}
    arrays: list[ArrayRequest] = []
    mounts: list[MountRequest] = []


class CustomLogsRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    size_bytes: int
    interval: str
    files: int


class HostRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="host"):
    sysctl: dict[str, str] = {}
    huge_pages: str | None = None
    ssh_ports: list[int] = []
    remove_keys_of: list[str] = []
    custom_logs: CustomLogsRequest | None = None


class PowerOffRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="power-off"):
    reason: str = ""


Request = StorageRequest | HostRequest | PowerOffRequest


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    message: str
    fix: str = ""


class HelperReply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`progress` while it works; at the end either `failed` or `done` with what was done, in words."""

    progress: str = ""
    done: list[str] | None = None
    failed: Failure | None = None
