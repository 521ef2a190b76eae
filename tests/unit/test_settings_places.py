"""Wrong settings: all of them are found at once, each with its line and column and what is expected there."""

from __future__ import annotations

import pytest

from whence_agent import settings as agent
from whence_agent.adapters.platform_files import logins_of
from whence_agent.wiring.process import application_gid
from whence_aggregator.adapters.tls_files import load_tls_context
from whence_aggregator.settings import server as aggregator
from whence_aggregator.settings import witness
from whence_common.settings_file import SettingsInvalid

LEAST = 'audience: https://whence.example.org\naccounts: ["123456789012"]\n'


def said(text: str) -> list[str]:
    """Return the problems of an aggregator's settings, without what is said about the fix."""
    with pytest.raises(SettingsInvalid) as caught:
        aggregator.parse_settings(text.encode(), name="a.yaml")
    return [line for line in caught.value.message.splitlines() if line.startswith("a.yaml")]


def test_a_list_where_a_mapping_belongs_is_named_with_its_line_and_in_words_of_yaml() -> None:
    assert said(LEAST + "registries:\n  - registry.example.org\n") == [
        "a.yaml:3:1: error[settings-invalid]: registries: must be a mapping (name: value), but is a list"
    ]


@pytest.mark.parametrize(
    "text", ['tokens_file: "/etc/whence\\0/tokens"\n', 'registries: {r.example.org: {login_file: "\\e"}}\n']
)
def test_a_control_character_in_any_text_is_named_with_its_place_and_never_reaches_a_system_call(text: str) -> None:
    column = text.index('"') + 1
    assert said(LEAST + text) == [
        f"a.yaml:3:{column}: error[settings-control-character]: the text contains a control character"
    ]


def test_every_wrong_value_is_found_at_once_in_the_order_of_the_file() -> None:
    text = (
        "accounts: [\n  '123456789012',\n  42,\n  true]\n"
        "listen_port: lots\nsts: maybe\nregistry_front: {backend: 1}\nregistrys: {}\ncheckpoint_seconds: 0\n"
    )
    assert said(text) == [
        "a.yaml: error[settings-invalid]: audience: is required, but not set",
        "a.yaml:3:3: error[settings-invalid]: accounts[1]: must be text, but is a whole number",
        "a.yaml:4:3: error[settings-invalid]: accounts[2]: must be text, but is true or false",
        "a.yaml:5:1: error[settings-invalid]: listen_port: must be a whole number, but is text",
        "a.yaml:6:1: error[settings-invalid]: sts: 'maybe' is not an allowed value",
        "a.yaml:7:1: error[settings-invalid]: registry_front.name: is required, but not set",
        "a.yaml:7:18: error[settings-invalid]: registry_front.backend: must be text, but is a whole number",
        "a.yaml:8:1: error[settings-invalid]: registrys: unknown setting",
    ]


def test_invalid_values_are_reported_together_with_values_of_a_wrong_type() -> None:
    assert said(LEAST + "listen_port: x\ncheckpoint_seconds: 0\n") == [
        "a.yaml:3:1: error[settings-invalid]: listen_port: must be a whole number, but is text",
        "a.yaml:4:1: error[settings-invalid]: checkpoint_seconds must be from 1 to 3600",
    ]


def test_consequential_errors_of_an_invalid_value_are_not_reported() -> None:
    assert said(LEAST + "tls_certificate_file: /a\ntls_key_file: [b]\n") == [
        "a.yaml:4:1: error[settings-invalid]: tls_key_file: must be text, but is a list"
    ]


def test_the_host_that_is_meant_is_found_among_all_hosts() -> None:
    text = (
        LEAST
        + "registries:\n  a.example.org: {}\n  b.example.org:\n    plain_http: 3\n  c.example.org: {plain_http: 4}\n"
    )
    assert said(text) == [
        "a.yaml:6:5: error[settings-invalid]: registries.b.example.org.plain_http: must be true or false, but is a whole number",
        "a.yaml:7:19: error[settings-invalid]: registries.c.example.org.plain_http: must be true or false, but is a whole number",
    ]


def test_a_rule_about_a_host_leads_to_its_line_though_its_name_has_dots() -> None:
    text = LEAST + "registries:\n  r.example.org:\n    token_hosts: ['https://x']\n"
    assert said(text)[0].startswith("a.yaml:4:3: ")


def test_a_wrong_account_is_found_in_its_list() -> None:
    text = "audience: https://whence.example.org\naccounts:\n  - '123456789012'\n  - '12'\n"
    assert said(text) == [
        "a.yaml:4:5: error[settings-invalid]: accounts: '12' is not an account id (12 digits, in quotes)"
    ]


def test_an_account_without_quotes_is_one_problem_that_says_to_quote_it() -> None:
    text = "audience: https://whence.example.org\naccounts: [123456789012]\n"
    with pytest.raises(SettingsInvalid) as caught:
        aggregator.parse_settings(text.encode(), name="a.yaml")
    assert caught.value.message.splitlines() == [
        "a.yaml:2:12: error[settings-invalid]: accounts[0]: must be text, but is a whole number",
        "      = write the value in quotes",
    ]


@pytest.mark.parametrize("setting", ["registries", "git_servers", "trust"])
@pytest.mark.parametrize("host", ["https://r.example.org", "r.example.org/", "R EXAMPLE", "r.example.org:port"])
def test_a_key_that_is_not_a_host_is_refused_since_it_would_match_nothing(setting: str, host: str) -> None:
    assert said(f"{LEAST}{setting}: {{'{host}': {{}}}}\n") == [
        f"a.yaml:3:1: error[settings-invalid]: {setting}: {host!r} is not a host: write HOST or HOST:PORT"
    ]


def test_a_misspelt_setting_is_answered_with_the_right_one() -> None:
    with pytest.raises(SettingsInvalid, match="did you mean listen_port"):
        aggregator.parse_settings((LEAST + "listen_prot: 1\n").encode(), name="a.yaml")


def test_a_setting_of_an_earlier_version_is_refused_at_its_place_with_its_name_now() -> None:
    text = LEAST + "registry: {name: r.example.org, backend: 1}\ncheckpoint_seconds: 0\n"
    assert said(text) == [
        "a.yaml:3:1: error[settings-invalid]: registry: this setting is now registry_front",
        "a.yaml:4:1: error[settings-invalid]: checkpoint_seconds must be from 1 to 3600",
    ]
    with pytest.raises(SettingsInvalid, match="write registry_front in place of registry"):
        aggregator.parse_settings(text.encode(), name="a.yaml")


def test_no_message_quotes_a_password_in_the_settings() -> None:
    for line in (
        "database: 'postgresql://whence:hunter2@db/whence",
        "database: [postgresql://whence:hunter2@db/whence]",
        "database: postgresql://whence:hunter2@db/whence\ndatabase: x",
        "database: mysql://whence:hunter2@db/whence",
    ):
        with pytest.raises(SettingsInvalid) as caught:
            aggregator.parse_settings((LEAST + line).encode(), name="a.yaml")
        assert "hunter2" not in caught.value.diagnostics(), line


def test_a_thousand_errors_produce_a_bounded_number_of_lines() -> None:
    text = LEAST + "".join(f"unknown_{number}: 1\n" for number in range(1000))
    assert 10 < len(said(text)) <= 100


def test_agent_and_witness_report_the_line_too() -> None:
    with pytest.raises(SettingsInvalid, match=r"a\.yaml:2:1: .*status_port: must be a whole number, but is text"):
        agent.parse_settings(b"aggregator_url: https://whence.example.org\nstatus_port: x\n", name="a.yaml")
    with pytest.raises(SettingsInvalid, match=r"w\.yaml:2:1: .*log_keys: must be a list, but is text"):
        witness.parse_witness_settings(b"name: w.example.org\nlog_keys: x\n", name="w.yaml")


def test_an_agents_start_that_finds_a_setting_wrong_later_names_its_line() -> None:
    least = "aggregator_url: https://whence.example.org\n"
    document = agent.read_settings(f"{least}application_group: no-such-group\n".encode(), name="agent.yaml")
    with pytest.raises(SettingsInvalid) as caught:
        application_gid(document.settings)
    expected = "agent.yaml:2:1: error[settings-invalid]: application_group: group 'no-such-group' does not exist"
    assert document.explain(caught.value).startswith(expected)
    document = agent.read_settings(f"{least}docker_config_file: /none/config.json\n".encode(), name="agent.yaml")
    with pytest.raises(SettingsInvalid) as caught:
        logins_of(document.settings.docker_config_file)
    expected = "agent.yaml:2:1: error[settings-file-unreadable]: docker_config_file: "
    assert document.explain(caught.value).startswith(expected)


TLS = (
    LEAST
    + "tls_certificate_file: ${CREDENTIALS_DIRECTORY}/whence_tls.crt\ntls_key_file: ${CREDENTIALS_DIRECTORY}/whence_tls.key\n"
)


def test_files_that_systemd_hands_over_are_named_by_its_variable() -> None:
    document = aggregator.read_settings(TLS.encode(), name="a.yaml", credentials_directory="/run/credentials/x.service")
    assert document.settings.tls_key_file == "/run/credentials/x.service/whence_tls.key"
    assert document.settings.tls_certificate_file == "/run/credentials/x.service/whence_tls.crt"


def test_without_systemds_variable_only_a_program_that_reads_the_file_reports_an_error() -> None:
    document = aggregator.read_settings(TLS.encode(), name="a.yaml")
    with pytest.raises(SettingsInvalid) as caught:
        load_tls_context(document.settings.tls_certificate_file or "", document.settings.tls_key_file or "")
    said = document.explain(caught.value)
    assert said.startswith(
        "a.yaml:3:1: error[tls-unreadable]: tls_certificate_file: ${CREDENTIALS_DIRECTORY}/whence_tls.crt"
    )
    assert "CREDENTIALS_DIRECTORY is not set: " in said


def test_the_variable_is_replaced_in_names_of_files_only_and_at_their_beginning() -> None:
    text = (
        "audience: ${CREDENTIALS_DIRECTORY}/x\naccounts: ['123456789012']\ntokens_file: /a${CREDENTIALS_DIRECTORY}/b\n"
    )
    settings = aggregator.read_settings(text.encode(), name="a.yaml", credentials_directory="/c").settings
    assert (settings.audience, settings.tokens_file) == ("${CREDENTIALS_DIRECTORY}/x", "/a${CREDENTIALS_DIRECTORY}/b")


@pytest.mark.parametrize(
    "setting, problem",
    [
        ("git_servers: {g.example.org: {ssh_key_file: /k}}", "set both ssh_key_file and ssh_known_hosts_file, or neither"),
        ("git_servers: {g.example.org: {ssh_key_file: '/k x', ssh_known_hosts_file: /h}}",
         "git_servers.g.example.org.ssh_key_file must be an absolute path of letters, digits and ._/@+-"),
        ("git_servers: {g.example.org: {ssh_key_file: /k, ssh_known_hosts_file: /h, login_file: /l}}", "exclude each other"),
        ("git_servers: {g.example.org: {mirror_directory: /m, login_file: /l}}", "exclude each other"),
        ("git_servers: {g.example.org: {mirror_directory: m}}", "mirror_directory must be an absolute path"),
        ("git_servers: {g.example.org: {ssh_user: '-oX'}}", "ssh_user is not the name of a user"),
        ("git_servers: {g.example.org: {ssh_port: 0}}", "ssh_port must be from 1 to 65535"),
        ("git_servers: {g.example.org: {protected_branches: ['-x']}}", "is not the name of a ref"),
        ("git_servers: {g.example.org: {protected_tags: ['v..1']}}", "is not the name of a ref"),
        ("git_cache: {directory: cache}", "git_cache needs an absolute directory"),
        ("git_cache: {directory: /c, mib_max: 1}", "mib_max from 16 to 1048576"),
        ("commit_trust: {'https://g.example.org': {allowed_signers_file: /a}}", "is not a host, or a host and the beginning"),
        ("commit_trust: {g.example.org/team/: {allowed_signers_file: /a}}", "is not a host, or a host and the beginning"),
        ("commit_trust: {g.example.org: {}}", "set allowed_signers_file, openpgp_key_files or host_key_files"),
        ("commit_trust: {g.example.org: {openpgp_key_files: [/k], revoked_keys_file: /r}}", "needs allowed_signers_file"),
    ],
)  # fmt: skip
def test_a_wrong_setting_of_a_git_server_is_one_problem(setting: str, problem: str) -> None:
    (found,) = said(f"{LEAST}{setting}\n")
    assert problem in found
