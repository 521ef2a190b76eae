"""image.yaml decides what is in an image; a wrong choice is refused with the choices that there are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from landscape.whole import ROOT

AMI = ROOT / "packaging/ami"


def planned(*arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, AMI / "image.py", "--plan", *arguments], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def packages(*arguments: str) -> set[str]:
    code, output = planned(*arguments)
    assert code == 0, output
    return set(json.loads(output)["WHENCE_PACKAGES"].split())


def test_an_image_has_an_engine_a_clock_and_no_sshd() -> None:
    found = packages()
    assert {"docker.io", "chrony", "python3", "linux-image-cloud-amd64", "grub-pc-bin"} <= found
    assert not {"openssh-server", "cloud-init", "unattended-upgrades", "whence-aggregator"} & found


@pytest.mark.parametrize("distribution", ["debian-12", "debian-13", "ubuntu-24.04"])
@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_every_distribution_has_a_kernel_and_a_loader_of_each_architecture(
    distribution: str, architecture: str
) -> None:
    found = packages("--distribution", distribution, "--architecture", architecture)
    assert [one for one in found if one.startswith("linux-image")] != []
    assert f"grub-efi-{architecture}-bin" in found
    assert ("grub-pc-bin" in found) is (architecture == "amd64")


@pytest.mark.parametrize(
    ("setting", "package"), [("sshd", "openssh-server"), ("unattended_upgrades", "unattended-upgrades")]
)
def test_a_setting_keeps_what_is_otherwise_removed(setting: str, package: str) -> None:
    code, output = planned("--set", f"{setting}=true")
    assert code == 0
    plan = json.loads(output)
    assert package in plan["WHENCE_PACKAGES"].split()
    assert package not in plan["WHENCE_REMOVED"].split()
    assert package in json.loads(planned()[1])["WHENCE_REMOVED"].split()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--distribution", "debian-11"), "unknown distribution 'debian-11': image.yaml has debian-12, debian-13"),
        (("--architecture", "s390x"), "unknown architecture 's390x': image.yaml has amd64, arm64"),
        (("--set", "sshd=maybe"), "--set takes JSON"),
        (("--set", 'sshd="yes"'), "settings: Expected `bool`, got `str` - at `$.sshd`"),
        (("--set", "ssh=true"), "unknown field `ssh`"),
        (("--set", "disk_mib=64"), "disk_mib must be at least 1024"),
    ],
)
def test_a_wrong_choice_is_refused_with_its_reason(arguments: tuple[str, ...], said: str) -> None:
    code, output = planned(*arguments)
    assert code == 1
    assert said in output


def test_what_is_removed_is_not_installed() -> None:
    document = yaml.safe_load((AMI / "image.yaml").read_text(encoding="utf-8"))
    every = {*document["packages"], *(one for each in document["distributions"].values() for one in each["packages"])}
    assert not every & set(document["removed"])


def test_the_file_that_provisioning_copies_are_for_root_alone_to_change() -> None:
    assert [path for path in (AMI / "files").rglob("*") if path.is_file() and os.access(path, os.X_OK)] == []


@pytest.mark.parametrize("missing", ["--package", "--settings"])
def test_an_image_without_agent_or_settings_is_refused(missing: str, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    given = {"--package": str(tmp_path / "a.deb"), "--settings": str(tmp_path / "agent.yaml")}
    words = [word for name, value in given.items() if name != missing for word in (name, value)]
    done = subprocess.run(
        [sys.executable, AMI / "image.py", "--only", "provision", "--out", tmp_path, *words],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"{missing} is required" in done.stderr


def test_wrong_inputs_end_the_build_before_its_first_step(tmp_path: Path) -> None:
    (tmp_path / "agent.yaml").write_text("aggregator_ulr: https://whence.example.org\n", encoding="utf-8")
    (tmp_path / "a.deb").write_text("no package", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, AMI / "image.py", "--out", tmp_path / "image", "--package", tmp_path / "a.deb",
         "--settings", tmp_path / "agent.yaml", "--sources", tmp_path / "none.list"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    for stated in ("agent.yaml", "aggregator_ulr", "a.deb is not a Debian package", "none.list: no such file"):
        assert stated in done.stderr
    assert not (tmp_path / "image").exists()


def test_a_later_step_without_a_root_states_which_step_makes_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, AMI / "image.py", "--only", "disk", "--out", tmp_path],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "root: the step base makes it" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_clone_without_a_remote_ends_the_build_before_its_first_step(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    clone = tmp_path / "clone"
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "init", "--quiet", clone], check=True)
    subprocess.run(["git", "-C", clone, *identity, "commit", "--quiet", "--allow-empty", "-m", "a"], check=True)
    done = subprocess.run(
        [sys.executable, AMI / "image.py", "--only", "disk", "--out", tmp_path, "--git", clone],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "a remote named origin" in done.stderr
    assert list((tmp_path / "root").iterdir()) == []
