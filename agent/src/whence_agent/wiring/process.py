"""What this process receives in addition to its settings, and what it reads from the machine."""

from __future__ import annotations

import grp
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from whence_agent.proxies import Proxies
from whence_agent.redaction import Redactor
from whence_agent.settings import Settings
from whence_common.runtime.files import remove_temporaries
from whence_common.settings_file import SettingsInvalid


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    notify_socket: str | None
    watchdog_seconds: float | None
    redactor: Redactor
    may_reload: Callable[[], bool]
    console: Callable[[str], None]
    proxies: Proxies
    """The proxies of the environment."""


def up_seconds() -> float:
    """Return for how long this machine has been up, independently of its wall clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def application_gid(settings: Settings) -> int:
    """Return the gid of the application's group. Raises SettingsInvalid if the group does not exist."""
    if settings.application_gid is not None:
        return settings.application_gid
    try:
        return grp.getgrnam(settings.application_group).gr_gid
    except KeyError as exc:
        fix = "create the group (the package does so by systemd-sysusers), or set application_gid"
        message = f"application_group: group {settings.application_group!r} does not exist on this machine"
        raise SettingsInvalid("settings-invalid", message, fix=fix) from exc


def state_directory(settings: Settings) -> Path:
    """Create the state directory, remove temporary files of a crash, and return its path. Raises OSError."""
    state = Path(settings.state_directory)
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    remove_temporaries(state)
    return state
