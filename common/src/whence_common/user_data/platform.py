"""The platform's rules for user data, and the effective configuration of platform and user data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from whence_common.registry_address import ecr_region
from whence_common.user_data.keys import TOP_KEYS

TagPolicy = Literal["vouched", "asked", "not-vouched", "not-allowed", "unknown"]
"""vouched: tags are immutable. asked: the registry's setting is read. not-vouched: tags may change. not-allowed: the
registry must not be used. unknown: the platform's settings are not available."""

DEFAULT_CAPABILITIES = frozenset(
    {"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW",
     "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT", "IPC_LOCK", "SYS_NICE", "SYS_RESOURCE", "WAKE_ALARM"}
)  # fmt: skip
"""The Engine's default capabilities, and four that affect only the container."""
_SYSCTLS = """
fs.file-max fs.inotify.* fs.aio-max-nr kernel.pid_max kernel.threads-max kernel.shm* kernel.sem kernel.msg* net.core.*
net.ipv4.tcp_* net.ipv4.ip_local_port_range net.ipv4.neigh.default.gc_thresh* net.netfilter.nf_conntrack_max
net.nf_conntrack_max vm.max_map_count vm.swappiness vm.dirty_* vm.overcommit_* vm.min_free_kbytes vm.nr_hugepages
vm.vfs_cache_pressure
"""
DEFAULT_SYSCTLS = tuple(_SYSCTLS.split())


def is_ecr(registry: str) -> bool:
    """Return whether a host is a private ECR registry, whose API states whether tags are immutable."""
    return ecr_region(registry) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformRules:
    """The platform's rules. Without `platform_known` (offline), violations are warnings."""

    immutable: frozenset[str] = frozenset()
    asked: frozenset[str] = frozenset()
    """Registries, in addition to ECR, whose API is queried for the immutability of a repository's tags."""
    allowed: frozenset[str] | None = None
    single_segment: frozenset[str] = frozenset()
    privileged: bool = False
    engine_socket: bool = False
    host_network: bool = True
    capabilities: frozenset[str] = DEFAULT_CAPABILITIES
    sysctls: tuple[str, ...] = DEFAULT_SYSCTLS
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Values for keys that user data does not set."""
    values: Mapping[str, Any] = field(default_factory=dict)
    """Values that user data cannot override."""
    own_ports: frozenset[int] = frozenset()
    """TCP ports of the machine that the agent listens on."""
    platform_known: bool = True

    def tags_of(self, registry: str) -> TagPolicy:
        """Return the policy for a registry; all names must be canonical."""
        if self.allowed is not None and registry not in self.allowed:
            return "not-allowed"
        if registry in self.immutable:
            return "vouched"
        if registry in self.asked or is_ecr(registry):
            return "asked"
        return "not-vouched" if self.platform_known else "unknown"

    def allows_single_segment(self, registry: str) -> bool:
        return registry in self.single_segment or is_ecr(registry)


def effective(
    *, defaults: Mapping[str, Any], platform: Mapping[str, Any], user_data: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the configuration: defaults, then user data, then the platform's values. Null counts as absent.

    Platform keys in user data are ignored.
    """
    written = {name: value for name, value in user_data.items() if value is not None and not is_platform_key(name)}
    unknown_null = {name: None for name, value in user_data.items() if value is None and name not in TOP_KEYS}
    return {**defaults, **unknown_null, **written, **platform}


def is_platform_key(name: str) -> bool:
    """Return whether only the platform sets a key, so that user data cannot switch off the audit."""
    return name in TOP_KEYS and TOP_KEYS[name].fate == "platform"
