"""Rules of `whence login`: waiting, redirects, ID tokens, and what a provider and a server may state. No I/O."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from whence_aggregator.openid.authorization import AuthorizationRequest, OtherSignIn
from whence_aggregator.openid.metadata import ProviderMetadata, SignInClient, choose_client
from whence_aggregator.openid.refusals import OAuthRefused, ProviderUnreachable
from whence_aggregator.openid.tokens import Tokens, check_id_token
from whence_aggregator.whence.login.browser import Way, choose_way, opens_browser
from whence_aggregator.whence.login.device import DeviceCode, poll_until_confirmed
from whence_common.errors import RoadError, WhenceError

ISSUER = "https://login.example.org"
NOW = 1_800_000_000.0
DEVICE: dict[str, Any] = {
    "device_code": "d" * 20, "user_code": "ABCD-EFGH", "verification_uri": f"{ISSUER}/device", "expires_in": 600,
}  # fmt: skip
DISCOVERY: dict[str, Any] = {
    "issuer": ISSUER, "token_endpoint": f"{ISSUER}/token", "authorization_endpoint": f"{ISSUER}/auth",
    "device_authorization_endpoint": f"{ISSUER}/device/auth", "authorization_response_iss_parameter_supported": True,
}  # fmt: skip
CLIENT = SignInClient(issuer=ISSUER, client_id="cli", scopes=("openid", "offline_access"))


class Polled:
    """A provider that answers polls one after the other, and a clock that only pauses move."""

    def __init__(self, *answers: str | Exception) -> None:
        self._answers = list(answers)
        self.now = 0.0
        self.waited: list[float] = []

    def pause(self, seconds: float) -> None:
        self.now += seconds
        self.waited.append(seconds)

    def poll(self) -> str:
        answer = self._answers.pop(0) if self._answers else refused("authorization_pending")
        if isinstance(answer, Exception):
            raise answer
        return answer

    def run(self, **changes: object) -> str:
        code = DeviceCode.parse({**DEVICE, **changes})
        return poll_until_confirmed(code, self.poll, pause=self.pause, clock=lambda: self.now)


def refused(error: str) -> OAuthRefused:
    return OAuthRefused(ISSUER, error)


def unreachable() -> ProviderUnreachable:
    return ProviderUnreachable("sign-in-unreachable", "timed out")


def test_without_interval_a_poll_waits_5_seconds() -> None:
    polled = Polled(refused("authorization_pending"), "token")
    assert (polled.run(), polled.waited) == ("token", [5.0, 5.0])


def test_each_slow_down_adds_5_seconds_to_all_later_polls() -> None:
    polled = Polled(
        refused("slow_down"), refused("slow_down"), refused("authorization_pending"), refused("slow_down"), "token"
    )
    assert (polled.run(), polled.waited) == ("token", [5.0, 10.0, 15.0, 15.0, 20.0])


def test_the_interval_that_the_provider_states_is_kept_within_bounds() -> None:
    for stated, waited in ((7, 7.0), (0, 1.0), (100_000, 60.0)):
        polled = Polled("token")
        polled.run(interval=stated)
        assert polled.waited == [waited]


def test_each_time_out_doubles_the_interval() -> None:
    polled = Polled(unreachable(), unreachable(), "token")
    assert (polled.run(), polled.waited) == ("token", [5.0, 10.0, 20.0])


@pytest.mark.parametrize(
    "error, code", [("access_denied", "sign-in-denied"), ("expired_token", "sign-in-expired"),
                    ("invalid_client", "sign-in-refused")],
)  # fmt: skip
def test_denied_expired_and_every_unknown_error_stop_the_polling(error: str, code: str) -> None:
    polled = Polled(refused("authorization_pending"), refused(error), "token")
    with pytest.raises(RoadError) as caught:
        polled.run()
    assert (caught.value.code, polled.waited) == (code, [5.0, 5.0])


def test_polling_ends_with_the_code() -> None:
    polled = Polled()
    with pytest.raises(RoadError, match="was not confirmed in time"):
        polled.run(expires_in=22)
    assert polled.waited == [5.0, 5.0, 5.0, 5.0]
    polled = Polled()
    with pytest.raises(RoadError, match="was not confirmed in time"):
        polled.run(expires_in=10**8, interval=60)
    assert sum(polled.waited) <= 1800


@pytest.mark.parametrize(
    "changes",
    [
        {"device_code": None}, {"device_code": ""}, {"user_code": 7}, {"user_code": "x" * 65}, {"expires_in": None},
        {"expires_in": True}, {"expires_in": -1}, {"interval": "5"}, {"verification_uri": "javascript:alert(1)"},
        {"verification_uri": "http://login.example.org/device"}, {"verification_uri": None},
    ],
)  # fmt: skip
def test_a_malformed_device_response_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(RoadError):
        DeviceCode.parse({**DEVICE, **changes})


def texts() -> Callable[[int], str]:
    numbers = iter(range(100))
    return lambda size: f"random-{next(numbers)}-".ljust(size + 11, "x")


def request(metadata: dict[str, Any] | None = None, client: SignInClient = CLIENT) -> AuthorizationRequest:
    parsed = ProviderMetadata.parse(metadata or DISCOVERY, issuer=ISSUER)
    return AuthorizationRequest.new(client, parsed, "http://127.0.0.1:7000/callback", texts())


def test_the_authorization_request_has_the_challenge_and_never_the_verifier() -> None:
    made = request()
    query = {name: values[0] for name, values in parse_qs(urlsplit(made.url()).query).items()}
    challenge = base64.urlsafe_b64encode(hashlib.sha256(made.verifier.encode()).digest()).decode().rstrip("=")
    assert query == {
        "response_type": "code", "client_id": "cli", "redirect_uri": "http://127.0.0.1:7000/callback",
        "scope": "openid offline_access", "state": made.state, "nonce": made.nonce, "code_challenge": challenge,
        "code_challenge_method": "S256",
    }  # fmt: skip
    assert len({made.state, made.nonce, made.verifier}) == 3
    assert made.verifier not in made.url()
    assert 43 <= len(made.verifier) <= 128
    assert not any(secret in repr(made) for secret in (made.state, made.nonce, made.verifier))
    assert made.exchange("c0de")["code_verifier"] == made.verifier


def test_prompt_and_resource_are_sent_if_they_are_set() -> None:
    client = SignInClient(issuer=ISSUER, client_id="cli", scopes=("read",), resource="https://w", prompt="consent")
    query = parse_qs(urlsplit(request(client=client).url(prompt="login")).query)
    assert (query["prompt"], query["resource"], "nonce" in query) == (["login"], ["https://w"], False)
    assert parse_qs(urlsplit(request(client=client).url()).query)["prompt"] == ["consent"]


Query = list[tuple[str, str]]


@pytest.mark.parametrize("state", [None, "", "another sign-in's", "random-0", "RANDOM-0", "\u00e4"])
def test_a_redirect_without_our_state_is_not_ours(state: str | None) -> None:
    query: Query = [("code", "c0de"), ("iss", ISSUER)]
    with pytest.raises(OtherSignIn):
        request().code(query if state is None else [*query, ("state", state)])


def test_the_state_of_another_browser_s_sign_in_is_refused() -> None:
    numbers = texts()
    parsed = ProviderMetadata.parse(DISCOVERY, issuer=ISSUER)
    ours, theirs = (AuthorizationRequest.new(CLIENT, parsed, "http://127.0.0.1:1/callback", numbers) for _ in range(2))
    with pytest.raises(OtherSignIn):
        ours.code([("state", theirs.state), ("code", "c0de"), ("iss", ISSUER)])


@pytest.mark.parametrize(
    "query, said",
    [
        ([("code", "c0de")], "does not state its issuer"),
        ([("code", "c0de"), ("iss", "https://evil.example.org")], "is from another issuer"),
        ([("code", "c0de"), ("iss", ISSUER + "/")], "is from another issuer"),
        ([("iss", ISSUER)], "has no code"),
        ([("iss", ISSUER), ("code", "x" * 5000)], "has no code"),
        ([("iss", ISSUER), ("code", "a"), ("code", "b")], "a parameter more than once"),
        ([("iss", ISSUER), ("error", "access_denied"), ("error_description", "no\x1b[31m")], "access_denied, no"),
    ],
)
def test_a_redirect_that_fails_a_check_ends_the_sign_in(query: Query, said: str) -> None:
    made = request()
    with pytest.raises(RoadError) as caught:
        made.code([("state", made.state), *query])
    assert said in caught.value.message
    assert "c0de" not in caught.value.diagnostics()
    assert caught.value.message.isprintable()


def test_a_stated_issuer_is_checked_even_if_the_provider_did_not_promise_it() -> None:
    made = request({**DISCOVERY, "authorization_response_iss_parameter_supported": False})
    assert made.code([("state", made.state), ("code", "c0de")]) == "c0de"
    with pytest.raises(RoadError, match="another issuer"):
        made.code([("state", made.state), ("code", "c0de"), ("iss", "https://evil.example.org")])


def id_token(header: dict[str, object] | None = None, **changes: object) -> str:
    claims = {"iss": ISSUER, "aud": "cli", "sub": "ada", "exp": NOW + 300, "iat": NOW, "nonce": "n0nce", **changes}
    parts = [header or {"alg": "RS256"}, {name: value for name, value in claims.items() if value is not None}]
    return ".".join(base64.urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=") for one in parts) + ".sig"


def check(token: str | None) -> None:
    response = {"access_token": "acc3ss", "token_type": "Bearer", "id_token": token}
    check_id_token(Tokens.parse(response), issuer=ISSUER, client_id="cli", nonce="n0nce", now=NOW)


def at_hash(token: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()[:16]).decode().rstrip("=")


def test_an_id_token_that_answers_our_request_is_accepted() -> None:
    check(id_token())
    check(id_token(aud=["cli"], azp="cli", at_hash=at_hash("acc3ss")))
    check(id_token(exp=NOW - 59, iat=NOW + 59))


@pytest.mark.parametrize(
    "token, said",
    [
        (None, "there is no ID token"),
        ("acc3ss", "is not a JSON Web Token"),
        (id_token(nonce=None), "for another sign-in (nonce)"),
        (id_token(nonce="used before"), "for another sign-in (nonce)"),
        (id_token(nonce=["n0nce"]), "for another sign-in (nonce)"),
        (id_token(iss="https://evil.example.org"), "from another issuer (iss)"),
        (id_token(aud="other"), "for another client (aud, azp)"),
        (id_token(aud=["cli", "other"]), "for another client (aud, azp)"),
        (id_token(azp="other"), "for another client (aud, azp)"),
        (id_token(at_hash=at_hash("other")), "with another access token (at_hash)"),
        (id_token({"alg": "RS256", "typ": "at+jwt"}), "has the type of another token"),
        (id_token(exp=None), "no valid exp"),
        (id_token(exp=True), "no valid exp"),
        (id_token(exp=NOW - 60), "is expired, or issued in the future"),
        (id_token(iat=NOW + 61), "is expired, or issued in the future"),
    ],
)
def test_an_id_token_that_does_not_answer_our_request_is_refused(token: str | None, said: str) -> None:
    with pytest.raises(RoadError) as caught:
        check(token)
    assert said in caught.value.message


@pytest.mark.parametrize(
    "document",
    [
        {}, {"access_token": "a"}, {"access_token": "a", "token_type": "DPoP"},
        {"access_token": "a b", "token_type": "Bearer"}, {"access_token": "a\nb", "token_type": "Bearer"},
        {"access_token": "", "token_type": "Bearer"}, {"access_token": "a" * 16_385, "token_type": "Bearer"},
        {"access_token": "a", "token_type": "Bearer", "expires_in": "3600"},
        {"access_token": "a", "token_type": "Bearer", "expires_in": float("nan")},
        {"access_token": "a", "token_type": "Bearer", "refresh_token": 7},
    ],
)  # fmt: skip
def test_a_malformed_token_response_is_refused_without_its_tokens(document: dict[str, Any]) -> None:
    with pytest.raises(RoadError) as caught:
        Tokens.parse(document)
    assert "a" * 20 not in caught.value.diagnostics()


def test_tokens_are_not_in_a_repr() -> None:
    response = {"access_token": "s3cret-a", "refresh_token": "s3cret-r", "id_token": "s3cret-i", "token_type": "bearer"}
    assert "s3cret" not in repr(Tokens.parse(response))
    assert DEVICE["device_code"] not in repr(DeviceCode.parse(DEVICE))


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": ISSUER + "/"}, {"issuer": None}, {"token_endpoint": None},
        {"token_endpoint": "http://login.example.org/token"}, {"token_endpoint": "https://a:b@login.example.org/token"},
        {"token_endpoint": "file:///etc/passwd"}, {"authorization_endpoint": "https://login.example.org/a b"},
        {"revocation_endpoint": 7},
    ],
)  # fmt: skip
def test_a_discovery_document_of_another_issuer_or_without_https_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(RoadError):
        ProviderMetadata.parse({**DISCOVERY, **changes}, issuer=ISSUER)


ONE = {"issuer": ISSUER, "client_id": "cli", "scopes": ["openid"], "resource": None, "prompt": None, "redirect_port": 0}
TWO = {**ONE, "issuer": "https://other.example.org"}


def test_the_only_issuer_is_chosen_and_of_several_the_wanted_one() -> None:
    assert choose_client({"issuers": [ONE]}, None, server="s").issuer == ISSUER
    assert choose_client({"issuers": [ONE, TWO]}, TWO["issuer"], server="s").issuer == "https://other.example.org"  # type: ignore[arg-type]  # a text


@pytest.mark.parametrize(
    "document, wanted, said",
    [
        ({"issuers": []}, None, "s has no issuer for people at the terminal"),
        (
            {"issuers": [ONE, TWO]},
            None,
            "accepts several issuers: https://login.example.org, https://other.example.org",
        ),
        ({"issuers": [ONE]}, "https://third.example.org", "s does not accept https://third.example.org"),
        ({"issuers": [{**ONE, "issuer": "http://login.example.org"}]}, None, "an issuer that is not an https URL"),
        ({"issuers": [{**ONE, "client_id": ""}]}, None, "names no client id"),
        ({"issuers": [{**ONE, "scopes": "openid"}]}, None, "names no scopes"),
        ({"issuers": [{**ONE, "redirect_port": 22}]}, None, "no valid redirect port"),
        ({"issuers": ["x"]}, None, "an issuer that is not an https URL"),
        ([], None, "is this a whence-aggregator?"),
    ],
)
def test_what_a_server_may_not_state_is_refused(document: object, wanted: str | None, said: str) -> None:
    with pytest.raises(WhenceError) as caught:
        choose_client(document, wanted, server="s")
    assert said in caught.value.message


@pytest.mark.parametrize(
    "environment, platform, expected",
    [
        ({}, "linux", False),
        ({"DISPLAY": ":0"}, "linux", True),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", True),
        ({"DISPLAY": "localhost:10.0", "SSH_CONNECTION": "192.0.2.1 1 192.0.2.2 22"}, "linux", False),
        ({"SSH_TTY": "/dev/pts/0"}, "darwin", False),
        ({}, "darwin", True),
        ({"BROWSER": "firefox", "SSH_TTY": "/dev/pts/0"}, "linux", True),
    ],
)
def test_a_browser_is_expected_with_a_screen_of_this_machine_only(
    environment: dict[str, str], platform: str, expected: bool
) -> None:
    assert opens_browser(environment, platform) is expected


@pytest.mark.parametrize(
    "wanted, left_out, opens, expected",
    [
        (None, (), True, "browser"),
        (None, (), False, "device"),
        (None, ("device_authorization_endpoint",), False, "no-browser"),
        (None, ("authorization_endpoint",), True, "device"),
        ("no-browser", (), True, "no-browser"),
        ("device", (), True, "device"),
    ],
)
def test_the_way_is_the_wanted_one_or_the_best_that_provider_and_machine_offer(
    wanted: Way | None, left_out: tuple[str, ...], opens: bool, expected: str
) -> None:
    offered = {name: value for name, value in DISCOVERY.items() if name not in left_out}
    assert choose_way(wanted, ProviderMetadata.parse(offered, issuer=ISSUER), opens=opens) == expected
