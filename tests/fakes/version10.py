"""The full example of Seven Seconds, made valid, and the world that it expects: a parent zone and a bucket of logs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import boto3
import yaml

from fakes.counted_aws import CountedAws
from fakes.stups_login import Keys

ADMIN = "exampleorg"
IMAGE = {
    "ami_id": "ami-12c6146b", "name": "Taupage-AMI-20261127", "description": "", "owner_id": "123456789123",
    "public": True, "virtualization_type": "hvm", "architecture": "x86_64", "state": "available", "platform": None,
    "image_type": "machine", "hypervisor": "xen", "root_device_type": "ebs", "root_device_name": "/dev/sda1",
}  # fmt: skip
_EXAMPLE = Path(__file__).parents[1] / "data" / "accounts" / "sevenseconds-full.yaml"
_METADATA = (
    '<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="https://idp.example.org">'
    f"<X509Certificate>{'a' * 1000}</X509Certificate></EntityDescriptor>"
)


def version10(
    ids: Mapping[str, str], *, regions: Sequence[str] = ("eu-west-1",), section: Mapping[str, object] | None = None
) -> str:
    """Return the example for these accounts, of which one is ADMIN. `section` are more keys of `global`.

    As it is shipped, Seven Seconds refuses it: it has no version, misspells `owner_id`, lacks `base_ami.account_name`,
    and ends with an exception where `cloudtrail.regions` has no other region. We refuse its image in a tag, and a mint bucket that
    every identity of an account may write: a role is named instead. Its names of hosts exist nowhere.
    """
    text = _EXAMPLE.read_text(encoding="utf-8").replace("onwer_id", "owner_id").replace(", ami_id: {{ami_id}}", "")
    document: dict[str, Any] = {"version": 10, **yaml.safe_load(text)}
    shared = document["global"]
    shared |= {
        "admin_account": ADMIN,
        "regions": list(regions),
        "saml_providers": {"Shibboleth": _METADATA},
        **(section or {}),
    }
    shared["base_ami"] |= {"account_name": ADMIN, "is_public": True}
    (statement,) = shared["s3_buckets"]["mint_bucket"]["policy"]["Statement"]
    statement["Principal"] = {"AWS": "arn:aws:iam::123456789123:role/mint"}
    shared["cloudtrail"]["regions"] = ["eu-central-1", "us-east-1"]
    shared["trusted_networks_config"] = {"disable_account_autogeneration": True}
    document["accounts"] = {name: {"id": one} for name, one in ids.items()}
    return yaml.safe_dump(document, sort_keys=False)


def prepare(aws: CountedAws, ids: Mapping[str, str], *, regions: Sequence[str] = ("eu-west-1",)) -> dict[str, Keys]:
    """Make the parent zone and the bucket of logs in ADMIN, and delete the VPCs that moto starts with.

    Returns keys for every account. Blocks: call it in a thread.
    """
    keys = {one: _keys(aws, one) for one in ids.values()}
    for one in keys.values():
        for region in regions:
            _delete_default_vpc(_client(aws, "ec2", one, region))
    admin = keys[ids[ADMIN]]
    _client(aws, "route53", admin).create_hosted_zone(Name="example.org", CallerReference="parent")
    _client(aws, "s3", admin).create_bucket(
        Bucket="exampleorg-cloudtrail-logs", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    return keys


def images(folder: Path) -> Path:
    """Write the file of the only image that there is."""
    path = folder / "amis.json"
    path.write_text(json.dumps([IMAGE]), encoding="ascii")
    return path


def _keys(aws: CountedAws, account_id: str) -> Keys:
    sts = _client(aws, "sts", Keys(access_key_id="test", secret_access_key="test", session_token="test"))
    given = sts.assume_role(RoleArn=f"arn:aws:iam::{account_id}:role/login", RoleSessionName="login")["Credentials"]
    return Keys(
        access_key_id=given["AccessKeyId"], secret_access_key=given["SecretAccessKey"],
        session_token=given["SessionToken"],
    )  # fmt: skip


def _delete_default_vpc(ec2: Any) -> None:
    for subnet in ec2.describe_subnets()["Subnets"]:
        ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    for vpc in ec2.describe_vpcs()["Vpcs"]:
        for gateway in ec2.describe_internet_gateways()["InternetGateways"]:
            ec2.detach_internet_gateway(InternetGatewayId=gateway["InternetGatewayId"], VpcId=vpc["VpcId"])
            ec2.delete_internet_gateway(InternetGatewayId=gateway["InternetGatewayId"])
        ec2.delete_vpc(VpcId=vpc["VpcId"])


def _client(aws: CountedAws, service: str, keys: Keys, region: str = "eu-west-1") -> Any:
    return boto3.client(
        service, endpoint_url=aws.url, region_name=region, aws_access_key_id=keys.access_key_id,
        aws_secret_access_key=keys.secret_access_key, aws_session_token=keys.session_token,
    )  # fmt: skip
