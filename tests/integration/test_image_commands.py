"""Publishing, sharing, copying and retiring images, at moto's EC2, EBS and Auto Scaling."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from fakes.image_builder import ImageBuilder
from landscape.aws import REGION, Aws, moto_server
from landscape.whole import ROOT
from whence_common.digest import sha256_digest

PROGRAM = ROOT / "packaging/ami/images.py"
sys.path.insert(0, str(PROGRAM.parent))
import images  # noqa: E402 - packaging/ami is a folder of programs, no package
from upload import upload_disk  # noqa: E402 - as above

BLOCK = 512 * 1024
STATEMENT = ImageBuilder().payload()


@pytest.fixture(scope="module")
async def aws(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Aws]:
    async with moto_server(tmp_path_factory.mktemp("moto")) as running:
        yield running


@pytest.fixture(autouse=True)
def nothing_left(aws: Aws) -> Iterator[None]:
    yield
    for region in (REGION, "eu-west-1"):
        ec2 = client(aws, "ec2", region)
        for one in ec2.describe_images(Owners=["self"])["Images"]:
            ec2.deregister_image(ImageId=one["ImageId"])


def client(aws: Aws, service: str, region: str = REGION) -> Any:
    return boto3.client(
        service, endpoint_url=aws.url, region_name=region, aws_access_key_id="test", aws_secret_access_key="test"
    )


def command(aws: Aws, *words: str) -> tuple[int, str]:
    """Run a command in this process, since a program of its own takes a second to load boto3."""
    output = io.StringIO()
    with redirect_stdout(output), redirect_stderr(output):
        code = images.main(words, lambda service, region: client(aws, service, region or REGION))
    return code, output.getvalue()


def refusing(aws: Aws, kept: set[str], *words: str) -> tuple[int, str]:
    """Run a command at an EC2 that refuses to end some images and snapshots, as one that protects or uses them does."""

    class Protecting:
        """EC2 with protection."""

        def __init__(self, ec2: Any) -> None:
            self._ec2 = ec2

        def __getattr__(self, name: str) -> Any:
            return getattr(self._ec2, name)

        def deregister_image(self, *, ImageId: str) -> None:  # noqa: N803 - boto3's name
            self._refuse(ImageId, "DeregisterImage")
            self._ec2.deregister_image(ImageId=ImageId)

        def delete_snapshot(self, *, SnapshotId: str) -> None:  # noqa: N803 - boto3's name
            self._refuse(SnapshotId, "DeleteSnapshot")
            self._ec2.delete_snapshot(SnapshotId=SnapshotId)

        def _refuse(self, name: str, call: str) -> None:
            if name in kept:
                raise ClientError({"Error": {"Code": "InvalidSnapshot.InUse", "Message": "in use"}}, call)

    def protecting(service: str, region: str | None) -> Any:
        made = client(aws, service, region or REGION)
        return Protecting(made) if service == "ec2" else made

    output = io.StringIO()
    with redirect_stdout(output), redirect_stderr(output):
        code = images.main(words, protecting)
    return code, output.getvalue()


def made(aws: Aws, name: str, ends: str | None) -> tuple[str, str]:
    """Register an image with a snapshot; give the ids of both."""
    ec2 = client(aws, "ec2")
    volume = ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=1)["VolumeId"]
    snapshot = ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    image = ec2.register_image(
        Name=name, Architecture="x86_64", RootDeviceName="/dev/xvda",
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot}}],
    )["ImageId"]  # fmt: skip
    (mapping,) = ec2.describe_images(ImageIds=[image])["Images"][0]["BlockDeviceMappings"]
    snapshot = mapping["Ebs"]["SnapshotId"]  # moto makes one of its own
    if ends is not None:
        ec2.create_tags(Resources=[image], Tags=[{"Key": "ExpirationTime", "Value": ends}])
    return image, snapshot


def own(aws: Aws, region: str = REGION) -> dict[str, dict[str, Any]]:
    return {one["ImageId"]: one for one in client(aws, "ec2", region).describe_images(Owners=["self"])["Images"]}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A disk of three blocks, the second of which is empty, and what image.py states about it."""
    (tmp_path / "disk.raw").write_bytes(b"a" * BLOCK + bytes(BLOCK) + b"c" * 100)
    facts = {
        "Name": "Whence-AMI-debian-12-amd64-7", "Architecture": "x86_64",
        "Tags": {"Version": "7", "CommitID": "abc", "BuildDate": "2026-11-27T00:00:00Z",
                 "ExpirationTime": "2027-01-26T00:00:00Z"},
    }  # fmt: skip
    (tmp_path / "image.json").write_text(json.dumps(facts), encoding="utf-8")
    return tmp_path


def test_a_published_image_has_its_name_its_tags_and_version_2_of_the_metadata_service(
    aws: Aws, directory: Path
) -> None:
    code, output = command(aws, "--apply", "publish", str(directory))
    assert code == 0, output
    ((image, shown),) = own(aws).items()
    assert output.splitlines()[-1] == image
    assert shown["Name"] == "Whence-AMI-debian-12-amd64-7"
    assert {one["Key"]: one["Value"] for one in shown["Tags"]} == {
        "Name": "Whence-AMI-debian-12-amd64-7", "Version": "7", "CommitID": "abc",
        "BuildDate": "2026-11-27T00:00:00Z", "ExpirationTime": "2027-01-26T00:00:00Z",
    }  # fmt: skip


def test_only_blocks_with_something_in_them_are_uploaded(directory: Path) -> None:
    class Ebs:
        """The calls of the EBS direct APIs that upload makes, as they were made."""

        def __init__(self) -> None:
            self.blocks: dict[int, bytes] = {}
            self.completed: dict[str, Any] = {}

        def start_snapshot(self, **given: Any) -> dict[str, str]:
            assert given["VolumeSize"] == 1
            return {"SnapshotId": "snap-1"}

        def put_snapshot_block(self, **given: Any) -> None:
            assert given["DataLength"] == BLOCK
            self.blocks[given["BlockIndex"]] = given["BlockData"]

        def complete_snapshot(self, **given: Any) -> None:
            self.completed = given

    ebs = Ebs()
    assert upload_disk(ebs, directory / "disk.raw", description="x", kms_key_id="", tags=[]) == "snap-1"
    assert ebs.blocks == {0: b"a" * BLOCK, 2: b"c" * 100 + bytes(BLOCK - 100)}
    assert ebs.completed["ChangedBlocksCount"] == 2


def test_a_name_that_is_taken_is_refused_before_anything_is_uploaded(aws: Aws, directory: Path) -> None:
    made(aws, "Whence-AMI-debian-12-amd64-7", None)
    code, output = command(aws, "--apply", "publish", str(directory))
    assert code == 1
    assert "an image with the name Whence-AMI-debian-12-amd64-7 exists; make one with another --version" in output


@pytest.mark.parametrize("missing", ["disk.raw", "image.json"])
def test_an_image_that_was_not_made_is_not_published(aws: Aws, directory: Path, missing: str) -> None:
    (directory / missing).unlink()
    code, output = command(aws, "--apply", "publish", str(directory))
    assert (code, own(aws)) == (1, {})
    assert missing in output


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"Name": "a", "Architecture": "x86_64", "Tags": {"Version": 7}}'])
def test_a_description_that_image_py_did_not_write_is_not_published(aws: Aws, directory: Path, content: str) -> None:
    (directory / "image.json").write_text(content, encoding="utf-8")
    code, output = command(aws, "--apply", "publish", str(directory))
    assert (code, own(aws)) == (1, {})
    assert output.startswith("images.py: ")


def test_sharing_lets_accounts_launch_the_image(aws: Aws) -> None:
    image, _ = made(aws, "Whence-AMI-1", None)
    code, output = command(aws, "--apply", "share", image, "--account", "111111111111", "--account", "222222222222")
    assert code == 0, output
    shown = client(aws, "ec2").describe_image_attribute(ImageId=image, Attribute="launchPermission")
    assert {one["UserId"] for one in shown["LaunchPermissions"]} == {"111111111111", "222222222222"}


@pytest.mark.parametrize("account", ["all", "12345", "arn:aws:iam::111111111111:root"])
def test_an_image_is_shared_with_accounts_only_and_never_with_everybody(aws: Aws, account: str) -> None:
    image, _ = made(aws, "Whence-AMI-1", None)
    code, output = command(aws, "--apply", "share", image, "--account", account)
    assert code == 1
    assert "an account has twelve digits" in output
    shown = client(aws, "ec2").describe_image_attribute(ImageId=image, Attribute="launchPermission")
    assert shown["LaunchPermissions"] == []


def test_a_copy_has_the_name_and_the_tags(aws: Aws) -> None:
    image, _ = made(aws, "Whence-AMI-1", "2027-01-26T00:00:00Z")
    code, output = command(aws, "--apply", "copy", image, "--to", "eu-west-1")
    assert code == 0, output
    ((there, shown),) = own(aws, "eu-west-1").items()
    assert f"eu-west-1 {there}" in output
    assert shown["Name"] == "Whence-AMI-1"
    assert {"Key": "ExpirationTime", "Value": "2027-01-26T00:00:00Z"} in shown["Tags"]


def test_a_copy_that_is_there_already_is_tagged_and_not_made_again(aws: Aws) -> None:
    image, _ = made(aws, "Whence-AMI-1", "2027-01-26T00:00:00Z")
    there = client(aws, "ec2", "eu-west-1")
    first = there.copy_image(Name="Whence-AMI-1", SourceImageId=image, SourceRegion=REGION)["ImageId"]
    code, output = command(aws, "--apply", "copy", image, "--to", "eu-west-1", "--to", "eu-west-1")
    assert code == 0, output
    ((found, shown),) = own(aws, "eu-west-1").items()
    assert found == first
    assert {"Key": "ExpirationTime", "Value": "2027-01-26T00:00:00Z"} in shown["Tags"]
    assert output.count("which is there already") == 1


def test_no_region_gets_a_copy_if_one_is_the_images_own(aws: Aws) -> None:
    image, _ = made(aws, "Whence-AMI-1", None)
    assert command(aws, "--apply", "copy", image, "--to", "eu-west-1", "--to", REGION)[0] == 1
    assert own(aws, "eu-west-1") == {}


def test_what_cannot_be_deregistered_or_deleted_is_stated_and_the_rest_is_retired(aws: Aws) -> None:
    first, shared = made(aws, "Whence-AMI-first", "2020-01-01T00:00:00Z")
    last, _ = made(aws, "Whence-AMI-last", "2020-01-02T00:00:00Z")
    code, output = refusing(aws, {first}, "--apply", "retire")
    assert code == 1
    assert f"{first} is left: " in output
    assert set(own(aws)) == {first}
    assert last not in own(aws)
    code, output = refusing(aws, {shared}, "--apply", "retire")
    assert (code, own(aws)) == (1, {})
    assert f"the snapshot {shared} of {first} is left: " in output


@pytest.fixture
def stated(tmp_path: Path) -> Path:
    (tmp_path / "statement.json").write_bytes(STATEMENT)
    return tmp_path


def statement_tag(aws: Aws, region: str = REGION) -> str | None:
    ((_, shown),) = own(aws, region).items()
    return {one["Key"]: one["Value"] for one in shown.get("Tags", [])}.get("whence:statement")


def test_an_ami_of_packer_is_tagged_with_its_statement_which_a_copy_keeps(aws: Aws, stated: Path) -> None:
    image, _ = made(aws, "whence-1.2", None)
    code, output = command(aws, "tag", image, str(stated))
    assert (code, statement_tag(aws), "nothing was done" in output) == (0, None, True)
    assert command(aws, "--apply", "tag", image, str(stated))[0] == 0
    assert command(aws, "--apply", "tag", image, str(stated))[0] == 0, "it has this tag already"
    assert command(aws, "--apply", "copy", image, "--to", "eu-west-1")[0] == 0
    assert [statement_tag(aws, one) for one in (REGION, "eu-west-1")] == [sha256_digest(STATEMENT)] * 2


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("other-1.2", STATEMENT, "is other-1.2, and the statement is about whence-1.2"),
        ("whence-1.2", b"{}", "images.py: "),
        ("whence-1.2", None, "No such file"),
    ],
)
def test_an_ami_is_not_tagged_with_the_statement_of_another_one_or_with_none(
    aws: Aws, tmp_path: Path, name: str, content: bytes | None, said: str
) -> None:
    image, _ = made(aws, name, None)
    if content is not None:
        (tmp_path / "statement.json").write_bytes(content)
    code, output = command(aws, "--apply", "tag", image, str(tmp_path))
    assert (code, said in output, statement_tag(aws)) == (1, True, None), output


def test_the_tag_of_another_statement_is_not_replaced(aws: Aws, stated: Path) -> None:
    image, _ = made(aws, "whence-1.2", None)
    other = "sha256:" + "9" * 64
    client(aws, "ec2").create_tags(Resources=[image], Tags=[{"Key": "whence:statement", "Value": other}])
    code, output = command(aws, "--apply", "tag", image, str(stated))
    assert (code, f"of another statement: {other}" in output, statement_tag(aws)) == (1, True, other)


def test_a_copy_to_the_same_region_is_refused(aws: Aws) -> None:
    image, _ = made(aws, "Whence-AMI-1", None)
    code, output = command(aws, "--apply", "copy", image, "--to", REGION)
    assert code == 1
    assert "name other regions" in output


def test_what_has_expired_is_deregistered_with_its_snapshot(aws: Aws) -> None:
    old, snapshot = made(aws, "Whence-AMI-old", "2020-01-01T00:00:00Z")
    new, kept = made(aws, "Whence-AMI-new", "2099-01-01T00:00:00Z")
    code, output = command(aws, "--apply", "retire")
    assert code == 0, output
    assert set(own(aws)) == {new}
    snapshots = {one["SnapshotId"] for one in client(aws, "ec2").describe_snapshots(OwnerIds=["self"])["Snapshots"]}
    assert kept in snapshots
    assert snapshot not in snapshots
    assert f"deregister {old} (Whence-AMI-old)" in output


@pytest.mark.parametrize("ends", [None, "", "soon", "2020-01-01"])
def test_without_a_time_that_can_be_read_nothing_is_retired(aws: Aws, ends: str | None) -> None:
    image, _ = made(aws, "Whence-AMI-old", ends)
    assert command(aws, "--apply", "retire")[0] == 0
    assert set(own(aws)) == {image}


def test_others_images_are_not_looked_at(aws: Aws) -> None:
    image, _ = made(aws, "Database-AMI", "2020-01-01T00:00:00Z")
    assert command(aws, "--apply", "retire")[0] == 0
    assert set(own(aws)) == {image}


@pytest.mark.parametrize(
    "user",
    [
        "instance",
        "stopped instance",
        "launch template",
        "old version",
        "launch configuration",
        "group",
        "fleet",
        "spot fleet",
    ],
)
def test_what_something_would_still_launch_is_kept(aws: Aws, user: str) -> None:
    image, _ = made(aws, "Whence-AMI-old", "2020-01-01T00:00:00Z")
    ec2, autoscaling = client(aws, "ec2"), client(aws, "autoscaling")
    name = user.replace(" ", "-")
    if "instance" in user:
        (one,) = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"]
        if user.startswith("stopped"):
            ec2.stop_instances(InstanceIds=[one["InstanceId"]])
    elif user == "launch configuration":
        autoscaling.create_launch_configuration(LaunchConfigurationName=name, ImageId=image, InstanceType="t3.small")
    elif user == "spot fleet":
        ec2.request_spot_fleet(SpotFleetRequestConfig={
            "IamFleetRole": "arn:aws:iam::123456789012:role/fleet", "TargetCapacity": 1, "SpotPrice": "0.1",
            "AllocationStrategy": "lowestPrice",
            "LaunchSpecifications": [{"ImageId": image, "InstanceType": "t3.small", "WeightedCapacity": 1,
                                      "SubnetId": ec2.describe_subnets()["Subnets"][0]["SubnetId"]}],
        })  # fmt: skip
    elif user in ("group", "fleet"):
        ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData={"ImageId": "ami-12c6146b"})
        chosen = {"LaunchTemplateName": name, "Version": "$Latest"}
        overrides = [{"InstanceType": "t3.small", "ImageId": image}]
        if user == "group":
            autoscaling.create_auto_scaling_group(
                AutoScalingGroupName=name, MinSize=0, MaxSize=1, AvailabilityZones=[f"{REGION}a"],
                MixedInstancesPolicy={
                    "LaunchTemplate": {"LaunchTemplateSpecification": chosen, "Overrides": overrides}},
            )  # fmt: skip
        else:
            ec2.create_fleet(
                LaunchTemplateConfigs=[{"LaunchTemplateSpecification": chosen, "Overrides": overrides}],
                TargetCapacitySpecification={"TotalTargetCapacity": 0, "DefaultTargetCapacityType": "on-demand"},
                Type="maintain",
            )
    else:
        ec2.create_launch_template(LaunchTemplateName=name, LaunchTemplateData={"ImageId": image})
        if user == "old version":
            ec2.create_launch_template_version(LaunchTemplateName=name, LaunchTemplateData={"ImageId": "ami-12c6146b"})
    code, output = command(aws, "--apply", "retire")
    assert code == 0, output
    assert image in own(aws)
    assert f"keep {image} (Whence-AMI-old): " in output


def test_a_terminated_instance_keeps_no_image(aws: Aws) -> None:
    image, _ = made(aws, "Whence-AMI-old", "2020-01-01T00:00:00Z")
    ec2 = client(aws, "ec2")
    (one,) = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"]
    ec2.terminate_instances(InstanceIds=[one["InstanceId"]])
    assert command(aws, "--apply", "retire")[0] == 0
    assert own(aws) == {}


def test_an_image_that_other_accounts_may_launch_is_kept_until_it_is_asked_for(aws: Aws) -> None:
    image, _ = made(aws, "Whence-AMI-old", "2020-01-01T00:00:00Z")
    assert command(aws, "--apply", "share", image, "--account", "111111111111")[0] == 0
    assert "1 accounts may launch it" in command(aws, "--apply", "retire")[1]
    assert set(own(aws)) == {image}
    assert command(aws, "--apply", "retire", "--shared")[0] == 0
    assert own(aws) == {}


def test_without_apply_each_command_only_states_what_it_would_do(aws: Aws, directory: Path) -> None:
    image, snapshot = made(aws, "Whence-AMI-old", "2020-01-01T00:00:00Z")
    for words, said in (
        (("publish", str(directory)), "publish Whence-AMI-debian-12-amd64-7"),
        (("share", image, "--account", "111111111111"), f"share {image}"),
        (("copy", image, "--to", "eu-west-1"), f"copy {image}"),
        (("retire",), f"deregister {image} (Whence-AMI-old) with {snapshot}"),
    ):
        code, output = command(aws, *words)
        assert code == 0
        assert said in output
        assert "nothing was done: --apply does it" in output
    assert set(own(aws)) == {image}
    assert own(aws, "eu-west-1") == {}


def test_an_image_of_nobody_is_refused(aws: Aws) -> None:
    code, output = command(aws, "--apply", "share", "ami-12345678", "--account", "111111111111")
    assert code == 1
    assert "ami-12345678" in output


def test_the_program_reads_what_aws_tools_read(aws: Aws) -> None:
    environment = {
        **os.environ, "AWS_ENDPOINT_URL": aws.url, "AWS_DEFAULT_REGION": REGION, "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, PROGRAM, "retire"], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "nothing was done: --apply does it\n"), done.stderr


def test_without_a_region_the_variable_is_named_that_sets_it() -> None:
    done = subprocess.run(
        [sys.executable, PROGRAM, "retire"], capture_output=True, text=True, check=False, env={"HOME": "/nonexistent"}
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "no region: set AWS_DEFAULT_REGION" in done.stderr
