"""Hostile and careless configurations: each is refused in bounded time, with its place, and without effect."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from whence_aggregator.accounts.configuration.account import AccountSettings
from whence_aggregator.accounts.configuration.read import EFFECTIVE_NODES_MAX, read_configuration
from whence_aggregator.accounts.configuration.root import ACCOUNTS_MAX, CONFIGURATION_BYTES_MAX
from whence_aggregator.accounts.configuration.schema import json_schema
from whence_common.settings_file import SettingsInvalid
from whence_common.user_data import nodes, strict_yaml

ONE, TWO = "111111111111", "222222222222"
HEAD = "version: 11\nglobal:\n  regions: [eu-west-1]\n"
SECONDS_MAX = 60
"""Of processor time, on a loaded machine; each takes less than 10."""


class Settings(AccountSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    things: dict[str, Any] = msgspec.field(default_factory=dict)


def refused(content: bytes) -> SettingsInvalid:
    start = time.process_time()
    with pytest.raises(SettingsInvalid) as caught:
        read_configuration(content, name="a.yaml", structure=Settings)
    assert time.process_time() - start < SECONDS_MAX
    assert caught.value.message.replace("\n", "").isprintable()
    return caught.value


def one(section: str) -> str:
    return f"{HEAD}accounts:\n  one: {section}\n"


WELL_FORMED = f'{HEAD}accounts:\n  one: {{id: "{ONE}"}}\n'
REFUSED_BY_BOTH = {
    "an empty mapping": ("{}", "version: is required, but not set"),
    "version 9": ("version: 9\naccounts: {a: }", "9 is not supported"),
    "a quoted version": ('version: "11"\naccounts: {a: }', "11 is not supported"),
    "a version that is true": ("version: true\naccounts: {a: }", "true is not supported"),
    "a version in a list": ("version: [11]\naccounts: {a: }", "a list or mapping is not supported"),
    "no accounts": (HEAD, "accounts: no account is configured"),
    "accounts as a list": (f"{HEAD}accounts: [one]", "accounts: must be a mapping"),
    "global as text": ("version: 11\nglobal: x\naccounts: {a: }", "global: must be a mapping"),
    "an unknown key at the top": (f"{WELL_FORMED}acounts: {{}}", "acounts: unknown key"),
    "an account as text": (one("text"), "accounts.one: must be a mapping (name: value), or empty"),
    "a misspelt key": (one(f'{{id: "{ONE}", region: [a]}}'), "accounts.one.region: unknown setting"),
    "a misspelt key that is null": (one(f'{{id: "{ONE}", region: }}'), "accounts.one.region: unknown setting"),
    "a misspelt key further down": (one(f'{{id: "{ONE}", access: {{rol: x}}}}'), "accounts.one.access.rol: unknown setting"),
    "regions as text": (one(f'{{id: "{ONE}", regions: eu-west-1}}'), "accounts.one.regions: must be a list"),
    "regions that are empty": (one(f'{{id: "{ONE}", regions: []}}'), "accounts.one.regions: Expected"),
    "a region that is null": (one(f'{{id: "{ONE}", regions: [~]}}'), "accounts.one.regions[0]: must be text"),
    "access as a list": (one(f'{{id: "{ONE}", access: [role]}}'), "accounts.one.access: must be a mapping"),
    "an id of 11 digits": (one('{id: "11111111111"}'), "accounts.one.id: '11111111111' is not the id of an account"),
    "an id with a line break": (one('{id: "11111111111\\n1"}'), "accounts.one.id: '11111111111 1' is not the id"),
    "an id of other digits": (one('{id: "１１１１１１１１１１１１"}'), "accounts.one.id: "),
    "an id without quotes": (one("{id: 111111111111}"), "accounts.one.id: must be text"),
    "an octal id": (one("{id: 011111111111}"), "accounts.one.id: must be text"),
    "an id as a date": (one("{id: 2012-10-17}"), "accounts.one.id: must be text"),
    "an id as a list": (one(f'{{id: ["{ONE}"]}}'), "accounts.one.id: must be text"),
    "a global id": (f'version: 11\nglobal: {{regions: [eu-west-1], id: "{ONE}"}}\naccounts: {{a: }}', "global.id: an id belongs"),
    "a path as a name": (f'{HEAD}accounts: {{../x: {{id: "{ONE}"}}}}', "accounts.../x: is not a valid name"),
    "an empty name": (f'{HEAD}accounts: {{"": {{id: "{ONE}"}}}}', "accounts.: is not a valid name"),
    "organizations as a list": (f"{HEAD}organizations: [a]", "organizations: must be a mapping"),
    "a misspelt key of organizations": (f"{HEAD}organizations: {{unit: [a]}}", "organizations.unit: unknown setting"),
}  # fmt: skip
REFUSED_BY_THE_READER = {
    "two accounts with one id": (f'{HEAD}accounts: {{a: {{id: "{ONE}"}}, b: {{id: "{ONE}"}}}}', "accounts.b.id: a has the same id"),
    "no regions": (f'version: 11\naccounts: {{a: {{id: "{ONE}"}}}}', "accounts.a.regions: is required, but not set"),
    "regions removed by null": (one(f'{{id: "{ONE}", regions: }}'), "accounts.one.regions: is required, but not set"),
    "a format with attributes": (one(f'{{id: "{ONE}", alias: "{{account_id.__class__}}"}}'), "the placeholder {account_id.__class__} is not known"),
    "a format with a number": (one(f'{{id: "{ONE}", alias: "{{0}}"}}'), "the placeholder {0} is not known"),
    "an empty format": (one(f'{{id: "{ONE}", alias: "x{{}}"}}'), "the placeholder {} is not known"),
    "a format with a conversion": (one(f'{{id: "{ONE}", alias: "{{account_id!r:>9}}"}}'), "the placeholder {account_id!r:>9} is not known"),
    "a misspelt placeholder": (one(f'{{id: "{ONE}", alias: "{{acount_name}}"}}'), "the placeholder {acount_name} is not known"),
    "two names that become one": (one(f'{{id: "{ONE}", things: {{"{{account_name}}": 1, one: 2}}}}'), "a name is twice in a mapping"),
    "an admin account of a wrong type": (one(f'{{id: "{ONE}", admin_account: {{}}}}'), "accounts.one.admin_account: must be text"),
}  # fmt: skip
NOT_YAML = {
    "nothing": (b"", "must be a mapping"),
    "null": (b"~", "must be a mapping"),
    "a list": (b"[1, 2]", "must be a mapping"),
    "bytes that are not UTF-8": (b"version: 11\nglobal: \xff\n", "a.yaml:2: byte 20 is not UTF-8"),
    "UTF-16": ("version: 11".encode("utf-16"), "is not UTF-8"),
    "a tab as indentation": (b"version: 11\nglobal:\n\tregions: [eu-west-1]\n", "the indentation has a tab"),
    "a duplicate key": (WELL_FORMED.encode() + b"version: 11\n", "duplicate key 'version'"),
    "a duplicate account": (f'{HEAD}accounts:\n  a: {{id: "{ONE}"}}\n  a: {{id: "{TWO}"}}\n'.encode(), "duplicate key 'a'"),
    "two documents": (WELL_FORMED.encode() + b"---\n" + WELL_FORMED.encode(), "a second document starts here"),
    "a tag that runs code": (b"version: !!python/object/apply:os.system [ls]", "the tag 'tag:yaml.org,2002:python"),
    "an alias inside its own anchor": (b"version: 11\nglobal: &a {things: *a}", "inside its own anchor"),
    "an alias without an anchor": (b"version: 11\nglobal: *nothing", "does not exist"),
    "a merge key over text": (b"version: 11\nglobal: {<<: text}", "<< merges mappings only"),
    "a control character in a text": (one(f'{{id: "{ONE}", alias: "a\\0b"}}').encode(), "a control character"),
    "a control character in a name": (f'{HEAD}accounts: {{"a\\eb": {{id: "{ONE}"}}}}'.encode(), "a control character"),
    "a NUL byte": (b"version: 11\x00", "control character"),
    "a number that is too long": (b"version: 0x" + b"f" * 20_000, "too long"),
    "deep nesting": (b"version: 11\nglobal: " + b"[" * 3000 + b"]" * 3000, "nested deeper than 20 levels"),
    "deep mappings": (b"version: 11\nglobal: " + b"{a: " * 3000 + b"}" * 3000, "nested deeper than 20 levels"),
    "a bomb of aliases": (
        b"a: &a [x, x, x, x, x, x, x, x, x, x]\n"
        + b"".join(b"%c: &%c [%s]\n" % (n + 1, n + 1, b", ".join([b"*%c" % n] * 10)) for n in range(97, 106)),
        "values with aliases expanded",
    ),
    "a bomb of merges": (
        b"a: &a {" + b", ".join(b"k%d: v" % n for n in range(1000)) + b"}\nglobal:\n  things:\n"
        + b"".join(b"    t%d: {<<: *a}\n" % n for n in range(500)),
        "values with aliases expanded",
    ),
    "more than 2 MB": (b"version: 11\n#" + b"x" * CONFIGURATION_BYTES_MAX, f"larger than {CONFIGURATION_BYTES_MAX} bytes"),
}  # fmt: skip


@pytest.mark.parametrize("about", REFUSED_BY_BOTH)
def test_it_is_refused_by_the_reader_and_by_the_schema(about: str) -> None:
    text, message = REFUSED_BY_BOTH[about]
    assert message in refused(text.encode()).message
    assert not _validator().is_valid(_plain(text))


@pytest.mark.parametrize("about", REFUSED_BY_THE_READER)
def test_it_is_refused_by_the_reader_which_judges_more_than_the_schema(about: str) -> None:
    text, message = REFUSED_BY_THE_READER[about]
    assert message in refused(text.encode()).message


@pytest.mark.parametrize("about", NOT_YAML)
def test_what_is_not_a_yaml_mapping_of_text_is_refused(about: str) -> None:
    content, message = NOT_YAML[about]
    found = refused(content)
    assert message in f"{found.message} {found.fix}"


@pytest.mark.parametrize(
    "text",
    [
        WELL_FORMED,
        one(""),
        one("{}"),
        one(f'{{id: "{ONE}", alias: null, access: {{role: null}}, things: null, admin_account: }}'),
        one(
            f'{{id: "{ONE}", alias: "%s-{{account_name}}-%(x)s", things: {{policy: "{{0}} {{x.__class__}} ${{aws:x}}"}}}}'
        ),
        one(f'{{id: "{ONE}", things: {{tags: {{a: "{{anything}}"}}, b: "{{{{doubled}}}}", c: "{{ with spaces }}"}}}}'),
        f'version: 11\nglobal: &g {{regions: [eu-west-1]}}\naccounts: {{one: {{<<: *g, id: "{ONE}"}}}}',
        f'version: 11\nglobal: {{regions: [eu-west-1], access: null}}\naccounts: {{"Team One (prod)": {{id: "{ONE}"}}}}',
        f"{HEAD}accounts: null\norganizations: {{}}",
        f"{HEAD}organizations: {{role: null, region: null, units: null, exclude: null}}",
        f'version: 11\nglobal: null\naccounts: {{one: {{id: "{ONE}", regions: [eu-west-1]}}}}\norganizations: null',
    ],
)
def test_it_is_accepted_by_the_reader_and_by_the_schema(text: str) -> None:
    read_configuration(text.encode(), name="a.yaml", structure=Settings)
    assert list(_validator().iter_errors(_plain(text))) == []


def test_ids_without_quotes_are_refused_with_what_to_write() -> None:
    found = refused(one("{id: 012345670123}").encode())
    assert [(one.line, one.column, one.fix) for one in found.problems] == [
        (5, 13, 'write its 12 digits in quotes: "012345678901"')
    ]


def test_more_accounts_than_the_bound_are_refused() -> None:
    text = HEAD + "accounts:\n" + "".join(f"  a{number}:\n" for number in range(ACCOUNTS_MAX + 1))
    assert f"accounts: has more than {ACCOUNTS_MAX} accounts" in refused(text.encode()).message


def test_a_hundred_thousand_accounts_are_refused() -> None:
    text = HEAD + "accounts:\n" + "".join(f"  a{number}:\n" for number in range(100_000))
    assert refused(text.encode()).code in ("settings-invalid", "settings-yaml")


def test_a_small_file_whose_merged_sections_are_large_is_refused() -> None:
    things = "".join(f'    t{number}: "{{account_id}}"\n' for number in range(1000))
    accounts = "".join(f"  a{number}:\n" for number in range(5001))
    text = f"{HEAD}  things:\n{things}accounts:\n{accounts}"
    assert f"more than {EFFECTIVE_NODES_MAX} values together" in refused(text.encode()).message


def test_an_error_in_the_global_section_is_reported_once_for_all_accounts() -> None:
    accounts = "".join(f'  a{number}: {{id: "{number:012}"}}\n' for number in range(2000))
    found = refused(f"version: 11\nglobal: {{regions: 3}}\naccounts:\n{accounts}".encode())
    assert [one.path for one in found.problems] == ["global.regions"]


def test_many_errors_are_reported_up_to_a_bound() -> None:
    accounts = "".join(f'  a{number}: {{id: "{number:012}", x: 1}}\n' for number in range(2000))
    assert 10 <= len(refused(f"{HEAD}accounts:\n{accounts}".encode()).problems) <= 101


def test_an_unknown_placeholder_in_many_texts_is_reported_up_to_a_bound() -> None:
    things = "".join(f'    t{number}: "{{x}}"\n' for number in range(20_000))
    assert len(refused(f"{HEAD}  things:\n{things}accounts: {{one: }}\n".encode()).problems) <= 101


def _validator() -> Draft202012Validator:
    return Draft202012Validator(json_schema(Settings))


def _plain(text: str) -> Any:
    root, problems = strict_yaml.parse(text)
    assert root is not None, problems
    return nodes.to_python(root)
