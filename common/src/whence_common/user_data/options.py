"""The options of one container: the application's, or a sidecar's."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

from whence_common.errors import one_line
from whence_common.user_data.container import PortMapping, read_environment, read_ports
from whence_common.user_data.limits import (
    NR_OPEN,
    Ulimit,
    judge_arguments,
    read_cpus,
    read_memory,
    read_ulimits,
)
from whence_common.user_data.nodes import ScalarNode
from whence_common.user_data.platform import PlatformRules
from whence_common.user_data.schema import closest
from whence_common.user_data.section import Section

_CAPABILITIES = """
AUDIT_CONTROL AUDIT_READ AUDIT_WRITE BLOCK_SUSPEND BPF CHECKPOINT_RESTORE CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER
FSETID IPC_LOCK IPC_OWNER KILL LEASE LINUX_IMMUTABLE MAC_ADMIN MAC_OVERRIDE MKNOD NET_ADMIN NET_BIND_SERVICE
NET_BROADCAST NET_RAW PERFMON SETFCAP SETGID SETPCAP SETUID SYSLOG SYS_ADMIN SYS_BOOT SYS_CHROOT SYS_MODULE SYS_NICE
SYS_PACCT SYS_PTRACE SYS_RAWIO SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG WAKE_ALARM ALL
"""
CAPABILITIES = frozenset(_CAPABILITIES.split())
_RECENT_CAPABILITIES = ("BPF", "CHECKPOINT_RESTORE", "PERFMON")
"""Docker Engine before 23.0 does not support these."""
_HOST_NAME = re.compile(r"(?=.{1,64}\Z)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})(?:\.[A-Za-z0-9_-]{1,63})*\.?\Z")
"""sethostname(2) accepts 64 bytes, including dots; RFC 1123 limits a label to 63."""
_CONTAINER = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}\Z")
_USER = re.compile(r"(?P<uid>[0-9]{1,10}):(?P<gid>[0-9]{1,10})\Z")
_ID_MAX = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerOptions:
    """A container's options, without its image. None means the default of the Engine or the platform."""

    ports: tuple[PortMapping, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    command: tuple[str, ...] = ()
    capabilities_add: tuple[str, ...] = ()
    capabilities_drop: tuple[str, ...] = ()
    hostname: str | None = None
    networking: str = "bridge"
    user: str | None = None
    root: bool = False
    privileged: bool = False
    read_only: bool = False
    engine_socket: bool = False
    mount_var_log: bool = False
    mount_custom_log: bool = False
    mount_certs: bool = False
    shm_bytes: int | None = None
    memory_bytes: int | None = None
    cpus: float | None = None
    pids_max: int | None = None
    ulimits: tuple[Ulimit, ...] = ()
    init: bool | None = None
    no_new_privileges: bool = True
    stop_seconds: int | None = None
    gpus: int | Literal["all"] | None = None


def read_options(
    section: Section, rules: PlatformRules, declared: Collection[str] = (), *, nofile_max: int = NR_OPEN
) -> ContainerOptions:
    """Return a container's options. An option that the platform does not allow is reported with the setting for it.

    `declared` are the names of the sidecars; `nofile_max` is the value of fs.nr_open.
    """
    findings = section.findings
    networking = _networking(section, rules, declared)
    ports = read_ports(section.get("ports"), findings, path=section.name_of("ports"))
    hostname = _hostname(section)
    _agree(section, networking, ports, hostname)
    environment = read_environment(section.get("environment"), findings, path=section.name_of("environment"))
    command, ulimits = section.texts("command"), read_ulimits(section, nofile_max=nofile_max)
    judge_arguments(section, environment, command, ulimits)
    added = _capabilities(section, "capabilities_add", rules)
    return ContainerOptions(
        ports=ports,
        environment=environment,
        command=command,
        capabilities_add=added,
        capabilities_drop=_dropped(_capabilities(section, "capabilities_drop", None), added),
        hostname=hostname,
        networking=networking,
        user=_user(section),
        root=section.flag("root"),
        privileged=_granted(section, "privileged", rules.privileged, "allow_privileged", rules),
        read_only=section.flag("read_only"),
        engine_socket=_granted(section, "docker_daemon_access", rules.engine_socket, "allow_engine_socket", rules),
        mount_var_log=section.flag("mount_var_log"),
        mount_custom_log=section.flag("mount_custom_log"),
        mount_certs=section.flag("mount_certs"),
        shm_bytes=section.size("shm_size"),
        memory_bytes=read_memory(section),
        cpus=read_cpus(section),
        pids_max=section.integer("pids_limit", least=1, most=4_194_304),
        ulimits=ulimits,
        init=section.flag("init", default=True) if section.get("init") is not None else None,
        no_new_privileges=section.flag("no_new_privileges", default=True),
        stop_seconds=section.integer("stop_timeout", least=0, most=3600),
        gpus=_gpus(section),
    )


def _granted(section: Section, name: str, allowed: bool, setting: str, rules: PlatformRules) -> bool:
    if not section.flag(name):
        return False
    if not allowed:
        report = section.error if rules.platform_known else section.warning
        report(
            name,
            "not-allowed",
            f"{section.name_of(name)} gives the container root's power, which the platform does not allow",
            f"remove it, or have the platform set {setting}: true",
        )
    return True


def _capabilities(section: Section, name: str, rules: PlatformRules | None) -> tuple[str, ...]:
    read = []
    for word in section.texts(name):
        capability = word.upper().removeprefix("CAP_")
        if capability not in CAPABILITIES:
            close = closest(dict.fromkeys(CAPABILITIES), capability)  # type: ignore[arg-type]
            fix = f"did you mean {close[0]}?" if close else "see capabilities(7)"
            message = f"{section.name_of(name)}: {one_line(word, 40)} is not a capability"
            section.error(name, "capability-unknown", message, fix)
            continue
        if word.upper().startswith("CAP_"):
            section.warning(
                name, "capability-prefix", f"{section.name_of(name)}: the prefix CAP_ is ignored", f"write {capability}"
            )
        if rules is not None and capability in _RECENT_CAPABILITIES:
            message = f"{section.name_of(name)}: Docker Engine before 23.0 does not support {capability}"
            section.warning(name, "capability-recent", message, "check that the AMI has a newer engine")
        if rules is not None and capability not in rules.capabilities:
            report = section.error if rules.platform_known else section.warning
            message = f"{section.name_of(name)}: the platform does not allow {capability}"
            fix = "remove it, or have the platform add it to allowed_capabilities"
            report(name, "capability-not-allowed", message, fix)
        read.append(capability)
    return tuple(read)


def _dropped(dropped: tuple[str, ...], added: tuple[str, ...]) -> tuple[str, ...]:
    """Return the capabilities to drop, without recent ones that are not added: older engines refuse to drop these."""
    return tuple(one for one in dropped if one not in _RECENT_CAPABILITIES or one in added or "ALL" in added)


def _networking(section: Section, rules: PlatformRules, declared: Collection[str]) -> str:
    value = section.text("networking")
    if value is None:
        return "bridge"
    kind, colon, name = value.partition(":")
    if value == "host":
        _about_host_network(section, rules)
    elif kind == "container" and _CONTAINER.match(name):
        _about_shared_network(section, name, rules, declared)
    if value in ("bridge", "host", "none") or (kind == "container" and colon and _CONTAINER.match(name)):
        return value
    section.error(
        "networking", "networking-unknown", f"{section.name_of('networking')}: {one_line(value, 60)!r} is unknown",
        "write bridge, host, none or container:NAME",
    )  # fmt: skip
    return "bridge"


def _about_host_network(section: Section, rules: PlatformRules) -> None:
    """Report host networking: a hop limit of 1 does not keep such a container from the instance's role."""
    name = section.name_of("networking")
    reach = "can reach the instance's role at the metadata service at any hop limit, and services on loopback"
    if rules.host_network or not rules.platform_known:
        message = f"{name}: with host networking, the container {reach}"
        fix = "write bridge and publish ports; platforms forbid host networking by allow_host_network: false"
        section.warning("networking", "host-network", message, fix)
    else:
        section.error("networking", "host-network-not-allowed",
                      f"{name}: the platform does not allow host networking, with which the container {reach}",
                      "write bridge and publish ports, or have the platform set allow_host_network: true")  # fmt: skip


def _about_shared_network(section: Section, name: str, rules: PlatformRules, declared: Collection[str]) -> None:
    """Report the network of an undeclared container, which may be the host's, if host networking is not allowed."""
    if name in ("application", *declared) or rules.host_network or not rules.platform_known:
        return
    section.error(
        "networking", "foreign-network-not-allowed",
        f"{section.name_of('networking')}: container {one_line(name, 60)} is not in this document and may have host "
        "networking, which the platform does not allow", "use the network of the application or of a sidecar",
    )  # fmt: skip


def _hostname(section: Section) -> str | None:
    value = section.text("hostname")
    if value is not None and not _HOST_NAME.match(value):
        section.error(
            "hostname", "hostname-malformed", f"{section.name_of('hostname')} is not a host name",
            "use letters, digits and -, labels joined by dots, at most 64 characters",
        )  # fmt: skip
        return None
    return value


def _agree(section: Section, networking: str, ports: tuple[PortMapping, ...], hostname: str | None) -> None:
    shared = networking.startswith("container:")
    if shared and ports:
        section.error(
            "ports", "ports-without-network", "a container in another container's network cannot publish ports",
            "publish them from the other container",
        )  # fmt: skip
    elif networking in ("host", "none") and ports:
        message = f"with networking: {networking} no port is published; ports only set the health check's port"
        section.warning("ports", "ports-not-published", message, "keep ports for the health check, or remove it")
    if hostname is not None and shared:
        section.error(
            "hostname", "hostname-without-network", "a container in another container's network has its host name",
            "remove hostname",
        )  # fmt: skip


def _user(section: Section) -> str | None:
    value = section.text("user")
    if value is None:
        return None
    match = _USER.match(value)
    if match is None or not all(0 < int(match[part]) <= _ID_MAX for part in ("uid", "gid")):
        message = f"{section.name_of('user')} must be uid:gid, and neither may be 0"
        section.error("user", "user-malformed", message, 'write it like "1000:1000"')
        return None
    if section.flag("root"):
        section.error("user", "user-and-root", "user and root: true contradict each other", "keep one of the two")
    return value


def _gpus(section: Section) -> int | Literal["all"] | None:
    node = section.get("gpus")
    if node is None:
        return None
    if isinstance(node, ScalarNode) and node.text == "all":
        return "all"
    return section.integer("gpus", least=1, most=64)
