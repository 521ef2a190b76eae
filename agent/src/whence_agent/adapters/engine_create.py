"""A container's specification as a document of the Engine's API."""

from __future__ import annotations

import logging
from typing import Any

from whence_agent.adapters.engine_client import EngineClient
from whence_agent.ports import ContainerSpec
from whence_common.runtime.logs import fields

log = logging.getLogger(__name__)

FINGERPRINT = "org.whence.fingerprint"
_NANO = 1_000_000_000
_TMP = "/tmp"  # noqa: S108 - inside the container


def create_document(client: EngineClient, spec: ContainerSpec) -> dict[str, Any]:
    """Return the body of `POST /containers/create`. The agent restarts containers, so the engine's policy is `no`."""
    published = spec.options.ports if spec.network == "bridge" else ()
    document: dict[str, Any] = {
        "Image": spec.image,
        "Env": [f"{name}={value}" for name, value in spec.environment.items()],
        "ExposedPorts": {f"{port.container}/{port.protocol}": {} for port in published},
        "Labels": {FINGERPRINT: spec.fingerprint},
        "HostConfig": _host_config(client, spec),
    }
    if spec.options.command:
        document["Cmd"] = list(spec.options.command)
    if spec.options.hostname is not None:
        document["Hostname"] = spec.options.hostname
    if spec.user is not None:
        document["User"] = spec.user
    return document


def _host_config(client: EngineClient, spec: ContainerSpec) -> dict[str, Any]:
    options = spec.options
    config: dict[str, Any] = {
        "Binds": [f"{one.source}:{one.inside}:{'ro' if one.read_only else 'rw'}" for one in spec.mounts],
        "NetworkMode": spec.network,
        "ReadonlyRootfs": options.read_only,
        "RestartPolicy": {"Name": "no"},
        "LogConfig": {"Type": spec.log.name, "Config": dict(spec.log.options)},
        "CapAdd": list(options.capabilities_add),
        "CapDrop": list(options.capabilities_drop),
        "Privileged": options.privileged,
        "PidsLimit": options.pids_max or spec.pids_max,
        "Ulimits": [{"Name": one.name, "Soft": one.soft, "Hard": one.hard} for one in options.ulimits],
    }
    if options.no_new_privileges and not options.privileged:
        config["SecurityOpt"] = ["no-new-privileges"]
    if options.read_only and not _is_mounted(spec, _TMP):
        config["Tmpfs"] = {_TMP: "rw,nosuid,nodev"}
    if spec.network == "bridge":
        config["PortBindings"] = _port_bindings(spec)
    if options.shm_bytes is not None:
        config["ShmSize"] = options.shm_bytes
    if options.memory_bytes is not None:
        config["Memory"] = config["MemorySwap"] = options.memory_bytes
    if options.cpus is not None:
        config["NanoCpus"] = _nano_cpus(client, options.cpus)
    if options.init is not None:
        config["Init"] = options.init
    if options.gpus is not None:
        count = -1 if options.gpus == "all" else options.gpus
        config["DeviceRequests"] = [{"Driver": "", "Count": count, "DeviceIDs": None, "Capabilities": [["gpu"]],
                                     "Options": {}}]  # fmt: skip
    return config


def _nano_cpus(client: EngineClient, wanted: float) -> int:
    """Return the CPU limit, at most the machine's processors: the engine refuses more."""
    present = int(client.info().get("NCPU") or 0)
    if not 0 < present < wanted:
        return round(wanted * _NANO)
    log.warning("the machine has fewer processors than cpus asks for", extra=fields(cpus=wanted, processors=present))
    return present * _NANO


def _is_mounted(spec: ContainerSpec, place: str) -> bool:
    return any(one.inside == place for one in spec.mounts)


def _port_bindings(spec: ContainerSpec) -> dict[str, list[dict[str, str]]]:
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in spec.options.ports:
        place = {"HostIp": spec.publish_address, "HostPort": str(port.host)}
        bindings.setdefault(f"{port.container}/{port.protocol}", []).append(place)
    return bindings
