"""The first tries of somebody who is new: what is missing, misspelt or wrong is named, with what to do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fakes.accounts_program import AccountsProgram, accounts_program

_NOWHERE = "http://127.0.0.1:9"
_TEXT = """\
version: 11
global:
  regions: [eu-west-1]
accounts:
  hello: {id: "123456789012"}
"""
_NO_KEYS = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_EC2_METADATA_DISABLED": "true"}


@pytest.fixture
async def program(tmp_path: Path) -> AsyncIterator[AccountsProgram]:
    async with accounts_program(_NOWHERE, tmp_path) as made:
        (tmp_path / "accounts.yaml").write_text(_TEXT, encoding="utf-8")
        yield made


async def test_no_arguments_show_the_commands_and_the_exit_codes(program: AccountsProgram) -> None:
    ended = await program.run()
    assert ended.code == 64
    for name in ("plan", "apply", "configure", "bootstrap", "import", "141"):
        assert f"  {name}" in ended.out + ended.err


@pytest.mark.parametrize(
    "command",
    ["plan", "configure", "bootstrap", "apply", "show", "submit", "check-permissions", "limits", "schema", "explain",
     "import", "convert"],
)  # fmt: skip
async def test_every_command_explains_itself(program: AccountsProgram, command: str) -> None:
    ended = await program.run(command, "--help")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(f"Usage: whence-accounts {command} ")


@pytest.mark.parametrize(
    "words, said",
    [
        (("pln",), "No such command 'pln'. (Did you mean one of: 'explain', 'plan'?)"),
        (("plan", "--outt", "p"), "No such option"),
        (("apply",), "Missing argument 'PLAN'"),
        (("bootstrap",), "Missing argument 'PATTERN...'"),
        (("plan", "-P", "many"), "'many' is not a valid integer"),
    ],
)
async def test_a_misspelt_command_says_what_is_meant(
    program: AccountsProgram, words: tuple[str, ...], said: str
) -> None:
    ended = await program.run(*words)
    assert (ended.code, said in ended.err) == (64, True), ended.err


@pytest.mark.parametrize("words", [("plan",), ("limits",), ("check-permissions",), ("bootstrap", "*")])
async def test_a_missing_configuration_says_how_to_name_another(
    program: AccountsProgram, words: tuple[str, ...]
) -> None:
    (program.folder / "accounts.yaml").unlink()
    ended = await program.run(*words)
    assert (ended.code, ended.err.splitlines()) == (
        1,
        [
            "whence-accounts: there is no configuration accounts.yaml",
            "  fix: write it, or name another with --config or WHENCE_ACCOUNTS_CONFIG; `import` prints one of an account",
        ],
    )


async def test_misspelt_keys_are_all_named_with_their_lines_and_what_is_meant(program: AccountsProgram) -> None:
    text = _TEXT.replace("accounts:", "  public_acess_block: true\n  auditor_rol: {}\naccounts:")
    (program.folder / "accounts.yaml").write_text(text, encoding="utf-8")
    ended = await program.run("plan")
    assert ended.code == 1
    for line, meant in ((4, "public_access_block"), (5, "auditor_role")):
        assert f"accounts.yaml:{line}:3: error" in ended.err
        assert f"did you mean {meant}?" in ended.err


@pytest.mark.parametrize("words", [("plan",), ("plan", "--json"), ("check-permissions",), ("limits",)])
async def test_missing_credentials_say_what_to_set(program: AccountsProgram, words: tuple[str, ...]) -> None:
    program.environment = _NO_KEYS
    ended = await program.run(*words)
    assert ended.code == 1
    said = " ".join((ended.out + ended.err).split())
    assert "hello: there are no AWS credentials" in said
    assert "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE" in said


@pytest.mark.parametrize(
    "environment, said, fix",
    [
        ({"AWS_ACCESS_KEY_ID": ""}, "there are no AWS credentials", "set AWS_ACCESS_KEY_ID"),
        ({"AWS_PROFILE": "nope"}, "hello: The config profile (nope) could not be found", "check AWS_PROFILE"),
        ({"AWS_ENDPOINT_URL": "nonsense"}, "AWS_ENDPOINT_URL is not the URL of an endpoint", "https://HOST"),
        ({"AWS_ENDPOINT_URL": "http://[::1"}, "AWS_ENDPOINT_URL is not the URL of an endpoint", "https://HOST"),
        ({"AWS_ENDPOINT_URL": "file:///etc/passwd"}, "AWS_ENDPOINT_URL is not the URL of an endpoint", "https://HOST"),
    ],
)
async def test_a_wrong_environment_is_named_with_what_to_do(
    program: AccountsProgram, environment: dict[str, str], said: str, fix: str
) -> None:
    program.environment = {**_NO_KEYS, "AWS_SECRET_ACCESS_KEY": "test", "AWS_ACCESS_KEY_ID": "test", **environment}
    ended = await program.run("plan")
    assert ended.code == 1
    shown = ended.out + ended.err
    assert said in shown
    assert fix in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize(
    "words, said",
    [
        (("plan", "nosuch"), "no account matches the pattern nosuch\n  fix: the accounts are: hello"),
        (
            ("plan", "hel.*"),
            "the pattern hel.* is a regular expression; patterns are shell patterns\n  fix: write 'hel*'",
        ),
        (("plan", "--step", "rols"), "there is no step rols\n  fix: write some of: alias, identity, roles"),
        (("explain", "alia"), "unknown key alia\n  fix: did you mean alias?"),
        (("show", "accounts.yaml"), "accounts.yaml is not a plan"),
        (("apply", "nothing"), "nothing cannot be read: No such file or directory"),
        (("import", "x", "--id", "12", "--region", "eu-west-1"), "'12' is not the id of an account"),
        (("import", "x", "--id", "123456789012", "--region", "EU"), "accounts.x.regions[0]"),
    ],
)
async def test_a_wrong_word_is_named_with_what_to_write(
    program: AccountsProgram, words: tuple[str, ...], said: str
) -> None:
    ended = await program.run(*words)
    assert (ended.code, said in ended.err) == (1, True), ended.err
