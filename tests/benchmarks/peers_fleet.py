"""A fleet in moto: instances in several accounts and regions, and the aggregator's database in which each has spoken."""

from __future__ import annotations

import asyncio
import base64
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3

from fakes.in_process import ORIGIN, REGIONS, SECRET, InProcess
from fakes.machine import Machine
from fakes.signing_authority import SigningAuthority
from landscape.aws import AMI, Aws
from whence_aggregator.adapters.log_files import CheckpointFile
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_common.digest import sha256_digest
from whence_common.note import LOG, Signer
from whence_common.statement import InstanceFacts, UserDataFacts

ACCOUNTS = ("111111111111", "222222222222")
ROLE = "whence-inventory"
_BATCHES = 5
_SAID_AT_ONCE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """An instance of the fleet."""

    instance_id: str
    account_id: str
    region: str
    launched_at: datetime
    user_data: bytes


def role_of(account_id: str) -> str:
    return f"arn:aws:iam::{account_id}:role/{ROLE}"


async def launched(aws: Aws, instances: int) -> list[Launched]:
    """Launch so many instances, as many in each account and region, in five equal parts.

    Three parts have a key pair, two answer without tokens, and one has a password in its user data.
    """
    places = [(account, region) for account in ACCOUNTS for region in REGIONS]
    found = []
    for account, region in places:
        found += await asyncio.to_thread(_launch, aws, account, region, instances // len(places))
    return found


def _launch(aws: Aws, account_id: str, region: str, instances: int) -> list[Launched]:
    ec2 = _client(aws, account_id, region)
    ec2.create_key_pair(KeyName="ops")
    found: list[Launched] = []
    for number in range(_BATCHES):
        secret = "environment:\n  DB_PASSWORD: 'Kx9-w2Lq8ZrT'\n" if number == 0 else ""
        user_data = f"#taupage-ami-config\napplication_id: greeter\n{secret}# {account_id} {region} {number}\n"
        options: dict[str, Any] = {"KeyName": "ops"} if number % 2 == 0 else {}
        answer = ec2.run_instances(
            ImageId=AMI, MinCount=instances // _BATCHES, MaxCount=instances // _BATCHES, UserData=user_data,
            MetadataOptions={"HttpTokens": "optional" if number % 2 else "required"}, **options,
        )  # fmt: skip
        found += [
            Launched(
                instance_id=one["InstanceId"], account_id=account_id, region=region, launched_at=one["LaunchTime"],
                user_data=user_data.encode(),
            )
            for one in answer["Instances"]
        ]  # fmt: skip
    return found


def _client(aws: Aws, account_id: str, region: str) -> Any:
    answer = aws.client("sts").assume_role(RoleArn=role_of(account_id), RoleSessionName="bench")
    keys = answer["Credentials"]
    return boto3.client(
        "ec2", endpoint_url=aws.url, region_name=region, aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"], aws_session_token=keys["SessionToken"],
    )  # fmt: skip


async def spoken(home: Path, fleet: Sequence[Launched], authority: SigningAuthority) -> None:
    """Have each instance enrol and state what it runs, in a new SQLite file; nothing is judged yet.

    `home` gets what the aggregator needs to continue: the log's key and checkpoint, and the secret of heartbeats.
    """
    (home / "heartbeat.secret").write_bytes(SECRET)
    seed = b"l" * 32
    key_id, encoded = Signer(ORIGIN, seed).verifier.id.hex(), base64.b64encode(bytes([LOG]) + seed).decode("ascii")
    (home / "log.key").write_text(f"PRIVATE+KEY+{ORIGIN}+{key_id}+{encoded}\n", encoding="ascii")
    keeper = CheckpointFile(home / "log.checkpoint")
    database = await SqliteDatabase.open(home / "ledger.db")
    house = InProcess(database, authority, accounts=frozenset(ACCOUNTS), keeper=keeper, seeds=[seed])
    house.clock.moment = datetime.now(UTC)
    async with house.running():
        for start in range(0, len(fleet), _SAID_AT_ONCE):
            await asyncio.gather(*(_speak(house, one) for one in fleet[start : start + _SAID_AT_ONCE]))
    await database.close()
    keeper.close()
    with closing(sqlite3.connect(home / "ledger.db")) as connection, connection:
        connection.execute("delete from task")  # registries and Git servers are not compared


async def _speak(house: InProcess, one: Launched) -> None:
    pending = one.launched_at.strftime("%Y-%m-%dT%H:%M:%SZ")
    named = {"accountId": one.account_id, "region": one.region, "pendingTime": pending}
    machine: Machine = await house.machine(one.instance_id, **named)
    facts = InstanceFacts(
        account_id=one.account_id, region=one.region, instance_id=one.instance_id, image_id=AMI, pending_time=pending
    )
    user_data = UserDataFacts(digest=sha256_digest(one.user_data), document={"application_id": "greeter"})
    now = house.clock().strftime("%Y-%m-%dT%H:%M:%S.000Z")
    await house.say(machine, instance=facts, user_data=user_data, observed_at=now)
