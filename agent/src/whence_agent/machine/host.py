"""The host: kernel settings, sshd's ports, other users' keys, rotation of custom logs, power."""

from __future__ import annotations

import errno
import fnmatch
import os
import pwd
import re
from dataclasses import dataclass
from pathlib import Path

from whence_agent.machine.directories import existing
from whence_agent.machine.place import MachinePaths
from whence_agent.machine.programs import Programs
from whence_agent.machine.protocol import CustomLogsRequest, HostRequest, MachineFailed, PowerOffRequest
from whence_common.errors import one_line
from whence_common.runtime.files import write_durably
from whence_common.user_data.host import HUGE_PAGES, HUGE_PAGES_VALUES, INTERVALS, LOG_FILES_MAX

_SYSCTL = re.compile(r"[a-z0-9_]+(?:\.[A-Za-z0-9_-]+)+\Z")
_VALUE = re.compile(r"[A-Za-z0-9 \t.,:_/-]{1,120}\Z")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}\Z")
_NOT_IN_A_REASON = re.compile(r"[^A-Za-z0-9 .,:;()/_'+=#@-]")
"""The reason is shown on every terminal."""
_SECONDS_MAX = 30.0
_NO_SUCH_UNIT = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    place: MachinePaths
    programs: Programs
    allowed_sysctls: tuple[str, ...]

    def prepare(self, request: HostRequest) -> list[str]:
        """Apply the requested settings; return what was changed. Raises MachineFailed."""
        done = [self._sysctl(name, value) for name, value in sorted(request.sysctl.items())]
        if request.huge_pages is not None:
            done.append(self._huge_pages(request.huge_pages))
        if request.ssh_ports:
            done += self._ssh_ports(request.ssh_ports)
        done += [one for user in request.remove_keys_of for one in self._remove_keys(user)]
        if request.custom_logs is not None:
            done += self._custom_logs(request.custom_logs)
        return done

    def power_off(self, request: PowerOffRequest) -> list[str]:
        """Power off in a minute, so that the last statements can be sent."""
        reason = _NOT_IN_A_REASON.sub(" ", one_line(request.reason, 80)).strip() or "no reason stated"
        self.programs.run("shutdown", "-h", "--", "+1", reason, seconds_max=_SECONDS_MAX)
        return ["the machine powers off in a minute"]

    def _sysctl(self, name: str, value: str) -> str:
        if not _SYSCTL.match(name) or ".." in name or not _VALUE.match(value):
            raise MachineFailed("sysctl-malformed", f"{one_line(name, 60)!r} is not a kernel setting")
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in self.allowed_sysctls):
            raise MachineFailed("sysctl-not-allowed", f"{name} may not be set", fix="see allowed_sysctls")
        self._write_kernel(Path("proc/sys") / name.replace(".", "/"), value, name)
        return f"{name} = {value}"

    def _huge_pages(self, value: str) -> str:
        if value not in HUGE_PAGES_VALUES:
            raise MachineFailed("huge-pages-malformed", "transparent huge pages must be always, madvise or never")
        self._write_kernel(Path(HUGE_PAGES.lstrip("/")), value, "transparent huge pages")
        return f"transparent huge pages: {value}"

    def _write_kernel(self, path: Path, value: str, name: str) -> None:
        try:
            (self.place.root / path).write_text(value + "\n", encoding="ascii")
        except FileNotFoundError as exc:
            raise MachineFailed("kernel-setting-unknown", f"this kernel has no {name}", fix="remove it") from exc
        except OSError as exc:
            message = f"the kernel refuses the value of {name}: {exc.strerror}"
            raise MachineFailed("kernel-setting-refused", message, fix="correct its value") from exc

    def _ssh_ports(self, ports: list[int]) -> list[str]:
        if not all(0 < port < 65536 for port in ports):
            raise MachineFailed("ssh-ports-malformed", "ports of sshd must be from 1 to 65535")
        content = "# written by whence-agent from ssh_ports of the user data\n" + "".join(f"Port {p}\n" for p in ports)
        if not self._written(Path("etc/ssh/sshd_config.d/50-whence.conf"), content):
            return []
        command = ("systemctl", "try-reload-or-restart", "ssh.service")
        self.programs.run(*command, seconds_max=_SECONDS_MAX, ends_with=(0, _NO_SUCH_UNIT))
        return [f"sshd listens on {', '.join(map(str, ports))}"]

    def _remove_keys(self, user: str) -> list[str]:
        if not _USER.match(user) or user == "root":
            raise MachineFailed("user-malformed", f"{one_line(user, 40)!r} is not an ordinary user")
        try:
            home = Path(pwd.getpwnam(user).pw_dir)
        except KeyError:
            return []
        try:
            with existing(self.place.root / str(home).lstrip("/"), ".ssh") as ssh:
                os.unlink("authorized_keys", dir_fd=ssh)
        except OSError as exc:
            if exc.errno in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR):
                return []  # there are none, or a component is a link, which is not followed
            raise
        return [f"removed the authorized_keys of {user}"]

    def _custom_logs(self, logs: CustomLogsRequest) -> list[str]:
        if logs.interval not in INTERVALS or not 0 < logs.size_bytes <= 2**50 or not 0 <= logs.files <= LOG_FILES_MAX:
            raise MachineFailed("log-rotation-malformed", "the rotation of custom logs is malformed")
        (self.place.root / "var/log-custom").mkdir(mode=0o777, parents=True, exist_ok=True)
        content = (
            "# written by whence-agent from customlog_logrotate_* of the user data\n"
            f"/var/log-custom/*.log {{\n  {logs.interval}\n  maxsize {logs.size_bytes}\n  rotate {logs.files}\n"
            "  compress\n  missingok\n  notifempty\n  copytruncate\n}\n"
        )
        return ["rotation of /var/log-custom"] if self._written(Path("etc/logrotate.d/whence-custom"), content) else []

    def _written(self, path: Path, content: str) -> bool:
        """Write a file unless it has this content; return whether it changed."""
        target = self.place.root / path
        try:
            if target.read_text(encoding="utf-8") == content:
                return False
        except OSError:
            target.parent.mkdir(parents=True, exist_ok=True)
        write_durably(target, content.encode(), mode=0o644)
        return True
