"""The whole Taupage schema: each key read as it was meant, or refused with what to write instead."""

from __future__ import annotations

import base64
from dataclasses import replace
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whence_common.user_data.judge import Judgement, UserData, judge
from whence_common.user_data.keys import KEYS, TOP_KEYS
from whence_common.user_data.lifecycle import LifecycleHooks, LoadBalancer, StackResource
from whence_common.user_data.limits import Ulimit
from whence_common.user_data.platform import PlatformRules, effective
from whence_common.user_data.storage import Mount, RaidArray

RULES = PlatformRules(immutable=frozenset({"registry.example.org"}))
OFFLINE = PlatformRules(platform_known=False)
GENEROUS = replace(
    RULES, privileged=True, engine_socket=True, capabilities=frozenset({"NET_ADMIN"}), sysctls=("kernel.*", "vm.*")
)
GOOD = """#taupage-ami-config
application_id: pay-api
application_version: "1.2"
runtime: Docker
source: registry.example.org/pay/api:1.2
"""
TARGET_GROUP = "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/pay/0123456789abcdef"


def judged(more: str, rules: PlatformRules = RULES) -> Judgement:
    return judge((GOOD + more).encode(), rules)


def accepted(more: str, rules: PlatformRules = RULES, *, warnings: tuple[str, ...] = ()) -> UserData:
    judgement = judged(more, rules)
    assert [problem.code for problem in judgement.problems] == list(warnings), judgement.problems
    assert judgement.user_data is not None
    return judgement.user_data


def codes(more: str, rules: PlatformRules = RULES, *, severity: str = "error") -> list[str]:
    return [problem.code for problem in judged(more, rules).problems if problem.severity == severity]


def test_every_option_of_a_container_is_read() -> None:
    options = accepted(
        "hostname: pay.example.org\nnetworking: host\nread_only: true\nshm_size: 128M\nmemory: 1.5g\ncpus: 1.5\n"
        "pids_limit: 100\nulimits: {nofile: 65536, core: {soft: 0, hard: 10}}\ninit: false\nno_new_privileges: false\n"
        "stop_timeout: 90\ngpus: all\nuser: '1000:1000'\ncommand: [serve, --fast]\ncapabilities_add: [NET_BIND_SERVICE]\n"
        "capabilities_drop: [ALL]\nmount_var_log: true\nmount_custom_log: true\nmount_certs: true\n",
        warnings=("host-network",),
    ).options
    assert (options.hostname, options.networking, options.read_only) == ("pay.example.org", "host", True)
    assert (options.shm_bytes, options.memory_bytes, options.cpus) == (134217728, 1610612736, 1.5)
    assert (options.pids_max, options.stop_seconds, options.gpus, options.user) == (100, 90, "all", "1000:1000")
    assert options.ulimits == (Ulimit(name="nofile", soft=65536, hard=65536), Ulimit(name="core", soft=0, hard=10))
    assert (options.init, options.no_new_privileges) == (False, False)
    assert options.command == ("serve", "--fast")
    assert (options.capabilities_add, options.capabilities_drop) == (("NET_BIND_SERVICE",), ("ALL",))
    assert options.mount_var_log
    assert options.mount_custom_log
    assert options.mount_certs


def test_disks_are_read_as_stock_meant_them() -> None:
    storage = accepted(
        "volumes:\n  ebs: {/dev/sdf: pay-data, /dev/sdg: 'pay-${local_ipv4}'}\n"
        "  raid: {/dev/md/data: {level: 1, devices: [/dev/xvdh, /dev/xvdi]}}\n"
        "mounts:\n  /data: {partition: /dev/xvdf, filesystem: xfs, options: 'noatime, nodiratime', erase_on_boot: false}\n"
        "  /scratch: {partition: none, filesystem: tmpfs, options: size=64m}\n  /plain:\n",
        warnings=("text-unquoted-number",),
    ).storage
    assert storage.volumes == (("/dev/sdf", "pay-data"), ("/dev/sdg", "pay-${local_ipv4}"))
    assert storage.arrays == (RaidArray(device="/dev/md/data", level="1", devices=("/dev/xvdh", "/dev/xvdi")),)
    assert storage.mounts == (
        Mount(path="/data", device="/dev/xvdf", file_system="xfs", options=("noatime", "nodiratime"), erase=False),
        Mount(path="/plain", device=None, file_system="ext4", options=(), erase=None),
        Mount(path="/scratch", device="none", file_system="tmpfs", options=("size=64m",), erase=None),
    )


def test_every_recipient_of_the_boots_outcome_is_read() -> None:
    read = accepted(
        "notify_cfn: {stack: pay-1, resource: AppServer}\nlifecycle_hook: {group: pay, launching: up, terminating: down}\n"
        f"healthcheck: {{type: alb, target_group_arn: '{TARGET_GROUP}'}}\nshutdown: on-success\non_failure: terminate\n"
        "start: false\n"
    )
    assert read.stack_resource == StackResource(stack="pay-1", resource="AppServer")
    assert read.lifecycle_hooks == LifecycleHooks(group="pay", launching="up", terminating="down")
    assert read.load_balancer == LoadBalancer(kind="target-group", name=TARGET_GROUP)
    assert (read.shutdown, read.on_failure, read.start) == ("on-success", "terminate", False)


def test_a_refused_document_still_names_the_recipients_of_the_outcome() -> None:
    judgement = judged("notify_cfn: {stack: pay-1, resource: AppServer}\non_failure: unhealthy\nports: [1]\n")
    assert judgement.user_data is None
    assert judgement.announcement.stack_resource == StackResource(stack="pay-1", resource="AppServer")
    assert judgement.announcement.on_failure == "unhealthy"


def test_the_host_and_its_logs_are_read() -> None:
    read = accepted(
        "sysctl: {vm.max_map_count: 262144, net.ipv4.tcp_rmem: 4096 87380 16777216}\n"
        "sysfs: {/sys/kernel/mm/transparent_hugepage/enabled: never}\nssh_ports: [22, 2222]\nkeep_instance_users: true\n"
        "logging: {applog_destination: rsyslog, rsyslog_host: logs.example.org, rsyslog_port: 1514, rsyslog_protocol: udp}\n"
        "rsyslog_aws_metadata: true\nenhanced_cloudwatch_metrics: true\ncustomlog_logrotate_interval: hourly\n"
    )
    assert read.host.sysctl == {"vm.max_map_count": "262144", "net.ipv4.tcp_rmem": "4096 87380 16777216"}
    assert (read.host.huge_pages, read.host.ssh_ports, read.host.keep_instance_users) == ("never", (22, 2222), True)
    assert read.host.custom_logs is not None
    assert read.logs.driver == "syslog"
    assert read.logs.options["syslog-address"] == "udp://logs.example.org:1514"
    assert (read.logs.options["tag"], read.logs.aws_metadata) == ("pay-api", True)
    assert read.cloudwatch_metrics


def test_sidecars_have_the_options_of_the_application() -> None:
    (sidecar,) = accepted(
        "containers:\n  proxy:\n    source: registry.example.org/pay/proxy:3\n    environment: {A: b}\n    memory: 64m\n"
    ).sidecars
    assert (sidecar.name, str(sidecar.source)) == ("proxy", "registry.example.org/pay/proxy:3")
    assert (sidecar.options.environment, sidecar.options.memory_bytes) == ({"A": "b"}, 67108864)


def test_the_hosts_network_is_warned_about_and_refused_where_the_platform_forbids_it() -> None:
    sidecar = "containers: {proxy: {source: 'registry.example.org/pay/proxy:3', networking: host}}"
    for more in ("networking: host", sidecar):
        assert codes(more, severity="warning") == ["host-network"]
        assert codes(more) == []
        assert codes(more, replace(RULES, host_network=False)) == ["host-network-not-allowed"]
        assert codes(more, replace(RULES, host_network=False, platform_known=False)) == []
    assert codes("", replace(RULES, host_network=False, defaults={"networking": "host"})) == [
        "host-network-not-allowed"
    ]


def test_a_container_that_may_have_the_hosts_network_lends_it_only_where_that_is_allowed() -> None:
    forbidden = replace(RULES, host_network=False)
    proxy = "containers: {proxy: {source: 'registry.example.org/pay/proxy:3', networking: 'container:%s'}}"
    assert codes("networking: 'container:datadog'") == []
    assert codes("networking: 'container:datadog'", forbidden) == ["foreign-network-not-allowed"]
    assert codes(proxy % "datadog", forbidden) == ["foreign-network-not-allowed"]
    assert codes(proxy % "application", forbidden) == []
    assert codes("networking: 'container:proxy'\n" + proxy.replace(", networking: 'container:%s'", ""), forbidden) == []


def test_credentials_and_sign_in_are_read() -> None:
    auth = base64.b64encode(b"robot:hunter2").decode()
    read = accepted(
        f"mint_bucket: org-stups-mint-1\ntokens: {{pay: [uid, pay.read]}}\ndockercfg: {{'https://r.example.org/v1/': {{auth: {auth}}}}}\n"
        "encryption_context: {application: pay-api}\n"
    )
    assert read.tokens == {"pay": ("uid", "pay.read")}
    assert read.sign_in == {"r.example.org": {"auth": auth}}
    assert read.encryption_context == {"application": "pay-api"}
    assert "hunter2" not in repr(read)
    assert auth not in repr(read)


@pytest.mark.parametrize(
    "line, code",
    [
        ("networking: overlay", "networking-unknown"),
        ("networking: 'container:a b'", "networking-unknown"),
        ("networking: 'container:x'\nports: {1: 1}", "ports-without-network"),
        ("networking: 'container:x'\nhostname: a", "hostname-without-network"),
        ("hostname: a b", "hostname-malformed"),
        ("shm_size: many", "size-malformed"),
        ("shm_size: -1", "size-malformed"),
        ("memory: 1k", "memory-too-small"),
        ("cpus: .inf", "cpus-malformed"),
        ("cpus: 0", "cpus-malformed"),
        ("gpus: none", "integer-expected"),
        ("pids_limit: 0", "number-out-of-range"),
        ("user: '0:1000'", "user-malformed"),
        ("user: '1000:0'", "user-malformed"),
        ("user: app", "user-malformed"),
        ("user: '1:1'\nroot: true", "user-and-root"),
        ("ulimits: {files: 1}", "ulimit-unknown"),
        ("ulimits: {nofile: {soft: 5, hard: 1}}", "ulimit-malformed"),
        ("capabilities_add: [NET_ADMN]", "capability-unknown"),
        ("capabilities_add: [SYS_ADMIN]", "capability-not-allowed"),
        ("capabilities_add: [ALL]", "capability-not-allowed"),
        ("privileged: true", "not-allowed"),
        ("docker_daemon_access: true", "not-allowed"),
        ("command: serve", "list-expected"),
        ("volumes: {ebs: {sdf: a}}", "device-malformed"),
        ("volumes: {ebs: {/dev/../etc/x: a}}", "device-malformed"),
        ("volumes: {ebs: {/dev/sdf: a, /dev/sdg: a}}", "volume-twice"),
        ("volumes: {ebs: [a]}", "mapping-expected"),
        ("volumes: {raid: {/dev/md0: {level: '1', devices: [/dev/xvda]}}}", "raid-devices"),
        ("volumes: {raid: {/dev/md0: {level: '7', devices: [/dev/xvda, /dev/xvdb]}}}", "value-unknown"),
        ("volumes: {raid: {/dev/md0: {devices: [/dev/xvda, /dev/xvdb]}}}", "key-missing"),
        ("volumes: {raid: {/etc/passwd: {level: '1', devices: [/dev/xvda, /dev/xvdb]}}}", "device-malformed"),
        ("mounts: {data: {partition: /dev/xvdf}}", "mount-path-malformed"),
        ("mounts: {/a/../b: {partition: /dev/xvdf}}", "mount-path-malformed"),
        ("mounts: {/meta: {partition: /dev/xvdf}}", "mount-path-refused"),
        ("mounts: {/data: {partition: /etc/shadow}}", "device-malformed"),
        ("mounts: {/data: {partition: /dev/xvdf, filesystem: ext4 -F}}", "value-unknown"),
        ("mounts: {/data: {partition: /dev/xvdf, options: suid}}", "mount-option-refused"),
        ("mounts: {/data: {partition: /dev/xvdf, options: 'x; rm -rf /'}}", "mount-option-refused"),
        ("mounts: {/data: {partition: /dev/xvdf, erase_on_boot: 'true'}}", "flag-expected"),
        ("mounts: {/a: {partition: /dev/sdf}, /b: {partition: /dev/xvdf}}", "device-twice"),
        ("notify_cfn: stack", "mapping-expected"),
        ("lifecycle_hook: {group: a}", "lifecycle-hook-incomplete"),
        ("lifecycle_hook: {group: a, launching: 'x y'}", "name-malformed"),
        ("healthcheck: {type: elb}", "load-balancer-name-missing"),
        ("healthcheck: {type: alb, target_group_arn: nonsense}", "target-group-malformed"),
        ("healthcheck: {type: http}", "value-unknown"),
        ("shutdown: sometimes", "value-unknown"),
        ("on_failure: reboot", "value-unknown"),
        ("start: 'false'", "flag-expected"),
        ("sysctl: {kernel.modules_disabled: 1}", "sysctl-not-allowed"),
        ("sysctl: {'vm.swappiness; id': 1}", "sysctl-malformed"),
        ("sysctl: {../../etc/passwd: 1}", "sysctl-malformed"),
        ("sysctl: {vm.swappiness: [1]}", "sysctl-value-malformed"),
        ("sysfs: {/sys/kernel/mm/transparent_hugepage/enabled: sometimes}", "value-unknown"),
        ("ssh_ports: [0]", "number-out-of-range"),
        ("logging: {log_destination: carrier-pigeon}", "value-unknown"),
        ("containers: {A: {source: registry.example.org/a/b:1}}", "container-name-malformed"),
        ("containers: {a: {source: registry.example.org/a/b:latest}}", "image-tag-mutable"),
        ("containers: {a: {privileged: true, source: registry.example.org/a/b:1}}", "not-allowed"),
        ("containers: {a: {}}", "key-missing"),
        ("containers: [a]", "mapping-expected"),
        ("tokens: {a: [uid]}", "tokens-without-mint"),
        ("mint_bucket: b-1\ntokens: {a: uid}", "list-expected"),
        ("mint_bucket: b-1\ntokens: {../../x: [uid]}", "token-name-malformed"),
        ("mint_bucket: s3://bucket", "mint-bucket-malformed"),
        ("dockercfg: text", "mapping-expected"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_with_a_fix(line: str, code: str) -> None:
    problems = [problem for problem in judged(line + "\n").problems if problem.severity == "error"]
    assert code in [problem.code for problem in problems]
    assert all(problem.fix and problem.line >= 5 for problem in problems)


@pytest.mark.parametrize(
    "line, code",
    [
        ("notify_cfn: {stack: a}", "notify-cfn-incomplete"),
        ("notify_cfn: {stack: 'a b', resource: X}", "stack-malformed"),
        ("notify_cfn: {stack: a, resource: a-b}", "resource-malformed"),
        ("logging: {log_destination: rsyslog}", "rsyslog-host-missing"),
        ("cloudwatch_logs: {/var/log/application.log: 'a b'}", "log-group-malformed"),
        ("dockercfg: {r.example.org: {auth: foo1234}}", "dockercfg-auth-malformed"),
        ("dockercfg: {r.example.org: {username: a}}", "dockercfg-incomplete"),
        ("networking: none\nports: {80: 80}", "ports-not-published"),
        ("capabilities_drop: [CAP_MKNOD]", "capability-prefix"),
        ("keep_instance_users: 'true'", "flag-quoted"),
        ("health_check_timeout_seconds: 7200", "health-check-capped"),
        ("enhanced_cloudwatch_metrics: 'false'", "flag-quoted"),
        ("logging: {fluentd_enabled: true}", "key-retired"),
        ("logging: {log_destination: s3}", "log-destination-mapped"),
        ("logging: {fluentd_enable: true}", "key-unknown"),
        ("cloudwatch_logs: {/var/log/syslog: group}", "log-file-not-shipped"),
        ("sysfs: {/sys/kernel/x: 1}", "sysfs-skipped"),
        ("tokeninfo_url: https://example.org", "key-of-platform"),
        ("scalyr_account_key: 12345", "key-retired"),
        ("mounts: {/m: {partition: /dev/xvdf, filesystem: tmpfs}}", "mount-tmpfs-device"),
        ("use_iid_auth: true", "key-unknown"),
    ],
)
def test_a_value_that_is_changed_on_reading_is_reported(line: str, code: str) -> None:
    accepted(line + "\n", warnings=(code,))


@pytest.mark.parametrize("name", [name for name in TOP_KEYS if not TOP_KEYS[name].required])
def test_null_means_absent_for_every_key(name: str) -> None:
    accepted(f"{name}: null\n")


@pytest.mark.parametrize(
    "line", ["privileged: true", "docker_daemon_access: true", "capabilities_add: [NET_ADMIN]", "sysctl: {kernel.x: 1}"]
)
def test_what_the_platform_decides_is_refused_granted_or_doubted(line: str) -> None:
    assert len(codes(line)) == 1
    assert codes(line, GENEROUS) == []
    assert codes(line, OFFLINE) == []


def test_platform_keys_win_and_defaults_fill_what_is_absent() -> None:
    result = effective(
        defaults={"root": True, "networking": "host", "own": 1},
        platform={"tokeninfo_url": "https://platform.example.org"},
        user_data={"root": False, "networking": None, "tokeninfo_url": "https://evil.example.org",
                   "instance_logs_url": None, "logsink_password": "x", "mine": None},
    )  # fmt: skip
    assert result == {
        "root": False,
        "networking": "host",
        "own": 1,
        "tokeninfo_url": "https://platform.example.org",
        "mine": None,
    }


def test_a_default_of_the_platform_is_judged_and_read_like_user_data() -> None:
    rules = replace(RULES, defaults={"read_only": True, "memory": "64m", "mounts": {"/data": {}}})
    read = accepted("read_only: false\n", rules)
    assert (read.options.read_only, read.options.memory_bytes, len(read.storage.mounts)) == (False, 67108864, 1)


names = st.sampled_from(sorted(TOP_KEYS))
values = st.none() | st.booleans() | st.integers(-5, 99) | st.text("ab/.:- ", max_size=6)


@given(*(st.dictionaries(names, values, max_size=6) for _ in range(3)))
def test_user_data_never_changes_the_platforms_values(
    defaults: dict[str, object], platform: dict[str, object], written: dict[str, object]
) -> None:
    result = effective(defaults=defaults, platform=platform, user_data=written)
    assert all(result[name] == value for name, value in platform.items())
    audit = {name for name, key in TOP_KEYS.items() if key.fate == "platform"}
    assert {name: result.get(name) for name in audit} == {n: {**defaults, **platform}.get(n) for n in audit}


def mime(*parts: tuple[str, str], charset: str | None = "us-ascii") -> bytes:
    message = MIMEMultipart()
    for kind, text in parts:
        part = MIMEText(text, kind, charset or "utf-8")
        message.attach(part)
    return message.as_bytes()


def test_parts_of_a_multipart_message_merge_and_the_later_wins() -> None:
    raw = mime(("x-taupage-ami-config", GOOD), ("x-taupage-ami-config", "application_id: other\nroot: true\n"))
    judgement = judge(raw, RULES)
    assert judgement.problems == ()
    assert judgement.user_data is not None
    assert (judgement.user_data.application_id, judgement.user_data.options.root) == ("other", True)


@pytest.mark.parametrize("charset", ["us-ascii", "utf-8"])
def test_a_problem_in_a_part_is_quoted_at_its_line(charset: str) -> None:
    raw = mime(("x-taupage-ami-config", GOOD), ("plain", "#taupage-ami-config\nruntime: docker\n"), charset=charset)
    judgement = judge(raw, RULES)
    (problem,) = judgement.problems
    assert judgement.lines[problem.line - 1] == "runtime: docker"


@pytest.mark.parametrize(
    "kind, code",
    [
        ("cloud-config", "user-data-part-foreign"),
        ("x-shellscript", "user-data-part-foreign"),
        ("x-include-url", "user-data-part-foreign"),
        ("cloud-boothook", "user-data-part-foreign"),
        ("html", "user-data-part-foreign"),
        ("plain", "user-data-header-missing"),
    ],
)
def test_a_foreign_part_is_named_and_refused(kind: str, code: str) -> None:
    judgement = judge(mime(("x-taupage-ami-config", GOOD), (kind, "#x\n")), RULES)
    assert judgement.user_data is None
    assert code in [problem.code for problem in judgement.problems]


def test_too_many_parts_are_refused() -> None:
    judgement = judge(mime(*[("x-taupage-ami-config", "a: b\n")] * 21), RULES)
    assert [problem.code for problem in judgement.problems] == ["user-data-mime-parts"]


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reading_of_parts(body: bytes) -> None:
    judgement = judge(b"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=x\n\n--x\n" + body, RULES)
    assert judgement.user_data is None
    assert judgement.problems


@given(st.sampled_from([name for name in TOP_KEYS if name != "source"]),
       st.sampled_from(["[]", "{}", "[[1]]", "{a: {b: c}}", "1", "1.5", "yes", "''", "x", "~", "2001-01-01", "{1: 2}", "[a, b]",
                        "{/a: b}", "{/dev/sda: {}}", "{a: [b]}", "0x10", "-1", "1e9", "{a: null}"]))  # fmt: skip
def test_any_value_under_any_key_is_judged(name: str, value: str) -> None:
    judgement = judged(f"{name}: {value}\n")
    assert judgement.user_data is not None or any(problem.severity == "error" for problem in judgement.problems)
    for problem in judgement.problems:
        assert problem.message
        assert problem.line > 0


def test_every_key_states_its_effect() -> None:
    for key in KEYS.values():
        assert key.does.endswith("."), key.name
        assert key.parent == "" or key.parent in KEYS, key.name


STUPS = """#taupage-ami-config
# as a team of the STUPS days would have written it, everything at once
application_id: shop-checkout
application_version: "2.7"
runtime: Docker
source: "pierone.example.org/shop/checkout:2.7"
dockercfg: {"https://hub.example.org": {auth: foo1234, email: mail@example.org}}
ports:
  80: 80
  443: 443
  8301: 8301
  8301/udp: 8301
  8600: 8600/udp
health_check_path: /
health_check_port: 80
health_check_timeout_seconds: 60
environment:
  STAGE: production
  RETRIES: 3
  DB_PASSWORD: "aws:kms:v5V2bMGRgg2yTHXm5Fn="
capabilities_add: [NET_BIND_SERVICE]
capabilities_drop: [NET_ADMIN]
hostname: checkout
networking: bridge
shm_size: 512M
root: false
privileged: false
docker_daemon_access: false
read_only: false
mount_var_log: false
mount_custom_log: false
mount_certs: false
keep_instance_users: false
enhanced_cloudwatch_metrics: True
volumes:
  ebs: {/dev/sdf: checkout-data, /dev/sdg: checkout-more}
  raid:
    /dev/md/sampleraid0: {level: 0, devices: [/dev/xvdf, /dev/xvdg]}
mounts:
  /data: {partition: /dev/md/sampleraid0, options: "noatime,nodiratime,nobarrier", erase_on_boot: false}
notify_cfn: {stack: shop-checkout-27, resource: AppServer}
healthcheck: {type: elb, loadbalancer_name: shop-checkout-27}
ssh_ports: [22, 2222]
sysctl: {fs.file-max: 1000000, vm.overcommit_memory: 1, net.core.somaxconn: 1024}
sysfs: {sys/kernel/mm/transparent_hugepage/enabled: never}
cloudwatch_logs: {/var/log/application.log: checkout, /home/application/other.log: other}
rsyslog_max_message_size: 4K
rsyslog_aws_metadata: true
scalyr_account_key: 1234567890
newrelic_account_key: "12345678901234567890"
appdynamics_application: Shop
xray_enabled: True
nat_gateways: {subnet-1: 172.31.1.1}
mint_bucket: example-stups-mint-123456789012-eu-west-1
logentries_account_key: x
"""


def test_a_document_with_everything_stups_knew_boots_unchanged() -> None:
    for rules in (OFFLINE, replace(RULES, immutable=frozenset({"pierone.example.org"}))):
        judgement = judge(STUPS.encode(), rules)
        assert [problem for problem in judgement.problems if problem.severity == "error"] == []
        assert judgement.user_data is not None
        assert len(judgement.user_data.options.ports) == 5
        assert judgement.user_data.storage.mounts[0].device == "/dev/md/sampleraid0"
        assert judgement.user_data.logs.log_group == "checkout"
        assert judgement.user_data.sign_in == {}
