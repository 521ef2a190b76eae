"""Cloud Custodian, Prowler and the aggregator, each run as its documents say, about the same rules and instances."""

from __future__ import annotations

import asyncio
import csv
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from benchmarks.peers_fleet import ACCOUNTS, Launched, role_of, spoken
from benchmarks.peers_runs import RUN_SECONDS_MAX, Took, cpu_seconds, ended, peak_mb, tree_of
from fakes.aws_front import AwsFront
from fakes.in_process import REGIONS
from fakes.signing_authority import SigningAuthority
from landscape.processes import run
from landscape.programs import Aggregator, aggregator
from landscape.whole import ROOT
from whence_common.runtime.pause import pause

_HOME = ROOT / ".venv-peers"
OURS_ON_INVENTORY = ("ssh-keypair-used", "imdsv2-not-required", "instance-unlisted")
OURS_ON_USER_DATA = ("user-data-changed",)
OURS_ON_AMIS = ("ami-unknown", "ami-deregistered", "ami-expired")
"""Our rules that rest on the calls whose faults are compared."""
_RUNNING = {"State.Name": "running"}
_POLICIES = {
    "ssh-keypair-used": {"type": "value", "key": "KeyName", "value": "present"},
    "imdsv2-not-required": {"MetadataOptions.HttpTokens": "optional"},
    "ami-expired": {"type": "image-age", "op": "gt", "days": 60},
    "secret-in-user-data": {"type": "user-data", "op": "regex", "value": "(?smi).*password.*"},
}
_CHECKS = ("ec2_instance_imdsv2_enabled", "ec2_instance_secrets_user_data", "ec2_instance_with_outdated_ami")
_LOOK_SECONDS = 0.5


async def installed(name: str) -> Path:
    """Install what a lock file names into an environment of its own, unless it is there; return its folder of commands."""
    lock, home = ROOT / "tests" / "benchmarks" / f"{name}.lock", _HOME / name
    made_from, digest = home / "made-from", sha256(lock.read_bytes()).hexdigest()
    if not made_from.exists() or made_from.read_text(encoding="ascii") != digest:
        print(f"installing {name} into {home.relative_to(ROOT)} (some minutes)", flush=True)
        await run("python3", "-m", "venv", "--clear", home)
        options = ("--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes", "-r", str(lock))
        await run(home / "bin" / "python", "-m", "pip", "install", *options)
        made_from.write_text(digest, encoding="ascii")
    return home / "bin"


async def custodian(account_id: str, front: AwsFront, directory: Path, *, seconds_max: float = RUN_SECONDS_MAX) -> Took:
    """Run four policies equal to rules of ours, in an account; `found` counts resources that they match."""
    directory.mkdir(parents=True, exist_ok=True)
    home = directory / f"custodian-{account_id}"
    policies = [
        {"name": name, "resource": "aws.ec2", "filters": [_RUNNING, condition]} for name, condition in _POLICIES.items()
    ]
    stated = directory / "policies.json"
    stated.write_text(json.dumps({"policies": policies}), encoding="utf-8")
    regions = [option for region in REGIONS for option in ("--region", region)]
    options: tuple[str | Path, ...] = ("--output-dir", home / "out", "--assume", role_of(account_id), *regions)
    command = (await installed("custodian") / "custodian", "run", *options, stated)
    took = await ended(command, front, home, seconds_max=seconds_max)
    found: Counter[str] = Counter()
    for resources in home.glob("out/**/resources.json"):
        found[resources.parent.name] += len(json.loads(resources.read_bytes()))
    return replace(took, found=found)


async def prowler(account_id: str, front: AwsFront, directory: Path) -> Took:
    """Run its checks of IMDSv2, of secrets in user data and of outdated AMIs; `found` counts their rows."""
    home = directory / f"prowler-{account_id}"
    options: tuple[str | Path, ...] = (
        "--no-banner", "--no-color", "--output-formats", "csv", "--output-directory", home / "out",
    )  # fmt: skip
    command = (
        await installed("prowler") / "prowler", "aws", "--role", role_of(account_id), "--region", *REGIONS, *options,
        "--checks", *_CHECKS,
    )  # fmt: skip
    took = await ended(command, front, home)
    found: Counter[str] = Counter()
    for rows in home.glob("out/*.csv"):
        with rows.open(encoding="utf-8", newline="") as stream:
            for row in csv.DictReader(stream, delimiter=";"):
                found[f"{row['CHECK_ID']} {row['STATUS']}"] += 1
    return replace(took, found=found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """The aggregator, running: it lists both accounts in both regions."""

    server: Aggregator
    front: AwsFront
    began: float

    def took(self) -> Took:
        pids = tree_of(self.server.process.process.pid)
        return Took(
            exit_code=0, calls=Counter(self.front.asked), cpu_seconds=cpu_seconds(pids),
            rss_mb=peak_mb(pids), wall_seconds=time.monotonic() - self.began,
        )  # fmt: skip

    async def verdicts(self, rules: Sequence[str], account_id: str | None) -> Counter[str]:
        """Return how many verdicts there are of each outcome, by these rules, in one account or all."""
        found, of = Counter[str](), {"account": account_id} if account_id is not None else {}
        for rule in rules:
            summary = await self.server.get("/v1/summary", rule=rule, **of)
            found.update({name: n for name, n in summary["total"]["verdicts"].items() if n and name != "total"})
        return found

    async def until_read(self, places: int) -> None:
        """Wait until each place was listed, or could not be, and nothing is left to do or to judge."""
        async with asyncio.timeout(RUN_SECONDS_MAX):
            while await self._waiting(places):
                await pause(_LOOK_SECONDS)

    async def _waiting(self, places: int) -> bool:
        coverage, accounts = await self.server.get("/v1/coverage"), await self.server.get("/v1/accounts")
        ended = [one for one in coverage["sources"] if one["source"] == "inventory" and one["state"] != "never"]
        regions = [region for one in accounts["accounts"] for region in one["regions"]]
        unread = sum(one["user_data_unread"]["count"] for one in regions if one["failure"] is None)
        denied = any("denies" in one["reason"] for one in coverage["sources"] if one["source"] == "user data")
        return len(ended) < places or (unread > 0 and not denied) or await self._changing()

    async def _changing(self) -> bool:
        """Return whether verdicts still change."""
        before: Any = (await self.server.get("/v1/summary"))["verdicts"]
        await pause(4 * _LOOK_SECONDS)
        return bool(before != (await self.server.get("/v1/summary"))["verdicts"])


@asynccontextmanager
async def ours(fleet: Sequence[Launched], front: AwsFront, directory: Path) -> AsyncIterator[Ours]:
    """Start the aggregator on a database in which each instance of the fleet has spoken."""
    authority = SigningAuthority.make()
    home = directory / "aggregator"
    home.mkdir(parents=True)
    await spoken(home, fleet, authority)
    front.asked.clear()
    began = time.monotonic()
    async with aggregator(
        directory, directory, authority_pem=dict.fromkeys(REGIONS, authority.pem), accounts=ACCOUNTS,
        aws_endpoint_url=front.url, inventory={"regions": list(REGIONS), "seconds": 600},
        within=("env", "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test"),
    ) as server:  # fmt: skip
        yield Ours(server=server, front=front, began=began)
