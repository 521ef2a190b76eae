"""What the packages put on a machine: judged by lintian, described by manual pages, accounted for, and gone after a purge."""

from __future__ import annotations

import gzip
import os
import stat
from pathlib import Path

import pytest

from landscape.endurance import repeated
from landscape.machines import booted
from landscape.package_builds import in_root
from landscape.package_files import MADE, NAMES, OF_THE_MACHINE, Installed, none_of, owned, paths
from landscape.processes import NotReady, run
from whence_agent.cli import make_parser

pytestmark = pytest.mark.timeout(900)
"""The packages are built and a root made first: both download."""
_SERVICES = ("whence-agent", "whence-aggregator", "whence-registry", "whence-mint", "whence-witness")
_COMMANDS = {"whence-agent": 1, "whence-aggregator": 2, "whence": 30, "whence-accounts": 10}
"""Each command, and how many subcommands its page describes at least."""
_AGENT_MEBIBYTES_MAX = 60


@pytest.mark.endurance
async def test_lintian_finds_no_error_and_no_warning(packages: list[Path]) -> None:
    for package in packages[: repeated(sample=1, whole=2)]:
        command = ("lintian", "--no-cfg", "--profile", "debian", "--allow-root", "--fail-on", "error,warning")
        # What it finds becomes the message of NotReady.
        await run("sh", "-c", '"$@" >&2', "-", *command, "--display-level", ">=warning", package)


async def test_nothing_of_the_packages_is_unaccounted_for_after_a_run_and_nothing_is_left_by_a_purge(
    copied_root: Path, installation: Installed, tmp_path: Path
) -> None:
    await run("systemctl", f"--root={copied_root}", "enable", *_SERVICES[1:])
    async with booted(copied_root, tmp_path) as machine:
        for service in _SERVICES:  # unconfigured: each starts, makes its directories and ends
            assert (await machine.unit(service, "failed"))["ExecMainStatus"] == "78"
        there = set(paths(copied_root)) - installation.before - await owned(copied_root)
        assert none_of(there, (*MADE, *OF_THE_MACHINE)) == []
        await machine.run("dpkg", "--purge", *NAMES)
        left = await machine.run("sh", "-c", "systemctl list-unit-files 'whence-*' --no-legend; ls /run")
        assert "whence" not in left
    assert none_of(set(paths(copied_root)) - installation.before, OF_THE_MACHINE) == []


async def test_every_file_below_etc_is_a_configuration_file_which_dpkg_keeps_when_it_was_changed(
    installation: Installed,
) -> None:
    shown = await run(
        "dpkg-query", f"--root={installation.root}", "--show", "--showformat=${Package}:${Conffiles}\n", *NAMES
    )
    found = {word for line in shown.splitlines() for word in line.split() if word.startswith("/")}
    assert found == {f"/etc/whence/{name}.sample.yaml" for name in ("agent", "aggregator", "witness")}
    inside = {one for one in await owned(installation.root) if one.startswith("/etc/whence/")}
    assert inside == found | {"/etc/whence/credentials"}


async def test_no_file_of_the_packages_is_writable_by_others_or_secret(installation: Installed) -> None:
    for place in await owned(installation.root):
        mode = (installation.root / place[1:]).lstat().st_mode
        assert stat.S_ISLNK(mode) or not mode & 0o022, place
        assert not mode & (stat.S_ISUID | stat.S_ISGID), place
    assert (installation.root / "etc/whence/credentials").stat().st_mode & 0o777 == 0o700
    state = installation.root / "var/lib/whence-agent"
    assert state.stat().st_mode & 0o777 == 0o711
    assert list(state.iterdir()) == []


def test_the_agent_needs_at_most_60_mib_of_the_disk(installation: Installed) -> None:
    home = installation.root / "usr/lib/whence-agent"
    found = [one.lstat().st_blocks * 512 for one in (home, *home.rglob("*"))]
    assert sum(found) / 2**20 <= _AGENT_MEBIBYTES_MAX
    assert len(list(home.rglob("*.pyc"))) == len(list(home.rglob("*.py")))  # each is compiled once


@pytest.mark.parametrize("command", _COMMANDS)
async def test_a_command_has_a_manual_page_that_renders_without_a_warning(
    command: str, installation: Installed, tmp_path: Path
) -> None:
    page = installation.root / f"usr/share/man/man1/{command}.1.gz"
    rendering = ("man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", str(page))
    shell = ("sh", "-c", '"$@" 2>&1 >"$0"', tmp_path / "page", *rendering)
    environment = {"LC_ALL": "C.UTF-8", "MANROFFSEQ": "", "MANWIDTH": "80"}
    assert await run(*shell, environment=environment) == ""
    text = gzip.decompress(page.read_bytes()).decode()
    described = [line for line in text.splitlines() if line.startswith(f'.SS "{command.replace("-", chr(92) + "-")} ')]
    assert len(described) >= _COMMANDS[command]
    assert len(set(described)) == len(described)
    assert f"Whence {'0.1.0'}" in text.splitlines()[0]


async def test_the_page_describes_every_subcommand_and_option_of_the_agent(installation: Installed) -> None:
    page = installation.root / "usr/share/man/man1/whence-agent.1.gz"
    text = gzip.decompress(page.read_bytes()).decode().replace("\\-", "-")
    (below,) = [one for one in make_parser()._actions if one.choices and not one.option_strings]
    assert below.choices is not None
    assert set(below.choices) >= {"run", "validate", "status", "machine"}
    for word, one in below.choices.items():  # type: ignore[attr-defined]  # a dict, of parsers
        assert f'.SS "whence-agent {word} ' in text
        for action in one._actions:
            assert all(option in text for option in action.option_strings)


_COMPLETE = r"""
source /usr/share/bash-completion/completions/$1
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
[[ $(complete -p "$1") =~ -F\ ([^ ]+) ]]
"${BASH_REMATCH[1]}" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize(
    "words, expected",
    [
        (("whence-agent", "va"), ["validate"]),
        (("whence-agent", "validate", "--format", "s"), ["sarif"]),
        (("whence-agent", "status", "--t"), ["--timeout"]),
        (("whence-aggregator", "ledger", "reb"), ["rebuild"]),
        (("whence", "violat"), ["violation", "violations"]),
        (("whence", "trace", "--form"), ["--format"]),
        (("whence-accounts", "check-p"), ["check-permissions"]),
        (("whence-agent", "no-such"), [""]),
    ],
    ids=lambda value: " ".join(value),
)
async def test_bash_completes_the_installed_commands(words: tuple[str, ...], expected: list[str], root: Path) -> None:
    said = await in_root(root, "bash", "--norc", "-c", _COMPLETE, "-", *words)
    assert sorted(line.strip() for line in said.splitlines()) == expected


def test_zsh_finds_a_completion_of_each_command(installation: Installed) -> None:
    folder = installation.root / "usr/share/zsh/vendor-completions"
    assert sorted(one.name for one in folder.glob("_whence*")) == sorted(f"_{command}" for command in _COMMANDS)
    for command in _COMMANDS:
        assert (folder / f"_{command}").read_text(encoding="utf-8").startswith(f"#compdef {command}\n")


async def test_the_changelog_and_the_licenses_are_where_debian_has_them(installation: Installed) -> None:
    for name in NAMES:
        folder = installation.root / "usr/share/doc" / name
        changes = gzip.decompress((folder / "changelog.Debian.gz").read_bytes()).decode()
        assert changes.startswith(f"{name} (0.1.0-1+deb12) stable; urgency=medium\n\n  * ")
        assert max(map(len, changes.splitlines())) <= 120
        text = (folder / "copyright").read_text(encoding="utf-8")
        assert "/usr/share/common-licenses/Apache-2.0" in text
        home = installation.root / "usr/lib" / name
        contained = {one.name.removesuffix(".dist-info").partition("-")[0] for one in home.glob("*.dist-info")}
        listed = {line.split()[0].replace("-", "_") for line in text.splitlines() if line.startswith("  ")}
        assert {one.lower() for one in contained} == {one.lower() for one in listed}


def test_what_is_compiled_is_what_the_installed_python_reads(root: Path) -> None:
    """The program's user cannot write in /usr/lib, so a file of another Python would be compiled again at each start."""
    compiled = sorted((root / "usr/lib").glob("whence-a*/**/*.pyc"))
    assert len(compiled) > 1000
    assert {one.suffixes[-2] for one in compiled} == {".cpython-311"}
    flags = {int.from_bytes(one.read_bytes()[4:8], "little") for one in compiled}
    assert flags == {0b01}  # by hash, unchecked: PEP 552
    assert os.access(compiled[0], os.R_OK)


async def test_a_package_for_another_python_is_not_installed(packages: list[Path], root: Path) -> None:
    depends = await run("dpkg-deb", "--field", packages[0], "Depends")
    assert depends.startswith("python3 (>= 3.11), python3 (<< 3.12), libc6 (>= 2.")
    with pytest.raises(NotReady):
        await run("chroot", root, "dpkg-query", "--show", "python3.12")
