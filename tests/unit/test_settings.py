"""Settings files are validated at start, and every message names the place."""

from __future__ import annotations

import aiohttp
import pytest

from landscape.listening import documented
from whence_agent import settings as agent
from whence_agent.adapters.platform_files import trust_policies
from whence_aggregator.settings import server as aggregator
from whence_aggregator.settings.front import RegistryFrontSettings
from whence_aggregator.settings.mint import MintSettings
from whence_aggregator.settings.witness import WitnessFile
from whence_aggregator.wiring.parts import load_sts
from whence_common.identity_document import Authorities
from whence_common.note import WITNESS, Signer
from whence_common.settings_file import SettingsInvalid

AGENT = "aggregator_url: https://whence.example.org\n"
AGGREGATOR = 'audience: https://whence.example.org\naccounts: ["123456789012"]\n'


def test_the_required_settings_suffice() -> None:
    assert agent.parse_settings(AGENT.encode(), name="a").status_port == 7380
    assert aggregator.parse_settings(AGGREGATOR.encode(), name="a").listen_port == 7381


def test_each_program_has_a_port_of_its_own_by_default_and_the_table_of_units_states_it() -> None:
    ports = {
        "whence-agent.service": agent.Settings(aggregator_url="x").status_port,
        "whence-aggregator.service": aggregator.Settings(audience="x", accounts=[]).listen_port,
        "whence-registry.service": RegistryFrontSettings(name="x", backend="x").listen_port,
        "whence-witness.service": WitnessFile(name="x", log_keys=[]).listen_port,
        "whence-mint.service": MintSettings(key_file="x", providers={}, buckets=[]).listen_port,
    }
    assert sorted(ports.values()) == [7380, 7381, 7382, 7383, 7384]
    stated = {unit: endpoints for unit, endpoints in documented().items() if unit in ports}
    assert stated == {unit: {f"tcp 127.0.0.1:{port}"} for unit, port in ports.items()}


def test_keys_are_bound_by_the_fresh_proof_unless_the_settings_disable_it() -> None:
    assert aggregator.parse_settings(AGGREGATOR.encode(), name="a").sts == "required"


@pytest.mark.parametrize(
    "lines",
    [
        "database: postgresql://[hunter2\n",
        'witnesses: [{url: "http://[hunter2", key: x}]\n',
        "registry_front: {name: r.example.org, backend: 'https://[hunter2', realm: 'https://[hunter2'}\n",
        "console: {url: 'https://[hunter2'}\n",
    ],
)
def test_a_url_that_cannot_be_taken_apart_is_refused_with_its_place_and_not_shown(lines: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        aggregator.parse_settings((AGGREGATOR + lines).encode(), name="a")
    assert "a:3:" in caught.value.message
    assert "hunter2" not in caught.value.diagnostics()


def test_an_agents_url_that_cannot_be_taken_apart_is_refused_with_its_place() -> None:
    with pytest.raises(SettingsInvalid, match=r"a:1:17: .*brackets"):
        agent.parse_settings(b"aggregator_url: https://[whence.example.org\n", name="a")


@pytest.mark.parametrize("sts, warned", [("required", []), ("accepted", ["accepted"]), ("off", ["off"])])
async def test_the_start_warns_if_keys_are_bound_without_the_fresh_proof(
    sts: str, warned: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    settings = aggregator.parse_settings(f"{AGGREGATOR}sts: '{sts}'\n".encode(), name="a")
    async with aiohttp.ClientSession() as session:
        load_sts(settings, Authorities.from_pem({}), session)
    found = [record for record in caplog.records if "without the proof by STS" in record.message]
    assert [record.whence_fields for record in found] == [  # type: ignore[attr-defined]  # fields() adds it
        {"sts": one, "fix": "set sts: required"} for one in warned
    ]


def test_the_rules_for_registries_come_from_the_settings() -> None:
    text = (
        AGENT
        + "registries:\n  r.example.org: {immutable_tags: true, single_segment: true}\nallowed_registries: [r.example.org]\n"
    )
    rules = agent.parse_settings(text.encode(), name="a").platform_rules()
    assert rules.tags_of("r.example.org") == "vouched"
    assert rules.tags_of("other.example.org") == "not-allowed"


@pytest.mark.parametrize(
    "line, says",
    [
        ("agregator_url: x", "agregator_url"),
        ("aggregator_url: ftp://x", "aggregator_url"),
        ("aggregator_url: https://me:pw@x", "aggregator_url"),
        ("status_port: 70000", "status_port"),
        ("status_port: lots", "status_port"),
        ("application_gid: 0", "application_gid"),
        ("heartbeat_seconds: 0", "heartbeat_seconds"),
        ("container_name: 'a b'", "container_name"),
        ("state_directory: relative", "state_directory"),
        ("outbox_statements_max: 0", "outbox_statements_max"),
        ("status_hosts: ['https://x']", "status_hosts: 'https://x' is not a host"),
        ("status_hosts: ['x:80']", "status_hosts: 'x:80' is not a host"),
        ("allow_host_network: maybe", "allow_host_network"),
        ("registries: {r: {imutable: true}}", "imutable"),
        ("registries: {'https://r.example.org': {}}", "registries: 'https://r.example.org' is not a host"),
        ("allowed_registries: ['r.example.org/team']", "allowed_registries: 'r.example.org/team' is not a host"),
        ("status_port: 1\nstatus_port: 2", "a.yaml:3:1"),
        ("x: [", "a.yaml:"),
    ],
)
def test_wrong_agent_settings_are_refused_by_name(line: str, says: str) -> None:
    text = AGENT + line if not line.startswith("aggregator_url") else line
    with pytest.raises(SettingsInvalid, match=says):
        agent.parse_settings(text.encode(), name="a.yaml")


@pytest.mark.parametrize("content", [b"", b"- a", b"\xff", b" " * 2_000_000])
def test_a_file_that_is_not_a_settings_file_is_refused(content: bytes) -> None:
    with pytest.raises(SettingsInvalid):
        agent.parse_settings(content, name="a")
    with pytest.raises(SettingsInvalid):
        aggregator.parse_settings(content, name="a")


@pytest.mark.parametrize(
    "line, says",
    [
        ("accounts: []", "accounts"),
        ("accounts: ['12']", "accounts"),
        ("database: mysql://x", "database"),
        ("tls_key_file: x", "or neither"),
        ("listen_address: 0.0.0.0", "not loopback"),
        ("listen_port: -1", "listen_port"),
        ("silent_after_seconds: 0", "silent_after_seconds"),
        ("git_servers: {h: {tls: no}}", "tls"),
    ],
)
def test_wrong_aggregator_settings_are_refused_by_name(line: str, says: str) -> None:
    kept = [one for one in AGGREGATOR.splitlines() if not line.startswith(one.split(":")[0])]
    with pytest.raises(SettingsInvalid, match=says):
        aggregator.parse_settings("\n".join([*kept, line]).encode(), name="a")


@pytest.mark.parametrize(
    "lines, says",
    [
        ("registries: {r.example.org: {token_hosts: ['https://x']}}", "registries.r.example.org: 'https://x' in token_hosts"),
        ("registries: {r.example.org: {blob_hosts: ['a b']}}", "'a b' in token_hosts or blob_hosts is not a host"),
        ("registries: {r.example.org: {ecr_role_arn: 'arn:aws:iam::123456789012:role/x'}}", "ecr_role_arn is for ECR"),
        ("registries: {123456789012.dkr.ecr.eu-central-1.amazonaws.com: {ecr_role_arn: x}}", "not an ARN of a role"),
        ("registries: {r.example.org: {plain_http: true, login_file: /x}}", "login_file with plain_http"),
        ("git_servers: {g.example.org: {plain_http: true, login_file: /x}}", "a login with plain_http"),
        ("git_servers: {g.example.org: {login_file: /x, github_app: {app_id: '1', key_file: /y}}}", "exclude each other"),
        ("git_servers: {g.example.org: {github_app: {app_id: 'a b', key_file: /y}}}", "app_id"),
        ("git_servers: {g.example.org: {github_app: {app_id: '1', key_file: /y, installation_id: x}}}", "installation_id"),
        ("git_servers: {g.example.org: {github_app: {app_id: '1', key_file: /y, api_url: 'http://a.example.org'}}}", "api_url"),
        ("git_servers: {g.example.org: {token_hosts: [x]}}", "token_hosts"),
        ("trackers: {h.example.org: {type: trello}}", "type"),
        ("trackers: {'https://h.example.org': {type: jira}}", "is not a host"),
        ("trackers: {H.example.org: {type: jira}}", "lower case"),
        ("trackers: {h.example.org: {type: jira, repositories: {a/b: ['1']}}}", "have repositories"),
        ("trackers: {h.example.org: {type: gitea, repositories: {a/b: [x]}}}", "must have 1 to 20 ids, as numbers"),
        ("trackers: {h.example.org: {type: gitea, repositories: {a/b: []}}}", "must have 1 to 20 ids, as numbers"),
        ("trackers: {h.example.org: {type: jira, url: 'http://h.example.org'}}", "url must be an https URL"),
        ("trackers: {h.example.org: {type: jira, url: 'https://u@h.example.org'}}", "url must be a URL without a user"),
        ("trackers: {h.example.org: {type: jira, reviews: true}}", "have reviews"),
        ("trackers: {h.example.org: {type: github, reviews: false, tickets: false}}", "nothing would be read"),
        ("trackers: {h.example.org: {type: gitlab, github_app: {app_id: '1', key_file: /y}}}", "for the type github only"),
        ("trackers: {h.example.org: {type: github, login_file: /x, github_app: {app_id: '1', key_file: /y}}}", "exclude each"),
        ("trackers: {h.example.org: {type: github, github_app: {app_id: 'a b', key_file: /y}}}", "app_id"),
        ("trackers: {h.example.org: {type: template}}", "needs template"),
        ("trackers: {h.example.org: {type: jira, template: {path: '/{ticket}', fields: {title: a}}}}", "no other type has it"),
        ("trackers: {h.example.org: {type: template, template: {path: /x, fields: {title: a}}}}", "path must begin with /"),
        ("trackers: {h.example.org: {type: template, template: {path: '/{ticket}', fields: {}}}}", "title or status"),
        ("trackers: {h.example.org: {type: template, template: {path: '/{ticket}', fields: {title: '$.a'}}}}", "is not a path"),
        ("trackers: {h.example.org: {type: template, template: {path: '/{ticket}', fields: {titel: a}}}}", "'titel'"),
        ("trackers: {h.example.org: {type: jira, requests_at_once_max: 0}}", "from 1 to 20"),
        ("trackers: {h.example.org: {type: jira, projects: ['']}}", "projects must have"),
    ],
)  # fmt: skip
def test_unusable_urls_are_refused_by_name(lines: str, says: str) -> None:
    with pytest.raises(SettingsInvalid, match=says):
        aggregator.parse_settings((AGGREGATOR + lines).encode(), name="a")


def test_a_setting_of_docker_hub_by_one_name_applies_to_all_its_names() -> None:
    settings = agent.parse_settings(
        b"aggregator_url: https://whence.example.org\n"
        b"registries:\n  index.docker.io: {immutable_tags: true, sign_in: none, trust: {production_ready_header: true}}\n"
        b"allowed_registries: [registry-1.docker.io]\n",
        name="agent.yaml",
    )
    rules = settings.platform_rules()
    assert (rules.tags_of("docker.io"), rules.tags_of("r.example.org")) == ("vouched", "not-allowed")
    assert (settings.sign_in_of("docker.io"), settings.sign_in_of("registry-1.docker.io")) == ("none", "none")
    assert list(trust_policies(settings)) == ["docker.io"]


def test_a_registry_that_is_written_twice_is_refused() -> None:
    twice, told = (
        "{docker.io: {}, index.docker.io: {}}\n",
        "docker.io and index.docker.io are one registry; write it once",
    )
    with pytest.raises(SettingsInvalid, match=f"registries: {told}"):
        agent.parse_settings(f"{AGENT}registries: {twice}".encode(), name="a")
    with pytest.raises(SettingsInvalid, match=f"registries: {told}"):
        aggregator.parse_settings(f"{AGGREGATOR}registries: {twice}".encode(), name="a")
    with pytest.raises(SettingsInvalid, match=f"trust: {told}"):
        aggregator.parse_settings(f"{AGGREGATOR}trust: {twice}".encode(), name="a")


def test_token_and_blob_hosts_of_a_registry_must_be_hosts() -> None:
    with pytest.raises(SettingsInvalid, match="blob_hosts"):
        agent.parse_settings((AGENT + "registries: {r.example.org: {blob_hosts: ['http://x']}}").encode(), name="a")


LOG = Signer("whence.example.org", b"l" * 32)
OWN_AS_WITNESS = Signer("witness.example.org", b"l" * 32, WITNESS).verifier
ONE, ALIAS = (Signer(f"{name}.example.org", b"1" * 32, WITNESS).verifier for name in ("one", "alias"))


@pytest.mark.parametrize(
    "lines, says",
    [
        (f"aggregator_witness_keys: ['{ONE}']\naggregator_witnesses_least: 2", "aggregator_witnesses_least"),
        (f"aggregator_witness_keys: ['{ONE}', '{ALIAS}']\naggregator_witnesses_least: 2", "from 1 to 1"),
        ("aggregator_witnesses_least: 0", "aggregator_witnesses_least"),
        ("aggregator_witness_keys: [x]", "aggregator_witness_keys[0]"),
        (f"aggregator_witness_keys: ['{LOG.verifier}']", "is a log key"),
        (f"aggregator_log_keys: ['{ONE}']", "a log key is required"),
        (
            f"aggregator_log_keys: ['{LOG.verifier}']\naggregator_witness_keys: ['{OWN_AS_WITNESS}']",
            "a log cannot be its own witness",
        ),
    ],
)
def test_an_agents_witness_key_must_differ_from_the_log_key(lines: str, says: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        agent.parse_settings(f"{AGENT}{lines}\n".encode(), name="a.yaml")
    assert says in caught.value.message


def test_each_witness_is_named_once() -> None:
    witnesses = f"witnesses: [{{url: 'https://a', key: '{ONE}'}}, {{url: 'https://b', key: '{ALIAS}'}}]"
    with pytest.raises(SettingsInvalid, match="two witnesses have the same key or name"):
        aggregator.parse_settings(f"{AGGREGATOR}{witnesses}\n".encode(), name="a.yaml")


ORGANISATION = "organisation:\n  aws: {owner_tag: team}\n"


def test_accounts_may_be_those_of_the_organisation() -> None:
    text = f"audience: https://whence.example.org\naccounts: organization\n{ORGANISATION}"
    settings = aggregator.parse_settings(text.encode(), name="a")
    assert (settings.accounts, aggregator.accounts_named(settings)) == ("organization", [])


@pytest.mark.parametrize(
    "line, says",
    [
        ("organisation: {}", "organisation names no source: set file, aws, team_service or groups"),
        (
            "organisation: {groups: {}}",
            "organisation.groups: no issuer of sign_in, nor introspection, has claims.groups",
        ),
        ("organisation: {groups: {days: 0}}", "organisation.groups.days must be from 1 to 3650"),
        ("inventory: {regions: [eu-central-1], external_id: 'a b'}", "inventory.external_id must be 2 to 1224"),
        ("organisation: {groups: {seconds: 1}}", "organisation.groups.seconds must be from 10 to 86400"),
        ("organisation: {aws: {region: here}}", "organisation.aws.region is not a region"),
        ("organisation: {aws: {role_arn: x}}", "organisation.aws.role_arn is not an ARN of a role"),
        ("organisation: {aws: {session_name: ''}}", "organisation.aws.session_name must be 2 to 64"),
        ("organisation: {aws: {owner_tag: ''}}", "organisation.aws.owner_tag must have 1 to 128 characters"),
        ("organisation: {aws: {tags: ['']}}", "organisation.aws.tags must be at most 50 keys"),
        ("organisation: {aws: {seconds: 1}}", "organisation.aws.seconds must be from 10 to 86400"),
        ("organisation: {file: x, file_seconds: 1}", "organisation.file_seconds must be from 10 to 86400"),
        ("organisation: {team_service: {url: ftp://x}}", "organisation.team_service.url must be"),
        ("organisation: {team_service: {url: 'http://me:pw@x'}}", "organisation.team_service.url must be"),
        ("organisation: {team_service: {url: 'http://x', token_file: t}}", "would show the token to everybody"),
        ("organisation: {teamservice: {url: http://x}}", "organisation.teamservice: unknown setting"),
        ("retention: {member_days: 9, archive_bucket: b}", "the archive would keep the names"),
        ("retention: {member_days: 0}", "must be at least 1"),
    ],
)
def test_wrong_sources_of_the_organisation_are_refused_at_the_start(line: str, says: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        aggregator.parse_settings(f"{AGGREGATOR}{line}\n".encode(), name="a.yaml")
    assert says in caught.value.message


def test_accounts_of_the_organisation_need_a_source_that_lists_them() -> None:
    text = "audience: https://whence.example.org\naccounts: organization\n"
    with pytest.raises(SettingsInvalid, match=r"`organization` needs organisation\.aws"):
        aggregator.parse_settings(text.encode(), name="a.yaml")
