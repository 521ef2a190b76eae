"""The image beside a bare Debian root that is made and booted in the same way, in one run: size, boot, and the container.

Both are booted by systemd-nspawn with the tests' network. The container's time is counted from systemd's start of the
agent, and beside it the same engine's `docker run` of the same image, which is there already.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from landscape.image_machines import ImageMachine, image_machine
from landscape.image_roots import image_layers
from landscape.processes import free_port, run
from landscape.programs import Aggregator, aggregator
from landscape.roots import layered
from landscape.whole import Landscape, landscape

_BARE = "systemd,systemd-sysv,dbus,udev,python3"
_SYSTEM_READY = ("systemctl", "show", "--property=FinishTimestampMonotonic", "--value")


@dataclass(slots=True)
class _Taken:
    boot: dict[str, list[float]] = field(default_factory=lambda: {"image": [], "bare": []})
    container: list[float] = field(default_factory=list)
    docker: list[float] = field(default_factory=list)


async def measure(directory: Path, *, rounds: int, limit: Path) -> None:
    """Boot both in turns, and print sizes, medians and differences."""
    bare = directory / "bare"
    await run("mmdebstrap", "--variant=minbase", f"--include={_BARE}", "bookworm", bare)
    layers = await image_layers()
    taken = _Taken()
    async with landscape() as scape, aggregator(
        directory, scape.logs, authority_pem=scape.authority_pem, registries=(scape.registry,), sts="required",
        aws_endpoint_url=scape.sts.url,
    ) as server:  # fmt: skip
        for number in range(rounds):
            await _boot_bare(bare, directory / f"bare-{number}", scape, server, taken)
            await _boot_image(layers, directory / f"image-{number}", scape, server, taken)
        async with layered(directory / "sized", *layers) as root:
            sizes = {"image": await _mib(root), "bare": await _mib(bare)}
    _tell(taken, sizes)


async def _boot_bare(bare: Path, directory: Path, scape: Landscape, server: Aggregator, taken: _Taken) -> None:
    async with _machine((bare,), directory, scape, server, b"") as machine, machine.booted():
        await machine.running()
        taken.boot["bare"].append(await _seconds(machine, *_SYSTEM_READY))


async def _boot_image(
    layers: tuple[Path, ...], directory: Path, scape: Landscape, server: Aggregator, taken: _Taken
) -> None:
    image = await scape.build("bench-image", "1.0", scm=scape.greeter_scm(0))
    user_data = (
        "#taupage-ami-config\napplication_id: bench\napplication_version: '1.0'\nruntime: Docker\n"
        f"source: {image.reference}\nports: {{{free_port()}: 8080}}\nstop_timeout: 1\n"
    ).encode()
    async with _machine(layers, directory, scape, server, user_data) as machine, machine.booted():
        await machine.until("ok")
        await machine.running()
        taken.boot["image"].append(await _seconds(machine, *_SYSTEM_READY))
        taken.container.append(await _container_seconds(machine))
        name = (await machine.inspected("{{.Config.Image}}")).strip()
        await machine.run("docker", "rm", "--force", "taupageapp")
        await machine.run("docker", "rmi", "--force", name)
        began = time.perf_counter()
        await machine.run("docker", "run", "--detach", "--name=bare", name)
        taken.docker.append(time.perf_counter() - began)


async def _container_seconds(machine: ImageMachine) -> float:
    """Return the seconds from systemd's start of the agent to the container's start, as the engine states it."""
    began = await machine.run("date", "--date", await _stamp(machine), "+%s.%N")
    started = await machine.run("date", "--date", await machine.inspected("{{.State.StartedAt}}"), "+%s.%N")
    return float(started) - float(began)


async def _stamp(machine: ImageMachine) -> str:
    shown = await machine.run(
        "systemctl", "show", "whence-agent", "--property=ExecMainStartTimestamp", "--value", "--timestamp=us"
    )
    return shown.strip()


async def _seconds(machine: ImageMachine, *command: str) -> float:
    """Return one of systemd's times of this boot in seconds since its start."""
    start = int(await machine.run("systemctl", "show", "--property=UserspaceTimestampMonotonic", "--value"))
    return (int(await machine.run(*command)) - start) / 1e6


async def _mib(root: Path) -> float:
    return int((await run("du", "--summarize", "--one-file-system", "--block-size=1K", root)).split()[0]) / 1024


@asynccontextmanager
async def _machine(
    layers: tuple[Path, ...], directory: Path, scape: Landscape, server: Aggregator, user_data: bytes
) -> AsyncIterator[ImageMachine]:
    directory.mkdir()
    async with (
        layered(directory / "layer", *layers) as root,
        scape.instance(user_data) as service,
    ):
        (root / "etc/whence").mkdir(exist_ok=True)
        async with image_machine(root, directory, scape, server, service) as machine:
            yield machine


def _tell(taken: _Taken, sizes: dict[str, float]) -> None:
    ours, theirs = (statistics.median(taken.boot[name]) for name in ("image", "bare"))
    print(
        f"size: image {sizes['image']:.0f} MiB, bare root {sizes['bare']:.0f} MiB, {sizes['image'] / sizes['bare']:.2f} times"
    )
    print(
        f"boot to running, median of {len(taken.docker)}: image {ours:.2f} s, bare root {theirs:.2f} s, {ours - theirs:+.2f} s"
    )
    agent, docker = statistics.median(taken.container), statistics.median(taken.docker)
    print(
        f"agent's start to the container running: {agent:.2f} s; docker run with pull {docker:.2f} s, {agent - docker:+.2f} s"
    )
