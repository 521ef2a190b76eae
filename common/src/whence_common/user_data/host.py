"""The host's settings in user data: kernel settings, sshd, users, rotation of custom logs."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from whence_common.errors import one_line
from whence_common.user_data import readers, sysctl_bounds
from whence_common.user_data.nodes import ScalarNode, SequenceNode
from whence_common.user_data.platform import PlatformRules
from whence_common.user_data.section import Section

HUGE_PAGES = "/sys/kernel/mm/transparent_hugepage/enabled"
HUGE_PAGES_VALUES = ("always", "madvise", "never")
_SYSCTL = re.compile(r"[a-z0-9_]+(?:[./][A-Za-z0-9_-]+)+\Z")
_SYSCTL_VALUE = re.compile(r"[A-Za-z0-9 \t.,:_/-]{1,120}\Z")
_SYSCTL_CHARACTERS_MAX = 120
_SYSCTLS_MAX = 100
INTERVALS = ("hourly", "daily", "weekly", "monthly", "yearly")
LOG_FILES_MAX = 1000
SSH_PORTS_MAX = 256
"""The most ports that sshd listens on (MAX_PORTS)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomLogs:
    """Rotation of /var/log-custom."""

    size_bytes: int
    interval: str
    files: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSettings:
    sysctl: Mapping[str, str] = field(default_factory=dict)
    huge_pages: str | None = None
    ssh_ports: tuple[int, ...] = ()
    keep_instance_users: bool = False
    custom_logs: CustomLogs | None = None

    def number(self, name: str, default: int) -> int:
        """Return a kernel setting that is one number; the default if it is not set."""
        text = self.sysctl.get(name, "")
        return int(text) if text.isdecimal() else default


def read_host(root: Section, rules: PlatformRules) -> HostSettings:
    """Return the host's settings."""
    return HostSettings(
        sysctl=_sysctl(root, rules),
        huge_pages=_huge_pages(root),
        ssh_ports=_ssh_ports(root),
        keep_instance_users=root.soft_flag("keep_instance_users"),
        custom_logs=_custom_logs(root),
    )


def _sysctl(root: Section, rules: PlatformRules) -> dict[str, str]:
    section = root.section("sysctl")
    read: dict[str, str] = {}
    if section is not None and len(section.node.entries) > _SYSCTLS_MAX:
        section.error("", "mapping-too-long", f"sysctl has more than {_SYSCTLS_MAX} entries", "shorten it")
        return read
    for name in section.node.entries if section is not None else ():
        assert section is not None
        node = section.get(name)
        dotted = name.replace("/", ".")
        if node is None:
            continue
        if not _SYSCTL.match(name) or ".." in dotted or len(name) > _SYSCTL_CHARACTERS_MAX:
            section.error(
                name,
                "sysctl-malformed",
                f"{one_line(name, 60)!r} is not a kernel setting",
                "write it like vm.swappiness",
            )
        elif not isinstance(node, ScalarNode) or isinstance(node.value, bool) or not _SYSCTL_VALUE.match(node.text):
            section.error(name, "sysctl-value-malformed", f"{section.name_of(name)} must be a number or a short text",
                          "write the value as for sysctl(8)")  # fmt: skip
        elif not any(fnmatch.fnmatchcase(dotted, pattern) for pattern in rules.sysctls):
            report = section.error if rules.platform_known else section.warning
            report(name, "sysctl-not-allowed", f"the platform does not allow setting {one_line(dotted, 60)}",
                   "remove it, or have the platform add it to allowed_sysctls")  # fmt: skip
        elif (why := sysctl_bounds.out_of_range(dotted, node.text)) is not None:
            section.error(name, "sysctl-out-of-range", f"{section.name_of(name)}: the kernel accepts {why}",
                          "correct its value")  # fmt: skip
        else:
            read[dotted] = node.text
    return read


def _huge_pages(root: Section) -> str | None:
    section = root.section("sysfs")
    if section is None:
        return None
    for name in section.node.entries:
        if name.lstrip("/") != HUGE_PAGES.lstrip("/"):
            section.warning(name, "sysfs-skipped", f"{one_line(name, 80)} is ignored", f"only {HUGE_PAGES} is set")
            continue
        return section.choice(name, *HUGE_PAGES_VALUES)
    return None


def _ssh_ports(root: Section) -> tuple[int, ...]:
    node = root.get("ssh_ports")
    if node is None:
        return ()
    items = node.items if isinstance(node, SequenceNode) else [node]
    if len(items) > SSH_PORTS_MAX:
        root.error("ssh_ports", "list-too-long", f"sshd listens on at most {SSH_PORTS_MAX} ports", "shorten it")
        return ()
    read = [
        readers.integer(item, f"ssh_ports.{number}", root.findings, least=1, most=65535)
        for number, item in enumerate(items)
    ]
    return tuple(dict.fromkeys(port for port in read if port is not None))


def _custom_logs(root: Section) -> CustomLogs | None:
    size = root.size("customlog_logrotate_size")
    files = root.integer("customlog_logrotate_rotate", least=0, most=LOG_FILES_MAX)
    interval = root.choice("customlog_logrotate_interval", *INTERVALS)
    if size is None and files is None and interval is None and not root.flag("mount_custom_log"):
        return None
    return CustomLogs(
        size_bytes=size or 256 * 1024**2, interval=interval or "daily", files=5 if files is None else files
    )
