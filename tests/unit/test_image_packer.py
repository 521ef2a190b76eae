"""Packer's template says the same as image.py, since both read image.yaml and run the same programs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import hcl2
import yaml

from landscape.whole import ROOT
from whence_common.scm_source import KEYS

AMI = ROOT / "packaging/ami"
sys.path.insert(0, str(AMI))
from root_statement import STATED_FILES  # noqa: E402 - packaging/ami is a folder of programs, no package

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


(LAST,) = [one for one in PROVISIONERS if "environment_vars" in one]
FILES = [one["file"] for one in TEMPLATE["build"][0]["provisioner"] if "file" in one]
LINES = [re.sub(r"\\\\(.)", r"\\\1", line).replace('\\"', '"') for line in LAST["inline"]]
"""The commands of the build as the shell reads them: HCL has a backslash and a quote after one."""


def test_both_ways_run_the_same_programs_in_the_same_order() -> None:
    run = [
        word
        for line in LINES
        for word in re.findall(r"\b(provision\.sh|origins$|clean\.sh|check\.py|statement)\b", line)
    ]
    ended = [one for one in run if one != "check.py" or run.index(one) > 0]
    assert ended[-5:] == ["provision.sh", "origins", "clean.sh", "check.py", "statement"]
    image = (AMI / "image.py").read_text(encoding="utf-8")
    given = {one.partition("=")[0] for one in LAST["environment_vars"]}
    assert given == {"WHENCE_PACKAGES", "WHENCE_REMOVED", "WHENCE_ENABLED"}
    places = [image.index(one) for one in ("/provision.sh", "write_origins(root", '"clean.sh"', "check(root)\n\n\ndef")]
    assert places == sorted(places)
    assert PROVISIONERS[-1] == LAST


def test_what_writes_at_the_shutdown_after_the_check_is_stopped_before_it() -> None:
    clean = (AMI / "clean.sh").read_text(encoding="utf-8")
    stopped = clean[clean.index("for unit in") : clean.index("; do")].replace("\\\n", " ").split()
    assert {"systemd-random-seed.service", "chrony.service", "whence-agent.service", "docker.service"} <= set(stopped)
    assert clean.index("systemctl stop") < clean.index("var/lib/systemd/random-seed")


def test_a_finding_ends_the_build_before_anything_is_stated() -> None:
    assert "sh -e" in LAST["execute_command"]
    assert LINES[-2:] == [
        "python3 -IS /run/whence-image/check.py /",
        "sh /run/whence-image/state.sh /run/whence-image statement '${local.name}' '${var.builder_id}'",
    ]


def test_what_states_the_image_is_copied_with_all_that_it_imports_and_its_files_are_downloaded_last() -> None:
    copied = {Path(one).name for one in FILES[0]["sources"]}
    (kept,) = [line.split()[1:-1] for line in LINES if line.startswith("cp clean.sh")]
    assert {*kept} - {"scm-source.json"} <= copied
    own = {path.stem for path in AMI.glob("*.py")}
    for name in [one for one in kept if one.startswith("root_") or one == "sbom.py"]:
        imported = re.findall(r"^from (\w+)", (AMI / name).read_text(encoding="utf-8"), re.MULTILINE)
        assert {f"{one}.py" for one in imported if one in own} <= {*kept}, name
    assert FILES[-1]["direction"] == "download"
    assert [Path(one).name for one in FILES[-1]["sources"]] == list(STATED_FILES)
    assert "file" in TEMPLATE["build"][0]["provisioner"][-1]


def test_the_source_of_the_build_is_written_as_scm_source_json() -> None:
    (written,) = [one for one in FILES if "content" in one]
    for key in KEYS:
        assert f"{key} = " in written["content"]


def test_the_copy_of_scp_runs_with_the_libraries_that_it_had(tmp_path: Path) -> None:
    """The package that has scp may go while the image is made; here, cat stands for it."""
    commands = [line for line in LINES if "/usr/games" in line and not line.startswith("mount")]
    assert len(commands) == 5
    script = "\n".join(commands).replace("/usr/games", str(tmp_path)).replace("/usr/bin/scp", "/usr/bin/cat")
    subprocess.run(["sh", "-e"], input=script, text=True, check=True)
    (tmp_path / "a b").write_text("copied")
    assert subprocess.run([tmp_path / "scp", tmp_path / "a b"], capture_output=True, check=True).stdout == b"copied"
    assert any(path.name.startswith("libc.so") for path in (tmp_path / "lib").iterdir())


def test_name_and_tags_are_those_of_an_image_made_here() -> None:
    (held,) = TEMPLATE["locals"]
    assert held["name"] == "${local.image.name}-${local.distribution}-${local.architecture}-${var.image_version}"
    assert set(held["tags"]) == {"Name", "Version", "CommitID", "BuildDate", "ExpirationTime"}
    made = (AMI / "image.py").read_text(encoding="utf-8")
    for tag in ("Version", "CommitID", "BuildDate", "ExpirationTime"):
        assert f'"{tag}"' in made
