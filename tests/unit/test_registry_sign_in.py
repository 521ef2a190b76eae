"""How registries ask for a sign-in, and what they are shown: the challenges of those that people use."""

from __future__ import annotations

import base64
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whence_common.login_file import LoginInvalid, docker_entry, parse_login
from whence_common.registry_address import RegistryPlace
from whence_common.registry_sign_in import (
    Login,
    SignInChallenge,
    SignInRefused,
    TokenRequest,
    choose,
    granted,
    parse_challenges,
    parse_token,
    scope_of,
    shown,
    sign_in,
    token_request,
)

ROBOT = Login(username="robot", password="hunter2hunter2")
EXAMPLE = RegistryPlace(registry="registry.example.org")


@pytest.mark.parametrize(
    "headers, expected",
    [
        (['Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/nginx:pull"'],
         [SignInChallenge(scheme="bearer", realm="https://auth.docker.io/token", service="registry.docker.io", scope="repository:library/nginx:pull")]),
        (['Bearer realm="https://ghcr.io/token",service="ghcr.io",scope="repository:user/image:pull"'],
         [SignInChallenge(scheme="bearer", realm="https://ghcr.io/token", service="ghcr.io", scope="repository:user/image:pull")]),
        (['Bearer realm="https://gitlab.example.org/jwt/auth",service="container_registry",error="insufficient_scope"'],
         [SignInChallenge(scheme="bearer", realm="https://gitlab.example.org/jwt/auth", service="container_registry")]),
        (['Bearer realm="https://harbor.example.org/service/token",service="harbor-registry"'],
         [SignInChallenge(scheme="bearer", realm="https://harbor.example.org/service/token", service="harbor-registry")]),
        (['Basic realm="https://123456789012.dkr.ecr.eu-central-1.amazonaws.com/",service="ecr.amazonaws.com"'],
         [SignInChallenge(scheme="basic", realm="https://123456789012.dkr.ecr.eu-central-1.amazonaws.com/", service="ecr.amazonaws.com")]),
        (['BASIC Realm = "Sonatype Nexus"'], [SignInChallenge(scheme="basic", realm="Sonatype Nexus")]),
        (['Bearer realm="https://a/t", service="x", Basic realm="r"'],
         [SignInChallenge(scheme="bearer", realm="https://a/t", service="x"), SignInChallenge(scheme="basic", realm="r")]),
        (['Negotiate', 'Basic realm=plain'], [SignInChallenge(scheme="negotiate"), SignInChallenge(scheme="basic", realm="plain")]),
        (['Bearer realm="a \\"b\\", c",service=s'], [SignInChallenge(scheme="bearer", realm='a "b", c', service="s")]),
        (['Bearer realm="one",realm="two"'], [SignInChallenge(scheme="bearer", realm="one")]),
        (['realm="without a scheme"'], []),
        ([""], []),
        ([], []),
    ],
)  # fmt: skip
def test_a_challenge_is_read_as_its_registry_writes_it(headers: list[str], expected: list[SignInChallenge]) -> None:
    assert parse_challenges(headers) == expected


@given(st.lists(st.text(max_size=300), max_size=4))
def test_no_header_breaks_the_reader(headers: list[str]) -> None:
    assert len(parse_challenges(headers)) <= 32


def test_a_header_that_is_written_to_be_slow_is_not() -> None:
    assert len(parse_challenges(['Bearer realm="' + "\\" * 100_000, "a " * 50_000, "a=" * 50_000])) <= 16


@pytest.mark.parametrize(
    "challenges, login, scheme",
    [
        ([SignInChallenge(scheme="basic"), SignInChallenge(scheme="bearer", realm="https://registry.example.org/token")], ROBOT, "bearer"),
        ([SignInChallenge(scheme="basic")], ROBOT, "basic"),
        ([SignInChallenge(scheme="basic")], None, None),
        ([SignInChallenge(scheme="basic")], Login(identity_token="x"), None),
        ([SignInChallenge(scheme="negotiate")], ROBOT, None),
        ([], ROBOT, "basic"),
        ([], None, None),
        ([SignInChallenge(scheme="bearer", realm="https://elsewhere.example.com/t"), SignInChallenge(scheme="basic")], ROBOT, "basic"),
        ([SignInChallenge(scheme="bearer", realm="https://elsewhere.example.com/t")], None, "bearer"),
    ],
)  # fmt: skip
def test_a_token_comes_first_then_basic(
    challenges: list[SignInChallenge], login: Login | None, scheme: str | None
) -> None:
    chosen = choose(challenges, login, EXAMPLE)
    assert (chosen.scheme if chosen is not None else None) == scheme


@pytest.mark.parametrize(
    "challenges, login, header",
    [
        ([], None, ""),
        ([], ROBOT, ROBOT.basic()),
        ([SignInChallenge(scheme="basic")], None, ""),
        ([SignInChallenge(scheme="basic")], Login(registry_token="abc"), "Bearer abc"),
        ([SignInChallenge(scheme="bearer", realm="https://elsewhere.example.com/t")], Login(registry_token="abc"), "Bearer abc"),
        ([SignInChallenge(scheme="bearer", realm="https://elsewhere.example.com/t"), SignInChallenge(scheme="basic")], ROBOT, ROBOT.basic()),
    ],
)  # fmt: skip
def test_a_sign_in_needs_no_token_where_a_header_answers_it(
    challenges: list[SignInChallenge], login: Login | None, header: str
) -> None:
    assert sign_in(challenges, login, [scope_of("a/b")], EXAMPLE) == header


def test_a_sign_in_by_bearer_asks_for_a_token_with_the_login_in_a_header() -> None:
    challenge = SignInChallenge(scheme="bearer", realm="https://registry.example.org/token")
    wanted = sign_in([challenge], ROBOT, [scope_of("a/b")], EXAMPLE)
    assert isinstance(wanted, TokenRequest)
    assert (wanted.method, wanted.headers) == ("GET", {"Accept": "application/json", "Authorization": ROBOT.basic()})
    renewed = sign_in([challenge], Login(identity_token="hunter2"), [scope_of("a/b")], EXAMPLE)
    assert isinstance(renewed, TokenRequest)
    assert (renewed.method, renewed.headers) == ("POST", {"Accept": "application/json"})


def test_a_sign_in_is_shown_to_the_registry_and_to_no_other_host() -> None:
    assert shown(EXAMPLE, "https://registry.example.org/v2/", "Bearer abc") == {"Authorization": "Bearer abc"}
    assert shown(EXAMPLE, "https://registry.example.org/v2/", "") == {}
    for url in ("https://cdn.example.org/x", "http://registry.example.org/v2/", "https://registry.example.org:8443/"):
        assert shown(EXAMPLE, url, "Bearer abc") == {}


def test_a_token_is_granted_by_a_whole_answer_with_status_200_only() -> None:
    token = granted(200, b'{"token": "abc"}')
    assert token is not None
    assert token.header == "Bearer abc"
    assert [granted(status, body) for status, body in ((201, b'{"token": "abc"}'), (200, None), (401, b""))] == [
        None
    ] * 3


@pytest.mark.parametrize(
    "place, realm, code",
    [
        (EXAMPLE, "https://registry.example.org/token", ""),
        (EXAMPLE, "https://registry.example.org:8443/token", "registry-realm-foreign"),
        (EXAMPLE, "https://registry.example.org.evil.example/token", "registry-realm-foreign"),
        (EXAMPLE, "https://auth.docker.io/token", "registry-realm-foreign"),
        (EXAMPLE, "http://registry.example.org/token", "registry-realm"),
        (EXAMPLE, "https://robot:pw@registry.example.org/token", "registry-realm"),
        (EXAMPLE, "https://registry.example.org:99999/token", "registry-realm"),
        (EXAMPLE, "https://[::1/token", "registry-realm"),
        (EXAMPLE, "/token", "registry-realm"),
        (EXAMPLE, "", "registry-realm"),
        (RegistryPlace(registry="registry.example.org", token_hosts=frozenset({"gitlab.example.org"})), "https://gitlab.example.org/jwt/auth", ""),
        (RegistryPlace(registry="docker.io"), "https://auth.docker.io/token", ""),
        (RegistryPlace(registry="registry.gitlab.com"), "https://gitlab.com/jwt/auth", ""),
        (RegistryPlace(registry="ghcr.io"), "https://ghcr.io/token", ""),
        (RegistryPlace(registry="127.0.0.1:5000"), "http://127.0.0.1:5000/token", ""),
    ],
)  # fmt: skip
def test_a_login_is_shown_to_the_registrys_own_hosts_only(place: RegistryPlace, realm: str, code: str) -> None:
    challenge = SignInChallenge(scheme="bearer", realm=realm, service="s")
    if not code:
        wanted = token_request(challenge, ROBOT, [scope_of("a/b")], place)
        assert (wanted.url.partition("?")[0], wanted.authorization) == (realm, ROBOT.basic())
        return
    with pytest.raises(SignInRefused) as caught:
        token_request(challenge, ROBOT, [scope_of("a/b")], place)
    assert (caught.value.code, caught.value.retryable) == (code, False)
    assert "hunter2" not in caught.value.diagnostics()


def test_without_a_login_a_foreign_realm_is_asked_and_shown_nothing() -> None:
    challenge = SignInChallenge(scheme="bearer", realm="https://auth.example.com/t?x=1", service="my service")
    wanted = token_request(challenge, None, [scope_of("a/b", push=True), scope_of("c/d")], EXAMPLE)
    assert (wanted.authorization, wanted.form) == ("", None)
    assert parse_qs(urlsplit(wanted.url).query) == {
        "x": ["1"],
        "service": ["my service"],
        "scope": ["repository:a/b:pull,push", "repository:c/d:pull"],
    }


def test_an_identity_token_goes_into_a_form_never_into_a_url() -> None:
    challenge = SignInChallenge(scheme="bearer", realm="https://registry.example.org/token", service="s")
    wanted = token_request(challenge, Login(identity_token="hunter2"), [scope_of("a/b"), scope_of("c")], EXAMPLE)
    assert wanted.url == "https://registry.example.org/token"
    assert wanted.form == {
        "service": "s", "scope": "repository:a/b:pull repository:c:pull", "grant_type": "refresh_token",
        "refresh_token": "hunter2", "client_id": "whence",
    }  # fmt: skip
    assert "hunter2" not in repr(wanted) + repr(Login(identity_token="hunter2", password="hunter2"))


@pytest.mark.parametrize(
    "body, value, seconds",
    [
        (b'{"token": "abc", "expires_in": 300}', "abc", 270),
        (b'{"access_token": "abc", "expires_in": 3600, "scope": ""}', "abc", 3570),
        (b'{"token": "", "access_token": "abc"}', "abc", 45),
        (b'{"token": "abc", "expires_in": 60}', "abc", 45),
        (b'{"token": "abc", "expires_in": 0}', "abc", 0.75),
        (b'{"token": "abc", "expires_in": -9}', "abc", 0.75),
        (b'{"token": "abc", "expires_in": "300"}', "abc", 45),
        (b'{"token": "abc", "expires_in": true}', "abc", 45),
        (b'{"token": "abc", "expires_in": 1e300}', "abc", 43_170),
    ],
)
def test_a_token_is_used_until_shortly_before_it_expires(body: bytes, value: str, seconds: float) -> None:
    token = parse_token(body)
    assert token is not None
    assert (token.value, token.seconds) == (value, seconds)
    assert value not in repr(token)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"token": 7}', b'{"token": "a b"}', b'{"token": "a\\n"}'])
def test_a_malformed_token_is_none(body: bytes) -> None:
    assert parse_token(body) is None


def config(**entry: str) -> bytes:
    import json

    return json.dumps({"auths": {"registry.example.org": entry}}).encode()


@pytest.mark.parametrize(
    "content, login",
    [
        (b"robot:hunter2hunter2\n", ROBOT),
        (b"robot$team+x:pass:word", Login(username="robot$team+x", password="pass:word")),
        (b"ghp_token\n", Login(username="x-access-token", password="ghp_token")),
        (config(auth=base64.b64encode(b"robot:hunter2hunter2").decode()), ROBOT),
        (config(username="robot", password="hunter2hunter2"), ROBOT),
        (config(auth=base64.b64encode(b"robot:hunter2hunter2\x00").decode()), ROBOT),
        (config(auth=base64.b64encode(b"<token>:abc").decode()), Login(identity_token="abc")),
        (config(identityToken="abc"), Login(identity_token="abc")),
        (config(registrytoken="abc"), Login(registry_token="abc")),
        (b'{"https://registry.example.org/v1/": {"auth": "cm9ib3Q6aHVudGVyMmh1bnRlcjI="}}', ROBOT),
    ],
)
def test_a_login_is_read_from_each_form_of_file(content: bytes, login: Login) -> None:
    assert parse_login(content, host="registry.example.org", name="f", token_user="x-access-token") == login


def test_docker_hubs_login_is_found_under_its_old_name() -> None:
    content = b'{"auths": {"https://index.docker.io/v1/": {"auth": "cm9ib3Q6aHVudGVyMmh1bnRlcjI="}}}'
    assert parse_login(content, host="docker.io", name="f") == ROBOT


@pytest.mark.parametrize("host", ["docker.io", "index.docker.io", "registry-1.docker.io"])
@pytest.mark.parametrize(
    "key",
    [
        "https://index.docker.io/v1/", "https://index.docker.io/v1", "https://index.docker.io", "https://docker.io",
        "https://docker.io/", "http://docker.io/v1/", "index.docker.io", "index.docker.io/v1/", "docker.io",
        "docker.io/library", "registry-1.docker.io", "https://registry-1.docker.io/v2/",
    ],
)  # fmt: skip
def test_docker_hubs_login_is_found_by_each_key_for_each_name(host: str, key: str) -> None:
    entry = {"auth": "cm9ib3Q6aHVudGVyMmh1bnRlcjI="}
    assert docker_entry({"auths": {"registry.example.org": {"auth": "b3RoZXI6eA=="}, key: entry}}, host) == entry


@pytest.mark.parametrize(
    "entries, host, wanted",
    [
        ({"https://index.docker.io/v1/": {}, "docker.io": {"auth": "a"}}, "docker.io", "a"),
        ({"docker.io": {}, "https://index.docker.io/v1/": {"auth": "a"}}, "docker.io", "a"),
        ({"https://index.docker.io/v1/access-token": {"auth": "b"}, "https://index.docker.io/v1/": {"auth": "a"}}, "docker.io", "a"),
        ({"https://index.docker.io/v1/refresh-token": {"auth": "b"}}, "docker.io", None),
        ({"registry.example.org/team": {"auth": "b"}, "https://registry.example.org": {"auth": "a"}}, "registry.example.org", "a"),
        ({"registry.example.org.evil.example": {"auth": "b"}}, "registry.example.org", None),
        ({"ftp://registry.example.org": {"auth": "b"}}, "registry.example.org", None),
        ({"registry.example.org:5000": {"auth": "b"}}, "registry.example.org", None),
        ({"docker.io.example.org": {"auth": "b"}}, "docker.io", None),
        ({"docker.io": "b"}, "docker.io", None),
    ],
)  # fmt: skip
def test_the_best_entry_with_a_login_is_used_and_no_other_hosts(
    entries: dict[str, object], host: str, wanted: str | None
) -> None:
    found = docker_entry({"auths": entries}, host)
    assert (None if found is None else found["auth"]) == wanted


@pytest.mark.parametrize(
    "content, said",
    [
        (b"", "not one line"),
        (b"hunter2", "not one line"),
        (b"robot:hunter2\nother:hunter2", "not one line"),
        (b":hunter2", "not one line"),
        (b"robot:", "not one line"),
        (b"robot:hunter2\x00x", "not one line"),
        (b"\xffrobot:hunter2", "not UTF-8"),
        (b"{hunter2", "not a JSON object"),
        (b'{"auths": {"other.example.org": {"auth": "hunter2"}}}', "no login for registry.example.org"),
        (b'{"auths": {"registry.example.org": {}}, "credsStore": "pass"}', "is empty"),
        (config(auth="hunter2!"), "base64"),
        (b"x" * 300_000, "larger than"),
    ],
)
def test_a_file_without_a_login_is_named_and_never_quoted(content: bytes, said: str) -> None:
    with pytest.raises(LoginInvalid) as caught:
        parse_login(content, host="registry.example.org", name="/etc/whence/login")
    assert said in caught.value.message
    assert "/etc/whence/login" in caught.value.message
    assert "hunter2" not in caught.value.diagnostics()
