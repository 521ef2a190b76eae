"""The schema, the explanations and the writing of a configuration: all from the structures that the reader uses."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from msgspec import Meta, Struct

from whence_aggregator.accounts.configuration.account import AccountSettings
from whence_aggregator.accounts.configuration.explain import explain, explanations, render, render_all
from whence_aggregator.accounts.configuration.merging import merged
from whence_aggregator.accounts.configuration.placeholders import replace
from whence_aggregator.accounts.configuration.schema import SCHEMA_ID, json_schema
from whence_aggregator.accounts.configuration.shapes import shapes
from whence_aggregator.accounts.configuration.write import difference, to_document, to_yaml
from whence_common.errors import InputError
from whence_common.user_data import nodes, strict_yaml
from whence_common.user_data.nodes import MappingNode

ONE = "111111111111"


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule."""

    port: Annotated[int, Meta(ge=1, le=65535, description="Port of the rule.")]
    protocol: Literal["tcp", "udp"] = "tcp"


class Group(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Annotated[str, Meta(pattern="^[a-z]+$", description="Name of the group.")]
    rules: Annotated[tuple[Rule, ...], Meta(max_length=5, description="Rules of the group.")] = ()
    drop: bool = False


class Settings(AccountSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    security_groups: Annotated[
        dict[str, Group], Meta(max_length=9, description="Groups, by name.")
    ] = msgspec.field(default_factory=dict)  # type: ignore[assignment]  # fmt: skip


def problems(sections: dict[str, Any]) -> list[str]:
    document = {"version": 11, "global": {"regions": ["eu-west-1"]}, "accounts": {"one": {"id": ONE, **sections}}}
    return [one.message for one in Draft202012Validator(json_schema(Settings)).iter_errors(document)]


def test_the_schema_is_valid_and_has_an_identifier() -> None:
    schema = json_schema()
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == SCHEMA_ID == "urn:whence:accounts:configuration:11"
    assert msgspec.json.decode(msgspec.json.encode(schema)) == schema


def test_every_reference_of_the_schema_has_a_definition_and_every_definition_a_reference() -> None:
    schema = json_schema(Settings)
    text = msgspec.json.encode(schema).decode()
    assert {f'"#/$defs/{name}"' for name in schema["$defs"]} == {
        f'"{one.partition(chr(34))[0]}"' for one in text.split('"$ref":"')[1:]
    }


def test_a_part_of_a_mapping_is_valid_since_the_rest_may_be_global() -> None:
    assert problems({"security_groups": {"a": {"drop": True}, "b": None, "c": {"rules": None}}}) == []


def test_what_stands_in_a_list_is_whole() -> None:
    assert problems({"security_groups": {"a": {"rules": [{"protocol": "tcp"}]}}})
    assert problems({"security_groups": {"a": {"rules": [None]}}})
    assert problems({"security_groups": {"a": {"rules": [{"port": 22}]}}}) == []


def test_a_text_with_a_placeholder_may_stand_where_a_pattern_is_required() -> None:
    assert problems({"security_groups": {"a": {"name": "{account_name}"}}}) == []
    assert problems({"security_groups": {"a": {"name": "A1"}}})


@pytest.mark.parametrize("value", [{"port": 0}, {"port": "22"}, {"port": 22, "protocol": "icmp"}, {"prt": 22}])
def test_bounds_of_values_are_in_the_schema(value: dict[str, Any]) -> None:
    assert problems({"security_groups": {"a": {"rules": [value]}}})


def test_a_key_is_explained_with_its_type_default_and_bounds() -> None:
    assert render(explain("security_groups.*.rules[].port", Settings)) == (
        "security_groups.*.rules[].port: whole number, required\n"
        "  Port of the rule.\n"
        "  bounds: at least 1; at most 65535"
    )
    assert render(explain("security_groups.*.rules[].protocol", Settings)) == (
        'security_groups.*.rules[].protocol: one of tcp, udp\n  default: "tcp"'
    )


def test_a_key_is_explained_as_it_stands_in_a_file() -> None:
    for key in (
        "accounts.hello.security_groups.ssh.drop",
        "global.security_groups.ssh.drop",
        "security_groups.ssh.drop",
    ):
        assert explain(key, Settings).key == "security_groups.*.drop"
    assert explain("accounts.hello.security_groups.ssh.rules[3].port", Settings).key == "security_groups.*.rules[].port"


def test_a_key_of_version_10_is_explained_with_what_it_means_now() -> None:
    assert render(explain("bastion")) == (
        "bastion: not a key of version 11\n"
        "  version 10: no effect: there is no SSH bastion: Session Manager or EC2 Instance Connect reach instances; "
        "remove it"
    )
    assert explain("security_groups", Settings).version10 == "the same"
    assert explain("SSLDIR").version10.startswith("no server certificate is uploaded to IAM")


@pytest.mark.parametrize(
    ("key", "fix"),
    [
        ("regoins", "did you mean regions"),
        ("accounts.a.admin_acount", "did you mean admin_account"),
        ("owner_id", "did you mean base_ami.owner_id"),
        ("\x1b[31m", "whence-accounts explain lists the keys"),
        ("(((" * 1000, "whence-accounts explain lists the keys"),
        ("", "whence-accounts explain lists the keys"),
    ],
)
def test_an_unknown_key_is_refused_with_near_names(key: str, fix: str) -> None:
    with pytest.raises(InputError, match="unknown key") as caught:
        explain(key)
    assert caught.value.fix.startswith(fix)
    assert caught.value.message.isprintable()


def test_all_keys_are_listed_each_with_a_description() -> None:
    lines = render_all().splitlines()
    assert len(lines) == len(explanations())
    assert [one for one in lines if " " not in one.strip()] == []


def test_every_key_of_the_sections_has_a_description_that_is_a_sentence() -> None:
    assert [one.name for one in shapes().values() if not one.description.endswith(".")] == []


_texts = st.text(max_size=8) | st.sampled_from(
    ["012345670123", "123456789012", "22:22", "2012-10-17", "yes", "null", "~", "<<", "=", "1e3", "0x1", ".inf", " a", "a: b",
     "#", "- a", "{account_id}", "*a", "&a", "!b", "a\nb\n", "\t", "\u2028", "é", "\U0001f600", "\x85", "'", '"', "\\"]
)  # fmt: skip
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=8,
)
_mappings = st.dictionaries(_texts, _values, max_size=4)


@given(_mappings)
def test_what_is_written_is_read_back_as_the_same_values(settings: dict[str, Any]) -> None:
    root, found = strict_yaml.parse(to_yaml(settings))
    assert (nodes.to_python(root) if root is not None else None, found) == (settings, ())


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(one) for name, one in value.items() if one is not None}
    return [_without_nulls(one) for one in value] if isinstance(value, list) else value


@given(_mappings, _mappings)
def test_the_difference_of_two_sections_merges_back_to_the_second(base: dict[str, Any], own: dict[str, Any]) -> None:
    base, own = _without_nulls(base), _without_nulls(own)
    below, over = nodes.from_python(base), nodes.from_python(difference(base, own))
    assert isinstance(below, MappingNode)
    assert isinstance(over, MappingNode)
    assert nodes.to_python(merged(below, over, None)) == own
    assert difference(own, own) == {}


def test_a_file_is_written_with_what_differs_in_each_account_only() -> None:
    shared = {"regions": ["eu-west-1"], "alias": "x-{account_name}", "kms": {"a": {"drop": True}, "b": {}}}
    accounts = {"one": {**shared, "id": "011111111111", "kms": {"a": {"drop": 1}}}, "two": shared}
    assert to_document(shared, accounts) == (
        "version: 11\n"
        "global:\n"
        "  alias: x-{account_name}\n"
        "  regions:\n"
        "    - eu-west-1\n"
        "  kms:\n"
        "    a:\n"
        "      drop: true\n"
        "    b: {}\n"
        "accounts:\n"
        "  one:\n"
        "    id: '011111111111'\n"
        "    kms:\n"
        "      b: null\n"
        "      a:\n"
        "        drop: 1\n"
        "  two: null\n"
    )


def test_values_that_are_shared_are_written_out() -> None:
    shared = ["x"]
    assert to_yaml({"a": shared, "b": shared}) == "a:\n  - x\nb:\n  - x\n"


def test_values_without_a_form_in_yaml_are_refused() -> None:
    with pytest.raises(InputError, match="cannot be written as YAML"):
        to_yaml({"a": object()})


@given(_texts, _texts, _texts)
def test_replacing_leaves_other_braces_alone(before: str, name: str, after: str) -> None:
    names = {"account_name": name}
    if "{" not in before + after and "}" not in before + after and not before.endswith("$"):
        assert replace(f"{before}{{account_name}}{after}", names) == f"{before}{name}{after}"
    for kept in ("${account_name}", "{{account_name}}", "{account_name!r}", "{account_name.x}", "{0}", "{}", "%s"):
        assert replace(kept, names) == kept
