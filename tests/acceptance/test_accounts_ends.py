"""How whence-accounts ends: each exit code of its help text, and what its users see when something around it fails."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from fakes.account_extensions import speak_what_moto_lacks
from fakes.account_world import new_account_id
from fakes.accounts_program import AccountsProgram, accounts_program
from fakes.counted_aws import AwsCall
from landscape.aws import Aws, moto_server
from landscape.processes import Began

_ROLE = """
      app:
        assume_role_policy:
          Version: "2012-10-17"
          Statement: [{Effect: Allow, Principal: {Service: ec2.amazonaws.com}, Action: "sts:AssumeRole"}]
"""
_SECRETS = ("s3cret-key-of-the-caller", "external-4711", "FwoGZXIvYXdzE")


@pytest.fixture(scope="module")
async def moto(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Aws]:
    async with moto_server(tmp_path_factory.mktemp("moto")) as running:
        yield running


@pytest.fixture
async def program(moto: Aws, tmp_path: Path) -> AsyncIterator[AccountsProgram]:
    async with accounts_program(moto.url, tmp_path) as made:
        speak_what_moto_lacks(made.aws)
        made.environment = {"AWS_SECRET_ACCESS_KEY": _SECRETS[0]}
        (tmp_path / "accounts.yaml").write_text(
            f"version: 11\nglobal:\n  regions: [eu-west-1]\n  roles:{_ROLE}accounts:\n  hello:"
            f' {{id: "{new_account_id()}", access: {{external_id: {_SECRETS[1]}}}}}\n',
            encoding="utf-8",
        )
        yield made


async def test_a_plan_has_changes_2_an_apply_converges_0_and_then_there_are_none_0(program: AccountsProgram) -> None:
    assert (await program.run("plan", "-o", "p.json")).code == 2
    assert (await program.run("apply", "p.json")).code == 0
    assert (await program.run("plan")).code == 0


@pytest.mark.parametrize(
    "words", [("plan", "--nonsense"), ("apply",), ("nonsense",), ("plan", "-P", "0"), ("submit", "p")]
)
async def test_wrong_usage_is_64(program: AccountsProgram, words: tuple[str, ...]) -> None:
    ended = await program.run(*words)
    assert (ended.code, program.aws.calls) == (64, [])
    assert ended.err


async def test_an_error_is_1_with_what_to_do(program: AccountsProgram) -> None:
    ended = await program.run("apply", "none.json")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == "whence-accounts: none.json cannot be read: No such file or directory\n  fix: check the path\n"


async def test_a_plan_that_cannot_be_written_is_1(program: AccountsProgram) -> None:
    (program.folder / "p.json").mkdir()
    ended = await program.run("plan", "-o", "p.json")
    assert ended.code == 1
    assert "p.json cannot be written: Is a directory\n  fix: name another file" in ended.err


async def test_a_report_that_cannot_be_kept_is_shown_and_is_1(program: AccountsProgram) -> None:
    assert (await program.run("plan", "-o", "p.json")).code == 2
    (program.folder / "p.json.report.json").mkdir()
    ended = await program.run("apply", "p.json")
    assert ended.code == 1
    assert "✓ role/app" in ended.out
    assert "the report is not kept: p.json.report.json cannot be written: Is a directory" in ended.err


async def test_a_flag_that_names_nothing_is_said_to(program: AccountsProgram) -> None:
    assert (await program.run("plan", "-o", "p.json")).code == 2
    assert (await program.run("apply", "p.json")).code == 0
    ended = await program.run("plan", "--adopt", "role/*", "--adopt", "rloe/*", "--delete", "role/ap")
    assert ended.code == 0
    assert ended.err.splitlines() == [
        "whence-accounts: --adopt 'rloe/*' names nothing that stands in these accounts",
        "whence-accounts: --delete 'role/ap' names nothing that stands in these accounts",
    ]


async def test_every_value_that_aws_would_refuse_is_named_with_its_line_before_the_first_call(
    program: AccountsProgram,
) -> None:
    (program.folder / "accounts.yaml").write_text(
        "version: 11\nglobal:\n  regions: [eu-west-1]\naccounts:\n  hello:\n"
        '    id: "123456789012"\n    alias: Hello_World\n    kms: {"aws/x": {}}\n',
        encoding="utf-8",
    )
    for words in (("plan",), ("configure", "accounts.yaml", "*")):
        ended = await program.run(*words)
        assert (ended.code, program.aws.calls) == (1, [])
        assert "accounts.yaml:7:5: error[accounts-alias]: accounts.hello.alias: " in ended.err
        assert "accounts.yaml:8:11: error[accounts-key-alias]: accounts.hello.kms." in ended.err
        assert "= write 3 to 63 lower-case letters" in ended.err


async def test_regions_of_two_partitions_are_named_with_their_line(program: AccountsProgram) -> None:
    (program.folder / "accounts.yaml").write_text(
        'version: 11\naccounts:\n  hello:\n    id: "123456789012"\n    regions: [eu-west-1, cn-north-1]\n',
        encoding="utf-8",
    )
    ended = await program.run("plan")
    assert (ended.code, program.aws.calls) == (1, [])
    assert "accounts.yaml:5:5: error[accounts-contradiction]: accounts.hello.regions: " in ended.err


async def test_a_journal_that_cannot_be_written_ends_creations_before_their_call(program: AccountsProgram) -> None:
    assert (await program.run("plan", "-o", "p.json")).code == 2
    (program.folder / "p.json.journal").symlink_to(program.folder / "nowhere" / "journal")
    ended = await program.run("apply", "p.json")
    assert ended.code == 1
    assert "the journal p.json.journal cannot be written" in ended.out
    assert "iam:CreateRole" not in program.aws.writes


@pytest.mark.parametrize("words", [("plan",), ("explain",), ("schema",)])
async def test_a_reader_that_closes_the_pipe_is_141_without_a_word(
    program: AccountsProgram, words: tuple[str, ...]
) -> None:
    at = Path(sys.executable).with_name("whence-accounts")
    script = f"'{at}' {' '.join(words)} 2>err | true; echo ${{PIPESTATUS[0]}}"
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", f"set -o pipefail; {script}", cwd=program.folder, stdout=asyncio.subprocess.PIPE,
        env={
            "PATH": "/usr/bin:/bin", "HOME": str(program.folder), "LANG": "C.UTF-8", "AWS_ACCESS_KEY_ID": "test",
            "AWS_ENDPOINT_URL": program.aws.url, "AWS_SECRET_ACCESS_KEY": "test",
        },
    )  # fmt: skip
    out, _ = await process.communicate()
    assert out.decode().strip() == "141"
    assert (program.folder / "err").read_text(encoding="utf-8") == ""


async def test_an_apply_whose_output_is_closed_is_done_all_the_same(program: AccountsProgram) -> None:
    assert (await program.run("plan", "-o", "p.json")).code == 2
    at = Path(sys.executable).with_name("whence-accounts")
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", f"'{at}' apply p.json >&- 2>&-", cwd=program.folder,
        env={
            "PATH": "/usr/bin:/bin", "HOME": str(program.folder), "LANG": "C.UTF-8", "AWS_ACCESS_KEY_ID": "test",
            "AWS_ENDPOINT_URL": program.aws.url, "AWS_SECRET_ACCESS_KEY": "test",
        },
    )  # fmt: skip
    assert await process.wait() == 0
    assert (await program.run("show", "--report", "p.json")).code == 0
    assert (await program.run("plan")).code == 0


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
async def test_an_apply_that_is_interrupted_ends_at_once_and_goes_on_later(
    program: AccountsProgram, sent: signal.Signals
) -> None:
    assert (await program.run("plan", "-o", "p.json")).code == 2
    running: Began

    def take(process: Began) -> None:
        nonlocal running
        running = process

    async def hangs(call: AwsCall) -> web.Response | None:
        if call.action != "CreateRole":
            return None
        running.send_signal(sent)
        await running.wait()
        return web.Response(status=500)

    program.aws.before = hangs
    ended = await program.run("apply", "p.json", began=take)
    assert ended.code == 130
    assert ended.err.lstrip() == (
        "whence-accounts: interrupted; a plan that was being applied is continued by applying it again\n"
    )
    assert "    ✓ alias/account" in ended.out.splitlines(), "what was done is said"
    cut_off = "    ✗ role/app: interrupted while it was written: parts of it may stand"
    assert cut_off in ended.out.splitlines()
    shown = await program.run("show", "--report", "p.json")
    assert (shown.code, shown.out) == (0, ended.out), "and kept beside the plan"
    program.aws.before = lambda _: None
    assert (await program.run("apply", "p.json")).code == 0
    assert (await program.run("plan")).code == 0


async def test_an_apply_that_is_interrupted_before_its_first_write_keeps_the_report_of_the_one_before(
    program: AccountsProgram,
) -> None:
    assert (await program.run("plan", "-o", "p.json")).code == 2
    applied = await program.run("apply", "p.json")
    running: Began

    def take(process: Began) -> None:
        nonlocal running
        running = process

    async def hangs(call: AwsCall) -> web.Response | None:
        if call.action != "GetEbsEncryptionByDefault":
            return None
        running.send_signal(signal.SIGINT)
        await running.wait()
        return web.Response(status=500)

    program.aws.before = hangs
    ended = await program.run("apply", "p.json", began=take)
    assert (ended.code, ended.out) == (130, "")
    assert (await program.run("show", "--report", "p.json")).out == applied.out


async def test_a_plan_that_was_never_applied_has_no_report_and_says_so(program: AccountsProgram) -> None:
    assert (await program.run("plan", "-o", "p.json")).code == 2
    shown = await program.run("show", "--report", "p.json")
    assert (shown.code, shown.out) == (1, "")
    assert "there is no report p.json.report.json" in shown.err
    assert "whence-accounts apply p.json" in shown.err


async def test_no_secret_and_no_escape_reaches_the_terminal_or_the_report(program: AccountsProgram) -> None:
    def refused(call: AwsCall) -> web.Response | None:
        if call.action != "CreateRole":
            return None
        message = f"\x1b]0;owned\x07 token {_SECRETS[2]}{'A' * 80}"
        return web.json_response({"__type": "AccessDenied", "message": message}, status=403)

    program.aws.before = refused
    planned = await program.run("plan", "-o", "p.json")
    applied = await program.run("apply", "p.json")
    assert applied.code == 1
    shown = planned.out + planned.err + applied.out + applied.err
    report = (program.folder / "p.json.report.json").read_text(encoding="utf-8")
    assert "\x1b" not in shown + json.dumps(json.loads(report), ensure_ascii=False)
    assert [one for one in _SECRETS if one in shown + report] == []
    assert _SECRETS[0] not in (program.folder / "p.json").read_text(encoding="utf-8")
    assert (program.folder / "p.json").stat().st_mode & 0o077 == 0, "it has the external id"
