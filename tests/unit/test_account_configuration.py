"""The configuration of accounts, version 11: sections are merged, texts replaced, ids checked, errors placed."""

from __future__ import annotations

import time
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.configuration.access import AccountAccess
from whence_aggregator.accounts.configuration.account import AccountSettings
from whence_aggregator.accounts.configuration.organizations import Organizations
from whence_aggregator.accounts.configuration.read import Configuration, read_configuration
from whence_common.errors import InputError
from whence_common.settings_file import SettingsInvalid

ONE, TWO, ADMIN = "111111111111", "222222222222", "333333333333"


class Settings(AccountSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    things: dict[str, Any] = msgspec.field(default_factory=dict)
    size: Annotated[int, Meta(ge=1, le=9)] = 1
    names: tuple[str, ...] = ()


def stated(account: ConfiguredAccount, key: str) -> Any:
    """Return a key that only the structure of these tests is sure to have."""
    return getattr(account.settings, key)


def read(text: str) -> Configuration:
    return read_configuration(text.encode(), name="a.yaml", structure=Settings)


def settings(text: str, name: str = "one") -> Settings:
    found = read(f"version: 11\n{text}").accounts(name)[0].settings
    assert isinstance(found, Settings)
    return found


def refused(text: str) -> list[str]:
    with pytest.raises(SettingsInvalid) as caught:
        read(text)
    return [line for line in caught.value.message.splitlines() if line.startswith("a.yaml")]


def test_the_section_of_an_account_is_merged_into_the_global_one() -> None:
    found = settings(f"""
global:
  regions: [eu-west-1, eu-central-1]
  things: {{a: {{x: 1, y: 2}}, b: 3, c: {{z: 4}}}}
  names: [p, q]
accounts:
  one: {{id: "{ONE}", things: {{a: {{y: 5}}, d: 6}}, names: [r], access: {{external_id: e}}}}
""")
    assert found.things == {"a": {"x": 1, "y": 5}, "b": 3, "c": {"z": 4}, "d": 6}
    assert found.regions == ("eu-west-1", "eu-central-1")
    assert found.names == ("r",)
    assert found.access == AccountAccess(role="whence-accounts", external_id="e")


def test_null_removes_an_entry_of_the_global_section() -> None:
    found = settings(f"""
global: {{regions: [eu-west-1], size: 5, things: {{a: {{x: 1}}, b: 2}}}}
accounts:
  one: {{id: "{ONE}", size: null, things: {{a: {{x: ~}}, b: null}}}}
""")
    assert (found.size, found.things) == (1, {"a": {}})


def test_null_is_a_value_where_the_key_accepts_it() -> None:
    found = settings(f"""
global: {{regions: [eu-west-1], access: {{role: auditor}}}}
accounts:
  one: {{id: "{ONE}", alias: null, access: {{role: null}}}}
""")
    assert (found.alias, found.access.role) == (None, None)


def test_an_account_without_a_section_has_the_global_one() -> None:
    text = "version: 11\nglobal: {regions: [eu-west-1], size: 7}\naccounts: {one: }\n"
    [account] = read(text).accounts(account_list={"one": ONE})
    assert (account.account_id, account.settings.id, account.settings.alias) == (ONE, ONE, "one")


def test_placeholders_are_replaced_in_texts_and_names_and_iam_variables_stay() -> None:
    found = settings(f"""
global:
  regions: [eu-west-1]
  alias: "example-{{account_name}}"
  things:
    policy:
      Resource: "arn:aws:s3:::b-{{account_id}}/${{aws:username}}/{{anything}}"
      Condition: {{"example:{{account_id}}:sub": "{{{{account_id}}}} ${{account_id}}"}}
    bucket: "b-{{account_id}}-{{region}}"
    port: 22
accounts:
  one: {{id: "{ONE}"}}
""")
    assert found.alias == "example-one"
    assert found.things == {
        "policy": {
            "Resource": f"arn:aws:s3:::b-{ONE}/${{aws:username}}/{{anything}}",
            "Condition": {f"example:{ONE}:sub": "{{account_id}} ${account_id}"},
        },
        "bucket": f"b-{ONE}-{{region}}",
        "port": 22,
    }


def test_each_account_has_its_own_texts_of_one_global_section() -> None:
    text = f"""
version: 11
global: {{regions: [eu-west-1], things: {{a: "{{account_name}}", same: {{b: [c]}}}}}}
accounts: {{one: {{id: "{ONE}"}}, two: {{id: "{TWO}"}}}}
"""
    assert [stated(one, "things") for one in read(text).accounts()] == [
        {"a": "one", "same": {"b": ["c"]}}, {"a": "two", "same": {"b": ["c"]}},
    ]  # fmt: skip


def test_the_admin_account_is_found_by_its_name_or_id() -> None:
    text = f"""
version: 11
global: {{regions: [eu-west-1], admin_account: admin}}
accounts: {{one: {{id: "{ONE}"}}, admin: {{id: "{ADMIN}"}}, two: {{id: "{TWO}", admin_account: "{ONE}"}}}}
"""
    found = read(text).accounts("one", "two", organization_id="o-1")
    assert [(one.admin_account_id, one.organization_id) for one in found] == [(ADMIN, "o-1"), (ONE, "o-1")]


def test_an_admin_account_without_known_id_is_refused() -> None:
    text = f'version: 11\nglobal: {{regions: [eu-west-1], admin_account: root}}\naccounts: {{one: {{id: "{ONE}"}}}}\n'
    with pytest.raises(InputError, match=r"accounts\.one\.admin_account: the id of root is not known") as caught:
        read(text).accounts()
    assert "write its id in quotes" in caught.value.fix


def test_accounts_without_known_ids_are_named_with_three_ways_to_state_them() -> None:
    configuration = read("version: 11\nglobal: {regions: [eu-west-1]}\naccounts: {one: , two: }\n")
    with pytest.raises(InputError, match="the ids of these accounts are not known: two") as caught:
        configuration.accounts(account_list={"one": ONE})
    for way in ('write id: "…"', "organizations:", "a file of accounts"):
        assert way in caught.value.fix


def test_an_id_that_differs_from_the_list_of_accounts_is_refused() -> None:
    configuration = read(f'version: 11\nglobal: {{regions: [eu-west-1]}}\naccounts: {{one: {{id: "{ONE}"}}}}\n')
    with pytest.raises(InputError, match=rf"accounts\.one\.id: is {ONE}, but the list of accounts has {TWO}"):
        configuration.accounts(account_list={"one": TWO})


def test_two_accounts_of_a_list_with_one_id_are_refused() -> None:
    configuration = read("version: 11\nglobal: {regions: [eu-west-1]}\naccounts: {one: , two: }\n")
    with pytest.raises(InputError, match=rf"accounts\.two\.id: one and two have the id {ONE}"):
        configuration.accounts(account_list={"one": ONE, "two": ONE})


@pytest.mark.parametrize(("name", "account_id"), [("../x", ONE), ("one", "11111111111"), ("one", f"{ONE}\n")])
def test_an_invalid_list_of_accounts_is_refused(name: str, account_id: str) -> None:
    configuration = read("version: 11\nglobal: {regions: [eu-west-1]}\norganizations: {}\naccounts: {one: }\n")
    with pytest.raises(InputError, match="the list of accounts is invalid"):
        configuration.accounts(account_list={name: account_id, **({} if name == "one" else {"one": TWO})})


def test_with_organizations_every_listed_account_is_configured() -> None:
    text = """
version: 11
organizations: {role: "arn:aws:iam::333333333333:role/lister", units: [ou-1], exclude: ["sandbox-*"]}
global: {regions: [eu-west-1], things: {a: "{account_id}"}}
accounts: {one: {size: 4}}
"""
    configuration = read(text)
    assert configuration.organizations == Organizations(
        role="arn:aws:iam::333333333333:role/lister", units=("ou-1",), exclude=("sandbox-*",)
    )
    found = configuration.accounts(account_list={"two": TWO, "one": ONE})
    assert [(one.name, stated(one, "things"), stated(one, "size")) for one in found] == [
        ("one", {"a": ONE}, 4), ("two", {"a": TWO}, 1),
    ]  # fmt: skip


def test_without_organizations_the_list_adds_no_account() -> None:
    configuration = read("version: 11\nglobal: {regions: [eu-west-1]}\naccounts: {one: }\n")
    assert [one.name for one in configuration.accounts(account_list={"one": ONE, "two": TWO})] == ["one"]


def test_every_problem_of_a_file_is_reported_with_its_place_and_whether_it_is_global() -> None:
    assert refused(f"""version: 11
global:
  regions: eu-west-1
  sizes: 3
accounts:
  one: {{id: 111111111111, size: 12}}
  two: {{id: "{TWO}", acess: {{role: x}}}}
  three: {{id: "{TWO}"}}
  four: [x]
organisations: {{}}
""") == [
        "a.yaml:3:3: error[settings-invalid]: global.regions: must be a list, but is text",
        "a.yaml:4:3: error[settings-invalid]: global.sizes: unknown setting",
        "a.yaml:6:13: error[settings-invalid]: accounts.one.id: must be text",
        "a.yaml:6:27: error[settings-invalid]: accounts.one.size: Expected `int` <= 9",
        "a.yaml:7:29: error[settings-invalid]: accounts.two.acess: unknown setting",
        "a.yaml:8:15: error[settings-invalid]: accounts.three.id: two has the same id",
        "a.yaml:9:3: error[settings-invalid]: accounts.four: must be a mapping (name: value), or empty",
        "a.yaml:10:1: error[settings-invalid]: organisations: unknown key",
    ]


def test_a_missing_key_is_reported_at_the_account_that_lacks_it() -> None:
    assert refused(f'version: 11\naccounts:\n  one: {{id: "{ONE}"}}\n') == [
        "a.yaml:3:3: error[settings-invalid]: accounts.one.regions: is required, but not set"
    ]


def test_an_error_of_a_step_is_placed_by_the_key_that_it_names() -> None:
    configuration = read(
        f'version: 11\nglobal: {{regions: [eu-west-1]}}\naccounts:\n  one:\n    id: "{ONE}"\n    things: {{}}\n'
    )
    exc = InputError("things-wrong", "accounts.one.things: wrong", fix="correct it")
    assert configuration.invalid([exc]).message.startswith(
        "a.yaml:6:5: error[things-wrong]: accounts.one.things: wrong"
    )


def test_reading_takes_a_time_in_proportion_to_the_accounts() -> None:
    things = "".join(f"    t{number}: {{a: [1, 2, 3], b: {{c: d}}}}\n" for number in range(250))

    def seconds(count: int) -> float:
        accounts = "".join(f'  a{n}: {{id: "{n:012}", things: {{t1: {{b: {{c: e}}}}}}}}\n' for n in range(count))
        text = f"version: 11\nglobal:\n  regions: [eu-west-1]\n  things:\n{things}accounts:\n{accounts}"
        start = time.process_time()
        found = read(text).accounts()
        assert len(found) == count
        return time.process_time() - start

    few, many = seconds(250), seconds(2000)
    assert many < 8 * 3 * few, (few, many)
