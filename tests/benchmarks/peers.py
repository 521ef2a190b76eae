"""Cloud Custodian and Prowler beside the aggregator, on the same emulator: calls, CPU time and memory; then four faults.

All read 2,000 instances of two accounts in two regions through a front that counts calls, and judge them by the same
rules: Custodian by four policies, Prowler by the three checks that it has of them, the aggregator by its whole
catalogue, with everything that it keeps. Calls and CPU seconds are steady; times depend on the emulator.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from benchmarks.peers_faults import compare
from benchmarks.peers_fleet import ACCOUNTS, Launched, launched
from benchmarks.peers_programs import OURS_ON_AMIS, OURS_ON_INVENTORY, OURS_ON_USER_DATA, custodian, ours, prowler
from benchmarks.peers_runs import HEAD, Took, together
from fakes.aws_front import AwsFront
from landscape.aws import AMI, moto_server

_INSTANCES = int(os.environ.get("BENCH_PEERS_INSTANCES", "2000"))
_FAULTY_INSTANCES = 80
_AMI = {
    "ami_id": AMI, "name": "taupage", "description": "", "owner_id": "123456789012", "public": True,
    "virtualization_type": "hvm", "architecture": "x86_64", "state": "available", "platform": None,
    "image_type": "machine", "hypervisor": "xen", "root_device_type": "ebs", "root_device_name": "/dev/sda1",
}  # fmt: skip


async def measure(directory: Path, *, rounds: int, limit: Path) -> None:
    """Print a row for each program and their ratios, then what they state under each fault."""
    amis = directory / "amis.json"
    amis.write_text(json.dumps([_AMI]), encoding="ascii")
    for part, instances in (("beside", _INSTANCES), ("faults", _FAULTY_INSTANCES)):
        home = directory / part
        home.mkdir()
        async with moto_server(home, amis=amis) as aws, AwsFront(aws.url).serve() as front:
            fleet = await launched(aws, instances)
            await (_beside if part == "beside" else compare)(fleet, front, home)


async def _beside(fleet: list[Launched], front: AwsFront, directory: Path) -> None:
    print(f"{len(fleet):,} instances in {len(ACCOUNTS)} accounts and two regions\n{HEAD}", flush=True)
    theirs = {
        "custodian, 4 policies": together([await custodian(one, front, directory) for one in ACCOUNTS]),
        "prowler, 3 checks": together([await prowler(one, front, directory) for one in ACCOUNTS]),
    }
    for name, took in theirs.items():
        print(took.row(name), flush=True)
    async with ours(fleet, front, directory / "ours") as running:
        await running.until_read(4)
        mine = running.took()
        print(mine.row("whence, all rules"), flush=True)
        for rule in (*OURS_ON_INVENTORY, *OURS_ON_USER_DATA, *OURS_ON_AMIS):
            print(f"  whence {rule}: {dict(await running.verdicts([rule], None))}")
        print(f"  whence calls: {dict(mine.calls)}")
    for name, took in theirs.items():
        print(f"  {name}: {dict(took.calls)}; exit {took.exit_code}; {dict(took.found)}")
        print(f"ratios to {name}: {', '.join(_ratios(mine, took))}")


def _ratios(mine: Took, theirs: Took) -> Iterator[str]:
    yield f"calls {sum(mine.calls.values()) / sum(theirs.calls.values()):.2f}"
    yield f"CPU seconds {mine.cpu_seconds / theirs.cpu_seconds:.2f}"
    yield f"memory {mine.rss_mb / theirs.rss_mb:.2f}"
