"""A container's specification as the arguments of the Engine's API: data, never a command line."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from whence_agent.ports import ContainerSpec
from whence_common.logs import fields

log = logging.getLogger(__name__)

FINGERPRINT = "org.whence.fingerprint"
_NANO = 1_000_000_000
_TMP = "/tmp"  # noqa: S108 - inside the container


def create_arguments(client: Any, spec: ContainerSpec) -> dict[str, Any]:
    """Give the keyword arguments of `create_container`. Restarts are the agent's, never the engine's."""
    published = spec.options.ports if spec.network == "bridge" else ()
    return {
        "image": spec.image,
        "name": spec.name,
        "command": list(spec.options.command) or None,
        "hostname": spec.options.hostname,
        "user": spec.user,
        "environment": dict(spec.environment),
        "ports": [(port.container, port.protocol) for port in published],
        "labels": {FINGERPRINT: spec.fingerprint},
        "host_config": client.create_host_config(**_host_config(client, spec)),
    }


def _host_config(client: Any, spec: ContainerSpec) -> dict[str, Any]:
    options = spec.options
    config: dict[str, Any] = {
        "binds": [f"{one.source}:{one.inside}:{'ro' if one.read_only else 'rw'}" for one in spec.mounts],
        "network_mode": spec.network,
        "read_only": options.read_only,
        "tmpfs": {_TMP: "rw,nosuid,nodev"} if options.read_only and not _is_mounted(spec, _TMP) else None,
        "restart_policy": {"Name": "no"},
        "log_config": {"Type": spec.log.name, "Config": dict(spec.log.options)},
        "cap_add": list(options.capabilities_add) or None,
        "cap_drop": list(options.capabilities_drop) or None,
        "privileged": options.privileged,
        "pids_limit": options.pids_max or spec.pids_max,
        "ulimits": [{"Name": one.name, "Soft": one.soft, "Hard": one.hard} for one in options.ulimits] or None,
        "security_opt": ["no-new-privileges"] if options.no_new_privileges and not options.privileged else None,
    }
    if spec.network == "bridge":
        config["port_bindings"] = _port_bindings(spec)
    if options.shm_bytes is not None:
        config["shm_size"] = options.shm_bytes
    if options.memory_bytes is not None:
        config["mem_limit"] = config["memswap_limit"] = options.memory_bytes
    if options.cpus is not None:
        config["nano_cpus"] = _nano_cpus(client, options.cpus)
    if options.init is not None:
        config["init"] = options.init
    if options.gpus is not None:
        count = -1 if options.gpus == "all" else options.gpus
        config["device_requests"] = [{"Driver": "", "Count": count, "DeviceIDs": None, "Capabilities": [["gpu"]],
                                      "Options": {}}]  # fmt: skip
    return config


def _nano_cpus(client: Any, wanted: float) -> int:
    """Return the limit for the engine, which refuses more processors than the machine has."""
    present = int(client.info().get("NCPU") or 0)
    if not 0 < present < wanted:
        return round(wanted * _NANO)
    log.warning("the machine has fewer processors than cpus asks for", extra=fields(cpus=wanted, processors=present))
    return present * _NANO


def _is_mounted(spec: ContainerSpec, place: str) -> bool:
    return any(one.inside == place for one in spec.mounts)


def _port_bindings(spec: ContainerSpec) -> Mapping[str, list[tuple[str, int]]]:
    bindings: dict[str, list[tuple[str, int]]] = {}
    for port in spec.options.ports:
        bindings.setdefault(f"{port.container}/{port.protocol}", []).append((spec.publish_address, port.host))
    return bindings
