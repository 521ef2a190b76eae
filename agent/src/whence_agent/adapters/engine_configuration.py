"""What a container is allowed and how it is checked, out of the Engine's `inspect`, in a form that means the same

after a restart or an upgrade of the engine. Pure.
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
"""What user data sets, what `docker update` can change, and what would give a container more than it was given. All
else is the engine's own: a newer one adds fields, and fills in others."""
_DEFAULTS: Mapping[str, tuple[object, ...]] = {
    "CpuPeriod": (100_000,),
    "CpuShares": (1024,),
    "NetworkMode": ("default", "bridge"),
    "PidsLimit": (-1,),
    "RestartPolicy": ({"Name": "no"},),
    "ShmSize": (67_108_864,),
}
"""Spelled out by some engines, left away by others; what is empty, zero or false is a default anyway."""
_IN_ORDER = ("Cmd", "Entrypoint", "Options")
_PODMANS_OWN = ("HOME=", "HOSTNAME=", "TERM=", "container=")
"""Variables that Podman adds at a start. It also states all variables in another order each time."""
_SHELL = ("/bin/sh", "-c")
_CHECK_SECONDS_MAX = 30.0
_NANO = 1_000_000_000


def configuration(inspected: Mapping[str, Any]) -> dict[str, str]:
    """Return a digest of each part of the configuration that is not as by default: values may be secret."""
    found = {"Image": _digest(inspected.get("Image"))}
    for section, names in (("Config", _CONFIG), ("HostConfig", _HOST)):
        parts = inspected.get(section) or {}
        for name in names:
            value = _normal(name, _stated(name, parts.get(name)))
            if value not in (None, *_DEFAULTS.get(name, ())):
                found[name] = _digest(value)
    return found


def _stated(name: str, value: Any) -> Any:
    """Leave out what an engine adds by itself."""
    if name != "Env" or not isinstance(value, list):
        return value
    return [one for one in value if not str(one).startswith(_PODMANS_OWN)]


def health(inspected: Mapping[str, Any]) -> str:
    """Return the engine's word on the image's own health check; empty where the image has none."""
    word = str((inspected["State"].get("Health") or {}).get("Status") or "")
    return word if word in ("starting", "healthy", "unhealthy") else ""


def health_checks(inspected: Mapping[str, Any]) -> HealthChecks | None:
    """Return how the engine checks the container; None where it does not."""
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
    """Digest a command line, which may hold secrets. White space counts as one space: events join words with spaces."""
    return hashlib.sha256(" ".join(command.split()).encode()).hexdigest()


def _normal(name: str, value: Any) -> Any:
    """Bring null, empty, zero and false to None, sets into one order, and capabilities into one spelling."""
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
    """Return an instant of the engine's, in nanoseconds and any zone, in seconds; 0 when it is none."""
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except ValueError:
        return 0.0
