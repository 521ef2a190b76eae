"""Properties of reading a configuration: any document is read or refused, and merging is what the definition says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fakes.account_sections import every_section
from whence_aggregator.accounts.configuration.merging import EMPTY, merged
from whence_aggregator.accounts.configuration.placeholders import Texts
from whence_aggregator.accounts.configuration.read import read_configuration
from whence_aggregator.accounts.configuration.version10 import KEYS10
from whence_aggregator.accounts.configuration.write import convert, to_yaml
from whence_common.errors import InputError
from whence_common.settings_file import SettingsInvalid
from whence_common.user_data import nodes
from whence_common.user_data.nodes import MappingNode

IDS = {"a": "111111111111", "b": "222222222222", "c": "333333333333"}

_names = st.sampled_from(["a", "b", "c", "{account_name}", "roles", "tags", "id", "drop", "1", ""])
_scalars = st.none() | st.booleans() | st.integers(-1, 70_000) | st.sampled_from(
    ["a", "eu-west-1", "111111111111", "{account_id}", "{x}", "${x}", "{{x}}", "", "*"]
)  # fmt: skip
_values = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=3), max_leaves=10
)
_plain_mappings = st.dictionaries(_names, _values, max_size=4)
_keys = st.sampled_from([*sorted({name.partition(".")[0].partition("[")[0] for name in KEYS10}), "id", "access", "x"])
_sound = {
    "regions": st.just(["a"]),
    "alias": st.sampled_from(["x-{account_name}", "y", None]),
    "access": st.sampled_from([{"role": "x"}, {"role": None}, {"external_id": "{account_id}"}, None]),
    "admin_account": st.sampled_from(["a", "444444444444", None]),
    "saml_admin_login_role": st.sampled_from(["r", None]),
    "id": st.sampled_from(list(IDS.values())),
    "roles": st.dictionaries(st.sampled_from(["r", "s"]), st.sampled_from([{"drop": True}, {"path": "/p/"}, {}]), max_size=2),
    "kms": st.dictionaries(st.sampled_from(["k", "l"]), st.sampled_from([{"drop": True}, {"description": "d"}, {}]), max_size=2),
    "enable_nat": st.booleans() | st.none(),
    "instance_type": st.just("m3.medium"),
    "domain": st.sampled_from(["{account_name}.org", None]),
}  # fmt: skip
_own = st.none() | st.fixed_dictionaries({}, optional=_sound)
_shared = st.fixed_dictionaries(
    {"regions": st.just(["a"])}, optional={k: v for k, v in _sound.items() if k not in ("id", "regions")}
)
_likely = st.fixed_dictionaries(
    {
        "version": st.sampled_from([10, 11]),
        "global": _shared,
        "accounts": st.dictionaries(st.sampled_from(["a", "b", "c"]), _own, min_size=1, max_size=3),
    }
)
_sections = st.none() | _values | st.dictionaries(_keys, _values, max_size=4)
_unlikely = st.fixed_dictionaries(
    {"version": st.sampled_from([10, 11, 11, 9, "11", None])},
    optional={
        "global": _sections,
        "accounts": st.dictionaries(_names, _sections, max_size=3) | _values,
        "organizations": _values,
        "x": _values,
    },
)
_documents = _likely | _unlikely
SECTION = every_section()


def refusal(call: Callable[[], object]) -> InputError | None:
    """Return the error by which a call refuses its input; any other exception is a bug."""
    try:
        call()
    except InputError as exc:
        return exc
    return None


@given(_documents)
def test_any_document_is_read_or_refused_with_the_place_of_each_problem(document: dict[str, Any]) -> None:
    content = to_yaml(document).encode()
    refused = refusal(lambda: read_configuration(content, name="a.yaml", structure=SECTION))
    if refused is None:
        configuration = read_configuration(content, name="a.yaml", structure=SECTION)
        refused = refusal(lambda: configuration.accounts(account_list=IDS))
        assert refused is None or refused.fix
        assert refused or all(one.account_id == one.settings.id for one in configuration.accounts(account_list=IDS))
    else:
        assert isinstance(refused, SettingsInvalid)
        assert all(0 <= one.line <= content.count(b"\n") and one.message and one.fix for one in refused.problems)


@given(_likely | _documents)
def test_what_is_converted_states_the_same_accounts(document: dict[str, Any]) -> None:
    content = to_yaml({**document, "version": 10}).encode()
    try:
        before = read_configuration(content, name="a.yaml", structure=SECTION).accounts(account_list=IDS)
    except InputError:
        return
    text = convert(content, name="a.yaml", account_list=IDS, structure=SECTION)
    assert read_configuration(text.encode(), name="a.yaml", structure=SECTION).accounts(account_list=IDS) == before


@given(st.binary(max_size=60))
def test_any_bytes_are_refused(content: bytes) -> None:
    refused = refusal(lambda: read_configuration(b"version: 11\n" + content, name="a.yaml"))
    assert refused is not None
    assert refused.message.replace("\n", "").isprintable()


def _merged(base: Any, over: Any) -> Any:
    """Return what the documents define: mappings by key, null removes, all else is replaced."""
    if isinstance(over, list):
        return [_merged(None, one) for one in over]
    if not isinstance(over, dict):
        return over
    found = dict(base) if isinstance(base, dict) else {}
    for name, one in over.items():
        if one is None:
            found.pop(name, None)
        else:
            found[name] = _merged(found.get(name), one)
    return found


@given(_plain_mappings, _plain_mappings)
def test_sections_are_merged_as_defined_and_parts_are_shared_without_effect(
    base: dict[str, Any], over: dict[str, Any]
) -> None:
    below, above = nodes.from_python(base), nodes.from_python(over)
    assert isinstance(below, MappingNode)
    assert isinstance(above, MappingNode)
    shared = merged(EMPTY, below, None)
    section = merged(shared, above, None)
    assert nodes.to_python(section) == _merged(_merged({}, base), over)
    names = {"account_id": "{account_id}", "account_name": "{account_name}"}
    assert Texts(shared).plain(section, names) == nodes.to_python(section)
    assert nodes.to_python(shared) == _merged({}, base)
