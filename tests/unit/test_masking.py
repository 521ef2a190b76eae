"""What is shown of user data: never what is, or looks like, a secret."""

from __future__ import annotations

import pytest

from whence_common.user_data.masking import MASKED, masked


@pytest.mark.parametrize(
    "name, value",
    [
        ("DB_PASSWORD", "x"),
        ("api_token", "x"),
        ("PRIVATE_KEY", "x"),
        ("scalyr_account_key", "x"),
        ("client_secret", 7),
        ("KMS_VALUE", "aws:kms:AQICAHh"),
        ("ANY", "aws:ssm:/app/db"),
        ("INNOCENT", "AKIAIOSFODNN7EXAMPLEKEY9x2"),
        ("INNOCENT", "ghp_16C7e42F292c6912E7710c838347Ae178B4a"),
        ("HEADER", "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0"),
    ],
)
def test_secrets_are_masked_wherever_they_stand(name: str, value: object) -> None:
    assert masked({"environment": {name: value}})["environment"] == {name: MASKED}
    assert masked({"x": [{name: value}]})["x"] == [{name: MASKED}]


@pytest.mark.parametrize(
    "name, value",
    [
        ("GREETING", "hello world, this is a long and quite ordinary sentence"),
        ("JAVA_OPTS", "-Xmx512m -XX:+UseG1GC"),
        ("TOKEN_SERVICE_URL", "https://tokens.example.org/oauth2/access_token"),
        ("PATH_TO", "/usr/local/share/application/configuration"),
        ("RETRIES", 3),
        ("DEBUG", True),
        ("ABSENT", None),
    ],
)
def test_the_ordinary_is_shown(name: str, value: object) -> None:
    assert masked({"environment": {name: value}})["environment"] == {name: value}


def test_what_identifies_the_image_is_always_shown() -> None:
    document = {"source": "r.example.org/a/b@sha256:" + "0a1b" * 16, "application_version": "a1b2c3d4e5f6a7b8c9d0e1f2"}
    assert masked(document) == document


def test_a_platform_can_mask_the_whole_environment() -> None:
    assert masked({"environment": {"A": "b"}, "c": "d"}, whole_environment=True) == {
        "environment": {"A": MASKED},
        "c": "d",
    }


def test_credentials_in_urls_are_removed() -> None:
    assert masked({"URL_OF": "https://me:pw@example.org/x"}) == {"URL_OF": "https://example.org/x"}


def test_a_dictionary_under_a_secret_name_is_masked_whole() -> None:
    assert masked({"dockercfg_auth": {"host": "x"}}) == {"dockercfg_auth": MASKED}


def test_a_platform_may_mask_every_environment_value_sidecars_included() -> None:
    document = {"environment": {"A": "plain"}, "containers": {"proxy": {"environment": {"B": "plain"}}, "odd": None}}
    assert masked(document, whole_environment=True) == {
        "environment": {"A": "MASKED"},
        "containers": {"proxy": {"environment": {"B": "MASKED"}}, "odd": None},
    }


def test_the_sign_in_of_a_registry_is_masked() -> None:
    document = {"dockercfg": {"r.example.org": {"auth": "Zm9v", "password": "x", "username": "robot"}}}
    assert masked(document) == {
        "dockercfg": {"r.example.org": {"auth": "MASKED", "password": "MASKED", "username": "robot"}}
    }
