"""What the boot would refuse for its form is refused offline, and what Taupage took is taken: by the same code."""

from __future__ import annotations

import base64
import gzip
import json
from contextlib import suppress
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from whence_agent.boot.container import in_order, log_driver
from whence_agent.boot.secrets import _ciphertext
from whence_agent.ports import SecretUnavailable
from whence_agent.settings import Settings
from whence_common.identity_document import InstanceIdentity
from whence_common.user_data import secret_references
from whence_common.user_data.judge import Judgement, UserData, judge
from whence_common.user_data.limits import Ulimit
from whence_common.user_data.masking import masked
from whence_common.user_data.platform import DEFAULT_SYSCTLS, PlatformRules
from whence_common.user_data.sysctl_bounds import out_of_range

RULES = PlatformRules(immutable=frozenset({"registry.example.org"}))
GOOD = """#taupage-ami-config
application_id: pay-api
application_version: "1.2"
runtime: Docker
source: registry.example.org/pay/api:1.2
"""
CIPHERTEXT = bytes(range(256)) * 2
ENCODED = base64.b64encode(CIPHERTEXT).decode()
KEY = "7b0c2f5e-4a0e-4f3b-9b59-0f6d1f2a3b4c"
SIDECAR = "source: registry.example.org/pay/proxy:3"


def judged(more: str, rules: PlatformRules = RULES) -> Judgement:
    return judge(gzip.compress((GOOD + more).encode()) if len(more) > 15_000 else (GOOD + more).encode(), rules)


def accepted(more: str, *warnings: str) -> UserData:
    judgement = judged(more)
    assert [problem.code for problem in judgement.problems] == list(warnings), judgement.problems
    assert judgement.user_data is not None
    return judgement.user_data


def codes(more: str, rules: PlatformRules = RULES) -> list[str]:
    judgement = judged(more, rules)
    found = [problem for problem in judgement.problems if problem.severity == "error"]
    assert (judgement.user_data is None) == bool(found)
    assert all(problem.fix and problem.line >= 5 for problem in found)
    return [problem.code for problem in found]


def asked_for(user_data: UserData) -> list[object]:
    """Return what the boot stage `secrets` asks AWS for: a ciphertext, or a name."""
    found: list[object] = []
    for value in user_data.options.environment.values():
        _, kind, rest = value.split(":", 2)
        found.append(_ciphertext(rest) if kind == "kms" else rest.partition("#")[0])
    return found


def folded(text: str) -> str:
    return "".join(f"      {text[place : place + 60]}\n" for place in range(0, len(text), 60))


@pytest.mark.parametrize(
    "value",
    [
        f"'aws:kms:{ENCODED}'\n",
        f"'aws:kms:{ENCODED}  '\n",
        f'"aws:kms:{ENCODED}\\n"\n',
        f"|\n      aws:kms:\n{folded(ENCODED)}",
        f">\n      aws:kms:\n{folded(ENCODED)}",
        f">-\n{folded('aws:kms:' + ENCODED)}",
        f"'aws:kms: {ENCODED}'\n",
    ],
)
def test_a_ciphertext_is_read_as_by_taupage_and_decrypted_whole(value: str) -> None:
    assert asked_for(accepted(f"environment:\n  A: {value}")) == [CIPHERTEXT]


def test_what_is_not_of_base64_is_passed_over_with_a_warning() -> None:
    assert asked_for(accepted(f"environment: {{A: 'aws:kms:<{ENCODED}>'}}\n", "secret-characters")) == [CIPHERTEXT]


def test_the_url_safe_alphabet_and_base64_of_base64_are_doubted() -> None:
    (problem,) = judged("environment: {A: 'aws:kms:AQID-_AQIDAQ=='}\n").problems
    assert (problem.code, problem.fix) == ("secret-characters", "write + for - and / for _")
    twice = base64.b64encode(ENCODED.encode()).decode()
    accepted(f"environment: {{A: 'aws:kms:{twice}'}}\n", "secret-encoded-twice")


@pytest.mark.parametrize(
    "value",
    [f"arn:aws:kms:eu-central-1:123456789012:key/{KEY}", "arn:aws:kms:eu-central-1:123456789012:alias/pay",
     f"arn:aws-cn:kms:cn-north-1:123456789012:key/{KEY}", "alias/pay", KEY, f"key/{KEY}", "mrk-" + "0" * 32,
     f" arn:aws:kms:eu-central-1:123456789012:key/{KEY}\\n"],
)  # fmt: skip
def test_a_key_in_place_of_a_ciphertext_is_refused_with_what_to_paste(value: str) -> None:
    (problem,) = judged(f'environment: {{A: "aws:kms:{value}"}}\n').problems
    assert (problem.severity, problem.code, problem.path) == ("error", "secret-is-a-key", "environment.A")
    assert "aws kms encrypt" in problem.fix
    assert KEY not in problem.message


@pytest.mark.parametrize(
    "value, code",
    [
        ("aws:kms:", "secret-empty"),
        ("aws:kms:!!!", "secret-empty"),
        ("aws:kms:AQICAHh", "secret-not-base64"),
        ("aws:kms:Äpfel", "secret-not-base64"),
        ("aws:kms:" + base64.b64encode(bytes(6145)).decode(), "secret-too-large"),
        ("aws:ssm:", "secret-name-malformed"),
        ("aws:ssm:/a/b c", "secret-name-malformed"),
        ("aws:ssm:a/b", "secret-name-malformed"),
        ("aws:ssm:/a//b", "secret-name-malformed"),
        ("aws:ssm:/" + "a" * 1012, "secret-name-malformed"),
        ("aws:ssm:" + "/a" * 16, "secret-name-malformed"),
        ("aws:ssm:arn:aws:kms:eu-central-1:123456789012:key/x", "secret-name-malformed"),
        ("aws:secretsmanager:", "secret-name-malformed"),
        ("aws:secretsmanager:#password", "secret-name-malformed"),
        ("aws:secretsmanager:pay db", "secret-name-malformed"),
        ("aws:secretsmanager:" + "a" * 513, "secret-name-malformed"),
        ("aws:secretsmanager:arn:aws:ssm:eu-central-1:123456789012:parameter/x", "secret-name-malformed"),
    ],
)
def test_a_reference_that_aws_would_refuse_is_refused_offline(value: str, code: str) -> None:
    assert codes(f"environment: {{A: '{value}'}}\n") == [code]
    assert codes(f"containers: {{a: {{{SIDECAR}, environment: {{A: '{value}'}}}}}}\n") == [code]
    assert codes(f"dockercfg: {{r.example.org: {{auth: '{value}'}}}}\n") == [code]


@pytest.mark.parametrize(
    "value, asked",
    [
        ("aws:kms:" + base64.b64encode(bytes(6144)).decode(), bytes(6144)),
        ("aws:ssm:name", "name"),
        ("aws:ssm:/pay/db.password:3", "/pay/db.password:3"),
        ("aws:ssm:/aws/service/ami-amazon-linux-latest/al2023", "/aws/service/ami-amazon-linux-latest/al2023"),
        ("aws:ssm:/aws/reference/secretsmanager/pay+db@1", "/aws/reference/secretsmanager/pay+db@1"),
        ("aws:ssm:arn:aws:ssm:eu-central-1:123456789012:parameter/pay/db",
         "arn:aws:ssm:eu-central-1:123456789012:parameter/pay/db"),
        ("aws:ssm:/pay/db \n", "/pay/db"),
        ("aws:secretsmanager:pay/db_1+=.@-x", "pay/db_1+=.@-x"),
        ("aws:secretsmanager:arn:aws:secretsmanager:eu-central-1:123456789012:secret:pay/db-AbCdEf",
         "arn:aws:secretsmanager:eu-central-1:123456789012:secret:pay/db-AbCdEf"),
    ],
)  # fmt: skip
def test_a_valid_reference_is_requested_unchanged(value: str, asked: object) -> None:
    assert asked_for(accepted(f"environment:\n  A: {json.dumps(value)}\n")) == [asked]


@pytest.mark.parametrize("value", ["aws:secretmanager:x", "AWS:KMS:AQID", " aws:kms:AQID", "aws:secrets-manager:x"])
def test_what_is_nearly_a_reference_is_warned_about(value: str) -> None:
    accepted(f"environment: {{A: '{value}'}}\n", "secret-reference-unknown")


def test_the_boot_stage_refuses_by_the_judges_own_words() -> None:
    for text in ("", "AQICAHh", f"arn:aws:kms:eu-central-1:123456789012:key/{KEY}"):
        with pytest.raises(secret_references.ReferenceInvalid) as judged_by:
            secret_references.ciphertext(text)
        with pytest.raises(SecretUnavailable) as booted:
            _ciphertext(text)
        assert (booted.value.code, booted.value.message) == (judged_by.value.code, judged_by.value.message)
        assert not booted.value.retryable


AUTH = base64.b64encode(b"robot:hunter2-is-long-enough-to-be-folded-over-lines-by-someone").decode()
DOCKER = {"auths": {"https://r.example.org/v1/": {"auth": AUTH, "email": "a@example.org"}}}


@pytest.mark.parametrize(
    "text",
    [
        f"dockercfg: {{r.example.org: {{auth: '{AUTH}'}}}}\n",
        f"dockercfg: {{auths: {{r.example.org: {{auth: '{AUTH}'}}}}}}\n",
        f"dockercfg:\n  r.example.org:\n    auth: >\n{folded(AUTH)}",
        f"dockercfg:\n  r.example.org:\n    auth: |\n{folded(AUTH)}",
        f"dockercfg:\n  r.example.org:\n    auth: '{AUTH} '\n",
        f"dockercfg: '{json.dumps(DOCKER)}'\n",
        f"dockercfg: '{json.dumps(DOCKER['auths'])}'\n",
        "dockercfg: |\n" + "".join(f"  {line}\n" for line in json.dumps(DOCKER, indent="\t").splitlines()),
        "dockercfg: >\n" + "".join(f"  {line}\n" for line in json.dumps(DOCKER, indent=2).splitlines()),
    ],
)
def test_a_login_is_accepted_in_each_of_dockers_forms(text: str) -> None:
    read = accepted(text)
    assert read.sign_in == {"r.example.org": {"auth": AUTH}}
    assert AUTH not in json.dumps(masked(read.document))


@pytest.mark.parametrize("helper", ["credHelpers: {r.example.org: ecr-login}", "credsStore: desktop"])
def test_a_credential_helper_is_named_with_what_to_write_instead(helper: str) -> None:
    (problem,) = judged(f"dockercfg: {{{helper}, auths: {{r.example.org: {{auth: '{AUTH}'}}}}}}\n").problems
    assert (problem.severity, problem.code, problem.line) == ("warning", "dockercfg-helper", 6)
    assert "write auths with auth" in problem.fix


def test_what_docker_leaves_for_a_credential_store_is_explained() -> None:
    (problem,) = judged("dockercfg: {auths: {r.example.org: {}}}\n").problems
    assert (problem.code, problem.path) == ("dockercfg-incomplete", "dockercfg.auths.r.example.org")
    assert "credential helper" in problem.fix


def test_a_sign_in_that_the_boot_could_not_read_is_left_out_with_a_warning() -> None:
    unprintable = base64.b64encode(b"a:b\x01").decode()
    assert accepted(f"dockercfg: {{r.example.org: {{auth: '{unprintable}'}}}}\n", "login-malformed").sign_in == {}
    assert codes("dockercfg: 'no JSON'\n") == ["mapping-expected"]
    assert codes("dockercfg: '{\"a\": [1}'\n") == ["mapping-expected"]


@pytest.mark.parametrize(
    "line, code",
    [
        ("hostname: " + ".".join(["a" * 31] * 2) + ".bc", "hostname-malformed"),
        ("hostname: " + "a" * 64, "hostname-malformed"),
        ("shm_size: 0.5b", "size-malformed"),
        ("memory: 6291455", "memory-too-small"),
        ("ulimits: {nofile: 1048577}", "ulimit-out-of-range"),
        ("ulimits: {nofile: -1}", "ulimit-out-of-range"),
        ("ulimits: {nofile: {soft: 4, hard: 1000}}", "ulimit-out-of-range"),
        ("ulimits: {data: 64}", "ulimit-out-of-range"),
        ("ulimits: {stack: 0}", "ulimit-out-of-range"),
        ("ulimits: {cpu: 0}", "ulimit-out-of-range"),
        ("ulimits: {memlock: 9999999999999999999}", "ulimit-out-of-range"),
        ("ulimits: {memlock: {soft: -1, hard: 5}}", "ulimit-malformed"),
        ("ulimits: {memlock: true}", "ulimit-malformed"),
        ("environment: {A: &long '" + "x" * 131070 + "'}", "environment-too-long"),
        ("environment: {A=B: x}", "environment-name"),
        ("environment: {'': x}", "environment-name"),
        ("command: [run, '" + "x" * 131072 + "']", "command-too-long"),
        ("ports: {80: 80}\ncontainers: {a: {" + SIDECAR + ", ports: {80: 81}}}", "port-twice"),
        ("ports: {7380: 80}", "port-taken"),
        ("ports: {2222: 80}\nssh_ports: [22, 2222]", "port-of-sshd"),
        ("networking: 'container:application'", "network-circle"),
        ("containers: {a: {" + SIDECAR + ", networking: 'container:a'}}", "network-circle"),
        ("containers: {application: {" + SIDECAR + "}}", "container-name-taken"),
        ("mounts: {/data: {}, /data/: {}}", "mount-path-twice"),
        ("mount_custom_log: true\nmounts: {/var/log: {}}", "mount-path-twice"),
        ("mount_var_log: true\nmounts: {/var/log-host/x: {}}", "mount-path-twice"),
        ("mount_certs: true\nmounts: {/etc/ssl/certs/own: {}}", "mount-path-twice"),
        ("mounts: {/meta/data: {}}", "mount-path-refused"),
        ("mounts: {/proc/x: {}}", "mount-path-refused"),
        ("mounts: {/sys/fs/cgroup: {}}", "mount-path-refused"),
        ("mounts: {/etc/hosts: {}}", "mount-path-refused"),
        ("mounts: {/" + "a" * 256 + ": {}}", "mount-path-malformed"),
        ("mounts: {" + "/a2345678" * 60 + ": {}}", "mount-path-malformed"),
        ("mounts: {/a: {partition: /dev/xvdf, options: ro}, /a/b: {}}", "mount-below-read-only"),
        ("mounts: {/a: {partition: /dev/xvdf, options: size=1g}}", "mount-option-of-another"),
        ("mounts: {/a: {partition: /dev/xvdf, filesystem: xfs, options: 'data=ordered'}}", "mount-option-of-another"),
        ("mounts: {/a: {partition: none, filesystem: tmpfs, options: nouuid}}", "mount-option-of-another"),
        ("mounts: {/a: {partition: /dev/xvdf, options: commit=often}}", "mount-option-refused"),
        ("volumes: {ebs: {/dev/nvme1n1: a}}", "device-malformed"),
        ("volumes: {ebs: {/dev/sdf: a, /dev/xvdf: b}}", "device-twice"),
        ("volumes: {raid: {/dev/md0: {level: 6, devices: [/dev/xvdf, /dev/xvdg, /dev/xvdh]}}}", "raid-devices"),
        ("volumes: {raid: {/dev/md0: {level: 1, devices: [/dev/xvdf, /dev/xvdg, /dev/xvdf]}}}", "device-twice"),
        ("volumes: {raid: {/dev/md0: {level: linear, devices: [/dev/xvdf, /dev/xvdg]}}}", "value-unknown"),
        ("sysctl: {vm.swappiness: 201}", "sysctl-out-of-range"),
        ("sysctl: {vm.overcommit_memory: 'yes'}", "sysctl-out-of-range"),
        ("sysctl: {net.ipv4.ip_local_port_range: 60000 1024}", "sysctl-out-of-range"),
        ("sysctl: {kernel.pid_max: 100}", "sysctl-out-of-range"),
        ("sysctl: {fs.file-max: 1_000_000}", "sysctl-out-of-range"),
        ("ssh_ports: [" + ", ".join(map(str, range(1, 258))) + "]", "list-too-long"),
        ("healthcheck: {type: elb, loadbalancer_name: a_b}", "load-balancer-name-malformed"),
        ("healthcheck: {type: elb, loadbalancer_name: " + "a" * 33 + "}", "load-balancer-name-malformed"),
        ("mint_bucket: a..b", "mint-bucket-malformed"),
        ("mint_bucket: 192.168.5.4", "mint-bucket-malformed"),
        ("deployment_id: 0x" + "f" * 4000, "yaml-scalar-broken"),
        ("environment: {A: 0x" + "f" * 4000 + "}", "yaml-scalar-broken"),
    ],
)  # fmt: skip
def test_what_the_tool_that_reads_it_refuses_is_refused_offline(line: str, code: str) -> None:
    rules = PlatformRules(
        immutable=RULES.immutable, own_ports=frozenset({7380}), sysctls=(*RULES.sysctls, "fs.nr_open")
    )
    assert code in codes(line + "\n", rules)


@pytest.mark.parametrize(
    "line, warning",
    [
        ("hostname: " + "a" * 63, None),
        ("memory: 6m", "memory-tight"),
        ("memory: 16m", None),
        ("hostname: pay_api.example.org.", None),
        ("environment: {'spring.datasource[0].url': x, 1A: y, a/b-c: z}", None),
        ("environment: {APPLICATION_ID: mine}", "environment-overwritten"),
        ("ports: {22: 22}", "port-of-sshd"),
        ("ports: {22: 22}\nssh_ports: [2222]", None),
        ("ports: {80: 80, 80/udp: 80}\ncontainers: {a: {" + SIDECAR + ", ports: {81: 80}}}", None),
        ("networking: host\nports: {80: 80}\ncontainers: {a: {" + SIDECAR + ", ports: {80: 80}}}", "host-network"),
        ("application_logrotate_rotate: 0", "log-rotate-least"),
        ("customlog_logrotate_rotate: 0\ncustomlog_logrotate_interval: yearly", None),
        ("mounts: {/a: {partition: /dev/xvdf, filesystem: xfs, options: 'noatime,nobarrier'}}", "mount-option-gone"),
        ("mounts: {/a: {partition: /dev/xvdf, options: 'noacl'}}", "mount-option-gone"),
        ("mounts: {/a: {partition: none, filesystem: tmpfs, options: 'size=50%,mode=1777,nr_inodes=1k'}}", None),
        ("volumes: {raid: {/dev/md0: {level: raid5, devices: [/dev/xvdf, /dev/xvdg]}}}", None),
        ("sysctl: {net.ipv4.tcp_rmem: 4096 87380 6291456, kernel.sem: '250 32000', vm.swappiness: 0x10}", None),
        ("mount_custom_log: true\nmounts: {/var/log/app: {}, /var/data: {}}", None),
        ("read_only: true\nmounts: {/tmp: {}}", None),
    ],
)  # fmt: skip
def test_values_that_the_tool_accepts_are_accepted(line: str, warning: str | None) -> None:
    found = [problem.code for problem in judged(line + "\n").problems if problem.code != "ports-not-published"]
    assert found == ([warning] if warning else [])


def test_recent_capabilities_are_accepted_with_a_warning() -> None:
    rules = PlatformRules(immutable=RULES.immutable, capabilities=frozenset({"BPF"}))
    assert [problem.code for problem in judged("capabilities_add: [BPF]\n", rules).problems] == ["capability-recent"]
    assert accepted("capabilities_drop: [BPF, CHOWN]\n").options.capabilities_drop == ("CHOWN",)


def test_limits_of_the_kernel_are_read_with_unlimited_ones() -> None:
    read = accepted("ulimits: {memlock: -1, core: unlimited, stack: {soft: 8388608, hard: -1}}\n")
    assert read.options.ulimits == (
        Ulimit(name="memlock", soft=-1, hard=-1),
        Ulimit(name="core", soft=-1, hard=-1),
        Ulimit(name="stack", soft=8388608, hard=-1),
    )


def test_nofile_may_be_as_high_as_fs_nr_open_is_set() -> None:
    rules = PlatformRules(immutable=RULES.immutable, sysctls=("fs.nr_open",))
    assert codes("ulimits: {nofile: 2000000}\nsysctl: {fs.nr_open: 2000000}\n", rules) == []
    assert codes("ulimits: {nofile: 2000001}\nsysctl: {fs.nr_open: 2000000}\n", rules) == ["ulimit-out-of-range"]


def test_an_environment_that_the_kernel_does_not_pass_on_is_refused() -> None:
    long = "x" * 100_000
    names = "".join(f"  A{number}: *long\n" for number in range(20))
    assert codes(f"environment:\n  A: &long {long}\n{names}") == ["environment-too-large"]
    few = "".join(f"  A{number}: *long\n" for number in range(15))
    assert codes(f"environment:\n  A: &long {long}\n{few}") == []
    small = "ulimits: {stack: 262144}\nenvironment:\n  A: &long " + long + "\n"
    assert codes(small) == ["environment-too-large"]


def test_raid_levels_are_read_by_each_of_mdadms_names() -> None:
    read = accepted(
        "volumes:\n  raid:\n    /dev/md0: {level: stripe, devices: [/dev/xvdf, /dev/xvdg]}\n"
        "    /dev/md1: {level: mirror, devices: [/dev/xvdh, /dev/xvdi]}\n"
        "    /dev/md2: {level: raid10, devices: [/dev/xvdj, /dev/xvdk]}\n"
    )
    assert [array.level for array in read.storage.arrays] == ["0", "1", "10"]


IDENTITY = InstanceIdentity(
    account_id="123456789012", region="eu-central-1", instance_id="i-0123456789abcdef0", image_id="ami-1",
    instance_type="t3.micro", availability_zone="eu-central-1a", architecture="x86_64", private_ip="10.0.0.1",
    pending_time=datetime(2026, 11, 26, tzinfo=UTC), digest="sha256:" + "0" * 64,
)  # fmt: skip


@pytest.mark.parametrize(
    "driver, options, expected",
    [
        ("json-file", {"max-size": "64m"}, {"max-size": "64m", "max-file": "1"}),
        (
            "json-file",
            {"max-size": "64m", "compress": "true"},
            {"max-size": "64m", "max-file": "1", "compress": "false"},
        ),
        ("local", {}, {"max-file": "1", "compress": "false"}),
        ("journald", {}, {}),
    ],
)
def test_zero_rotated_logs_become_one_log_of_the_engine_without_compression(
    driver: str, options: dict[str, str], expected: dict[str, str]
) -> None:
    plan = accepted("application_logrotate_rotate: 0\n", "log-rotate-least").logs
    settings = Settings(aggregator_url="https://whence.example.org", log_driver=driver, log_options=options)
    assert log_driver(plan, settings, IDENTITY).options == expected


def test_a_sidecar_starts_after_the_one_whose_network_it_shares() -> None:
    ways = {"a": "container:b", "b": "container:c", "c": "bridge", "d": "container:e", "e": "container:application"}
    lines = "".join(f"  {name}: {{{SIDECAR}, networking: '{way}'}}\n" for name, way in ways.items())
    before, after = in_order(accepted(f"containers:\n{lines}"))
    assert [one.name for one in before] == ["c", "b", "a"]
    assert [one.name for one in after] == ["e", "d"]


def test_an_application_id_that_is_long_is_cut_for_syslog() -> None:
    lines = "logging: {log_destination: rsyslog, rsyslog_host: log.example.org}\n"
    text = GOOD.replace("pay-api", "pay-" + "x" * 40) + lines
    user_data = judge(text.encode(), RULES).user_data
    assert user_data is not None
    assert user_data.logs.options["tag"] == "pay-" + "x" * 28


def test_what_this_machines_kernel_has_is_within_the_bounds_of_its_settings() -> None:
    root, seen = Path("/proc/sys"), 0
    for path in root.rglob("*"):
        name = str(path.relative_to(root)).replace("/", ".")
        if not path.is_file() or not any(fnmatchcase(name, pattern) for pattern in DEFAULT_SYSCTLS):
            continue
        with suppress(OSError):
            seen += 1
            assert out_of_range(name, path.read_text(encoding="ascii")) is None, name
    assert seen > 20
