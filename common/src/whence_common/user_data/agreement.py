"""Conflicts between keys: host ports, shared networks, mount points in one root.

Each key is valid by itself; the engine would refuse the combination, but only at the end of the boot.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from whence_common.errors import one_line
from whence_common.user_data.container import PortMapping
from whence_common.user_data.host import HostSettings
from whence_common.user_data.nodes import MappingNode, Node
from whence_common.user_data.options import ContainerOptions
from whence_common.user_data.platform import PlatformRules
from whence_common.user_data.section import Section
from whence_common.user_data.storage import Mount

APPLICATION = "application"
_SSH_PORT = 22


@dataclass(frozen=True, slots=True, kw_only=True)
class Together:
    """The containers by name, including the application's, with mounts and the host's settings."""

    containers: dict[str, ContainerOptions]
    mounts: Sequence[Mount]
    host: HostSettings


def judge_together(root: Section, together: Together, rules: PlatformRules) -> None:
    """Report every conflict between keys."""
    _ports(root, together, rules)
    _networks(root, together.containers)
    _mounts(root, together)


def _ports(root: Section, together: Together, rules: PlatformRules) -> None:
    taken: dict[tuple[int, str], str] = {}
    for name, port in _published(together.containers):
        at, path = _place(root, name, "ports")
        key = (port.host, port.protocol)
        if key in taken:
            message = f"host port {port.host}/{port.protocol} is published by {taken[key]} and by {name}"
            root.findings.error(at, path, "port-twice", message, "publish it from one of them")
        taken[key] = name
        if port.protocol != "tcp":
            continue
        if port.host in rules.own_ports:
            message = f"host port {port.host} is the agent's status_port on this platform"
            root.findings.error(at, path, "port-taken", message, "publish another port")
        if port.host in together.host.ssh_ports:
            message = f"host port {port.host} is also in ssh_ports"
            root.findings.error(at, path, "port-of-sshd", message, "publish another port, or move sshd")
        elif port.host == _SSH_PORT and not together.host.ssh_ports:
            message = "sshd listens on port 22, unless the platform configures another port"
            root.findings.warning(at, path, "port-of-sshd", message, "move it with ssh_ports, or publish another port")


def _published(containers: dict[str, ContainerOptions]) -> Iterator[tuple[str, PortMapping]]:
    for name, options in containers.items():
        if options.networking == "bridge":
            yield from ((name, port) for port in options.ports)


def _networks(root: Section, containers: dict[str, ContainerOptions]) -> None:
    for name in containers:
        seen = [name]
        while (other := shared_network(containers[seen[-1]])) in containers and other not in seen:
            seen.append(other)
        if other == name:
            at, path = _place(root, name, "networking")
            way = " → ".join(one_line(one, 40) for one in (*seen, name))
            message = f"containers use each other's network in a circle: {way}"
            root.findings.error(at, path, "network-circle", message, "set networking: bridge for one of them")


def shared_network(options: ContainerOptions) -> str:
    """Return the name of the container whose network this one uses; empty if it has its own network."""
    kind, _, name = options.networking.partition(":")
    return name if kind == "container" else ""


def _mounts(root: Section, together: Together) -> None:
    options = together.containers[APPLICATION]
    own = {
        "/var/log-host": options.mount_var_log,
        "/var/log": options.mount_custom_log,
        "/etc/ssl/certs": options.mount_certs,
        "/var/run/docker.sock": options.engine_socket,
    }
    for mount in together.mounts:
        for place, used in own.items():
            below = mount.path.startswith(f"{place}/") and place != "/var/log"  # /var/log-custom is writable
            if used and (mount.path == place or below):
                message = f"{one_line(mount.path, 60)} conflicts with another key, which mounts {place}"
                root.error("mounts", "mount-path-twice", message, "mount it elsewhere, or remove the other key")


def _place(root: Section, name: str, key: str) -> tuple[Node | None, str]:
    """Return the node of a container's key, and the key's path."""
    if name == APPLICATION:
        return root.get(key), key
    containers = root.get("containers")
    sidecar = containers.entries.get(name) if isinstance(containers, MappingNode) else None
    path = f"containers.{one_line(name, 40)}.{key}"
    return (sidecar.entries.get(key, sidecar) if isinstance(sidecar, MappingNode) else sidecar), path
