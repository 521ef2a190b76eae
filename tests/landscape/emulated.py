"""A machine in QEMU, with firmware, loader and kernel of its own: by KVM where a probe guest shows that it works, else emulated."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from landscape.processes import Process, started
from whence_common.runtime.pause import pause

_PROBE_SECONDS = 5.0
_LOOK_SECONDS = 0.2
_EMULATED = ("-accel", "tcg,thread=multi", "-cpu", "max")
_VIRTUAL = ("-accel", "kvm", "-cpu", "host")


@dataclass(frozen=True, slots=True)
class EmulatedMachine:
    """A running guest; `console` is its serial line."""

    process: Process
    serial: Path

    @property
    def console(self) -> str:
        return self.serial.read_text(encoding="utf-8", errors="replace") if self.serial.exists() else ""

    async def prints(self, *texts: str, seconds_max: float) -> str:
        """Wait until its console has one of these texts; return which."""
        try:
            async with asyncio.timeout(seconds_max):
                while True:
                    for text in texts:
                        if text in self.console:
                            return text
                    assert self.process.process.returncode is None, f"it ended: {self.process.tail()}"
                    await pause(_LOOK_SECONDS)
        except TimeoutError:
            raise AssertionError(f"no {texts} on the console:\n{self.console[-4000:]}") from None


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
async def emulated(disk: Path, logs: Path, words: tuple[str, ...]) -> AsyncIterator[EmulatedMachine]:
    """Boot a disk by the PC's BIOS, with no way out of its network."""
    serial = logs / "serial.log"
    command = [
        "qemu-system-x86_64", *words, "-smp", "2", "-m", "1024", "-display", "none", "-nodefaults",
        "-serial", f"file:{serial}", "-drive", f"file={disk},format=raw,if=virtio,cache=unsafe",
        "-device", "virtio-rng-pci", "-device", "virtio-net-pci,netdev=ec2",
        "-netdev", "user,id=ec2,restrict=on,net=169.254.169.0/24,host=169.254.169.1,dns=169.254.169.3",
    ]  # fmt: skip

    async def at_once() -> bool:
        return True

    async with started("qemu", command, logs=logs, ready=at_once) as process:
        yield EmulatedMachine(process, serial)
