"""sshd on loopback that serves the bare repositories below a directory by git-upload-pack, and nothing else."""

from __future__ import annotations

import asyncio
import getpass
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from landscape.processes import free_port, run

_SSHD = "/usr/sbin/sshd"
_ONLY_UPLOAD_PACK = """#!/bin/sh
case "$SSH_ORIGINAL_COMMAND" in
"git-upload-pack '/"*) ;;
*) echo "refused: $SSH_ORIGINAL_COMMAND" >&2; exit 1 ;;
esac
printf '%s\\n' "$SSH_ORIGINAL_COMMAND" >> {log}
cd {root} || exit 1
GIT_PROTOCOL="$GIT_PROTOCOL"; export GIT_PROTOCOL
eval "set -- $SSH_ORIGINAL_COMMAND"
exec git -c 'safe.directory=*' upload-pack "{root}$2"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SshServer:
    """A running sshd. `key_file` may sign in; `known_hosts_file` has its host key."""

    port: int
    user: str
    key_file: str
    known_hosts_file: str
    other_hosts_file: str
    """Has another key under this server's name."""
    log: Path
    """The commands that were run."""


@asynccontextmanager
async def ssh_server(repositories: Path) -> AsyncIterator[SshServer]:
    """Start sshd for the repositories below a directory."""
    with tempfile.TemporaryDirectory(prefix="whence-sshd-") as name:
        place = Path(name)
        place.chmod(0o755)
        port, user, log = free_port(), getpass.getuser(), place / "commands"
        for key in ("host", "other", "client"):
            await run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(place / key))
        _write(place, repositories, port, log)
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        process = await asyncio.create_subprocess_exec(
            shutil.which("sshd") or _SSHD, "-D", "-e", "-f", str(place / "sshd_config"),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            await _listening(port)
            yield SshServer(
                port=port, user=user, key_file=str(place / "client"), known_hosts_file=str(place / "known_hosts"),
                other_hosts_file=str(place / "other_hosts"), log=log,
            )  # fmt: skip
        finally:
            process.terminate()
            await process.wait()


def _write(place: Path, repositories: Path, port: int, log: Path) -> None:
    command = place / "command"
    command.write_text(_ONLY_UPLOAD_PACK.format(root=repositories, log=log), encoding="ascii")
    command.chmod(0o755)
    allowed = f'restrict,command="{command}" {(place / "client.pub").read_text(encoding="ascii")}'
    (place / "authorized_keys").write_text(allowed, encoding="ascii")
    for name, key in (("known_hosts", "host"), ("other_hosts", "other")):
        public = (place / f"{key}.pub").read_text(encoding="ascii").split()
        (place / name).write_text(f"[127.0.0.1]:{port} {public[0]} {public[1]}\n", encoding="ascii")
    (place / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {place}/host\nAuthorizedKeysFile {place}/authorized_keys\n"
        f"PidFile none\nStrictModes no\nUsePAM no\nPasswordAuthentication no\nAcceptEnv GIT_PROTOCOL\n"
        f"PermitRootLogin prohibit-password\nLogLevel ERROR\n",
        encoding="ascii",
    )


async def _listening(port: int) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            return
