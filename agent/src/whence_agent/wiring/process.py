"""What this process was given beside its settings, and what it asks the machine itself."""

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
    """Those of the environment."""


def up_seconds() -> float:
    """Return for how long this machine is up, whatever its clock says."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def application_gid(settings: Settings) -> int:
    """Return the gid of the application's group. Raises SettingsInvalid when the machine has no such group."""
    if settings.application_gid is not None:
        return settings.application_gid
    try:
        return grp.getgrnam(settings.application_group).gr_gid
    except KeyError as exc:
        fix = "make the group (the package does it by systemd-sysusers), or set application_gid"
        message = f"application_group: there is no group {settings.application_group!r} on this machine"
        raise SettingsInvalid("settings-invalid", message, fix=fix) from exc


def state_directory(settings: Settings) -> Path:
    """Make the state directory and clear what a crash left half-written. Raises OSError."""
    state = Path(settings.state_directory)
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    remove_temporaries(state)
    return state
