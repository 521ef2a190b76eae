"""Runs the system's programs: fixed names, arguments as a list, a timeout and bounded output."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from whence_agent.machine.protocol import MachineFailed
from whence_common.errors import one_line

_ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    "LIBMOUNT_FORCE_MOUNT2": "always",  # move_mount(2) of newer versions does not resolve /proc/self/fd
}
PACKAGES = {
    "mdadm": "mdadm", "mkfs.xfs": "xfsprogs", "xfs_repair": "xfsprogs", "xfs_growfs": "xfsprogs",
    "mkfs.ext4": "e2fsprogs", "mkfs.ext3": "e2fsprogs", "mkfs.ext2": "e2fsprogs",
    "e2fsck": "e2fsprogs", "resize2fs": "e2fsprogs",
    "mount": "mount", "blkid": "util-linux", "shutdown": "systemd-sysv", "systemctl": "systemd",
}  # fmt: skip
"""The Debian package of each program."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """Runs programs. `say` reports each command. The environment is fixed; nothing is inherited."""

    say: Callable[[str], None]
    path: str = _ENVIRONMENT["PATH"]

    def run(
        self, *command: str, seconds_max: float, ends_with: tuple[int, ...] = (0,), inherits: tuple[int, ...] = ()
    ) -> tuple[int, str]:
        """Run one program; return its exit code and output. `inherits` are descriptors that it may use.

        Raises MachineFailed for an exit code that is not in `ends_with`, and after `seconds_max`.
        """
        shown = " ".join(command)
        self.say(shown)
        environment = {**_ENVIRONMENT, "PATH": self.path}
        try:
            done = subprocess.run(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=seconds_max,
                check=False,
                pass_fds=inherits,
            )
        except FileNotFoundError as exc:
            package = PACKAGES.get(command[0])
            fix = f"install the package {package} in the AMI" if package else "install it in the AMI"
            raise MachineFailed("program-missing", f"{command[0]} is not installed", fix=fix) from exc
        except subprocess.TimeoutExpired as exc:
            raise MachineFailed("program-slow", f"{shown} did not end within {seconds_max:g} seconds") from exc
        output = (done.stdout + done.stderr).decode("utf-8", "replace")
        if done.returncode not in ends_with:
            message = f"{shown} failed with exit code {done.returncode}: {one_line(output[-600:], 300)}"
            raise MachineFailed("program-failed", message)
        return done.returncode, output
