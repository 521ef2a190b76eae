"""The commands of whence-accounts in the documents, run on moto in the order in which they are written."""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import boto3
import pytest

from fakes.account_extensions import speak_what_moto_lacks
from fakes.aws_identity import IdentityOfAccounts
from fakes.aws_simulator import PolicySimulator
from fakes.counted_aws import CountedAws
from fakes.signing_authority import SigningAuthority
from landscape.aws import Aws, moto_server
from landscape.documents import DOCUMENTS, blocks, shell
from landscape.programs import BIN, aggregator

PROGRAM = "whence-accounts "
FILES = ("accounts.yaml", "sevenseconds.yaml")
"""The names of the documents' files: their YAML begins with a comment that is one of them."""
PENDING = ("whence-accounts plan -o", "whence-accounts configure sevenseconds.yaml")
"""Commands that end with 2, since changes are pending."""
ACCOUNTS = ("123456789012", "210987654321")


def steps() -> list[tuple[str, str]]:
    """Return the commands of the documents in their order, each with the output that is shown after it."""
    found: list[tuple[str, str]] = []
    for document in DOCUMENTS:
        text = document.read_text(encoding="utf-8")
        for block, shown in re.findall(
            r"^```sh\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", text, re.DOTALL | re.MULTILINE
        ):
            lines = [line for line in block.splitlines() if line.startswith(PROGRAM)]
            found += [(line, shown if line == lines[-1] else "") for line in lines]
    return found


@pytest.fixture
async def environment(tmp_path: Path, authority: SigningAuthority) -> AsyncIterator[dict[str, str]]:
    """Start moto with the roles of two accounts, and an aggregator; write the documents' files."""
    for name in FILES:
        (text,) = [text for _, text in blocks("yaml") if text.startswith(f"# {name}\n")]
        (tmp_path / name).write_text(text, encoding="utf-8")
    async with (
        moto_server(tmp_path) as moto,
        CountedAws(moto.url).serve() as aws,
        aggregator(tmp_path, tmp_path, authority_pem={"eu-central-1": authority.pem}) as server,
    ):
        speak_what_moto_lacks(aws)
        PolicySimulator().install(aws)
        aws.extensions.update(IdentityOfAccounts().extensions)
        for account_id in ACCOUNTS:
            _let_in(moto, account_id)
        yield {
            **os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(tmp_path), "AWS_ENDPOINT_URL": aws.url,
            "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "WHENCE_URL": server.url,
            "WHENCE_TOKEN": server.token, "XDG_STATE_HOME": str(tmp_path / "state"),
        }  # fmt: skip


async def test_every_command_does_what_the_documents_show(environment: dict[str, str], tmp_path: Path) -> None:
    found = steps()
    assert len(found) > 10
    for command, shown in found:
        code, output = await shell(f"cd {tmp_path} && {command}", environment)
        expected = 2 if command.startswith(PENDING) else 0
        assert code == expected, f"{command}: {code}\n{output}"
        printed = without_digests(output)
        missing = [line for line in without_digests(shown).splitlines() if line not in printed.splitlines()]
        assert missing == [], f"{command}\n{output}"


def without_digests(text: str) -> str:
    return re.sub(r"sha256:[0-9a-f]{64}", "sha256:…", text)


def _let_in(moto: Aws, account_id: str) -> None:
    """Create the role that whence-accounts assumes, as the owner of the account does."""
    role = f"arn:aws:iam::{account_id}:role/owner"
    keys = moto.client("sts").assume_role(RoleArn=role, RoleSessionName="owner")["Credentials"]
    iam = boto3.client(
        "iam", endpoint_url=moto.url, region_name="eu-central-1", aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"], aws_session_token=keys["SessionToken"],
    )  # fmt: skip
    trust = {"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}
    document = {"Version": "2012-10-17", "Statement": [trust]}
    iam.create_role(RoleName="whence-accounts", AssumeRolePolicyDocument=json.dumps(document))
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    iam.put_role_policy(RoleName="whence-accounts", PolicyName="all", PolicyDocument=json.dumps(everything))
