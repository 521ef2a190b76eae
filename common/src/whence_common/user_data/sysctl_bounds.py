"""The kernel's bounds for common settings: for other values, setting them at the boot would fail with EINVAL.

Ranges are those of Linux 5.10 to 6.x (Documentation/admin-guide/sysctl); other settings are not checked.
"""

from __future__ import annotations

import fnmatch
import re

_INT_MAX = 2**31 - 1
_LONG_MAX = 2**63 - 1
_BOUNDS: tuple[tuple[str, int, int, int], ...] = (
    ("vm.swappiness", 1, 0, 200),
    ("vm.overcommit_memory", 1, 0, 2),
    ("vm.overcommit_ratio", 1, 0, _INT_MAX),
    ("vm.dirty_ratio", 1, 0, 100),
    ("vm.dirty_background_ratio", 1, 0, 100),
    ("vm.max_map_count", 1, 0, _INT_MAX),
    ("vm.min_free_kbytes", 1, 0, _INT_MAX),
    ("vm.nr_hugepages", 1, 0, _LONG_MAX),
    ("vm.vfs_cache_pressure", 1, 0, _INT_MAX),
    ("vm.dirty_*", 1, 0, _LONG_MAX),
    ("kernel.pid_max", 1, 301, 4_194_304),
    ("kernel.threads-max", 1, 1, _INT_MAX // 4),
    ("kernel.shmall", 1, 0, 2**64 - 1),
    ("kernel.shmmax", 1, 0, 2**64 - 1),
    ("kernel.shmmni", 1, 0, 2**24),
    ("kernel.sem", 4, 0, _INT_MAX),
    ("kernel.msg_next_id", 1, -1, _INT_MAX),
    ("kernel.msg*", 1, 0, _INT_MAX),
    ("fs.file-max", 1, 0, _LONG_MAX),
    ("fs.aio-max-nr", 1, 0, _LONG_MAX),
    ("fs.nr_open", 1, 1024, 2_147_483_584),
    ("fs.inotify.*", 1, 0, _INT_MAX),
    ("net.core.somaxconn", 1, 0, _INT_MAX),
    ("net.core.netdev_max_backlog", 1, 0, _INT_MAX),
    ("net.core.rmem_max", 1, 2048, _INT_MAX),
    ("net.core.wmem_max", 1, 2048, _INT_MAX),
    ("net.core.rmem_default", 1, 2048, _INT_MAX),
    ("net.core.wmem_default", 1, 2048, _INT_MAX),
    ("net.ipv4.ip_local_port_range", 2, 1, 65535),
    ("net.ipv4.tcp_rmem", 3, 1, _INT_MAX),
    ("net.ipv4.tcp_wmem", 3, 1, _INT_MAX),
    ("net.ipv4.tcp_mem", 3, 0, _LONG_MAX),
    ("net.ipv4.tcp_fin_timeout", 1, 0, _INT_MAX),
    ("net.ipv4.tcp_keepalive_intvl", 1, 0, _INT_MAX),
    ("net.ipv4.tcp_keepalive_probes", 1, 0, 255),
    ("net.ipv4.tcp_keepalive_time", 1, 0, _INT_MAX),
    ("net.ipv4.tcp_max_syn_backlog", 1, 0, _INT_MAX),
    ("net.ipv4.tcp_max_tw_buckets", 1, 0, _INT_MAX),
    ("net.ipv4.tcp_tw_reuse", 1, 0, 2),
    ("net.ipv4.tcp_syncookies", 1, 0, 255),
    ("net.ipv4.tcp_sack", 1, 0, 255),
    ("net.ipv4.tcp_timestamps", 1, 0, 255),
    ("net.ipv4.tcp_window_scaling", 1, 0, 255),
    ("net.ipv4.tcp_slow_start_after_idle", 1, 0, 255),
    ("net.ipv4.tcp_syn_retries", 1, 1, 127),
    ("net.ipv4.tcp_synack_retries", 1, 0, 255),
    ("net.ipv4.neigh.default.gc_thresh*", 1, 0, _INT_MAX),
    ("net.netfilter.nf_conntrack_max", 1, 0, _INT_MAX),
    ("net.nf_conntrack_max", 1, 0, _INT_MAX),
)
"""Pattern, number of values at most, least value, greatest value. The first matching row counts."""


def out_of_range(name: str, text: str) -> str | None:
    """Return the range that the kernel accepts for a setting if the value is outside it; else None."""
    found = next((bound for bound in _BOUNDS if fnmatch.fnmatchcase(name, bound[0])), None)
    if found is None:
        return None
    _, count, least, most = found
    words = text.split()
    numbers = [_number(word) for word in words if re.fullmatch(r"-?(?:0x[0-9a-fA-F]{1,16}|[0-9]{1,20})", word)]
    ascends = name != "net.ipv4.ip_local_port_range" or numbers == sorted(numbers)
    if 1 <= len(words) == len(numbers) <= count and all(least <= one <= most for one in numbers) and ascends:
        return None
    return f"{'one number' if count == 1 else f'up to {count} numbers'} from {least} to {most}"


def _number(word: str) -> int:
    """Parse a number as the kernel does: 0x is hexadecimal, a leading 0 octal."""
    digits = word.removeprefix("-")
    octal = digits[:1] == "0" and re.fullmatch(r"[0-7]{2,}", digits)
    number = int(digits, 8) if octal else int(digits, 16) if digits[:2] == "0x" else int(digits)
    return -number if word != digits else number
