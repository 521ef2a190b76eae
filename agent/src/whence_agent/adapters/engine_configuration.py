"""A container's configuration and health checks from the Engine's `inspect`. Pure.

The form does not change by a restart or an upgrade of the engine.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from whence_agent.ports_engine import HealthChecks

_CONFIG = ("Cmd", "Entrypoint", "Env", "Hostname", "Labels", "User", "WorkingDir")
_HOST = (
    "Binds", "BlkioWeight", "CapAdd", "CapDrop", "CgroupParent", "CpuPeriod", "CpuQuota", "CpuRealtimePeriod",
    "CpuRealtimeRuntime", "CpuShares", "CpusetCpus", "CpusetMems", "DeviceCgroupRules", "DeviceRequests", "Devices",
    "ExtraHosts", "GroupAdd", "Init", "IpcMode", "KernelMemory", "LogConfig", "Memory", "MemoryReservation",
    "MemorySwap", "Mounts", "NanoCpus", "NetworkMode", "OomKillDisable", "OomScoreAdj", "PidMode", "PidsLimit",
    "PortBindings", "Privileged", "ReadonlyRootfs", "RestartPolicy", "SecurityOpt", "ShmSize", "Sysctls", "Tmpfs",
    "UTSMode", "Ulimits", "UsernsMode", "VolumesFrom",
)  # fmt: skip
"""Settings of user data, settings that `docker update` changes, and settings that would extend the container's rights.
The other fields are the engine's own, and change with its version."""
_DEFAULTS: Mapping[str, tuple[object, ...]] = {
    "CpuPeriod": (100_000,),
    "CpuShares": (1024,),
    "NetworkMode": ("default", "bridge"),
    "PidsLimit": (-1,),
    "RestartPolicy": ({"Name": "no"},),
    "ShmSize": (67_108_864,),
}
"""Defaults that some engines state and others omit. Empty, zero and false values are always defaults."""
_IN_ORDER = ("Cmd", "Entrypoint", "Options")
_PODMANS_OWN = ("HOME=", "HOSTNAME=", "TERM=", "container=")
"""Variables that Podman adds at a start. Podman also changes the order of the variables."""
_SHELL = ("/bin/sh", "-c")
_CHECK_SECONDS_MAX = 30.0
_NANO = 1_000_000_000


def configuration(inspected: Mapping[str, Any]) -> dict[str, str]:
    """Return a digest of each part of the configuration that is not a default; digests, since values may be secret."""
    found = {"Image": _digest(inspected.get("Image"))}
    for section, names in (("Config", _CONFIG), ("HostConfig", _HOST)):
        parts = inspected.get(section) or {}
        for name in names:
            value = _normal(name, _stated(name, parts.get(name)))
            if value not in (None, *_DEFAULTS.get(name, ())):
                found[name] = _digest(value)
    return found


def _stated(name: str, value: Any) -> Any:
    """Return a value without what the engine adds by itself."""
    if name != "Env" or not isinstance(value, list):
        return value
    return [one for one in value if not str(one).startswith(_PODMANS_OWN)]


def health(inspected: Mapping[str, Any]) -> str:
    """Return the engine's result of the image's own health check; empty if the image has none."""
    word = str((inspected["State"].get("Health") or {}).get("Status") or "")
    return word if word in ("starting", "healthy", "unhealthy") else ""


def health_checks(inspected: Mapping[str, Any]) -> HealthChecks | None:
    """Return how the engine checks the container's health; None if it does not."""
    check = (inspected.get("Config") or {}).get("Healthcheck") or {}
    kind, *words = [str(word) for word in check.get("Test") or ["NONE"]]
    if kind not in ("CMD", "CMD-SHELL"):
        return None
    if kind == "CMD-SHELL":
        words = [*((inspected.get("Config") or {}).get("Shell") or _SHELL), *words]
    seconds = float(check.get("Timeout") or 0) / _NANO
    log = (inspected["State"].get("Health") or {}).get("Log") or []
    spans = [(_instant(one.get("Start")), _instant(one.get("End"))) for one in log]
    return HealthChecks(
        command=command_digest(" ".join(words)),
        seconds_max=seconds or _CHECK_SECONDS_MAX,
        log=tuple(span for span in spans if span[0]),
    )


def command_digest(command: str) -> str:
    """Return a digest of a command line, which may contain secrets. White space is normalised, as in events."""
    return hashlib.sha256(" ".join(command.split()).encode()).hexdigest()


def _normal(name: str, value: Any) -> Any:
    """Return a value in normal form: empty values as None, sets sorted, capabilities in upper case without CAP_."""
    if isinstance(value, dict):
        parts = {str(key): _normal(str(key), inner) for key, inner in value.items()}
        return {key: inner for key, inner in sorted(parts.items()) if inner is not None} or None
    if isinstance(value, list):
        items = [_normal("", inner) for inner in value]
        if name in ("CapAdd", "CapDrop"):
            items = [str(inner).upper().removeprefix("CAP_") for inner in items]
        return (items if name in _IN_ORDER else sorted(items, key=_encoded)) or None
    return value or None


def _digest(value: Any) -> str:
    return hashlib.sha256(_encoded(value).encode()).hexdigest()


def _encoded(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _instant(text: Any) -> float:
    """Return the engine's instant, which has nanoseconds and any zone, as seconds; 0 if it is malformed."""
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return 0.0
