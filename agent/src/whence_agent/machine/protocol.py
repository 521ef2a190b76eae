"""The protocol between agent and helper: one JSON object per line."""

from __future__ import annotations

import msgspec

from whence_common.errors import RoadError

REQUEST_BYTES_MAX = 256 * 1024
"""Larger than the largest request that user data can cause."""
ANSWER_LINE_BYTES_MAX = 64 * 1024


class MachineFailed(RoadError):
    """A request to the helper failed. Completed steps remain, and can be repeated.

    A refusal by the helper is permanent; only an unreachable helper is transient.
    """

    def __init__(self, code: str, message: str, *, fix: str = "", retryable: bool = False) -> None:
        super().__init__(code, message, fix=fix, retryable=retryable)


class ArrayRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    device: str
    level: str
    devices: list[str]


class MountRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One mount. The agent has determined `erase`, also by the volume's tag."""

    path: str
    device: str | None
    file_system: str
    options: list[str]
    erase: bool
    owner: tuple[int, int] | None = None


class StorageRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag="storage"):
    """Arrays and mounts to create. `volumes` maps device names to EBS volumes."""

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
    """`progress` during the work; at the end either `failed`, or `done` with the changes as text."""

    progress: str = ""
    done: list[str] | None = None
    failed: Failure | None = None
