"""The judgement of user data: everything wrong is named with its place, and nothing else is."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whence_common.problems import Problem, render
from whence_common.user_data.envelope import RAW_BYTES_MAX
from whence_common.user_data.judge import Judgement, judge
from whence_common.user_data.keys import KEYS, TOP_KEYS
from whence_common.user_data.platform import PlatformRules
from whence_common.user_data.schema import json_schema

VOUCHED = PlatformRules(immutable=frozenset({"registry.example.org", "127.0.0.1:5000"}))
HEAD = "#taupage-ami-config\n"
GOOD = """#taupage-ami-config
application_id: pay-api
application_version: "1.2"
runtime: Docker
source: registry.example.org/pay/api:1.2
"""


def judged(text: str | bytes, rules: PlatformRules = VOUCHED) -> Judgement:
    return judge(text if isinstance(text, bytes) else text.encode(), rules)


def errors(text: str | bytes, rules: PlatformRules = VOUCHED) -> list[Problem]:
    judgement = judged(text, rules)
    found = [problem for problem in judgement.problems if problem.severity == "error"]
    assert (judgement.user_data is None) == bool(found)
    return found


def only_error(text: str | bytes, rules: PlatformRules = VOUCHED) -> Problem:
    (problem,) = errors(text, rules)
    return problem


def test_a_valid_document_has_no_problem() -> None:
    judgement = judged(GOOD)
    assert judgement.problems == ()
    assert judgement.user_data is not None
    assert judgement.user_data.application_id == "pay-api"
    assert judgement.user_data.source.tag == "1.2"


@pytest.mark.parametrize("written", ["docker.io/nginx", "index.docker.io/library/nginx", "registry-1.docker.io/nginx"])
def test_an_image_of_docker_hub_is_the_same_by_each_of_its_names(written: str) -> None:
    rules = PlatformRules(immutable=frozenset({"docker.io"}), allowed=frozenset({"docker.io"}))
    user_data = judged(GOOD.replace("registry.example.org/pay/api", written), rules).user_data
    assert user_data is not None
    assert str(user_data.source) == "docker.io/library/nginx:1.2"


def test_everything_acted_on_is_read() -> None:
    text = GOOD + (
        "ports: {8080: 80, '53/udp': 53}\nenvironment: {A: text, B: 1}\nmint_bucket: some-bucket\n"
        "health_check_path: /health\nhealth_check_timeout_seconds: 90\nroot: true\nread_only: true\n"
    )
    user_data = judged(text).user_data
    assert user_data is not None
    assert [(port.host, port.container, port.protocol) for port in user_data.options.ports] == [
        (8080, 80, "tcp"),
        (53, 53, "udp"),
    ]
    assert user_data.options.environment == {"A": "text", "B": "1"}
    assert user_data.mint_bucket == "some-bucket"
    assert user_data.health_check is not None
    assert (user_data.health_check.port, user_data.health_check.timeout_seconds) == (8080, 90)
    assert user_data.options.root
    assert user_data.options.read_only


@pytest.mark.parametrize(
    "text, code, line, column",
    [
        (b"", "user-data-empty", 1, 1),
        (b"\n \n", "user-data-empty", 1, 1),
        ("application_id: x\n", "user-data-header-missing", 1, 1),
        ("\n# taupage-ami-config\na: b\n", "user-data-header-missing", 2, 1),
        ("#zalando-ami-config\na: b\n", "user-data-header-foreign", 1, 1),
        ("#cloud-config\na: b\n", "user-data-header-foreign", 1, 1),
        ("#!/bin/sh\n", "user-data-header-foreign", 1, 1),
        ("#include http://x\n", "user-data-header-foreign", 1, 1),
        ("## template: jinja\n", "user-data-header-foreign", 1, 1),
        ("Content-Type: multipart/mixed\n", "user-data-mime-broken", 1, 1),
        (HEAD.encode() + b"a: \xff\n", "user-data-not-utf8", 2, 4),
        (b"\x1f\x8b broken", "user-data-gzip-broken", 1, 1),
        (HEAD.encode() + b"#" * RAW_BYTES_MAX, "user-data-too-large", 1, 1),
        (HEAD, "user-data-not-mapping", 1, 1),
        (HEAD + "- a\n- b\n", "user-data-not-mapping", 2, 1),
        (HEAD + "just text\n", "user-data-not-mapping", 2, 1),
        (HEAD + "a: b\n\tc: d\n", "yaml-tab", 3, 1),
        (HEAD + "a: [1, 2\n", "yaml-syntax", 3, 1),
        (HEAD + "a: 'x\n", "yaml-syntax", 3, 1),
        (HEAD + "a: \x07\n", "yaml-control-character", 2, 4),
        (HEAD + "a: *nowhere\n", "yaml-alias-unknown", 2, 4),
        (HEAD + "a: &a [*a]\n", "yaml-alias-recursive", 2, 8),
        (HEAD + "a: !!python/object:os.system x\n", "yaml-tag", 2, 4),
        (HEAD + "a: !include [x]\n", "yaml-tag", 2, 4),
        (HEAD + "a: !!set {x}\n", "yaml-tag", 2, 4),
        (HEAD + "? [a]\n: b\n", "yaml-key-not-scalar", 2, 3),
        (HEAD + "a: b\n---\nc: d\n", "yaml-several-documents", 3, 1),
        (HEAD + "a: " + "[" * 30 + "]" * 30, "yaml-too-deep", 2, 23),
    ],
)  # fmt: skip
def test_a_malformed_document_reports_place_and_reason(text: str | bytes, code: str, line: int, column: int) -> None:
    problem = only_error(text)
    assert (problem.code, problem.line, problem.column) == (code, line, column)
    assert problem.fix


def test_ec2s_16_kib_are_accepted_and_one_byte_more_is_refused() -> None:
    padding = RAW_BYTES_MAX - len(GOOD) - 2
    exactly = GOOD + "#" + "x" * padding + "\n"
    assert len(exactly) == RAW_BYTES_MAX
    assert errors(exactly) == []
    assert only_error(exactly + "x").code == "user-data-too-large"


def test_aliases_that_explode_are_refused_quickly() -> None:
    lines = [HEAD, "a: &a [x, x, x, x, x, x, x, x, x]\n"]
    for name, before in zip("bcdefgh", "abcdefg", strict=True):
        lines.append(f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n")
    assert only_error("".join(lines)).code == "yaml-too-many-nodes"


def test_an_alias_that_does_not_explode_works() -> None:
    judgement = judged(GOOD + "environment: &e {A: x}\nlist-values: *e\n")
    assert judgement.document is not None
    assert judgement.document["list-values"] == {"A": "x"}


@pytest.mark.parametrize(
    "key, value, code",
    [
        ("application_version", "1.10", "text-not-text"),
        ("application_version", "yes", "text-not-text"),
        ("application_version", "2019-01-01", "text-not-text"),
        ("application_version", "22:22", "text-not-text"),
        ("application_version", "0x50", "text-not-text"),
        ("application_version", "[1]", "text-expected"),
        ("application_version", "'-x'", "application-version-malformed"),
        ("application_version", "\"a\\nb\"", "text-several-lines"),
        ("application_version", "~", "key-missing"),
        ("application_id", "Pay", "application-id-malformed"),
        ("application_id", "p", "application-id-malformed"),
        ("runtime", "docker", "runtime-unknown"),
        ("source", "registry.example.org/pay/api", "image-tag-missing"),
        ("source", "registry.example.org/pay/api:latest", "image-tag-mutable"),
        ("source", "registry.example.org/pay/api:LATEST", "image-tag-mutable"),
        ("source", "registry.example.org/pay/api:1-snapshot.2", "image-tag-mutable"),
        ("source", "registry.example.org/pay/api@sha256:123", "image-digest-malformed"),
        ("source", "registry.example.org/pay/API:1", "image-reference-malformed"),
        ("source", "registry.example.org/pay//api:1", "image-reference-malformed"),
        ("source", "pay/api:1.2", "image-reference-malformed"),
        ("source", "registry.example.org:99999/pay/api:1", "image-reference-malformed"),
        ("source", "registry.example.org/api:1", "image-path-single-segment"),
        ("source", "elsewhere.example.org/pay/api:1", "image-tag-not-vouched"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_at_its_place(key: str, value: str, code: str) -> None:
    lines = [f"{key}: {value}" if line.startswith(f"{key}:") else line for line in GOOD.splitlines()]
    problem = only_error("\n".join(lines) + "\n")
    number = next(number for number, line in enumerate(lines, start=1) if line.startswith(f"{key}:"))
    assert (problem.code, problem.line, problem.path) == (code, number, key)


def test_a_registry_port_works_where_stock_refused_it() -> None:
    assert errors(GOOD.replace("registry.example.org", "127.0.0.1:5000")) == []


def test_a_digest_needs_no_immutable_registry() -> None:
    source = "elsewhere.example.org/pay/api@sha256:" + "a" * 64
    assert errors(GOOD.replace("registry.example.org/pay/api:1.2", source)) == []


def test_a_mutable_tag_with_a_digest_is_only_a_warning() -> None:
    source = "registry.example.org/pay/api:latest@sha256:" + "a" * 64
    judgement = judged(GOOD.replace("registry.example.org/pay/api:1.2", source))
    assert judgement.user_data is not None
    assert {problem.code for problem in judgement.problems} == {"image-tag-mutable", "version-differs-from-tag"}


def test_without_platform_settings_a_mutable_tag_is_a_warning() -> None:
    judgement = judged(GOOD, PlatformRules(platform_known=False))
    assert [(p.severity, p.code) for p in judgement.problems] == [("warning", "image-tag-not-vouched")]
    assert judgement.user_data is not None


def test_a_registry_that_is_not_allowed_is_refused_even_by_digest() -> None:
    rules = PlatformRules(allowed=frozenset({"other.example.org"}))
    source = "registry.example.org/pay/api@sha256:" + "a" * 64
    assert (
        only_error(GOOD.replace("registry.example.org/pay/api:1.2", source), rules).code == "image-registry-not-allowed"
    )


@pytest.mark.parametrize(
    "line, code",
    [
        ("ports: [8080]", "mapping-expected"),
        ("ports: {8080/sctp: 80}", "port-malformed"),
        ("ports: {0: 80}", "port-malformed"),
        ("ports: {70000: 80}", "port-malformed"),
        ("ports: {22:22: 80}", "port-malformed"),
        ("ports: {'8080/udp': '80/tcp'}", "port-protocols-differ"),
        ("ports: {'8080/tcp': 80, 8080: 81}", "port-twice"),
        ("environment: [A]", "mapping-expected"),
        ("environment: {A: [1]}", "environment-not-scalar"),
        ("environment: {'A B': 1}", "environment-name"),
        ("root: 'true'", "flag-expected"),
        ("privileged: 'false'", "flag-expected"),
        ("capabilities_add: NET_ADMIN", "list-expected"),
        ("volumes: []", "mapping-expected"),
        ("health_check_path: health", "health-check-path-malformed"),
        ("health_check_port: 0x50", "integer-expected"),
        ("health_check_timeout_seconds: 0", "number-out-of-range"),
        ("environment:\n  A: 1\n  A: 2", "yaml-duplicate-key"),
        ("root: true\nroot: false", "yaml-duplicate-key"),
    ],
)  # fmt: skip
def test_a_wrong_shape_is_an_error(line: str, code: str) -> None:
    assert only_error(GOOD + line + "\n").code == code


@pytest.mark.parametrize(
    "line, code",
    [
        ("applicaton_id: x", "key-unknown"),
        ("etcd_discovery_domain: x", "key-retired"),
        ("instance_logs_url: null", None),
        ("instance_logs_url: x", "key-of-platform"),
        ("environment: {A: yes}", "environment-rendered"),
        ("health_check_path: /x", "health-check-without-port"),
    ],
)
def test_what_is_accepted_without_effect_is_warned_about(line: str, code: str | None) -> None:
    judgement = judged(GOOD + line + "\n")
    assert judgement.user_data is not None
    assert [problem.code for problem in judgement.problems] == ([code] if code else [])


def test_an_unquoted_number_with_unchanged_text_is_accepted_with_a_warning() -> None:
    text = GOOD.replace('"1.2"', "0.3").replace("api:1.2", "api:0.3")
    judgement = judged(text)
    assert judgement.user_data is not None
    assert judgement.user_data.application_version == "0.3"
    assert [problem.code for problem in judgement.problems] == ["text-unquoted-number"]


def test_a_misspelt_key_gets_a_suggestion() -> None:
    (problem,) = judged(GOOD + "enviroment: {}\n").problems
    assert problem.fix == "did you mean environment?"


def test_booleans_and_null_in_the_environment_look_as_stock_rendered_them() -> None:
    user_data = judged(GOOD + "environment: {A: true, B: null, C: 0x10, D: 'yes'}\n").user_data
    assert user_data is not None
    assert user_data.options.environment == {"A": "True", "B": "None", "C": "16", "D": "yes"}


def test_five_errors_are_all_reported() -> None:
    text = (
        HEAD + "application_id: greeter\napplication_version: 1.10\nruntime: docker\n"
        "source: registry.example.org/demo/greeter\nports: [8080]\nenvironment:\n  RETRIES: [1, 2]\n"
    )
    found = errors(text)
    assert [(problem.line, problem.column) for problem in found] == [(3, 22), (4, 10), (5, 9), (6, 8), (8, 12)]
    assert all(problem.fix for problem in found)


def test_gzip_is_understood_within_a_bound() -> None:
    assert errors(gzip.compress(GOOD.encode())) == []
    bomb = gzip.compress(HEAD.encode() + b"#" * 10_000_000)
    assert len(bomb) < RAW_BYTES_MAX
    assert only_error(bomb).code == "user-data-gzip-broken"


def test_header_in_any_case_after_a_byte_order_mark_is_accepted() -> None:
    assert errors("\ufeff\n" + GOOD.replace("#taupage-ami-config", "#Taupage-AMI-config")) == []


def test_a_problem_is_shown_with_its_line_and_a_caret() -> None:
    text = GOOD.replace("runtime: Docker", "runtime: docker")
    shown = render(errors(text), name="file.yaml", lines=judged(text).lines)
    assert shown.splitlines()[:3] == [
        "file.yaml:4:10: error[runtime-unknown]: runtime 'docker' is unknown",
        "    4 | runtime: docker",
        "      |          ^",
    ]


@pytest.mark.parametrize("value", ["[hunter2]", "0777123", "7_777_123", "2001-99-99", "1:23:45", "{a: hunter2}"])
def test_no_secret_is_in_any_problem(value: str) -> None:
    text = GOOD + f"environment:\n  DB_PASSWORD: {value}\nscalyr_account_key: {value}\n"
    secret = value.strip("[]{}").removeprefix("a: ")
    assert secret not in json.dumps([problem.to_wire() for problem in judged(text).problems])


def test_every_key_of_the_schema_is_in_the_json_schema() -> None:
    properties = json_schema(KEYS)["properties"]
    assert isinstance(properties, dict)
    assert properties.keys() == TOP_KEYS.keys()
    assert properties["notify_cfn"]["properties"].keys() == {"stack", "resource"}
    assert properties["mounts"]["additionalProperties"]["properties"]["partition"]["type"] == ["string", "number"]
    assert json_schema(KEYS)["required"] == ["application_id", "application_version", "runtime", "source"]


def test_every_key_the_reference_names_is_known() -> None:
    golden = Path(__file__).parents[1] / "data" / "taupage-keys.txt"
    assert set(golden.read_text(encoding="utf-8").split()) <= TOP_KEYS.keys()


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_no_bytes_break_the_judge(raw: bytes) -> None:
    judgement = judge(raw, VOUCHED)
    assert judgement.user_data is not None or judgement.problems


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="abc:-[]{}&*!|>'\"#%@`\n\t 0.1~<", max_size=200))
def test_no_yaml_breaks_the_judge_and_every_problem_has_a_place(body: str) -> None:
    for problem in judge((HEAD + body).encode(), VOUCHED).problems:
        assert problem.line >= 1
        assert problem.column >= 1


@pytest.mark.parametrize(
    "more",
    ["runtime: ghp_16C7e42F292c6912E7710c838347Ae178B4a", "shutdown: 'password=ghp_16C7e42F292c6912E7710c838347Ae178B4a'",
     "memory: ghp_16C7e42F292c6912E7710c838347Ae178B4a"],
)  # fmt: skip
def test_no_problem_quotes_a_secret_under_the_wrong_key(more: str) -> None:
    judgement = judge(f"#taupage-ami-config\n{more}\n".encode(), PlatformRules())
    assert any("…" in problem.message for problem in judgement.problems)
    assert "ghp_" not in repr(judgement.problems)
