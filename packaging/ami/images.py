"""Publish, share, copy and retire images in AWS. Each command prints what it would do, and does it with --apply only.

    images.py publish build/image                            upload disk.raw and register it, as image.json states
    images.py share ami-… --account 123456789012             let accounts launch it
    images.py tag ami-… build/ami                            tag it with the digest of its statement
    images.py copy ami-… --to eu-west-1 --kms-key-id KEY     copy it to regions, encrypted
    images.py retire                                         deregister images past their ExpirationTime

Credentials and region are the usual ones of AWS's tools. IAM actions: packaging/ami/README.md.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError, NoRegionError
from retirement import images_in_use, past_expiration
from upload import upload_disk

from whence_aggregator.trace.ami_statement import EC2_TAG
from whence_common.ami_provenance import AmiProvenance
from whence_common.errors import InputError

_ACCOUNT = re.compile(r"[0-9]{12}\Z")
_TAGS_KEPT = ("Version", "CommitID", "BuildDate", "ExpirationTime", EC2_TAG)
Clients = Callable[[str, str | None], Any]
"""(service, region or None) to a client of boto3."""


class ImagesRefused(Exception):
    """What was asked cannot be done; the message states why and what to do."""


def main(arguments: Sequence[str], client: Clients) -> int:
    """Run one command; return 0, or 1 with the reason on standard error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--apply", action="store_true", help="do it; otherwise print what would be done")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    key = "encrypt with this KMS key: id, alias or ARN"
    publish = commands.add_parser("publish", help="upload a disk and register it")
    publish.add_argument("directory", type=Path, help="what image.py wrote: disk.raw and image.json")
    publish.add_argument("--kms-key-id", default="", help=f"{key}; else the account's default for EBS decides")
    publish.set_defaults(run=_publish)
    tag = commands.add_parser("tag", help="tag an AMI with the digest of its statement")
    tag.add_argument("image", help="the AMI's id")
    tag.add_argument("directory", type=Path, help="where its statement.json is")
    tag.set_defaults(run=_tag)
    share = commands.add_parser("share", help="let accounts launch an AMI")
    share.add_argument("image", help="the AMI's id")
    share.add_argument("--account", action="append", required=True, help="12 digits; may be repeated")
    share.set_defaults(run=_share)
    copy = commands.add_parser("copy", help="copy an AMI to regions, encrypted")
    copy.add_argument("image", help="the AMI's id")
    copy.add_argument("--to", action="append", required=True, metavar="REGION", help="may be repeated")
    copy.add_argument("--kms-key-id", default="", help=f"{key}; else with the account's default key")
    copy.set_defaults(run=_copy)
    retire = commands.add_parser("retire", help="deregister images past their ExpirationTime")
    retire.add_argument("--name", default="Whence-AMI-", help="beginning of the names that are looked at")
    retire.add_argument("--shared", action="store_true", help="also images that other accounts may launch")
    retire.set_defaults(run=_retire)
    chosen = parser.parse_args(arguments)
    try:
        chosen.run(chosen, client)
    except InputError as exc:
        print(f"images.py: {exc.diagnostics()}", file=sys.stderr)
        return 1
    except NoRegionError:
        print("images.py: no region: set AWS_DEFAULT_REGION, or `region` of the profile", file=sys.stderr)
        return 1
    except (ImagesRefused, BotoCoreError, ClientError, OSError, ValueError) as exc:
        print(f"images.py: {exc}", file=sys.stderr)
        return 1
    if not chosen.apply:
        print("nothing was done: --apply does it")
    return 0


def _publish(chosen: argparse.Namespace, client: Clients) -> None:
    facts = _facts(chosen.directory / "image.json")
    disk = chosen.directory / "disk.raw"
    ec2 = client("ec2", None)
    if _own_named(ec2, facts["Name"]):
        raise ImagesRefused(f"an image with the name {facts['Name']} exists; make one with another --version")
    print(f"publish {facts['Name']}: {disk.stat().st_size // 1024**2} MiB")
    if not chosen.apply:
        return
    tags = [{"Key": key, "Value": value} for key, value in facts["Tags"].items() if value]
    snapshot = upload_disk(
        client("ebs", None), disk, description=facts["Name"], kms_key_id=chosen.kms_key_id, tags=tags
    )
    try:
        image = ec2.register_image(
            Name=facts["Name"], Architecture=facts["Architecture"], VirtualizationType="hvm",
            RootDeviceName="/dev/xvda", EnaSupport=True, SriovNetSupport="simple", ImdsSupport="v2.0",
            BootMode="uefi" if facts["Architecture"] == "arm64" else "uefi-preferred",
            BlockDeviceMappings=[
                {"DeviceName": "/dev/xvda",
                 "Ebs": {"SnapshotId": snapshot, "VolumeType": "gp3", "DeleteOnTermination": True}},
            ],
            TagSpecifications=[{"ResourceType": "image", "Tags": tags}],
        )["ImageId"]  # fmt: skip
    except (BotoCoreError, ClientError) as exc:
        raise ImagesRefused(f"the image was not registered, and its snapshot {snapshot} is left: {exc}") from exc
    ec2.create_tags(Resources=[image, snapshot], Tags=[*tags, {"Key": "Name", "Value": facts["Name"]}])
    print(image)


def _facts(file: Path) -> dict[str, Any]:
    """Return the name, architecture and tags of an image, as image.py wrote them."""
    read = json.loads(file.read_text(encoding="utf-8"))
    facts: dict[str, Any] = read if isinstance(read, dict) else {}
    texts, tags = [facts.get("Name"), facts.get("Architecture")], facts.get("Tags")
    if not isinstance(tags, dict) or not all(isinstance(one, str) for one in [*texts, *tags.values()]):
        raise ImagesRefused(f"{file} is not what image.py writes: make the image again")
    return facts


def _tag(chosen: argparse.Namespace, client: Clients) -> None:
    """Tag an AMI that Packer made, once its statement is here: the tags of a build are set before it."""
    content = (chosen.directory / "statement.json").read_bytes()
    stated = AmiProvenance.parse(content)
    ec2 = client("ec2", None)
    image = _one_image(ec2, chosen.image)
    if image["Name"] != stated.name:
        raise ImagesRefused(f"{image['ImageId']} is {image['Name']}, and the statement is about {stated.name}")
    known = {one["Key"]: one["Value"] for one in image.get("Tags", [])}.get(EC2_TAG, stated.digest)
    if known != stated.digest:
        raise ImagesRefused(f"{image['ImageId']} has the tag {EC2_TAG} of another statement: {known}")
    print(f"tag {image['ImageId']} ({image['Name']}) with {EC2_TAG} {stated.digest}")
    if chosen.apply:
        ec2.create_tags(Resources=[image["ImageId"]], Tags=[{"Key": EC2_TAG, "Value": stated.digest}])


def _share(chosen: argparse.Namespace, client: Clients) -> None:
    wrong = [account for account in chosen.account if not _ACCOUNT.match(account)]
    if wrong:
        raise ImagesRefused(f"{', '.join(wrong)}: an account has twelve digits")
    ec2 = client("ec2", None)
    image = _one_image(ec2, chosen.image)
    adding = [{"UserId": account} for account in chosen.account]
    print(f"share {image['ImageId']} ({image['Name']}) with {', '.join(chosen.account)}")
    if not chosen.apply:
        return
    ec2.modify_image_attribute(ImageId=image["ImageId"], LaunchPermission={"Add": adding})
    for snapshot in _snapshots(image):
        ec2.modify_snapshot_attribute(
            SnapshotId=snapshot, Attribute="createVolumePermission", OperationType="add", UserIds=chosen.account
        )


def _copy(chosen: argparse.Namespace, client: Clients) -> None:
    ec2 = client("ec2", None)
    image = _one_image(ec2, chosen.image)
    here = ec2.meta.region_name
    tags = [one for one in image.get("Tags", []) if one["Key"] in (*_TAGS_KEPT, "Name")]
    if here in chosen.to:
        raise ImagesRefused(f"{image['ImageId']} is in {here} already: name other regions")
    for region in dict.fromkeys(chosen.to):
        there = client("ec2", region)
        found = _own_named(there, image["Name"])
        if found:
            print(f"tag {found} ({image['Name']}) in {region}, which is there already")
        else:
            print(f"copy {image['ImageId']} ({image['Name']}) from {here} to {region}, encrypted")
        if not chosen.apply:
            continue
        key = {"KmsKeyId": chosen.kms_key_id} if chosen.kms_key_id else {}
        made = (
            found
            or there.copy_image(
                Name=image["Name"], SourceImageId=image["ImageId"], SourceRegion=here, Encrypted=True, **key
            )["ImageId"]
        )
        there.create_tags(Resources=[made], Tags=tags)
        print(f"{region} {made}")


def _retire(chosen: argparse.Namespace, client: Clients) -> None:
    ec2 = client("ec2", None)
    pages = ec2.get_paginator("describe_images").paginate(
        Owners=["self"], Filters=[{"Name": "name", "Values": [f"{chosen.name}*"]}]
    )
    expired = past_expiration([image for page in pages for image in page["Images"]], now=datetime.now(UTC))
    used, left = images_in_use(ec2, client("autoscaling", None)), list[str]()
    for image in expired:
        if image["ImageId"] in used:
            print(f"keep {image['ImageId']} ({image['Name']}): {used[image['ImageId']]} uses it")
            continue
        accounts = 0 if chosen.shared else _shared_with(ec2, image["ImageId"])
        if accounts:
            print(
                f"keep {image['ImageId']} ({image['Name']}): {accounts} accounts may launch it, whose instances "
                "and groups are not visible here; --shared deregisters it"
            )
            continue
        print(f"deregister {image['ImageId']} ({image['Name']}) with {', '.join(_snapshots(image)) or 'no snapshot'}")
        if chosen.apply:
            left += _deregister(ec2, image)
    if left:
        raise ImagesRefused("; ".join(left))


def _deregister(ec2: Any, image: dict[str, Any]) -> list[str]:
    """Deregister an image and delete its snapshots; return what is left, and why."""
    try:
        ec2.deregister_image(ImageId=image["ImageId"])
    except ClientError as exc:
        return [f"{image['ImageId']} is left: {exc}"]
    left = []
    for snapshot in _snapshots(image):
        try:
            ec2.delete_snapshot(SnapshotId=snapshot)
        except ClientError as exc:
            left.append(f"the snapshot {snapshot} of {image['ImageId']} is left: {exc}")
    return left


def _shared_with(ec2: Any, image: str) -> int:
    shown = ec2.describe_image_attribute(ImageId=image, Attribute="launchPermission")
    return len(shown["LaunchPermissions"])


def _own_named(ec2: Any, name: str) -> str | None:
    """Return the id of this account's image with a name."""
    found = ec2.describe_images(Owners=["self"], Filters=[{"Name": "name", "Values": [name]}])["Images"]
    return found[0]["ImageId"] if found else None


def _one_image(ec2: Any, image: str) -> dict[str, Any]:
    found = ec2.describe_images(ImageIds=[image], Owners=["self"])["Images"]
    if not found:
        raise ImagesRefused(f"{image} is not an image of this account in this region")
    one: dict[str, Any] = found[0]
    return one


def _snapshots(image: dict[str, Any]) -> list[str]:
    mappings = image.get("BlockDeviceMappings", [])
    return [one["Ebs"]["SnapshotId"] for one in mappings if "SnapshotId" in one.get("Ebs", {})]


def _client(service: str, region: str | None) -> Any:
    return boto3.client(service, region_name=region, endpoint_url=os.environ.get("AWS_ENDPOINT_URL"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], _client))
