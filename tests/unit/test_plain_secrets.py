"""Secrets in plain text are found by their form; what only may be one is named as such; references are none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whence_common.user_data.plain_secrets import PlainSecrets, plain_secrets

KEY_ID = "AKIA" + "QWERTYUIOPASDFGH"
NOTHING = PlainSecrets()


@pytest.mark.parametrize(
    ("document", "certain", "doubtful"),
    [
        ({"application_id": "greeter", "environment": {"LEVEL": "info", "PORT": 8080}}, (), ()),
        ({"environment": {"DB_PASSWORD": "hunter2"}}, ("environment.DB_PASSWORD",), ()),
        ({"environment": {"DB_PASSWORD": 123456}}, ("environment.DB_PASSWORD",), ()),
        ({"environment": {"DB_PASSWORD": "aws:kms:AQICAHh"}}, (), ()),
        ({"environment": {"DB_PASSWORD": "aws:ssm:/pay/db"}}, (), ()),
        ({"environment": {"DB_PASSWORD": "${DB_PASSWORD}", "KEYSTORE_PASSWORD": "/run/secrets/x"}}, (),
         ("environment.DB_PASSWORD", "environment.KEYSTORE_PASSWORD")),
        ({"environment": {"AWS_ID": KEY_ID}}, ("environment.AWS_ID",), ()),
        ({"environment": {"API_TOKEN": "abc"}}, (), ("environment.API_TOKEN",)),
        ({"environment": {"URL": "postgres://pay:geheim@db.example.org/pay"}}, ("environment.URL",), ()),
        ({"ssh": "-----BEGIN RSA PRIVATE KEY-----\nMII"}, ("ssh",), ()),
        ({"containers": {"side": {"environment": [{"name": "DB_PASSWORD", "value": "x"}]}}},
         ("containers.side.environment[0].value",), ()),
        ({"command": ["serve", "--token", "abc"]}, (), ("command",)),
        ({"command": ["serve", KEY_ID]}, ("command[1]",), ("command",)),
    ],
)  # fmt: skip
def test_secrets_are_found_by_form_and_name(
    document: dict[str, Any], certain: tuple[str, ...], doubtful: tuple[str, ...]
) -> None:
    assert plain_secrets(document) == PlainSecrets(certain=certain, doubtful=doubtful)


def test_a_path_never_shows_a_secret() -> None:
    found = plain_secrets({"environment": {f"x={KEY_ID}": {"password": "x"}}})
    assert found.certain == ("environment.MASKED.password",)


scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=20)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(max_size=8), values, max_size=4))
def test_any_document_is_looked_through(document: dict[str, Any]) -> None:
    found = plain_secrets(document)
    assert not set(found.certain) & set(found.doubtful)
