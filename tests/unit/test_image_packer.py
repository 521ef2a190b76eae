"""Packer's template says the same as image.py, since both read image.yaml and run the same programs."""

from __future__ import annotations

import re
from typing import Any

import hcl2
import yaml

from landscape.whole import ROOT

AMI = ROOT / "packaging/ami"
TEXT = (AMI / "packer.pkr.hcl").read_text(encoding="utf-8")
DESCRIPTION = yaml.safe_load((AMI / "image.yaml").read_text(encoding="utf-8"))


def bare(value: Any) -> Any:
    """Return a parsed value without the quotes that the parser keeps."""
    if isinstance(value, dict):
        return {bare(name): bare(one) for name, one in value.items()}
    if isinstance(value, list):
        return [bare(one) for one in value]
    return value[1:-1] if isinstance(value, str) and value[:1] == value[-1:] == '"' else value


TEMPLATE = bare(hcl2.loads(TEXT))
SOURCE = TEMPLATE["source"][0]["amazon-ebs"]["image"]
PROVISIONERS = [one["shell"] for one in TEMPLATE["build"][0]["provisioner"] if "shell" in one]


def test_the_image_and_its_instances_have_version_2_of_the_metadata_service_only() -> None:
    assert SOURCE["imds_support"] == "v2.0"
    (options,) = SOURCE["metadata_options"]
    assert (options["http_tokens"], options["http_put_response_hop_limit"]) == ("required", 1)


def test_the_root_volume_is_encrypted_unless_a_setting_says_otherwise() -> None:
    assert SOURCE["encrypt_boot"] == "${local.settings.encrypted}"
    assert DESCRIPTION["settings"]["encrypted"] is True


def test_every_name_that_the_template_reads_is_in_the_description() -> None:
    assert set(re.findall(r"local\.settings\.(\w+)", TEXT)) <= set(DESCRIPTION["settings"])
    assert set(re.findall(r"local\.image\.(\w+)", TEXT)) <= set(DESCRIPTION)
    for distribution in DESCRIPTION["distributions"].values():
        assert set(re.findall(r"local\.chosen\.(\w+)", TEXT)) <= set(distribution)
    for architecture in DESCRIPTION["architectures"].values():
        assert set(re.findall(r"local\.machine\.(\w+)", TEXT)) <= set(architecture)


def test_the_template_lists_no_package_of_its_own() -> None:
    listed = {*DESCRIPTION["packages"], *DESCRIPTION["removed"]} - {"openssh-server", "unattended-upgrades"}
    assert {name for name in listed if f'"{name}"' in TEXT} == set()


def test_both_ways_run_the_same_programs_in_the_same_order() -> None:
    (last,) = [one for one in PROVISIONERS if "environment_vars" in one]
    programs = [
        word for line in last["inline"] for word in re.findall(r"\b(provision\.sh|clean\.sh|check\.py)\b", line)
    ]
    assert programs[2:] == ["provision.sh", "clean.sh", "check.py"]
    image = (AMI / "image.py").read_text(encoding="utf-8")
    given = {one.partition("=")[0] for one in last["environment_vars"]}
    assert given == {"WHENCE_PACKAGES", "WHENCE_REMOVED", "WHENCE_ENABLED"}
    assert image.index("/provision.sh") < image.index('"clean.sh"') < image.index("check(root)\n\n\ndef")
    assert PROVISIONERS[-1] == last


def test_what_writes_at_the_shutdown_after_the_check_is_stopped_before_it() -> None:
    clean = (AMI / "clean.sh").read_text(encoding="utf-8")
    stopped = clean[clean.index("for unit in") : clean.index("; do")].replace("\\\n", " ").split()
    assert {"systemd-random-seed.service", "chrony.service", "whence-agent.service", "docker.service"} <= set(stopped)
    assert clean.index("systemctl stop") < clean.index("var/lib/systemd/random-seed")


def test_a_finding_ends_the_build() -> None:
    (last,) = [one for one in PROVISIONERS if "environment_vars" in one]
    assert "sh -e" in last["execute_command"]
    assert last["inline"][-1] == "python3 -IS /run/check.py /"


def test_name_and_tags_are_those_of_an_image_made_here() -> None:
    (held,) = TEMPLATE["locals"]
    assert held["name"] == "${local.image.name}-${local.distribution}-${local.architecture}-${var.image_version}"
    assert set(held["tags"]) == {"Name", "Version", "CommitID", "BuildDate", "ExpirationTime"}
    made = (AMI / "image.py").read_text(encoding="utf-8")
    for tag in ("Version", "CommitID", "BuildDate", "ExpirationTime"):
        assert f'"{tag}"' in made
