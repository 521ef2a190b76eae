"""An agent that has booted and keeps credentials: its memory and its share of a core, and 500 polls without growth."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.boot import BUCKET, PAIR
from landscape.processes import free_port
from landscape.programs import AgentSettings, agent, aggregator
from landscape.whole import landscape
from whence_common.pause import pause

_IDLE_SECONDS = 60.0
_POLLS = 500


async def measure(directory: Path, *, rounds: int, limit: Path) -> None:
    """Print resident memory after the boot, the share of a core at rest, and the growth over polls."""
    async with landscape() as scape:
        image = await scape.build("idle", "1.0", scm=scape.greeter_scm(0))
        await scape.aws.put_credentials(BUCKET, "bench", PAIR)
        user_data = (
            "#taupage-ami-config\napplication_id: bench\napplication_version: '1.0'\nruntime: Docker\n"
            f"source: {image.reference}\nports: {{{free_port()}: 8080}}\nhealth_check_path: /health\n"
            f"mint_bucket: {BUCKET}\n"
        )
        async with (
            aggregator(directory, scape.logs, authority_pem=scape.authority_pem) as server,
            scape.instance(user_data.encode()) as service,
        ):
            settings = AgentSettings(
                metadata_url=service.url, aggregator_url=server.url, engine=scape.engine, aws_url=scape.aws.url,
                immutable_registries=(scape.registry,),
                extra={"watch_seconds": 5.0, "heartbeat_seconds": 60.0, "health_seconds": 10.0},
            )  # fmt: skip
            async with agent(directory, scape.logs, settings, name="whence-idle") as running:
                await running.until("ok")
                pid = running.process.process.pid
                before = _cpu_seconds(pid)
                began = time.monotonic()
                await pause(_IDLE_SECONDS)
                share = (_cpu_seconds(pid) - before) / (time.monotonic() - began)
                print(f"at rest: {_resident_mb(pid):.1f} MB resident, {share:.2%} of a core", flush=True)
            await scape.remove_container("whence-idle")
            fast = {**settings.extra, "credentials_poll_seconds": 0.02}
            settings = replace(settings, extra=fast)
            async with agent(directory, scape.logs, settings, name="whence-idle") as running:
                await running.until("ok")
                pid = running.process.process.pid
                await pause(1.0)
                first, asked = _resident_mb(pid), time.monotonic()
                await pause(_POLLS * 0.04)
                grown, took = _resident_mb(pid) - first, time.monotonic() - asked
                polls = (scape.logs / "moto.log").read_text(encoding="utf-8").count(f"/{BUCKET}/bench/client.json")
                print(f"{polls} polls of S3 in {took:.0f} s: {grown:+.1f} MB", flush=True)
            await scape.remove_container("whence-idle")


def _resident_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("a process has a resident size")


def _cpu_seconds(pid: int) -> float:
    parts = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")
