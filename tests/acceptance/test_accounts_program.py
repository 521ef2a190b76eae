"""whence-accounts as its users run it: a plan writes nothing, an apply does exactly the plan, also after kill -9."""

from __future__ import annotations

import json
import os
import random
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import boto3
import pytest
from aiohttp import web

from fakes.account_extensions import speak_what_moto_lacks
from fakes.account_world import new_account_id
from fakes.accounts_program import AccountsProgram, accounts_program
from fakes.counted_aws import AwsCall
from landscape.aws import Aws, moto_server
from whence_aggregator.accounts.steps.table import STEPS

DATA = Path(__file__).parents[1] / "data" / "accounts"
WHOLE = (DATA / "whole.yaml").read_text(encoding="utf-8")
SMALL = (DATA / "small.yaml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
async def moto(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Aws]:
    async with moto_server(tmp_path_factory.mktemp("moto")) as running:
        yield running


@pytest.fixture
async def program(moto: Aws, tmp_path: Path) -> AsyncIterator[AccountsProgram]:
    async with accounts_program(moto.url, tmp_path) as made:
        speak_what_moto_lacks(made.aws)
        yield made


def configured(program: AccountsProgram, **accounts: str) -> dict[str, str]:
    """Write the small configuration for accounts of these names; return their ids."""
    ids = {name: new_account_id() for name in accounts or ("hello",)}
    sections = "".join(f'  {name}: {{id: "{one}"}}\n' for name, one in ids.items())
    (program.folder / "accounts.yaml").write_text(f"{SMALL}accounts:\n{sections}", encoding="utf-8")
    return ids


def configured_whole(program: AccountsProgram) -> dict[str, str]:
    """Write the configuration of every step for two new accounts, with what it expects in one of them; return ids."""
    ids = {"admin": new_account_id(), "hello": new_account_id()}
    text = WHOLE.replace("1" * 12, ids["admin"]).replace("2" * 12, ids["hello"])
    (program.folder / "accounts.yaml").write_text(text, encoding="utf-8")
    client(program, ids["admin"], "route53").create_hosted_zone(Name="example.org.", CallerReference=ids["admin"])
    client(program, ids["admin"], "s3", "us-east-1").create_bucket(Bucket=f"flow-logs-{ids['admin']}")
    for region in ("eu-west-1", "us-east-1"):
        client(program, ids["admin"], "ec2", region).register_image(Name="base-1", RootDeviceName="/dev/sda1")
    return ids


def client(program: AccountsProgram, account_id: str, service: str, region: str = "eu-west-1") -> Any:
    """Return the vendor's own client in an account, past the counting proxy."""
    sts = boto3.client("sts", **_made(program.aws.backend, "test", "test"))
    role = f"arn:aws:iam::{account_id}:role/set-up"
    keys = sts.assume_role(RoleArn=role, RoleSessionName="set-up")["Credentials"]
    made = _made(program.aws.backend, keys["AccessKeyId"], keys["SecretAccessKey"], region)
    return boto3.client(service, aws_session_token=keys["SessionToken"], **made)


def addresses(program: AccountsProgram, plan: str = "p.json") -> list[str]:
    document = json.loads((program.folder / plan).read_bytes())
    return [change["address"] for account in document["accounts"] for change in account["changes"]]


async def test_a_fresh_account_converges_in_one_apply_and_then_nothing_is_written(program: AccountsProgram) -> None:
    ids = configured_whole(program)
    planned = await program.run("plan", "-o", "p.json")
    assert (planned.code, program.aws.writes) == (2, []), planned.err
    assert planned.out.splitlines()[-1].split(" to create")[0].isdecimal()
    applied = await program.run("apply", "p.json")
    assert applied.code == 0, applied.out + applied.err
    assert program.aws.writes
    program.aws.forget()
    assert (await program.run("plan", "-o", "q.json")).code == 0
    assert addresses(program, "q.json") == []
    assert (await program.run("apply", "q.json")).code == 0
    assert (await program.run("apply", "p.json")).code == 0, "what the plan wants stands already"
    assert program.aws.writes == []
    regions = ("--region", "eu-west-1", "--region", "us-east-1")
    imported = await program.run("import", "hello", "--id", ids["hello"], "--role", "whence-accounts", *regions)
    assert (imported.code, program.aws.writes) == (0, []), imported.err
    (program.folder / "imported.yaml").write_text(imported.out, encoding="utf-8")
    again = await program.run("plan", "--config", "imported.yaml", "-o", "r.json")
    assert (again.code, addresses(program, "r.json"), program.aws.writes) == (0, [], []), again.out + again.err


async def test_what_an_import_does_not_state_is_named_in_its_place_and_on_stderr(program: AccountsProgram) -> None:
    account_id = new_account_id()
    ec2 = client(program, account_id, "ec2")
    ids = [ec2.create_vpc(CidrBlock=cidr)["Vpc"]["VpcId"] for cidr in ("10.1.0.0/16", "10.2.0.0/16")]
    acm = client(program, account_id, "acm", "us-east-1")
    arn = acm.request_certificate(DomainName="www.example.org", ValidationMethod="DNS")["CertificateArn"]
    regions = ("--region", "eu-west-1", "--region", "us-east-1")
    imported = await program.run("import", "hello", "--id", account_id, "--role", "whence-accounts", *regions)
    assert (imported.code, program.aws.writes) == (0, []), imported.err
    vpcs = ", ".join(
        sorted(f"VPC {one} ({cidr})" for one, cidr in zip(ids, ("10.1.0.0/16", "10.2.0.0/16"), strict=True))
    )
    notes = [
        f"{arn} of www.example.org: a configuration has it in every region, and it stands in us-east-1",
        f"eu-west-1: several VPCs, of which a configuration states one: {vpcs}",
    ]
    assert imported.err.splitlines() == [f"whence-accounts: not stated: {one}" for one in notes]
    assert imported.out.splitlines()[-2:] == [f"    # {one}" for one in notes]
    assert not {"    vpc_net:", "    acm:"} & set(imported.out.splitlines())


async def test_the_role_needs_no_more_than_the_printed_policies(tmp_path: Path) -> None:
    async with moto_server(tmp_path) as moto, accounts_program(moto.url, tmp_path) as program:
        speak_what_moto_lacks(program.aws)
        roles = [client(program, one, "iam") for one in configured_whole(program).values()]
        for iam in roles:
            trust = _policy("sts:AssumeRole", Principal="*")
            iam.create_role(RoleName="whence-accounts", AssumeRolePolicyDocument=trust)
        caller = boto3.client("iam", **_made(moto.url, "test", "test"))
        caller.create_user(UserName="operator")
        caller.put_user_policy(
            UserName="operator", PolicyName="p", PolicyDocument=_policy("sts:AssumeRole", Resource="*")
        )  # fmt: skip
        key = caller.create_access_key(UserName="operator")["AccessKey"]
        program.environment = {
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]
        }  # fmt: skip
        for words, steps, applies in ((("--read-only",), _READ_UNDER_POLICIES, 1), ((), _WRITTEN_UNDER_POLICIES, 0)):
            policy = _as_moto_names((await program.run("check-permissions", "--policy", *words)).out)
            for iam in roles:
                iam.put_role_policy(RoleName="whence-accounts", PolicyName="p", PolicyDocument=policy)
            await _check_policies(moto, after_calls="0")
            program.aws.forget()
            planned = await program.run("plan", "-o", "p.json", *(word for one in steps for word in ("--step", one)))
            assert (planned.code, program.aws.writes) == (2, []), planned.out + planned.err
            unread = [one for one in planned.out.splitlines() if "AWS denies" in one]
            assert unread == [], "a plan reads all, or says what it could not read"
            applied = await program.run("apply", "p.json")
            await _check_policies(moto, after_calls="inf")
            assert applied.code == applies, applied.out + applied.err


async def _check_policies(moto: Aws, *, after_calls: str) -> None:
    """Have moto check every call after some against the policies of the caller; `inf` ends it."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{moto.url}/moto-api/reset-auth", data=after_calls.encode()) as answer,
    ):
        assert answer.status == 200


async def test_the_wrong_account_behind_a_name_ends_everything_before_any_write(program: AccountsProgram) -> None:
    ids = configured(program, one="", two="")

    def another(call: AwsCall) -> web.Response | None:
        if call.name == "sts:GetCallerIdentity" and call.account_id == ids["two"]:
            identity = f"<Arn>arn:aws:iam::{ids['one']}:root</Arn><UserId>x</UserId><Account>{ids['one']}</Account>"
            body = f"<GetCallerIdentityResponse><GetCallerIdentityResult>{identity}</GetCallerIdentityResult></GetCallerIdentityResponse>"
            return web.Response(text=body, content_type="text/xml")
        return None

    program.aws.before = another
    for words in (("plan",), ("configure", "accounts.yaml", "*")):
        ended = await program.run(*words)
        assert ended.code == 1
        assert f"account two has id {ids['two']}, but its credentials are those of {ids['one']}" in ended.err
        assert program.aws.writes == []


async def test_a_step_that_fails_leaves_the_others_reported_and_the_next_run_goes_on(program: AccountsProgram) -> None:
    configured(program)

    def refused(call: AwsCall) -> web.Response | None:
        if call.name == "kms:CreateKey":
            return web.json_response({"__type": "AccessDeniedException", "message": "no"}, status=400)
        return None

    program.aws.before = refused
    ended = await program.run("configure", "accounts.yaml", "*")
    assert ended.code == 1
    assert "✗ eu-west-1/key/app: hello eu-west-1 key: AWS denies it" in ended.out
    assert "✓ alias/account" in ended.out
    report = json.loads((program.folder / "accounts.yaml.plan.json.report.json").read_bytes())
    outcomes = Counter(one["outcome"] for account in report["accounts"] for one in account["changes"])
    assert outcomes["failed"] >= 1
    assert outcomes["done"] > outcomes["failed"]
    program.aws.before = lambda _: None
    assert (await program.run("apply", "accounts.yaml.plan.json")).code == 0
    assert (await program.run("plan")).code == 0


async def test_a_dry_run_of_configure_writes_nothing(program: AccountsProgram) -> None:
    configured(program)
    ended = await program.run("configure", "accounts.yaml", "h*", "--dry-run")
    assert (ended.code, program.aws.writes) == (2, [])
    assert not (program.folder / "accounts.yaml.plan.json").exists()


async def test_a_storm_of_throttling_is_waited_out(program: AccountsProgram) -> None:
    configured(program)
    chosen = random.Random(7)

    def throttled(call: AwsCall) -> web.Response | None:
        if call.action in ("AssumeRole", "GetCallerIdentity") or chosen.random() > 0.1:
            return None
        return web.Response(
            status=503, content_type="text/xml",
            text="<Error><Code>SlowDown</Code><Message>slow</Message></Error>",
        )  # fmt: skip

    program.aws.before = throttled
    ended = await program.run("configure", "accounts.yaml", "*")
    assert ended.code == 0, ended.out + ended.err
    program.aws.before = lambda _: None
    assert (await program.run("plan")).code == 0


@pytest.mark.endurance
async def test_an_apply_that_is_killed_at_every_write_call_goes_on_and_does_nothing_twice(
    moto: Aws, tmp_path: Path
) -> None:
    (tmp_path / "calm").mkdir()
    (tmp_path / "killed").mkdir()
    async with accounts_program(moto.url, tmp_path / "calm") as calm:
        speak_what_moto_lacks(calm.aws)
        configured(calm)
        assert (await calm.run("configure", "accounts.yaml", "*")).code == 0
        once = Counter(calm.aws.writes)
    every = sum(once.values())
    points = range(every) if os.environ.get("WHENCE_ENDURANCE") else sorted(random.Random(23).sample(range(every), 4))
    async with accounts_program(moto.url, tmp_path / "killed") as program:
        speak_what_moto_lacks(program.aws)
        configured(program)
        assert (await program.run("plan", "-o", "p.json")).code == 2
        done = 0
        acted: Counter[str] = Counter()
        for number, point in enumerate(points):
            program.aws.forget()
            ended = await program.killed_at(point - done + 1, "apply", "p.json", has_acted=number % 2 == 0)
            assert ended.code == -9, f"at {point}: {ended.out}{ended.err}"
            written = program.aws.writes if number % 2 == 0 else program.aws.writes[:-1]
            acted += Counter(written)
            done += len(written)
        program.aws.forget()
        last = await program.run("apply", "p.json")
        assert last.code == 0, last.out + last.err
        acted += Counter(program.aws.writes)
        assert (await program.run("plan")).code == 0
    twice = {name: (acted[name], once[name]) for name in acted if acted[name] > once[name]}
    assert {name for name in twice if ":Create" in name} == set(), twice


_READ_UNDER_POLICIES = tuple(one.name for one in STEPS if one.name != "dns")
"""moto refuses every call of Route 53 that it checks, whatever the policy allows."""
_WRITTEN_UNDER_POLICIES = tuple(
    one for one in _READ_UNDER_POLICIES
    if one not in ("buckets", "mint", "cloudtrail", "aws-config", "certificates", "subnet-groups")
)  # fmt: skip
"""moto ignores the condition of a statement that denies calls without TLS, and then denies every call of a bucket,
which AWS Config's recorder waits for. Certificates write records of Route 53. The fake of subnet groups asks moto with keys of its own, which moto refuses."""
_MOTO_NAMES = {
    "tag:GetResources": ("tagging:GetResources",),
    "s3:GetAccountPublicAccessBlock": ("s3:GetPublicAccessBlock",),
    "s3:PutAccountPublicAccessBlock": ("s3:PutPublicAccessBlock",),
}
"""Actions that moto checks by the names of its calls, and not by those of IAM."""


def _as_moto_names(policy: str) -> str:
    document = json.loads(policy)
    (statement,) = document["Statement"]
    statement["Action"] = [name for one in statement["Action"] for name in _MOTO_NAMES.get(one, (one,))]
    return json.dumps(document)


def _policy(action: str, **about: str) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, **about}]})


def _made(url: str, key: str, secret: str, region: str = "eu-west-1") -> dict[str, Any]:
    return {
        "endpoint_url": url,
        "region_name": region,
        "aws_access_key_id": key,
        "aws_secret_access_key": secret,
    }
