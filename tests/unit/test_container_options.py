"""Every option of user data in the engine's request: the whole body of `POST /containers/create`, without an engine."""

from __future__ import annotations

import copy
import dataclasses
import os
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from whence_agent.adapters.engine_client import EngineClient
from whence_agent.adapters.engine_create import create_document
from whence_agent.boot.container import PulledImage, Specifier, joined_networks, write_meta
from whence_agent.ports import ContainerSpec
from whence_agent.settings import Settings
from whence_common.identity_document import InstanceIdentity
from whence_common.statement import ImageFacts
from whence_common.user_data.judge import UserData, judge
from whence_common.user_data.options import CAPABILITIES, ContainerOptions
from whence_common.user_data.platform import PlatformRules

GOOD = """#taupage-ami-config
application_id: pay-api
application_version: "1.2"
runtime: Docker
source: registry.example.org/pay/api:1.2
"""
RULES = PlatformRules(
    immutable=frozenset({"registry.example.org"}), privileged=True, engine_socket=True, capabilities=CAPABILITIES
)
DIGEST = "sha256:" + "a" * 64
IMAGE = PulledImage(
    facts=ImageFacts(
        source="registry.example.org/pay/api:1.2", repository="registry.example.org/pay/api", digest=DIGEST
    ),
    image_id="sha256:" + "b" * 64,
)
IDENTITY = InstanceIdentity(
    account_id="123456789012", region="eu-central-1", instance_id="i-0123456789abcdef0", image_id="ami-1",
    instance_type="t3.micro", availability_zone="eu-central-1a", architecture="x86_64", private_ip="10.0.0.1",
    pending_time=datetime(2026, 11, 26, tzinfo=UTC), digest="sha256:" + "0" * 64,
)  # fmt: skip
SETTINGS = Settings(aggregator_url="https://whence.example.org")
META = "/var/lib/whence-agent/container:/meta:ro"


class NoEngine(EngineClient):
    """Reports a machine with two processors, without an engine."""

    def info(self) -> dict[str, Any]:
        return {"NCPU": 2}


ENGINE = NoEngine(base_url="unix:///nonexistent.sock", version="1.41", timeout=1.0)


def read(lines: str) -> UserData:
    judgement = judge((GOOD + lines).encode(), RULES)
    assert judgement.user_data is not None, judgement.problems
    return judgement.user_data


def specifier(lines: str, **settings: Any) -> Specifier:
    changed = Settings(aggregator_url="https://whence.example.org", **settings)
    return Specifier(settings=changed, gid=998, user_data=read(lines), identity=IDENTITY)


def specified(lines: str, **settings: Any) -> ContainerSpec:
    say = specifier(lines, **settings)
    return say.application(IMAGE, say.user_data.options.environment)


def sidecar(lines: str, **settings: Any) -> ContainerSpec:
    """Return the specification of the sidecar `proxy` with these options."""
    indented = "".join(f"    {line}\n" for line in lines.splitlines())
    say = specifier(f"containers:\n  proxy:\n    source: registry.example.org/pay/proxy:3\n{indented}", **settings)
    (one,) = say.user_data.sidecars
    return say.sidecar(one, IMAGE, one.options.environment)


def body(spec: ContainerSpec) -> dict[str, Any]:
    """Return the engine's request without the fingerprint, which is a digest of it."""
    document = create_document(ENGINE, spec)
    assert document.pop("Labels") == {"org.whence.fingerprint": spec.fingerprint}
    return document


PLAIN: dict[str, Any] = {
    "Image": f"registry.example.org/pay/api@{DIGEST}",
    "User": "999:998",
    "Env": ["APPLICATION_ID=pay-api", "APPLICATION_VERSION=1.2", "CREDENTIALS_DIR=/meta/credentials"],
    "ExposedPorts": {},
    "HostConfig": {
        "Binds": [META],
        "NetworkMode": "bridge",
        "PortBindings": {},
        "ReadonlyRootfs": False,
        "RestartPolicy": {"Name": "no"},
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "64m", "max-file": "4"}},
        "CapAdd": [],
        "CapDrop": [],
        "Privileged": False,
        "PidsLimit": 4096,
        "Ulimits": [],
        "SecurityOpt": ["no-new-privileges"],
    },
}
"""The request for user data without any option."""
GONE = object()
"""A member of `PLAIN` that the body does not have."""


def changed(changes: dict[str, Any], plain: dict[str, Any] = PLAIN) -> dict[str, Any]:
    """Return `PLAIN` with members of it, or of its HostConfig, set or removed."""
    document = copy.deepcopy(plain)
    for name, value in changes.items():
        holder = document if name in ("User", "Env", "ExposedPorts", "Cmd", "Hostname") else document["HostConfig"]
        if value is GONE:
            del holder[name]
        else:
            holder[name] = value
    return document


def gpus(count: int) -> dict[str, Any]:
    request = {"Driver": "", "Count": count, "DeviceIDs": None, "Capabilities": [["gpu"]], "Options": {}}
    return {"DeviceRequests": [request]}


def address(*ports: int) -> list[dict[str, str]]:
    return [{"HostIp": "0.0.0.0", "HostPort": str(port)} for port in ports]


NAMES = ["APPLICATION_ID=pay-api", "APPLICATION_VERSION=1.2"]
OPTIONS: list[tuple[str, dict[str, Any]]] = [
    ("", {}),
    # ports
    ("ports: {8080: 80}", {"ExposedPorts": {"80/tcp": {}}, "PortBindings": {"80/tcp": address(8080)}}),
    ("ports: {5353/udp: 53/udp}", {"ExposedPorts": {"53/udp": {}}, "PortBindings": {"53/udp": address(5353)}}),
    (
        "ports: {8080: 80, 8081: 80}",
        {"ExposedPorts": {"80/tcp": {}}, "PortBindings": {"80/tcp": address(8080, 8081)}},
    ),
    # networks: only a network of its own publishes
    ("networking: host", {"NetworkMode": "host", "PortBindings": GONE}),
    ("networking: none", {"NetworkMode": "none", "PortBindings": GONE}),
    ("networking: host\nports: {8080: 80}", {"NetworkMode": "host", "PortBindings": GONE}),
    ("networking: container:other", {"NetworkMode": "container:other", "PortBindings": GONE}),
    ("hostname: pay.example.org", {"Hostname": "pay.example.org"}),
    # who it runs as, and what it may
    ("user: '1000:1001'", {"User": "1000:1001"}),
    ("root: true", {"User": GONE}),
    ("privileged: true", {"Privileged": True, "SecurityOpt": GONE}),
    ("no_new_privileges: false", {"SecurityOpt": GONE}),
    ("no_new_privileges: true", {}),
    ("capabilities_add: [NET_BIND_SERVICE, chown]", {"CapAdd": ["NET_BIND_SERVICE", "CHOWN"]}),
    ("capabilities_drop: [ALL]", {"CapDrop": ["ALL"]}),
    ("capabilities_drop: [BPF, CHOWN]", {"CapDrop": ["CHOWN"]}),
    ("capabilities_add: [ALL]\ncapabilities_drop: [BPF]", {"CapAdd": ["ALL"], "CapDrop": ["BPF"]}),
    # what it runs
    ("command: [serve, --fast]", {"Cmd": ["serve", "--fast"]}),
    ("environment: {B: two, A: '1'}", {"Env": ["A=1", "B=two", *NAMES, "CREDENTIALS_DIR=/meta/credentials"]}),
    ("init: true", {"Init": True}),
    ("init: false", {"Init": False}),
    # what it sees of the machine
    ("read_only: true", {"ReadonlyRootfs": True, "Tmpfs": {"/tmp": "rw,nosuid,nodev"}}),
    (
        "read_only: true\nmounts: {/tmp: {partition: none, filesystem: tmpfs}}",
        {"ReadonlyRootfs": True, "Binds": ["/mounts/tmp:/tmp:rw", META]},
    ),
    (
        "mounts: {/data: {partition: /dev/xvdf}, /a: {partition: /dev/xvdg}}",
        {"Binds": ["/mounts/a:/a:rw", "/mounts/data:/data:rw", META]},
    ),
    ("mount_var_log: true", {"Binds": [META, "/var/log:/var/log-host:ro"]}),
    ("mount_custom_log: true", {"Binds": [META, "/var/log-custom:/var/log:rw"]}),
    ("mount_certs: true", {"Binds": [META, "/etc/ssl/certs:/etc/ssl/certs:ro"]}),
    ("docker_daemon_access: true", {"Binds": [META, "/run/docker.sock:/var/run/docker.sock:rw"]}),
    # what it may use
    ("shm_size: 128M", {"ShmSize": 134217728}),
    ("memory: 1.5g", {"Memory": 1610612736, "MemorySwap": 1610612736}),
    ("cpus: 1.5", {"NanoCpus": 1500000000}),
    ("cpus: 2", {"NanoCpus": 2000000000}),
    ("cpus: 3", {"NanoCpus": 2000000000}),
    ("pids_limit: 100", {"PidsLimit": 100}),
    (
        "ulimits: {nofile: 65536, core: {soft: 0, hard: 10}}",
        {"Ulimits": [{"Name": "nofile", "Soft": 65536, "Hard": 65536}, {"Name": "core", "Soft": 0, "Hard": 10}]},
    ),
    ("gpus: all", gpus(-1)),
    ("gpus: 2", gpus(2)),
    # its log
    (
        "application_logrotate_size: 10M\napplication_logrotate_rotate: 2",
        {"LogConfig": {"Type": "json-file", "Config": {"max-size": "10485760", "max-file": "2"}}},
    ),
    (
        "cloudwatch_logs: {/var/log/application.log: pay}",
        {"LogConfig": {"Type": "awslogs", "Config": {"awslogs-group": "pay", "awslogs-region": "eu-central-1",
                                                     "awslogs-stream": "i-0123456789abcdef0"}}},
    ),
    (
        "logging: {log_destination: rsyslog, rsyslog_host: log.example.org}",
        {"LogConfig": {"Type": "syslog", "Config": {"syslog-address": "tcp://log.example.org:514",
                                                    "syslog-format": "rfc5424", "tag": "pay-api"}}},
    ),
    (
        "logging: {log_destination: rsyslog, rsyslog_host: log.example.org}\nrsyslog_aws_metadata: true",
        {"LogConfig": {"Type": "syslog", "Config": {"syslog-address": "tcp://log.example.org:514",
                                                    "syslog-format": "rfc5424",
                                                    "tag": "pay-api/123456789012/eu-central-1"}}},
    ),
    ("stop_timeout: 90", {}),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "changes"), OPTIONS, ids=[lines or "nothing" for lines, _ in OPTIONS])
def test_each_option_of_user_data_is_in_the_engines_request(lines: str, changes: dict[str, Any]) -> None:
    assert body(specified(lines)) == changed(changes)


def test_every_option_is_tested() -> None:
    plain = ContainerOptions()
    tried = {
        field.name
        for lines, _ in OPTIONS
        for field in dataclasses.fields(ContainerOptions)
        if getattr(read(lines).options, field.name) != getattr(plain, field.name)
    }
    assert tried == {field.name for field in dataclasses.fields(ContainerOptions)}


BESIDE = [
    (lines, changes) for lines, changes in OPTIONS
    if not lines.startswith(("mounts", "application_log", "cloudwatch", "logging", "read_only: true\nmounts"))
]  # fmt: skip


@pytest.mark.parametrize(("lines", "changes"), BESIDE, ids=[lines or "nothing" for lines, _ in BESIDE])
def test_a_sidecar_has_the_same_options_without_credentials_and_disks(lines: str, changes: dict[str, Any]) -> None:
    plain = changed({"Binds": [], "Env": NAMES})
    without = {
        name: [one for one in value if one not in (META, "CREDENTIALS_DIR=/meta/credentials")]
        if name in ("Binds", "Env")
        else value
        for name, value in changes.items()
    }
    assert body(sidecar(lines)) == changed(without, plain)


# --- the platform's part


@pytest.mark.parametrize(
    ("settings", "changes"),
    [
        ({"application_uid": 1500}, {"User": "1500:998"}),
        ({"pids_max": 64}, {"PidsLimit": 64}),
        ({"container_directory": "/srv/c"}, {"Binds": ["/srv/c:/meta:ro"]}),
        (
            {"tokeninfo_url": "https://tokeninfo.example.org"},
            {"Env": ["TOKENINFO_URL=https://tokeninfo.example.org", *NAMES, "CREDENTIALS_DIR=/meta/credentials"]},
        ),
        (
            {"log_driver": "journald", "log_options": {"tag": "x"}},
            {"LogConfig": {"Type": "journald", "Config": {"tag": "x"}}},
        ),
    ],
)
def test_the_platform_sets_what_user_data_omits(settings: dict[str, Any], changes: dict[str, Any]) -> None:
    assert body(specified("", **settings)) == changed(changes)


@pytest.mark.parametrize(
    ("lines", "settings", "changes"),
    [
        ("user: '1000:1000'", {"application_uid": 1500}, {"User": "1000:1000"}),
        ("pids_limit: 100", {"pids_max": 64}, {"PidsLimit": 100}),
        (
            "ports: {8080: 80}",
            {"publish_address": "10.0.0.1"},
            {"ExposedPorts": {"80/tcp": {}},
             "PortBindings": {"80/tcp": [{"HostIp": "10.0.0.1", "HostPort": "8080"}]}},
        ),
        (
            "mounts: {/data: {partition: /dev/xvdf}}",
            {"mounts_directory": "/srv/m"},
            {"Binds": ["/srv/m/data:/data:rw", META]},
        ),
        (
            "docker_daemon_access: true",
            {"engine_socket": "unix:///run/podman/podman.sock"},
            {"Binds": [META, "/run/podman/podman.sock:/var/run/docker.sock:rw"]},
        ),
        (
            "environment: {TOKENINFO_URL: mine}",
            {"tokeninfo_url": "https://tokeninfo.example.org"},
            {"Env": ["TOKENINFO_URL=mine", *NAMES, "CREDENTIALS_DIR=/meta/credentials"]},
        ),
    ],
)  # fmt: skip
def test_the_rest_is_set_by_user_data_and_platform_together(
    lines: str, settings: dict[str, Any], changes: dict[str, Any]
) -> None:
    assert body(specified(lines, **settings)) == changed(changes)


def test_no_variable_of_user_data_replaces_the_agents_own() -> None:
    lines = "environment: {APPLICATION_ID: other, APPLICATION_VERSION: '9', CREDENTIALS_DIR: /etc}"
    assert sorted(body(specified(lines))["Env"]) == sorted([*NAMES, "CREDENTIALS_DIR=/meta/credentials"])
    assert body(sidecar("environment: {APPLICATION_ID: other}"))["Env"] == NAMES


# --- names, networks, fingerprints


def test_containers_have_the_platforms_names_and_the_stop_timeout_of_user_data() -> None:
    assert (specified("").name, specified("").stop_seconds) == ("taupageapp", 30)
    assert (specified("stop_timeout: 0").stop_seconds, specified("stop_timeout: 90").stop_seconds) == (0, 90)
    assert specified("", container_name="app").name == "app"
    assert (sidecar("").name, sidecar("", container_name="app").name) == ("taupageapp-proxy", "app-proxy")
    assert specified("").image_id == "sha256:" + "b" * 64


TWO = """networking: container:proxy
containers:
  proxy: {source: registry.example.org/pay/proxy:3}
  tail: {source: registry.example.org/pay/tail:1, networking: container:application}
"""


def test_a_shared_network_is_named_by_the_containers_real_names() -> None:
    say = specifier(TWO)
    proxy, tail = sorted(say.user_data.sidecars, key=lambda one: one.name)
    assert body(say.application(IMAGE, {}))["HostConfig"]["NetworkMode"] == "container:taupageapp-proxy"
    assert body(say.sidecar(tail, IMAGE, {}))["HostConfig"]["NetworkMode"] == "container:taupageapp"
    assert body(say.sidecar(proxy, IMAGE, {}))["HostConfig"]["NetworkMode"] == "bridge"
    assert joined_networks(say.user_data, SETTINGS) == {
        "taupageapp": "taupageapp-proxy",
        "taupageapp-tail": "taupageapp",
    }
    assert joined_networks(read("networking: container:other"), SETTINGS) == {"taupageapp": "other"}
    assert joined_networks(read(""), SETTINGS) == {}


def test_the_same_inputs_have_the_same_fingerprint_and_any_other_input_another() -> None:
    assert (
        specified("environment: {A: '1', B: '2'}").fingerprint == specified("environment: {B: '2', A: '1'}").fingerprint
    )
    prints = [specified(lines).fingerprint for lines, _ in OPTIONS if lines != "no_new_privileges: true"]
    assert len(set(prints)) == len(prints)


def test_a_secret_changes_the_fingerprint_and_cannot_be_read_from_it() -> None:
    say = specifier("")
    one, other = (say.application(IMAGE, {"PASSWORD": value}) for value in ("s3cret", "s3cret2"))
    assert one.fingerprint != other.fingerprint
    assert len(one.fingerprint) == 64
    assert "s3cret" not in repr(one)


def test_cpus_are_unchanged_if_the_engine_does_not_report_its_number() -> None:
    class Silent(NoEngine):
        def info(self) -> dict[str, Any]:
            return {"NCPU": None}

    silent = Silent(base_url="unix:///nonexistent.sock", version="1.41", timeout=1.0)
    assert create_document(silent, specified("cpus: 64"))["HostConfig"]["NanoCpus"] == 64_000_000_000


# --- /meta


@pytest.mark.parametrize(("lines", "file_mode", "directory_mode"), [("", 0o440, 0o750), ("root: true", 0o444, 0o755)])
def test_the_applications_copy_of_user_data_lacks_the_platforms_secrets(
    tmp_path: Path, lines: str, file_mode: int, directory_mode: int
) -> None:
    secrets = (
        "logsink_username: u\nlogsink_password: p\ninstance_logs_url: https://logs.example.org\nenvironment: {A: b}\n"
    )
    place = tmp_path / "container"
    write_meta(place, read(f"{secrets}{lines}\n"), gid=os.getgid())
    written = yaml.safe_load((place / "taupage.yaml").read_bytes())
    assert {**written, "root": True} == {
        "application_id": "pay-api", "application_version": "1.2", "runtime": "Docker",
        "source": "registry.example.org/pay/api:1.2", "environment": {"A": "b"}, "root": True,
    }  # fmt: skip
    assert stat.S_IMODE((place / "taupage.yaml").stat().st_mode) == file_mode
    assert stat.S_IMODE(place.stat().st_mode) == directory_mode
    assert list((place / "credentials").iterdir()) == []


def test_existing_credentials_are_kept(tmp_path: Path) -> None:
    write_meta(tmp_path, read(""), gid=os.getgid())
    (tmp_path / "credentials" / "user.json").write_text("{}", encoding="ascii")
    write_meta(tmp_path, read(""), gid=os.getgid())
    assert [one.name for one in (tmp_path / "credentials").iterdir()] == ["user.json"]
