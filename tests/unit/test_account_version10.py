"""Seven Seconds' configuration, version 10: read as it is, with a remark or an error for what has no effect."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from fakes.account_sections import every_section
from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.configuration.account import AccountSettings
from whence_aggregator.accounts.configuration.read import Configuration, read_configuration
from whence_aggregator.accounts.configuration.version10 import KEYS10, OPTIONS, child, top_level
from whence_aggregator.accounts.configuration.write import convert
from whence_common.errors import InputError
from whence_common.settings_file import SettingsInvalid

DATA = Path(__file__).resolve().parents[1] / "data" / "accounts"
SECTION = every_section()
IDS = {"one": "111111111111", "two": "222222222222", "exampleorg": "333333333333"}
HEAD = "version: 10\nglobal:\n  admin_account: exampleorg\n  regions: [eu-west-1]\n  domain: null\n"


def stated(account: ConfiguredAccount, key: str) -> Any:
    """Return a key that only the structure of these tests is sure to have."""
    return getattr(account.settings, key)


def read(text: str) -> Configuration:
    return read_configuration(text.encode(), name="a.yaml", structure=SECTION)


def problems(text: str) -> list[str]:
    """Return remarks, or errors, each with its fix on a line."""
    try:
        found = read(text).remarks
    except SettingsInvalid as exc:
        found = exc.problems
    return [f"{one.line}: {one.severity}: {one.message} ({one.fix})" for one in found]


def example(name: str) -> str:
    return (DATA / f"sevenseconds-{name}.yaml").read_text()


@pytest.mark.parametrize("name", ["full", "minimal"])
def test_the_examples_are_refused_without_a_version_as_seven_seconds_refuses_them(name: str) -> None:
    assert problems(example(name)) == [
        "0: error: version: is required, but not set "
        "(write version: 11, or version: 10 for a configuration of Seven Seconds)"
    ]


def test_the_minimal_example_is_refused_for_its_misspelt_key_only() -> None:
    found = [one for one in problems("version: 10\n" + example("minimal")) if ": error: " in one]
    assert found == ["20: error: global.base_ami.onwer_id: unknown setting (did you mean owner_id?)"]


def test_the_minimal_example_is_read_with_what_has_no_effect_named() -> None:
    configuration = read("version: 10\n" + example("minimal").replace("onwer_id", "owner_id"))
    assert [one.path for one in configuration.remarks] == ["global.bastion"]
    found = configuration.accounts(account_list={"foobar": IDS["one"], "stups": IDS["two"]})
    assert [(one.name, one.settings.alias, one.regions) for one in found] == [
        ("foobar", "exampleorg-foobar", ("eu-central-1", "eu-west-1")),
        ("stups", "exampleorg-stups", ("eu-central-1", "eu-west-1")),
    ]


def test_the_full_example_is_refused_for_its_misspelt_key_and_for_the_image_in_a_tag() -> None:
    found = [one for one in problems("version: 10\n" + example("full")) if ": error: " in one]
    assert found == [
        "33: error: global.base_ami.onwer_id: unknown setting (did you mean owner_id?)",
        "37: error: global.vpc.tags.Config: {{ami_id}} and {{base_ami_config}} have no value: a VPC has no image (remove the tag)",
    ]


def _full() -> str:
    text = example("full").replace("onwer_id", "owner_id").replace(", ami_id: {{ami_id}}", "")
    return f"version: 10\n{text}"


def test_the_full_example_is_read_with_what_each_key_means_now() -> None:
    configuration = read(_full())
    assert [one.message for one in configuration.remarks] == [
        "global.saml_identity_provider_url has no effect: Seven Seconds did not read it either",
        "global.saml_admin_login_role is now access.role: the role that is assumed in each account",
        "global.bastion has no effect: there is no SSH bastion: Session Manager or EC2 Instance Connect reach instances",
    ]
    accounts = {"legacy-foobar": IDS["one"], "stups": IDS["two"], "exampleorg": IDS["exampleorg"]}
    legacy, stups = configuration.accounts(account_list=accounts)
    assert (legacy.regions, stups.regions) == (("eu-west-1",), ("eu-central-1", "eu-west-1"))
    assert legacy.settings.access.role == "Shibboleth-Administrator"
    assert legacy.admin_account_id == IDS["exampleorg"]


def test_a_key_of_an_account_replaces_the_whole_global_key() -> None:
    [one] = read(HEAD + "  kms: {a: {description: x}, b: {}}\naccounts: {one: {kms: {c: {}}}}\n").accounts(
        account_list=IDS
    )
    assert list(stated(one, "kms")) == ["c"]


def test_null_in_an_account_replaces_the_global_key_too() -> None:
    [one] = read(HEAD + "  kms: {a: {description: x}}\naccounts: {one: {kms: null}}\n").accounts(account_list=IDS)
    assert not stated(one, "kms")


def test_ids_come_from_the_list_of_accounts_or_from_the_key_id() -> None:
    configuration = read(HEAD + f'accounts: {{one: {{id: "{IDS["one"]}"}}, two: , exampleorg: }}\n')
    with pytest.raises(InputError, match="the ids of these accounts are not known: two, exampleorg"):
        configuration.accounts()
    assert [one.account_id for one in configuration.accounts("one", "two", account_list=IDS)] == [
        IDS["one"], IDS["two"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ("enable_odd: true", "error: global.enable_odd: there is no SSH bastion: Session Manager or EC2 Instance Connect "
         "reach instances; false is accepted (write enable_odd: false, or remove it)"),
        ("basti0n: {}", "error: global.basti0n: unknown key of version 10 (did you mean bastion?)"),
        ("bastion: {redeploy: true}", "error: global.bastion.redeploy: unknown key of version 10 (did you mean re_deploy?)"),
        ("account_list_url: 'https://x'", "warning: global.account_list_url has no effect: ids of accounts are in the "
         "configuration, or come from AWS Organizations (write id: in each account, list the organization "
         "(organizations:), or name a file of accounts)"),
        ("aws_credentials_service_url: 'https://x'", "warning: global.aws_credentials_service_url has no effect: the tool "
         "assumes access.role in each account (write access: {role: …})"),
        ("aws_credentials_service_resources: {role: x}", "error: global.aws_credentials_service_resources.role: unknown key "
         "of version 10 (did you mean roles?)"),
        ("instance_type: m3.medium", "warning: global.instance_type has no effect: NAT is a gateway, never an instance "
         "(remove it)"),
        ("acm: {domain_name: a.example.org, validation_domain: example.org}", "warning: global.acm[0].validation_domain has "
         "no effect: certificates are validated by DNS, not by e-mail (remove it)"),
        ("roles_simulator: {r: {c: {simulation_options: {ActionNames: [x]}, simulation_result: allowed}}}", "warning: "
         "global.roles_simulator has no effect: policies are not simulated; Seven Seconds only logged a result that "
         "differed (remove it; whence-accounts check-permissions reports what the caller may not do)"),
    ],
)  # fmt: skip
def test_a_key_that_is_not_acted_on_is_named_with_what_to_write(keys: str, said: str) -> None:
    found = problems(HEAD + f"  {keys}\naccounts: {{one: }}\n")
    assert said in [one.partition(": ")[2] for one in found]


def test_what_is_switched_off_needs_no_change() -> None:
    assert problems(HEAD + "  enable_odd: false\naccounts: {one: }\n") == []


def test_trusted_networks_of_an_account_have_no_effect_as_in_seven_seconds() -> None:
    assert problems(HEAD + "accounts: {one: {trusted_networks: {a: 192.0.2.0/24}}}\n") == [
        "6: warning: accounts.one.trusted_networks has no effect: it is read from the global section only "
        "(move it to the global section)"
    ]


def test_an_own_access_precedes_the_role_of_the_login() -> None:
    text = HEAD + "  saml_admin_login_role: Admin\naccounts: {one: {access: {role: mine}}, two: }\n"
    assert [one.settings.access.role for one in read(text).accounts(account_list=IDS)] == ["mine", "Admin"]


def test_alternative_names_of_certificates_become_a_list() -> None:
    text = HEAD + (
        "  acm:\n    domain_name: '{account_name}.example.org'\n    validation_domain: example.org\n"
        "    subject_alternative_names: {'*.{account_name}.example.org': example.org}\naccounts: {one: }\n"
    )
    [one] = read(text).accounts(account_list=IDS)
    [certificate] = msgspec.to_builtins(stated(one, "acm"))
    assert certificate["domain_name"] == "one.example.org"
    assert list(certificate["subject_alternative_names"]) == ["*.one.example.org"]


class Network(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    tags: dict[str, str] | None = None
    endpoints: tuple[str, ...] = ("s3",)


class Networks(AccountSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    vpc: Network | None = None  # type: ignore[assignment]  # a section of this test's own
    enable_nat: bool | None = None
    database_subnet_groups: bool = False


@pytest.mark.parametrize(
    ("sections", "found"),
    [
        ("accounts: {one: }", (None, ("s3", "dynamodb", "kms"), True, True)),
        ("  vpc: {tags: {a: b}}\naccounts: {one: }", ({"a": "b"}, ("s3", "dynamodb", "kms"), True, True)),
        ("accounts: {one: {vpc: {tags: {a: b}}}}", ({"a": "b"}, ("s3", "dynamodb", "kms"), True, True)),
        ("  vpc: {tags: {a: b}}\naccounts: {one: {vpc: null}}", (None, ("s3", "dynamodb", "kms"), True, True)),
        ("  enable_nat: false\naccounts: {one: }", (None, ("s3", "dynamodb", "kms"), False, True)),
        ("accounts: {one: {enable_nat: false}}", (None, ("s3", "dynamodb", "kms"), False, True)),
    ],
)
def test_what_seven_seconds_does_without_a_key_is_stated(sections: str, found: tuple[object, ...]) -> None:
    text = HEAD.replace("  domain: null\n", "") + f"{sections}\n"
    for content in (text, convert(text.encode(), name="a.yaml", structure=Networks)):
        configuration = read_configuration(content.encode(), name="a.yaml", structure=Networks)
        settings = configuration.accounts(account_list=IDS)[0].settings
        assert isinstance(settings, Networks)
        assert settings.vpc is not None
        assert (
            settings.vpc.tags, settings.vpc.endpoints, settings.enable_nat, settings.database_subnet_groups,
        ) == found  # fmt: skip


def test_placeholders_of_a_section_without_effect_are_not_judged() -> None:
    text = HEAD + "  bastion: {ami_config: {hostname: 'odd-{version}-{vpc_net}'}}\naccounts: {one: }\n"
    assert [one.partition(":")[0] for one in problems(text)] == ["6"]


def test_an_unknown_placeholder_of_a_section_with_effect_is_refused() -> None:
    assert problems(HEAD + "  alias: '{name}'\naccounts: {one: }\n") == [
        "6: error: global.alias: the placeholder {name} is not known "
        "(write {account_id}, {account_name}, or the value itself)"
    ]


def test_a_trail_without_the_regions_that_seven_seconds_needs_is_read() -> None:
    text = HEAD + "  cloudtrail: {s3_bucket_name: logs, s3_key_prefix: a}\naccounts: {one: }\n"
    assert problems(text) == []


@pytest.mark.parametrize("key", [*KEYS10, *OPTIONS])
def test_every_key_states_what_it_means_now(key: str) -> None:
    known = KEYS10.get(key)
    assert known is None or (known.now and (known.write or known.fate in ("acted", "mapped")))


def test_the_table_has_every_key_that_seven_seconds_reads() -> None:
    read_by_stock = """
        admin_account alias regions domain domain_soa_ttl aws_credentials_service_url aws_credentials_service_resources
        account_list_url token_managed_id_key saml_admin_login_role enable_cloudtrail cloudtrail base_ami roles
        additional_policies additional_attached_policies roles_simulator saml_providers s3_buckets acm kms
        ebs_encrypt_by_default vpc vpc_net enable_nat instance_type enable_dedicated_dmz_route bastion enable_odd
        security_groups trusted_networks trusted_networks_config saml_identity_provider_url
    """
    assert sorted(top_level()) == sorted(read_by_stock.split())
    assert child("base_ami", "owner_id") == "base_ami.owner_id"
    assert child("base_ami", "onwer_id") is None


def test_a_converted_file_states_the_same_accounts() -> None:
    ids = {"legacy-foobar": IDS["one"], "stups": IDS["two"], "exampleorg": IDS["exampleorg"]}
    text = convert(_full().encode(), name="a.yaml", account_list=ids, structure=SECTION)
    assert read(text).accounts(account_list=ids) == read(_full()).accounts(account_list=ids)
    assert text.startswith("version: 11\nglobal:\n")
    assert f"  legacy-foobar:\n    id: '{IDS['one']}'\n    regions:\n      - eu-west-1\n" in text


def test_a_converted_file_merges_to_what_whole_keys_replaced() -> None:
    text = HEAD + (
        "  kms: {a: {description: x, tags: {k: v}}, b: {drop: true}}\n  alias: x-{account_name}\n"
        "  enable_nat: true\n  trusted_networks: {n: 192.0.2.0/24}\n"
        "accounts:\n  one: {kms: {a: {description: y}, c: {}}, enable_nat: false, domain: '{account_name}.org'}\n"
        "  two: {kms: {}, regions: [eu-central-1]}\n"
    )
    converted = convert(text.encode(), name="a.yaml", account_list=IDS, structure=SECTION)
    before, after = read(text).accounts(account_list=IDS), read(converted).accounts(account_list=IDS)
    assert [one.settings for one in after] == [one.settings for one in before]


def test_a_file_of_version_11_is_not_converted() -> None:
    with pytest.raises(SettingsInvalid, match="does not have version 10"):
        convert(b"version: 11\naccounts: {one: }\n", name="a.yaml")


def test_an_invalid_file_is_not_converted() -> None:
    with pytest.raises(SettingsInvalid, match=r"global\.regionz: unknown key of version 10"):
        convert(b"version: 10\nglobal: {regionz: [x]}\naccounts: {one: }\n", name="a.yaml")
