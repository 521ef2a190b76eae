"""Documents of user data over the whole schema, with values that people write and values at the edge of what tools take.

`valid` is what is left of such a document once the keys that the judge refuses are taken out.
"""

from __future__ import annotations

import base64
import copy
import gzip
import re
from dataclasses import dataclass
from typing import Any

import yaml
from hypothesis import strategies as st

from whence_common.user_data.judge import UserData, judge
from whence_common.user_data.options import CAPABILITIES
from whence_common.user_data.platform import PlatformRules

RULES = PlatformRules(
    immutable=frozenset({"registry.example.org"}), privileged=True, engine_socket=True,
    capabilities=CAPABILITIES - {"BPF", "PERFMON", "CHECKPOINT_RESTORE"}, own_ports=frozenset({7380}),
)  # fmt: skip
CIPHERTEXT = bytes(range(256))
ENCODED = base64.b64encode(CIPHERTEXT).decode()
REQUIRED = ("application_id", "application_version", "runtime", "source")
_TRIES_MAX = 30

texts = st.text(max_size=12) | st.sampled_from(["", " ", "a b", "é", "x" * 300, "a\nb", "-", "..", "~", "1.10", "%{x}"])
numbers = st.sampled_from(
    [-1, 0, 1, 2, 9, 10, 11, 20, 22, 80, 255, 1024, 4096, 65535, 65536, 1048576, 1048577, 2**31 - 1, 2**31, 2**63 - 1,
     2**63, 10**30, 0.5, 1.5, "1", "0x10", "08"]
)  # fmt: skip
flags = st.sampled_from([True, False, "true", None])
sizes = st.sampled_from(
    ["64m", "6m", "5m", "1", "0", "0.5b", "1.5g", "512K", "2T", "1024t", 6291456, 6291455, "10 MiB", "x"]
)
ports = st.dictionaries(
    st.sampled_from([80, 20080, 20081, 20082, "20080/udp", "20081/tcp", 7380, 22, 0, 65535, 65536, "20083-20085"]),
    st.sampled_from([80, 8080, 65535, "53/udp", "80/tcp", 0, "127.0.0.1:80"]), max_size=4,
)  # fmt: skip
REFERENCES = [f"aws:kms:{ENCODED}", f"aws:kms:{ENCODED}\n", f"aws:kms:{ENCODED[:60]}\n  {ENCODED[60:]} ", f"aws:kms:\"{ENCODED}\"",
     f"aws:kms:{ENCODED[:-1]}", "aws:kms:", "aws:kms:arn:aws:kms:eu-central-1:123456789012:key/x", "aws:kms:alias/x",
     "aws:ssm:/a/b", "aws:ssm:a/b", "aws:ssm: /a", "aws:secretsmanager:a#b", "aws:secretsmanager:", "aws:kms:é",
     "aws:kms:" + base64.b64encode(bytes(6144)).decode(), "aws:kms:" + base64.b64encode(bytes(6145)).decode()]  # fmt: skip
references = st.sampled_from(REFERENCES)
environment = st.dictionaries(
    st.sampled_from(["A", "B", "a.b", "A-B", "1A", "A=B", "A B", "", "é", "APPLICATION_ID", "LONG", "a/b[0]"]),
    references | references | references | texts | flags | numbers | st.sampled_from(["LONG 131069", "LONG 131070", "a\nb", "a\x00b"]), max_size=5,
)  # fmt: skip
ulimits = st.dictionaries(
    st.sampled_from(["core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio", "rttime", "sigpending", "stack", "as"]),
    numbers | st.fixed_dictionaries({"soft": numbers, "hard": numbers}) | st.sampled_from([2**27, 65536, 4000]),
    max_size=3,
)  # fmt: skip
paths = st.sampled_from(
    ["/data", "/data/", "/data/sub", "/tmp", "/var/log", "/var/log-host", "/etc/ssl/certs", "/etc/ssl/certs/x", "/meta",
     "/meta/x", "/proc/x", "/sys/x", "/dev/x", "/etc/hosts", "/etc/x", "data", "/a/../b", "/a//b", "/" + "a" * 255,
     "/" + "a" * 256, "/a" * 250, "/a" * 300, "/a:b", "/a b"]
)  # fmt: skip
devices = st.sampled_from(
    ["/dev/sdf", "/dev/xvdf", "/dev/xvdg", "/dev/sdh", "/dev/nvme1n1", "/dev/md0", "/dev/md/x", "none", "/etc/x"]
)
mounts = st.dictionaries(
    paths,
    st.none() | st.fixed_dictionaries(
        {}, optional={"partition": devices, "filesystem": st.sampled_from(["ext4", "xfs", "tmpfs", "ext2", "btrfs"]),
                      "erase_on_boot": flags, "options": st.sampled_from(["noatime", "ro", "size=1m", "nobarrier",
                                                                          "data=ordered,commit=5", "mode=1777", "suid"])},
    ), max_size=4,
)  # fmt: skip
names = st.lists(st.sampled_from([*sorted(CAPABILITIES), "CAP_CHOWN", "net_raw", "X"]), max_size=3)
OPTIONS: dict[str, st.SearchStrategy[Any]] = {
    "ports": ports, "environment": environment, "ulimits": ulimits, "capabilities_add": names,
    "capabilities_drop": names, "command": st.lists(texts | st.sampled_from(["LONG 131071", "LONG 131072"]), max_size=3),
    "hostname": texts | st.sampled_from(["pay", "a" * 63, "a" * 64, "a_b", "a." * 32, "a." * 31 + "ab", "a.example.org."]),
    "networking": st.sampled_from(["bridge", "host", "none", "container:application", "container:a", "container:b", "x"]),
    "user": st.sampled_from(["1000:1000", "0:0", "2147483647:1", "2147483648:1", "app", "1:1 "]),
    "cpus": st.sampled_from([0.01, 0.009, 1, 1.5, 1024, 1025, "2", "x"]), "root": flags, "privileged": flags,
    "read_only": flags, "init": flags, "no_new_privileges": flags, "docker_daemon_access": flags,
    "mount_var_log": flags, "mount_certs": flags, "shm_size": sizes, "memory": sizes, "pids_limit": numbers,
    "stop_timeout": numbers,
}  # fmt: skip
_JSON_LOGIN = '{"auths": {"r.example.org": {"auth": "YTpi"}}}'
logins = st.sampled_from(
    [{"r.example.org": {"auth": "YTpi"}}, {"auths": {"https://r.example.org/v1/": {"auth": "YTp\nhYg=="}}}, _JSON_LOGIN,
     {"r": {"auth": f"aws:kms:{ENCODED} "}}, {"r": {"username": "a", "password": "b\n"}}, {"credsStore": "x"}, "x", []]
)  # fmt: skip
sysctls = st.dictionaries(
    st.sampled_from(["vm.swappiness", "vm.max_map_count", "fs/file-max", "kernel.pid_max", "net.core.somaxconn",
                     "net.ipv4.ip_local_port_range", "net.ipv4.tcp_rmem", "vm.x" + "x" * 120, "kernel.shmmax", "a..b"]),
    numbers | st.sampled_from(["1024 65000", "65000 1024", "4096 87380 6291456", "x", "1; id"]), max_size=3,
)  # fmt: skip
sidecars = st.dictionaries(
    st.sampled_from(["a", "b", "application", "a" * 32, "a" * 33, "A"]),
    st.fixed_dictionaries({"source": st.just("registry.example.org/pay/proxy:3")}, optional=OPTIONS), max_size=3,
)  # fmt: skip
OTHERS: dict[str, st.SearchStrategy[Any]] = {
    "containers": sidecars, "dockercfg": logins, "mounts": mounts, "sysctl": sysctls, "deployment_id": texts | numbers,
    "volumes": st.fixed_dictionaries({}, optional={
        "ebs": st.dictionaries(devices, texts, max_size=2),
        "raid": st.dictionaries(devices, st.fixed_dictionaries({
            "level": st.sampled_from(["0", 1, 5, 6, "raid0", "mirror", "linear"]),
            "devices": st.lists(devices, max_size=5)}), max_size=2)}),
    "sysfs": st.just({"sys/kernel/mm/transparent_hugepage/enabled": "never"}), "start": flags,
    "ssh_ports": st.lists(st.sampled_from([22, 2222, 20080, 0, 65536]), max_size=3) | st.just(22),
    "keep_instance_users": flags, "mount_custom_log": flags, "customlog_logrotate_size": sizes,
    "customlog_logrotate_rotate": numbers, "customlog_logrotate_interval": st.sampled_from(["daily", "yearly", "x"]),
    "application_logrotate_size": sizes, "application_logrotate_rotate": numbers,
    "logging": st.fixed_dictionaries({"log_destination": st.sampled_from(["s3", "rsyslog"])}, optional={
        "rsyslog_host": st.sampled_from(["127.0.0.1", "a..b", "-"]), "rsyslog_protocol": st.just("udp"),
        "rsyslog_port": numbers, "rsyslog_program": texts}),
    "rsyslog_aws_metadata": flags, "health_check_path": texts | st.sampled_from(["/", "/health?a=b#c", "/é", "/%zz"]),
    "health_check_port": numbers, "health_check_timeout_seconds": numbers, "encryption_context":
        st.dictionaries(texts, texts, max_size=2), "shutdown": st.sampled_from(["never", "x"]),
    "notify_cfn": st.fixed_dictionaries({"stack": texts, "resource": texts}), "resources": numbers | texts,
    "enhanced_cloudwatch_metrics": flags, "tokens": st.just({"x": ["uid"]}), "mint_bucket": texts | st.just("bucket"),
}  # fmt: skip
documents = st.fixed_dictionaries(
    {"application_id": st.sampled_from(["pay-api", "pay-" + "x" * 100]), "application_version": st.just("1.2"),
     "runtime": st.just("Docker"), "source": st.just("registry.example.org/pay/api:1.2")},
    optional={**OPTIONS, **OTHERS},
)  # fmt: skip


@dataclass(frozen=True)
class Valid:
    """A document that the judge calls valid, as bytes, and what it is read as."""

    raw: bytes
    user_data: UserData


def raw_of(document: dict[str, Any]) -> bytes:
    """Write a document; `LONG 5` stands for five characters, so that a failing example can be read."""
    text = "#taupage-ami-config\n" + yaml.safe_dump(document, allow_unicode=True)
    text = re.sub(r"LONG ([0-9]+)", lambda match: "x" * int(match[1]), text)
    return text.encode() if len(text) < 10_000 else gzip.compress(text.encode(), mtime=0)


def with_ciphertext(value: Any, encoded: str) -> Any:
    """Copy a document with another ciphertext in place of its own, folded where that is."""
    if isinstance(value, dict):
        return {name: with_ciphertext(inner, encoded) for name, inner in value.items()}
    if not isinstance(value, str):
        return value
    return value.replace(ENCODED, encoded).replace(ENCODED[:60], encoded[:60]).replace(ENCODED[60:], encoded[60:])


def valid(document: dict[str, Any], rules: PlatformRules = RULES) -> Valid | None:
    """Take out what the judge refuses, key by key; None when nothing valid is left."""
    document = copy.deepcopy(document)
    for _ in range(_TRIES_MAX):
        judgement = judge(raw_of(document), rules)
        refused = [problem.path.split(".") for problem in judgement.problems if problem.severity == "error"]
        if judgement.user_data is not None:
            return Valid(raw=raw_of(document), user_data=judgement.user_data)
        before = str(document)
        for path in refused:
            _take_out(document, path)
        if str(document) == before:  # what is refused has no path of its own, or one that was cut
            tops = {path[0] for path in refused}
            document = {name: document[name] for name in document if name in REQUIRED or not ({name, ""} & tops)}
    return None


def _take_out(document: dict[Any, Any], path: list[str]) -> None:
    """Take out the innermost entry that a path names; names may hold dots, or be cut. What is required stays."""
    names = {str(name): name for name in document}
    for count in range(len(path), 0, -1):
        name = names.get(".".join(path[:count]))
        if name is None or name in REQUIRED:
            continue
        inner, rest = document[name], path[count:]
        if isinstance(inner, dict) and rest:
            _take_out(inner, rest)
        else:
            del document[name]
        return
