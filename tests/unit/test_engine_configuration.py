"""A container's configuration means the same however an engine spells it, and each real change of it is another one."""

from __future__ import annotations

from typing import Any

import pytest

from whence_agent.adapters.engine_configuration import command_digest, configuration, health, health_checks


def inspected(host: dict[str, Any] | None = None, config: dict[str, Any] | None = None, **state: Any) -> dict[str, Any]:
    return {
        "Image": "sha256:1",
        "Config": {"Cmd": ["a", "b"], "Env": ["A=1", "B=2"], "Labels": {"x": "y"}, **(config or {})},
        "HostConfig": {"Memory": 67_108_864, "CapDrop": ["ALL"], "NetworkMode": "bridge", **(host or {})},
        "State": state,
    }


@pytest.mark.parametrize(
    "host",
    [
        {"Binds": None}, {"Binds": []}, {"Tmpfs": {}}, {"PidsLimit": 0}, {"PidsLimit": -1}, {"Privileged": False},
        {"NetworkMode": "default"}, {"NetworkMode": ""}, {"RestartPolicy": {"Name": "no", "MaximumRetryCount": 0}},
        {"RestartPolicy": {"Name": "", "MaximumRetryCount": 0}}, {"ShmSize": 67_108_864}, {"CpuShares": 1024},
        {"Annotations": {"a": "field of a newer engine"}}, {"MaskedPaths": ["/proc/new"]}, {"Runtime": "runc"},
        {"CapDrop": ["CAP_ALL"]}, {"OomKillDisable": None}, {"PortBindings": {"80/tcp": None}}, {"Init": None},
    ],
)  # fmt: skip
def test_a_default_that_an_engine_states_or_omits_is_not_a_change(host: dict[str, Any]) -> None:
    assert configuration(inspected(host)) == configuration(inspected())


def test_the_order_of_a_set_is_not_a_change() -> None:
    other = inspected(config={"Env": ["B=2", "A=1"]})
    assert configuration(other) == configuration(inspected())


@pytest.mark.parametrize(
    "name, value",
    [
        ("Memory", 134_217_728), ("MemorySwap", -1), ("NanoCpus", 500_000_000), ("PidsLimit", 7), ("CpuShares", 77),
        ("CpusetCpus", "0"), ("CapAdd", ["SYS_ADMIN"]), ("CapDrop", []), ("Privileged", True), ("PidMode", "host"),
        ("NetworkMode", "host"), ("Binds", ["/:/host:rw"]), ("SecurityOpt", ["seccomp=unconfined"]),
        ("Devices", [{"PathOnHost": "/dev/mem"}]), ("RestartPolicy", {"Name": "always"}), ("UsernsMode", "host"),
        ("PortBindings", {"80/tcp": [{"HostIp": "", "HostPort": "80"}]}), ("ReadonlyRootfs", True),
    ],
)  # fmt: skip
def test_a_real_change_is_one_and_is_named(name: str, value: object) -> None:
    changed = configuration(inspected({name: value})).items() ^ configuration(inspected()).items()
    assert {part for part, _ in changed} == {name}


def test_arguments_in_another_order_are_a_change() -> None:
    other = configuration(inspected(config={"Cmd": ["b", "a"]}))
    assert other["Cmd"] != configuration(inspected())["Cmd"]


def test_no_value_can_be_read_in_the_digests() -> None:
    digests = configuration(inspected(config={"Env": ["PASSWORD=hunter2hunter2"]}))
    assert all(len(digest) == 64 for digest in digests.values())


@pytest.mark.parametrize(
    "test, shell, words",
    [
        (["CMD", "/bin/check", "--all"], None, "/bin/check --all"),
        (["CMD-SHELL", "curl  -f\nlocalhost"], None, "/bin/sh -c curl -f localhost"),
        (["CMD-SHELL", "check"], ["/bin/bash", "-ec"], "/bin/bash -ec check"),
    ],
)
def test_the_command_of_a_check_is_that_of_its_events(test: list[str], shell: list[str] | None, words: str) -> None:
    checks = health_checks(inspected(config={"Healthcheck": {"Test": test}, "Shell": shell}))
    assert checks is not None
    assert (checks.command, checks.seconds_max, checks.log) == (command_digest(words), 30.0, ())


@pytest.mark.parametrize("check", [None, {}, {"Test": ["NONE"]}, {"Test": []}, {"Interval": 1}])
def test_an_image_without_a_health_check_has_no_checks(check: object) -> None:
    assert health_checks(inspected(config={"Healthcheck": check})) is None
    assert health(inspected()) == ""


def test_the_log_of_checks_is_read_in_any_zone_and_precision() -> None:
    log = [{"Start": "2026-11-26T08:54:01.592251693+01:00", "End": "2026-11-26T07:54:02Z"}, {"Start": "nonsense"}]
    state = {"Health": {"Status": "unhealthy", "Log": log}}
    checks = health_checks(inspected(config={"Healthcheck": {"Test": ["CMD", "x"], "Timeout": 2_000_000_000}}, **state))
    assert checks is not None
    assert checks.seconds_max == 2.0
    assert checks.log == ((1795679641.592251, 1795679642.0),)
    assert health(inspected(**state)) == "unhealthy"
