"""A machine in QEMU, with firmware, loader and kernel of its own: by KVM where a probe guest shows that it works, else emulated.

QEMU runs in the machine's network namespace. Its user network has DHCP, and passes what the guest sends on to addresses
of the namespace: EC2's link-local ones, and loopback as 10.0.2.2.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from landscape.booted_images import STATUS_PORT, BootedImage
from landscape.disks import DISK_BYTES
from landscape.instance_network import InstanceNetwork
from landscape.processes import Process, started
from whence_common.runtime.pause import pause

SHELL_PORT = 99
_NAMESPACE = "10.0.2.2"
"""The namespace's loopback, as the guest sees it."""
_PROBE_SECONDS = 5.0
_COMMAND_SECONDS_MAX = 120.0
_EMULATED = ("-accel", "tcg,thread=multi", "-cpu", "qemu64")
_VIRTUAL = ("-accel", "kvm", "-cpu", "host")
_SHELL = {
    "shell.socket": "[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=0.0.0.0:99\nAccept=yes\n",
    "shell@.service": (
        "[Unit]\nDefaultDependencies=no\nCollectMode=inactive-or-failed\n[Service]\nExecStart=-/bin/sh\n"
        "StandardInput=socket\nStandardOutput=socket\nStandardError=socket\n"
    ),
}
_RELAY = {
    "relay-{port}.socket": "[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=127.0.0.1:{port}\n",
    "relay-{port}.service": "[Service]\nExecStart=/lib/systemd/systemd-socket-proxyd {namespace}:{port}\n",
}
_PATIENT = {
    # an emulated processor is twenty times slower
    "docker.service.d/zz-test.conf": "[Service]\nTimeoutStartSec=infinity\n",
}
_DISK_RULES = """\
SUBSYSTEM=="block", KERNEL=="nvme*n1", ATTRS{serial}=="vol*", \\
  SYMLINK+="disk/by-id/nvme-Amazon_Elastic_Block_Store_$attr{serial}"
SUBSYSTEM=="block", KERNEL=="nvme*n1", ATTRS{serial}=="store-*", SYMLINK+="$attr{serial}"
"""
"""EBS has its volume ids in the serial numbers of its NVMe disks, as here, but QEMU's have another model."""


@dataclass
class EmulatedMachine(BootedImage):
    """A running guest. Its serial line is in `serial`, and `shell_port` leads to a shell of root's."""

    seconds_max: ClassVar[float] = 600.0
    look_seconds: ClassVar[float] = 1.0

    process: Process
    serial: Path
    status_url: str
    shell_port: int

    @property
    def console(self) -> str:
        return self.serial.read_text(encoding="utf-8", errors="replace") if self.serial.exists() else ""

    async def said(self, *command: str) -> tuple[int, str]:
        assert self.process.process.returncode is None, f"the machine ended: {self.process.tail()}"
        try:
            async with asyncio.timeout(_COMMAND_SECONDS_MAX):
                answer = (await self._asked(shlex.join(command))).decode(errors="replace")
        except OSError:
            answer = ""
        output, _, code = answer.removesuffix("\n").rpartition("\n")
        return (int(code), output) if code.isdigit() else (-1, "nothing answers there yet")

    async def _asked(self, command: str) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.shell_port)
        try:
            writer.write(f"{command} </dev/null 2>&1; code=$?; echo; echo $code; exit\n".encode())
            return await reader.read()
        finally:
            writer.close()

    async def answers(self) -> None:
        """Wait until a command can be run inside."""
        try:
            async with asyncio.timeout(self.seconds_max):
                while (await self.said("true"))[0] != 0:
                    await pause(self.look_seconds)
        except TimeoutError:
            raise AssertionError(f"no shell; console:\n{self.console[-4000:]}") from None


def make_reachable(root: Path, ports: Iterable[int]) -> None:
    """Add to a root what the test needs inside: a shell, and the namespace's loopback ports at the same ones there."""
    units = root / "etc/systemd/system"
    files = {**_SHELL, **_PATIENT}
    for port in ports:
        files |= {name.format(port=port): text.format(port=port, namespace=_NAMESPACE) for name, text in _RELAY.items()}
    (root / "etc/udev/rules.d/99-test.rules").write_text(_DISK_RULES, encoding="ascii")
    wants = units / "sockets.target.wants"
    wants.mkdir(exist_ok=True)
    for name, text in files.items():
        (units / name).parent.mkdir(exist_ok=True)
        (units / name).write_text(text, encoding="ascii")
        if name.endswith(".socket"):
            (wants / name).symlink_to(f"/etc/systemd/system/{name}")


async def accelerator(kernel: Path) -> tuple[str, ...]:
    """Return QEMU's words for KVM if this kernel prints a line under it within five seconds, else for emulation.

    A device node is no proof: nested virtualisation may stop at the first instruction of a 64-bit kernel.
    """
    if not os.access("/dev/kvm", os.W_OK):
        return _EMULATED
    process = await asyncio.create_subprocess_exec(
        "qemu-system-x86_64", *_VIRTUAL, "-m", "256", "-display", "none", "-nodefaults", "-no-reboot", "-serial", "stdio",
        "-kernel", kernel, "-append", "console=ttyS0 earlyprintk=ttyS0 panic=-1",
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            return _VIRTUAL if b"Linux version" in await process.stdout.readuntil(b"Linux version") else _EMULATED
    except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return _EMULATED
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@contextmanager
def copied(disk: Path) -> Iterator[Path]:
    """Give a sparse copy of a disk that may be written."""
    with tempfile.TemporaryDirectory(prefix="whence-disk-", dir="/var/tmp") as directory:
        made = Path(directory) / "disk.raw"
        shutil.copy(disk, made)
        yield made


@asynccontextmanager
async def emulated(
    disk: Path, logs: Path, words: Sequence[str], network: InstanceNetwork, *, disks: Iterable[str] = ()
) -> AsyncIterator[EmulatedMachine]:
    """Boot a disk by the PC's BIOS, in this network; return at once. `disks` are the serial numbers of blank NVMe disks."""
    serial = logs / "serial.log"
    ways_in = ",".join(f"hostfwd=tcp:127.0.0.1:{port}-:{port}" for port in (STATUS_PORT, SHELL_PORT))
    command = [
        "ip", "netns", "exec", network.name, "qemu-system-x86_64", *words,
        "-smp", "2", "-m", "1024", "-display", "none", "-nodefaults", "-serial", f"file:{serial}",
        "-drive", f"file={disk},format=raw,if=virtio,cache=unsafe", "-device", "virtio-rng-pci",
        "-device", "virtio-net-pci,netdev=ec2", "-netdev", f"user,id=ec2,{ways_in}",
    ]  # fmt: skip
    for number in disks:
        file = disk.parent / number
        with file.open("wb") as stream:
            stream.truncate(DISK_BYTES)
        command += [
            "-drive", f"file={file},format=raw,if=none,id={number},cache=unsafe",
            "-device", f"nvme,drive={number},serial={number}",
        ]  # fmt: skip

    async def at_once() -> bool:
        return True

    status_url, shell_url = await network.reach(STATUS_PORT), await network.reach(SHELL_PORT)
    async with started("qemu", command, logs=logs, ready=at_once) as process:
        yield EmulatedMachine(
            process=process, serial=serial, status_url=status_url, shell_port=int(shell_url.rpartition(":")[2])
        )
