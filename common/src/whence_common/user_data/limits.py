"""A container's limits, within the bounds of the engine, runc and the kernel: valid limits do not fail at the start."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from whence_common.errors import one_line
from whence_common.user_data.container import VARIABLE_BYTES_MAX
from whence_common.user_data.nodes import MappingNode, Node, ScalarNode
from whence_common.user_data.section import Section

_ULIMITS = "core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack"
ULIMITS = frozenset(_ULIMITS.split())
UNLIMITED = -1
_KIB, _MIB = 1024, 1024**2
_ULIMIT_MAX = 2**63 - 1
_ULIMIT_LEAST = {"cpu": 1, "data": 128 * _MIB, "nofile": 20, "stack": 64 * _KIB}
"""With lower limits, runc or exec fails before the application runs."""
NR_OPEN = 1_048_576
"""The kernel's default fs.nr_open: the highest nofile that setrlimit(2) accepts."""
MEMORY_BYTES_MIN = 6 * _MIB
MEMORY_BYTES_ENOUGH = 16 * _MIB
"""runc runs within the container's limit at the start, and needs nearly 10 MB."""
_STACK_BYTES_DEFAULT = 8 * _MIB
_ARGUMENTS_BYTES_LEAST = 128 * _KIB
_ARGUMENTS_BYTES_MOST = 6 * _MIB
_OF_THE_IMAGE_BYTES = 64 * _KIB
"""Reserved for the variables that the image and the agent add."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ulimit:
    """A soft and a hard limit; -1 is unlimited."""

    name: str
    soft: int
    hard: int


def read_memory(section: Section) -> int | None:
    size = section.size("memory")
    if size is not None and size < MEMORY_BYTES_MIN:
        section.error("memory", "memory-too-small", "the Engine refuses limits below 6m", "write it like 512m")
    elif size is not None and size < MEMORY_BYTES_ENOUGH:
        message = "with less than 16m, runc may be killed before the application starts"
        section.warning("memory", "memory-tight", message, "write 16m or more")
    return size


def read_cpus(section: Section) -> float | None:
    """Return the number of processors. More than the machine has is valid: the container may then use all."""
    node = section.get("cpus")
    if node is None:
        return None
    text = node.text if isinstance(node, ScalarNode) and not isinstance(node.value, bool) else ""
    number = float(text) if re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,3})?", text) else math.nan
    if not 0.01 <= number <= 1024:
        section.error("cpus", "cpus-malformed", f"{section.name_of('cpus')} must be a number from 0.01 to 1024",
                      "write it like 1.5")  # fmt: skip
        return None
    return number


def read_ulimits(section: Section, *, nofile_max: int = NR_OPEN) -> tuple[Ulimit, ...]:
    """Return the `ulimits`. `nofile_max` is the kernel's fs.nr_open."""
    nested = section.section("ulimits")
    if nested is None:
        return ()
    read = []
    for name in nested.node.entries:
        if name not in ULIMITS:
            fix = "write one of: " + ", ".join(sorted(ULIMITS))
            nested.error(name, "ulimit-unknown", f"{one_line(name, 40)} is not a ulimit", fix)
            continue
        node = nested.get(name)
        if isinstance(node, MappingNode):
            soft, hard = (_number(node.entries.get(part)) for part in ("soft", "hard"))
        else:
            soft = hard = _number(node)
        if soft is None or hard is None or _height(soft) > _height(hard):
            message = f"{nested.name_of(name)} must be a number, or soft and hard, soft ≤ hard; -1 is unlimited"
            nested.error(name, "ulimit-malformed", message, "write it like 65536, or {soft: 1024, hard: 65536}")
        elif (why := _out_of_range(name, soft, hard, nofile_max)) is not None:
            nested.error(name, "ulimit-out-of-range", f"{nested.name_of(name)}: {why[0]}", why[1])
        else:
            read.append(Ulimit(name=name, soft=soft, hard=hard))
    return tuple(read)


def judge_arguments(
    section: Section, environment: Mapping[str, str], command: Sequence[str], ulimits: Sequence[Ulimit]
) -> None:
    """Report a command and an environment that are too large for execve(2), which would fail with E2BIG."""
    if any(len(word.encode()) > VARIABLE_BYTES_MAX for word in command):
        message = f"a word of {section.name_of('command')} has more than {VARIABLE_BYTES_MAX} bytes"
        section.error("command", "command-too-long", message, "store it in a file, or in the image")
    stack = next((one.soft for one in ulimits if one.name == "stack" and one.soft != UNLIMITED), None)
    quarter = (_STACK_BYTES_DEFAULT if stack is None else stack) // 4
    bytes_max = max(_ARGUMENTS_BYTES_LEAST, min(quarter, _ARGUMENTS_BYTES_MOST)) - _OF_THE_IMAGE_BYTES
    texts = [*command, *(f"{name}={value}" for name, value in environment.items())]
    total = sum(len(text.encode()) + 1 + 8 for text in texts)
    if total > bytes_max:
        message = f"command and environment have {total} bytes together; the kernel accepts at most {bytes_max}"
        section.error("environment", "environment-too-large", message, "store large values in files, or in the image")


def _number(node: Node | None) -> int | None:
    if not isinstance(node, ScalarNode) or isinstance(node.value, bool):
        return None
    if node.text in ("-1", "unlimited"):
        return UNLIMITED
    return int(node.text) if re.fullmatch(r"0|[1-9][0-9]{0,18}", node.text) else None


def _height(number: int) -> float:
    return math.inf if number == UNLIMITED else number


def _out_of_range(name: str, soft: int, hard: int, nofile_max: int) -> tuple[str, str] | None:
    """Return message and fix for a limit that is out of range, else None."""
    least = _ULIMIT_LEAST.get(name, 0)
    if _height(soft) < least:
        return f"a container does not start with less than {least}", f"write {least} or more"
    if name == "nofile" and _height(hard) > nofile_max:
        fix = f"write at most {nofile_max}, or raise fs.nr_open by sysctl"
        return f"the kernel accepts at most {nofile_max} (fs.nr_open)", fix
    if max(soft, hard) > _ULIMIT_MAX:
        return f"the engine accepts at most {_ULIMIT_MAX}", "write -1 for unlimited"
    return None
