"""Who signs in, and who does not: the real server against an issuer of the suite, one hostile token a case."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from fakes.issuer import (
    AUDIENCE,
    EC_KEY,
    ED_KEY,
    OTHER_RSA_KEY,
    RSA_KEY,
    b64,
    public_jwk,
    signed,
    signed_by_secret,
)
from fakes.people import people
from fakes.sign_in_house import Logged, SignInHouse, sign_in_house

HEADER = {"alg": "RS256", "kid": "one", "typ": "at+jwt"}
PEM = RSA_KEY.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)  # fmt: skip
Hostile = Callable[[SignInHouse], str]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[SignInHouse]:
    async with sign_in_house(tmp_path) as opened:
        yield opened


def unsigned(house: SignInHouse, alg: object = "none") -> str:
    head = json.dumps({**HEADER, "alg": alg}).encode()
    return f"{b64(head)}.{b64(json.dumps(house.issuer.claims()).encode())}."


def raw(payload: str, header: str = json.dumps(HEADER)) -> Hostile:
    """Return a token whose parts are these texts, with the issuer and times filled in, rightly signed."""

    def make(house: SignInHouse) -> str:
        now = house.clock().timestamp()
        members = f'"iss":"{house.issuer.url}","aud":"{AUDIENCE}","sub":"a","client_id":"c","jti":"j","iat":{now}'
        return signed(
            header.encode(), payload.replace("MEMBERS", members).replace("SOON", str(now + 60)).encode(), RSA_KEY
        )

    return make


def claims(**changes: Any) -> Hostile:
    return lambda house: house.issuer.mint(**changes)


def at(name: str, seconds: float) -> Hostile:
    """Return a token with a time so many seconds from now."""

    def make(house: SignInHouse) -> str:
        changes: dict[str, Any] = {name: house.clock().timestamp() + seconds}
        return house.issuer.mint(**changes)

    return make


def headed(**changes: object) -> Hostile:
    return lambda house: house.issuer.mint(header=changes)


def broken(part: int, text: str) -> Hostile:
    def make(house: SignInHouse) -> str:
        parts = house.issuer.mint().split(".")
        parts[part] = text
        return ".".join(parts)

    return make


def tampered(house: SignInHouse) -> str:
    head, _, signature = house.issuer.mint().split(".")
    return f"{head}.{b64(json.dumps(house.issuer.claims(sub='root')).encode())}.{signature}"


def padded(house: SignInHouse) -> str:
    head, body, signature = house.issuer.mint().split(".")
    return f"{head}.{body}.{signature}=="


def loose_bits(house: SignInHouse) -> str:
    """Change bits of the signature's last character that no byte holds."""
    token = house.issuer.mint()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + alphabet[alphabet.index(token[-1]) ^ 1]


HOSTILE: dict[str, tuple[Hostile, str]] = {
    "alg none": (unsigned, "token-algorithm"),
    "alg None in another case": (lambda house: unsigned(house, "nOnE"), "token-algorithm"),
    "alg that is a list": (lambda house: unsigned(house, ["RS256"]), "token-algorithm"),
    "alg that is missing": (headed(alg=None), "token-algorithm"),
    "HS256 with the public key as secret": (
        lambda house: signed_by_secret({**HEADER, "alg": "HS256"}, house.issuer.claims(), PEM), "token-algorithm"),
    "HS256 with the modulus as secret": (
        lambda house: signed_by_secret({**HEADER, "alg": "HS256"}, house.issuer.claims(),
                                       str(public_jwk(RSA_KEY)["n"]).encode()), "token-algorithm"),
    "HS256 with an empty secret": (
        lambda house: signed_by_secret({**HEADER, "alg": "HS256"}, house.issuer.claims(), b""), "token-algorithm"),
    "an algorithm outside the issuer's list": (headed(alg="PS256"), "token-algorithm"),
    "an algorithm that does not suit the key": (headed(alg="ES256"), "token-key-unknown"),
    "crit": (headed(crit=["exp"]), "token-critical"),
    "crit that is empty": (headed(crit=[]), "token-critical"),
    "b64 false": (headed(b64=False), "token-critical"),
    "a key that the header brings along": (
        lambda house: house.issuer.mint(key=OTHER_RSA_KEY, header={"jwk": public_jwk(OTHER_RSA_KEY)}), "token-signature"),
    "a set of keys that the header names": (
        lambda house: house.issuer.mint(key=OTHER_RSA_KEY, header={"jku": f"{house.issuer.url}/evil"}), "token-signature"),
    "a certificate's address in the header": (
        lambda house: house.issuer.mint(key=OTHER_RSA_KEY, header={"x5u": f"{house.issuer.url}/evil"}), "token-signature"),
    "a certificate in the header": (
        lambda house: house.issuer.mint(key=OTHER_RSA_KEY, header={"x5c": ["MIIB"]}), "token-signature"),
    "another issuer's key with our kid": (lambda house: house.issuer.mint(key=OTHER_RSA_KEY), "token-signature"),
    "a foreign issuer": (claims(iss="https://evil.example.org"), "token-issuer"),
    "our issuer with a slash": (lambda house: house.issuer.mint(iss=house.issuer.url + "/"), "token-issuer"),
    "our issuer in upper case": (lambda house: house.issuer.mint(iss=house.issuer.url.upper()), "token-issuer"),
    "the issuer as a list": (lambda house: house.issuer.mint(iss=[house.issuer.url]), "token-issuer"),
    "no issuer": (claims(iss=None), "token-issuer"),
    "an unknown kid": (headed(kid="two"), "token-key-unknown"),
    "a kid that is a number": (headed(kid=1), "token-malformed"),
    "a kid with SQL": (headed(kid="one' OR 1=1 --"), "token-key-unknown"),
    "a kid that is a path": (headed(kid="../../etc/passwd"), "token-key-unknown"),
    "a kid of 600 characters": (headed(kid="k" * 600), "token-malformed"),
    "an ID token": (headed(typ="JWT"), "token-type"),
    "a token without typ": (headed(typ=None), "token-type"),
    "a logout token": (headed(typ="logout+jwt"), "token-type"),
    "a typ that is a list": (headed(typ=["at+jwt"]), "token-type"),
    "an ID token's at_hash": (claims(at_hash="x"), "token-id-token"),
    "a payload that was exchanged": (tampered, "token-signature"),
    "a signature that is empty": (broken(2, ""), "token-signature"),
    "a signature of zeros": (broken(2, b64(bytes(256))), "token-signature"),
    "a signature with padding": (padded, "token-malformed"),
    "a signature with loose bits": (loose_bits, "token-malformed"),
    "a payload that is no JSON": (broken(1, b64(b"exp")), "token-malformed"),
    "a payload that is a list": (raw("[]"), "token-malformed"),
    "a payload that is not UTF-8": (broken(1, b64(b'{"a":"\xff"}')), "token-malformed"),
    "a header that is a list": (raw("{MEMBERS}", "[]"), "token-malformed"),
    "base64 of the standard alphabet": (broken(1, "e+/0"), "token-malformed"),
    "four parts": (lambda house: house.issuer.mint() + ".x", "token-unknown"),
    "JSON instead of compact form": (
        lambda house: json.dumps({"payload": "e30", "signatures": []}), "token-unknown"),
    "exp given twice": (raw('{MEMBERS,"exp":1,"exp":SOON}'), "token-malformed"),
    "aud given twice": (raw('{MEMBERS,"exp":SOON,"aud":"x"}'), "token-malformed"),
    "alg given twice": (
        raw("{MEMBERS}", '{"alg":"none","alg":"RS256","kid":"one","typ":"at+jwt"}'), "token-malformed"),
    "exp that is NaN": (raw('{MEMBERS,"exp":NaN}'), "token-malformed"),
    "exp that is Infinity": (raw('{MEMBERS,"exp":Infinity}'), "token-malformed"),
    "exp of 1e999": (raw('{MEMBERS,"exp":1e999}'), "token-malformed"),
    "exp of 5,000 digits": (raw('{MEMBERS,"exp":' + "9" * 5000 + "}"), "token-malformed"),
    "half of a pair of surrogates": (raw('{MEMBERS,"exp":SOON,"x":"\\ud800"}'), "token-malformed"),
    "groups nested 3,000 deep": (raw('{MEMBERS,"exp":SOON,"g":' + "[" * 3000 + "]" * 3000 + "}"), "token-malformed"),
    "a token of 17,000 characters": (claims(filler="x" * 12_000), "token-too-large"),
    "a header of 5,000 characters": (headed(filler="x" * 4000), "token-malformed"),
    "no exp": (claims(exp=None), "token-no-expiry"),
    "exp as text": (claims(exp="9999999999"), "token-time"),
    "exp true": (claims(exp=True), "token-time"),
    "exp that is negative": (claims(exp=-1), "token-time"),
    "expired by one second beyond the skew": (at("exp", -61), "token-expired"),
    "expired at the skew's very end": (at("exp", -60), "token-expired"),
    "nbf beyond the skew": (at("nbf", 61), "token-not-yet"),
    "iat beyond the skew": (at("iat", 61), "token-not-yet"),
    "nbf as text": (claims(nbf="0"), "token-time"),
    "valid for a year": (at("exp", 365 * 86_400), "token-too-long"),
    "for another audience": (claims(aud="https://other.example.org"), "token-audience"),
    "our audience and a stranger": (claims(aud=[AUDIENCE, "https://evil.example.org"]), "token-audience"),
    "our audience within a longer one": (claims(aud=AUDIENCE + ".evil.example.org"), "token-audience"),
    "our audience with a slash": (claims(aud=AUDIENCE + "/"), "token-audience"),
    "an audience within a list within a list": (claims(aud=[[AUDIENCE]]), "token-audience"),
    "no audience": (claims(aud=None), "token-audience"),
    "an audience that is a number": (claims(aud=7), "token-audience"),
    "an audience that is an empty list": (claims(aud=[]), "token-audience"),
    "no subject": (claims(sub=None), "token-subject"),
    "an empty subject": (claims(sub=""), "token-subject"),
    "a subject that is a number": (claims(sub=7), "token-subject"),
    "a subject with a line's end": (claims(sub="ada\nroot"), "token-subject"),
    "no jti in an access token": (claims(jti=None), "token-claims"),
    "no client_id in an access token": (claims(client_id=None), "token-claims"),
    "no iat in an access token": (claims(iat=None), "token-claims"),
    "azp that is a list": (claims(azp=["cli"]), "token-party"),
    "a name with a line's end": (claims(preferred_username="ada\nroot"), "token-uid"),
    "a name with look-alike letters": (claims(preferred_username="\u0430da"), "token-uid"),
    "no name": (claims(preferred_username=None), "token-uid"),
    "a name that is a list": (claims(preferred_username=["ada"]), "token-uid"),
    "a name of 300 characters": (claims(preferred_username="a" * 300), "token-uid"),
    "a CI system's token where a person's is asked for": (lambda house: house.job(), "token-not-exchanged"),
    "a CI system's claims by the people's issuer's key": (
        lambda house: house.issuer.mint(iss=house.ci.url, repository_id="1001"), "token-not-exchanged"),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_token_is_refused_by_the_check_for_it(house: SignInHouse, name: str) -> None:
    make, code = HOSTILE[name]
    heard = await house.ask(make(house), "/v1/thing", method="POST", body=b"never read" * 100)
    assert heard.said == (401, code), name
    assert heard.headers["WWW-Authenticate"] == 'Bearer realm="whence", error="invalid_token"'
    assert (house.read, house.issuer.asked) == (0, [])


async def test_sixty_tokens_are_hostile() -> None:
    assert len(HOSTILE) >= 60


async def test_a_good_token_passes_with_all_that_it_gives(house: SignInHouse) -> None:
    found = await house.whoami(house.issuer.mint(groups=["team-alpha", "team-beta", "staff"], roles=["auditors"]))
    assert (found["name"], found["issuer"], found["subject"]) == ("ada", house.issuer.url, "ada-1")
    assert (found["teams"], found["rights"], found["realm"]) == (["alpha", "beta"], ["audit"], "people")
    heard = await house.ask(house.issuer.mint(), "/v1/thing", method="POST", body=b"read")
    assert (heard.body, house.read) == ({"name": "ada"}, 4)


@pytest.mark.parametrize("seconds, status", [(-59, 200), (-60, 401), (-61, 401), (0, 200)])
async def test_a_token_ends_with_the_skew(house: SignInHouse, seconds: float, status: int) -> None:
    assert (await house.ask(at("exp", seconds)(house))).status == status


async def test_a_token_within_the_skew_of_its_beginning_passes(house: SignInHouse) -> None:
    assert (await house.ask(at("nbf", 60)(house))).status == 200
    assert (await house.ask(at("iat", 60)(house))).status == 200


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "Token"])
async def test_the_schemes_that_stups_clients_use_are_read(house: SignInHouse, scheme: str) -> None:
    assert (await house.ask(house.issuer.mint(), scheme=scheme)).status == 200
    basic = base64.b64encode(f"oauth2:{house.issuer.mint()}".encode()).decode()
    assert (await house.ask(basic, scheme="Basic")).status == 200


@pytest.mark.parametrize("group, teams", [
    ("team-alpha", ["alpha"]),
    ("team-alpha/beta", []),
    ("team-../alpha", []),
    ("team-..", []),
    ("team-a..b", []),
    ("team-ALPHA", []),
    ("Team-alpha", []),
    ("team-\u0430lpha", []),
    ("team-alpha\n", []),
    ("team- alpha", []),
    ("team-", []),
    ("xteam-alpha", []),
    ("team-" + "a" * 100, []),
    ("*", []),
])  # fmt: skip
async def test_a_group_is_a_team_only_in_its_one_spelling(house: SignInHouse, group: str, teams: list[str]) -> None:
    assert (await house.whoami(house.issuer.mint(groups=[group])))["teams"] == teams


@pytest.mark.parametrize("changes, note", [
    ({"groups": None}, "its teams are unknown: the token has no claim groups"),
    ({"groups": None, "_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "ISSUER/graph"}}},
     "its teams are unknown: the token omits groups (overage)"),
    ({"groups": None, "hasgroups": True}, "its teams are unknown: the token omits groups (overage)"),
    ({"groups": "team-alpha"}, "its teams are unknown: the claim groups is not a list of strings"),
    ({"groups": [["team-alpha"]]}, "its teams are unknown: the claim groups is not a list of strings"),
    ({"groups": {"team-alpha": True}}, "its teams are unknown: the claim groups is not a list of strings"),
])  # fmt: skip
async def test_groups_that_are_not_there_are_unknown_and_nobody_is_asked_for_them(
    house: SignInHouse, changes: dict[str, object], note: str
) -> None:
    text = json.dumps(changes).replace("ISSUER", house.issuer.url)
    found = await house.whoami(house.issuer.mint(**json.loads(text)))
    assert (found["teams"], found["teams_note"], house.issuer.asked) == ([], note, [])


async def test_a_client_that_signs_in_as_itself_is_a_service(house: SignInHouse) -> None:
    assert (await house.whoami(house.issuer.mint(sub="cli")))["realm"] == "services"


async def test_who_has_no_right_may_ask_who_it_is_and_nothing_else(house: SignInHouse) -> None:
    token = house.issuer.mint(preferred_username="eve")
    assert (await house.whoami(token))["reads"] == "nothing"
    heard = await house.ask(token, "/v1/thing", method="POST", body=b"x")
    assert heard.said == (403, "read-forbidden")
    assert heard.headers["WWW-Authenticate"] == 'Bearer realm="whence", error="insufficient_scope"'


async def test_a_token_of_the_file_is_known_beside_all_others(house: SignInHouse) -> None:
    house.know("ci", "secret")
    found = await house.whoami("secret")
    assert (found["name"], found["issuer"], found["teams"]) == ("ci", None, ["alpha"])


async def test_other_algorithms_serve_where_they_are_listed(house: SignInHouse) -> None:
    house.issuer.keys = [
        {"kty": "post-quantum", "kid": "zero"}, 7, {"kty": "RSA"}, {"kty": "oct", "k": "c2VjcmV0", "kid": "one"},
        public_jwk(EC_KEY, kid="ec"), public_jwk(ED_KEY, kid="ed"), public_jwk(RSA_KEY, kid="one", use="enc"),
        public_jwk(RSA_KEY, kid="for-512", alg="RS512"), public_jwk(RSA_KEY, kid="signs", key_ops=["sign"]),
    ]  # fmt: skip
    assert (await house.ask(house.issuer.mint(key=EC_KEY, header={"alg": "ES256", "kid": "ec"}))).status == 200
    assert (await house.ask(house.issuer.mint(key=ED_KEY, header={"alg": "EdDSA", "kid": "ed"}))).status == 200
    for kid in ("one", "for-512", "signs", "zero"):
        assert (await house.ask(house.issuer.mint(header={"kid": kid}))).said == (401, "token-key-unknown"), kid


async def test_without_a_kid_there_must_be_one_key_that_fits(house: SignInHouse) -> None:
    assert (await house.ask(house.issuer.mint(header={"kid": None}))).status == 200
    house.issuer.keys = [public_jwk(RSA_KEY, kid="a"), public_jwk(OTHER_RSA_KEY, kid="b")]
    house.advance(3600)
    assert (await house.ask(house.issuer.mint(header={"kid": None}))).said == (401, "token-key-unknown")


async def test_a_flood_of_unknown_keys_is_one_fetch(house: SignInHouse) -> None:
    await house.whoami(house.issuer.mint())
    assert house.issuer.fetched == 1
    house.advance(1)
    tokens = [house.issuer.mint(header={"kid": secrets.token_hex(8)}) for _ in range(1000)]
    heard = [one for start in range(0, 1000, 50)
             for one in await asyncio.gather(*(house.refused(token) for token in tokens[start : start + 50]))]  # fmt: skip
    assert set(heard) == {(401, "token-key-unknown")}
    assert house.issuer.fetched == 2


async def test_a_new_key_serves_without_a_restart_and_a_removed_one_no_more(house: SignInHouse) -> None:
    old = house.issuer.mint(exp=house.clock().timestamp() + 7200)
    await house.whoami(old)
    house.issuer.keys = [public_jwk(OTHER_RSA_KEY, kid="two")]
    house.advance(61)
    new = house.issuer.mint(key=OTHER_RSA_KEY, header={"kid": "two"})
    assert (await house.ask(new)).status == 200
    assert (await house.ask(old)).said == (401, "token-key-unknown")


async def test_the_last_good_keys_serve_for_a_day_while_the_issuer_is_down(house: SignInHouse) -> None:
    await house.whoami(house.issuer.mint())
    house.issuer.down = True
    house.advance(23 * 3600)
    assert (await house.ask(house.issuer.mint())).status == 200
    house.advance(3600 + 1)
    heard = await house.ask(house.issuer.mint())
    assert heard.said == (503, "sign-in-keys-unavailable")
    assert int(heard.headers["Retry-After"]) > 0
    house.issuer.down = False
    house.advance(11)
    assert (await house.ask(house.issuer.mint())).status == 200


def _large(house: SignInHouse) -> None:
    house.issuer.body = b'{"keys": [' + b" " * 10_000_000 + b"]}"


def _redirecting(house: SignInHouse) -> None:
    house.issuer.redirect = f"{house.ci.url}/jwks"


def _named_otherwise(house: SignInHouse) -> None:
    house.issuer.named = house.issuer.url + "/"


def _elsewhere(house: SignInHouse) -> None:
    house.issuer.jwks_uri = f"{house.ci.url}/jwks"


def _plain(house: SignInHouse) -> None:
    house.issuer.jwks_uri = "http://keys.example.org/jwks"


def _no_json(house: SignInHouse) -> None:
    house.issuer.body = b"<html>"


def _empty(house: SignInHouse) -> None:
    house.issuer.keys = []


@pytest.mark.parametrize("spoil", [_large, _redirecting, _named_otherwise, _elsewhere, _plain, _no_json, _empty])
async def test_keys_that_are_not_had_in_order_let_nobody_in(
    house: SignInHouse, spoil: Callable[[SignInHouse], None]
) -> None:
    spoil(house)
    assert await house.refused(house.issuer.mint()) == (503, "sign-in-keys-unavailable")
    assert house.ci.fetched == 0


async def test_keys_at_another_host_than_the_issuers_are_named_in_the_settings_alone(house: SignInHouse) -> None:
    house.issuer.jwks_uri = "https://metadata.example.org/jwks"
    heard = await house.ask(house.issuer.mint())
    assert heard.said == (503, "sign-in-keys-unavailable")
    assert "has no jwks_uri on the issuer's own host: set jwks_url" in heard.body["detail"]


async def test_keys_that_never_come_are_given_up_and_others_are_served_meanwhile(house: SignInHouse) -> None:
    house.know("ci", "secret")
    house.issuer.answering.clear()
    waiting = asyncio.ensure_future(house.refused(house.issuer.mint()))
    assert (await house.whoami("secret"))["name"] == "ci"
    assert await waiting == (503, "sign-in-keys-unavailable")


async def test_the_issuer_may_not_be_the_ci_systems_and_the_reverse(house: SignInHouse) -> None:
    assert (await house.exchange(house.issuer.mint(header={"typ": "JWT"}))).said == (401, "token-issuer")


async def test_a_token_is_never_logged_wherever_it_is_written(house: SignInHouse) -> None:
    logged = Logged()
    logging.getLogger().addHandler(logged)
    try:
        token, bad = house.issuer.mint(), house.issuer.mint(key=OTHER_RSA_KEY)
        await house.ask(token)
        await house.ask(bad)
        await house.ask(token, f"/v1/whoami?access_token={token}")
        await house.ask(None, f"/v1/whoami?access_token={token}")
        await house.ask(token, f"/v1/{token}")
        await house.ask(None, f"/apps/{token}/x")
        exchanged = await house.exchange(house.job(), client_assertion=token)
        given = exchanged.body["access_token"]
        await house.ask(token, f"/apps/{given}?search={given}")
        await house.ask(None, f"/v1/{given}")
    finally:
        logging.getLogger().removeHandler(logged)
    text = "\n".join(logged.lines)
    assert token[:60] not in text
    assert token.split(".")[1] not in text
    assert bad.split(".")[2] not in text
    assert given[:60] not in text


async def test_who_asks_is_logged_with_the_requests_id(house: SignInHouse) -> None:
    logged = Logged()
    log = logging.getLogger("whence_aggregator.http.authentication")
    log.addHandler(logged)
    log.setLevel(logging.INFO)
    try:
        await house.ask(house.issuer.mint(), "/v1/whoami", headers={"X-Request-Id": "mine-7"})
    finally:
        log.removeHandler(logged)
        log.setLevel(logging.NOTSET)
    (line,) = [one for one in logged.lines if one.startswith("asked")]
    assert "'caller': 'ada'" in line
    assert "mine-7" in line


async def test_refused_tokens_count_against_their_address_and_good_ones_do_not(tmp_path: Path) -> None:
    async with sign_in_house(tmp_path) as house:
        for number in range(30):
            assert (await house.ask(house.issuer.mint(jti=str(number)))).status == 200
        heard = {await house.refused(house.issuer.mint(key=OTHER_RSA_KEY, jti=str(n))) for n in range(30)}
        assert heard == {(401, "token-signature")}


# Introspection and STUPS tokeninfo.

INTROSPECTION = {
    "url": "{issuer}/introspect", "issuer": "{issuer}", "client_id": "whence", "client_secret_file": "{directory}/client.secret",
    "audiences": [AUDIENCE], "claims": {"uid": "username", "groups": "groups", "group_prefix": "team-",
                                        "rights": [{"right": "read"}]},
}  # fmt: skip


@pytest.fixture
async def asking(tmp_path: Path) -> AsyncIterator[SignInHouse]:
    async with sign_in_house(tmp_path, introspection=INTROSPECTION) as opened:
        yield opened


def active(house: SignInHouse, **changes: object) -> dict[str, object]:
    found = {
        "active": True, "sub": "ada-1", "username": "ada", "aud": AUDIENCE, "client_id": "cli",
        "exp": house.clock().timestamp() + 3600, "groups": ["team-alpha"], **changes,
    }  # fmt: skip
    return {name: value for name, value in found.items() if value is not None}


async def test_an_opaque_token_is_asked_about_once_a_minute(asking: SignInHouse) -> None:
    asking.issuer.tokens["opaque"] = active(asking)
    for _ in range(5):
        assert (await asking.whoami("opaque"))["teams"] == ["alpha"]
    assert asking.issuer.introspected == 1
    asking.advance(61)
    await asking.whoami("opaque")
    assert asking.issuer.introspected == 2


async def test_a_revoked_token_is_refused_after_a_minute_at_most(asking: SignInHouse) -> None:
    asking.issuer.tokens["opaque"] = active(asking)
    await asking.whoami("opaque")
    del asking.issuer.tokens["opaque"]
    asking.advance(59)
    assert (await asking.ask("opaque")).status == 200
    asking.advance(1)
    assert await asking.refused("opaque") == (401, "token-unknown")


async def test_a_token_is_not_kept_beyond_its_end(asking: SignInHouse) -> None:
    asking.issuer.tokens["opaque"] = active(asking, exp=asking.clock().timestamp() + 5)
    await asking.whoami("opaque")
    asking.advance(6)
    await asking.whoami("opaque")
    assert asking.issuer.introspected == 2
    asking.advance(60)
    assert await asking.refused("opaque") == (401, "token-expired")


@pytest.mark.parametrize("changes, said", [
    ({"active": "true"}, (401, "token-unknown")),
    ({"active": 1}, (401, "token-unknown")),
    ({"active": False}, (401, "token-unknown")),
    ({"active": None}, (503, "sign-in-unavailable")),
    ({"token_use": "refresh_token"}, (401, "token-type")),
    ({"token_type": "Refresh"}, (401, "token-type")),
    ({"aud": "https://other.example.org"}, (401, "token-audience")),
    ({"aud": None}, (401, "token-audience")),
    ({"exp": None}, (401, "token-no-expiry")),
    ({"exp": 1}, (401, "token-expired")),
    ({"iss": "https://evil.example.org"}, (401, "token-issuer")),
    ({"sub": None}, (401, "token-subject")),
    ({"username": "a b"}, (401, "token-uid")),
])  # fmt: skip
async def test_an_answer_of_introspection_counts_only_in_order(
    asking: SignInHouse, changes: dict[str, object], said: tuple[int, str]
) -> None:
    asking.issuer.tokens["opaque"] = active(asking, **changes)
    assert await asking.refused("opaque") == said


@pytest.mark.parametrize("status", [400, 401, 403, 429, 500, 302])
async def test_introspection_that_does_not_answer_us_lets_nobody_in_and_is_not_remembered(
    asking: SignInHouse, status: int
) -> None:
    asking.issuer.tokens["opaque"] = active(asking)
    asking.issuer.introspection_status = status
    assert await asking.refused("opaque") == (503, "sign-in-unavailable")
    asking.issuer.introspection_status = 200
    assert (await asking.ask("opaque")).status == 200


async def test_a_listed_issuers_token_never_goes_to_introspection(asking: SignInHouse) -> None:
    token = unsigned(asking)
    asking.issuer.tokens[token] = active(asking)
    assert await asking.refused(token) == (401, "token-algorithm")
    assert asking.issuer.introspected == 0


async def test_stups_people_are_known_to_queries_as_to_the_registry(tmp_path: Path) -> None:
    async with (
        people() as services,
        sign_in_house(tmp_path, tokeninfo_url=services.tokeninfo_url, team_url=services.url) as house,
    ):
        found = await house.whoami("token-of-ada")
        assert (found["name"], found["issuer"], found["realm"], found["teams"]) == ("ada", "tokeninfo", "people", [])
        assert (await house.whoami("token-of-chief"))["rights"] == ["write-all"]
        assert await house.refused("token-of-nobody") == (401, "token-unknown")
        caller = await house.signing_in.sign_in.caller("token-of-ada", address="a")
        assert (await house.signing_in.membership.assured(caller, "alpha")).may_write("alpha")
        other = await house.signing_in.membership.assured(caller, "beta")
        assert (other.may_write("beta"), other.not_written) == (False, "not in the team")
        assert services.checked == 3
        services.down = True
        assert await house.refused("token-of-bare") == (503, "sign-in-unavailable")
        assert await house.refused("token-of-ada") == (200, "")
