"""AWS as moto's server speaks it: S3, KMS, STS, EC2 and more, in one account."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3

from landscape.processes import answers, free_port, started

ACCOUNT = "123456789012"
REGION = "eu-central-1"
AMI = "ami-12c6146b"
_AMIS = Path(__file__).parents[1] / "data" / "amis.json"
"""AMI alone, as moto describes it: it is another owner's, and public."""
_PROGRAM = "import logging, moto.server; logging.getLogger('werkzeug').setLevel('ERROR'); moto.server.main()"
"""Without a line of log for each of thousands of requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchedInstance:
    """A started instance, and when."""

    instance_id: str
    at: datetime


class Aws:
    """The server, and the set-up that an account's owner would have done."""

    def __init__(self, url: str) -> None:
        self.url = url

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    async def run_instance(self, user_data: bytes) -> str:
        """Start an instance as far as moto can; give its id."""

        def start() -> str:
            answer = self.client("ec2").run_instances(
                ImageId=AMI, MinCount=1, MaxCount=1, UserData=user_data.decode("utf-8", "replace")
            )
            return str(answer["Instances"][0]["InstanceId"])

        return await asyncio.to_thread(start)

    async def run_instance_in(self, account_id: str, region: str, user_data: bytes) -> LaunchedInstance:
        """Start an instance in another account, by a role of it."""

        def start() -> LaunchedInstance:
            role = f"arn:aws:iam::{account_id}:role/launch"
            given = self.client("sts").assume_role(RoleArn=role, RoleSessionName="launch")["Credentials"]
            ec2 = boto3.client(
                "ec2", endpoint_url=self.url, region_name=region, aws_access_key_id=given["AccessKeyId"],
                aws_secret_access_key=given["SecretAccessKey"], aws_session_token=given["SessionToken"],
            )  # fmt: skip
            (one,) = ec2.run_instances(ImageId=AMI, MinCount=1, MaxCount=1, UserData=user_data.decode())["Instances"]
            return LaunchedInstance(instance_id=str(one["InstanceId"]), at=one["LaunchTime"])

        return await asyncio.to_thread(start)

    async def create_volume(self, name: str) -> str:
        """Create a blank volume with this Name tag, in the zone of the instances; return its id."""

        def create() -> str:
            answer = self.client("ec2").create_volume(
                Size=1, AvailabilityZone=f"{REGION}a",
                TagSpecifications=[{"ResourceType": "volume", "Tags": [{"Key": "Name", "Value": name}]}],
            )  # fmt: skip
            return str(answer["VolumeId"])

        return await asyncio.to_thread(create)

    async def put_credentials(self, bucket: str, application_id: str, files: Mapping[str, Mapping[str, str]]) -> None:
        """Write a mint bucket's objects, making the bucket when it is not there."""

        def put() -> None:
            s3 = self.client("s3")
            known = {found["Name"] for found in s3.list_buckets()["Buckets"]}
            if bucket not in known:
                s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
            for name, document in files.items():
                s3.put_object(Bucket=bucket, Key=f"{application_id}/{name}", Body=json.dumps(document).encode())

        await asyncio.to_thread(put)

    async def encrypt(self, plaintext: str) -> str:
        """Encrypt with a new KMS key; give the text that stands after aws:kms:."""
        import base64

        def encrypt() -> str:
            kms = self.client("kms")
            key = kms.create_key()["KeyMetadata"]["KeyId"]
            blob = kms.encrypt(KeyId=key, Plaintext=plaintext.encode())["CiphertextBlob"]
            return base64.b64encode(blob).decode()

        return await asyncio.to_thread(encrypt)


@asynccontextmanager
async def moto_server(logs: Path, *, amis: Path = _AMIS) -> AsyncIterator[Aws]:
    """Start moto; `amis` is a file with the only AMIs that there are: moto's own are a thousand and as many snapshots,
    which it makes in each region of each account and searches whenever one is asked about."""
    port = free_port()
    command = [sys.executable, "-c", _PROGRAM, "-H", "127.0.0.1", "-p", str(port)]
    environment = {"MOTO_AMIS_PATH": str(amis), "MOTO_IAM_LOAD_MANAGED_POLICIES": "false"}
    async with started("moto", command, logs=logs, ready=lambda: answers(port), environment=environment):
        yield Aws(f"http://127.0.0.1:{port}")
