"""Requests that are hostile beside their token: repeated headers, tokens in odd places, look-alike teams, large claims."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from fakes.issuer import AUDIENCE
from fakes.sign_in_house import SignInHouse, sign_in_house
from whence_common.runtime.logs import JsonLines

STATIC = "qPz3v0Xn1cJmR8sKdYhTbWgLfAeUoIiN2M4Q6-_ZtVk"
"""A static token, as `whence-aggregator token` makes it."""


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SignInHouse]:
    """One server for all: no test here moves its clock or changes its issuers."""
    async with sign_in_house(tmp_path_factory.mktemp("house")) as opened:
        opened.know("ci", STATIC)
        yield opened


class Lines:
    """What the process would log, in debug mode too."""

    def __init__(self) -> None:
        self._stream = io.StringIO()
        self.handler = logging.StreamHandler(self._stream)
        self.handler.setFormatter(JsonLines(str))

    @property
    def text(self) -> str:
        return self._stream.getvalue()


@pytest.fixture
def logged() -> Iterator[Lines]:
    found = Lines()
    root = logging.getLogger()
    level = root.level
    root.addHandler(found.handler)
    root.setLevel(logging.DEBUG)
    yield found
    root.removeHandler(found.handler)
    root.setLevel(level)


async def raw(house: SignInHouse, head: str) -> tuple[int, bytes]:
    """Send a request's head as it is written here; return status and answer: 400 if the connection was reset instead."""
    place = urlsplit(house.url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    writer.write(head.replace("\n", "\r\n").encode("utf-8", "surrogateescape") + b"\r\n\r\n")
    try:
        async with asyncio.timeout(20):
            answer = await reader.read()
    except ConnectionResetError:
        return 400, b""
    finally:
        writer.close()
    return int(answer.split(b" ", 2)[1]), answer


def head(*lines: str, path: str = "/v1/whoami", method: str = "GET") -> str:
    return "\n".join((f"{method} {path} HTTP/1.1", "Host: x", "Connection: close", *lines))


def basic(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


async def test_two_authorization_headers_are_refused_whichever_is_good(house: SignInHouse) -> None:
    good, bad = f"Authorization: Bearer {STATIC}", "Authorization: Bearer wrong"
    assert (await raw(house, head(good)))[0] == 200
    for lines in (
        (good, bad),
        (bad, good),
        (good, good),
        (good, "authorization: Bearer wrong"),
        (good, "Authorization:"),
    ):
        status, answer = await raw(house, head(*lines))
        assert status in (400, 401), lines
        assert b"ci" not in answer.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize(
    "header",
    [
        f"Bearer {STATIC}\u00e9", f"Bearer {STATIC},{STATIC}", f"Bearer {STATIC} {STATIC}", f"Bearer {STATIC}\tx",
        f'Bearer "{STATIC}"', f"Bearer\t{STATIC}", f"Bearer{STATIC}", f"Bearer: {STATIC}", STATIC, f"Negotiate {STATIC}",
        f"Basic {STATIC}", f"Basic {basic(f':{STATIC}')}", f"Basic {basic(f'{STATIC}:')}", f"Basic {basic(STATIC)}",
        f"Basic {basic(f'root:{STATIC}')}", f"Basic {basic(f'OAUTH2:{STATIC}')}", f"Basic {basic(f'oauth2 :{STATIC}')}",
        f"Basic {basic(f'oauth2:{STATIC}')}=", f"Basic  {basic(f'oauth2:{STATIC}')}", f"Basic {basic(f'oauth2:{STATIC} ')}",
        f"Basic {basic(f'oauth2:{STATIC}')[:-1]}", f"Basic {basic('oauth2:')}", "Basic", "Bearer", "Bearer ", "",
        f"Bearer {STATIC.lower()}", f"Bearer {STATIC.upper()}", f"Bearer {STATIC}=", f"Bearer %71{STATIC[1:]}",
    ],
)  # fmt: skip
async def test_a_good_token_that_is_written_otherwise_signs_in_nobody(house: SignInHouse, header: str) -> None:
    status, _ = await raw(house, head(f"Authorization: {header}"))
    assert status in (400, 401), header


async def test_a_line_break_within_a_token_is_refused(house: SignInHouse) -> None:
    for break_ in ("\n", "\n ", "\0", "\x0b", "\x7f", "\x85", "\u2028"):
        status, _ = await raw(house, head(f"Authorization: Bearer {STATIC[:20]}{break_}{STATIC[20:]}"))
        assert status in (400, 401), repr(break_)


@pytest.mark.parametrize("characters", [17_000, 64 * 1024, 1024 * 1024])
async def test_a_token_of_64_kib_is_refused_and_no_part_of_it_is_logged(
    house: SignInHouse, logged: Lines, characters: int
) -> None:
    status, _ = await raw(house, head("Authorization: Bearer " + "Ab1" * (characters // 3)))
    assert status in (400, 401, 431)
    assert "Ab1Ab1" not in logged.text


@pytest.mark.parametrize(
    "where",
    [
        "GET /v1/whoami?access_token=TOKEN HTTP/1.1", "GET /v1/whoami?token=TOKEN&Authorization=Bearer%20TOKEN HTTP/1.1",
        "GET /v1/whoami;access_token=TOKEN HTTP/1.1", "GET /v1/whoami#access_token=TOKEN HTTP/1.1",
        "GET http://oauth2:TOKEN@x/v1/whoami HTTP/1.1", "GET http://TOKEN@x/v1/whoami HTTP/1.1",
        "GET /apps/TOKEN HTTP/1.1", "GET /apps?search=TOKEN HTTP/1.1", "GET /v1/trace?instance=TOKEN HTTP/1.1",
        "GET /v1/%41TOKEN HTTP/1.1", "TOKEN /v1/whoami HTTP/1.1", "GET /v1/whoami?access_token=TOKEN HTTP/9.9",
        "GET /v1/whoami?access_token=TOKEN", "GET /v1/whoami HTTP/1.1\nReferer: https://x/?access_token=TOKEN",
        "GET /v1/whoami HTTP/1.1\nCookie: access_token=TOKEN; token=TOKEN",
        "GET /v1/whoami HTTP/1.1\nX-Forwarded-Access-Token: TOKEN", "GET /v1/whoami HTTP/1.1\nX-Auth-Token: TOKEN",
        "GET /v1/whoami HTTP/1.1\nProxy-Authorization: Bearer TOKEN",
        "GET /v1/whoami HTTP/1.1\nX-Original-Authorization: Bearer TOKEN", "GET /v1/whoami HTTP/1.1\nBad Header TOKEN: x",
        "GET /v1/whoami HTTP/1.1\nUser-Agent: TOKEN\nX-Forwarded-For: TOKEN",
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["static", "jwt"])
async def test_a_token_elsewhere_than_in_its_header_signs_in_nobody_and_is_not_logged(
    house: SignInHouse, logged: Lines, where: str, kind: str
) -> None:
    token = STATIC if kind == "static" else house.issuer.mint()
    status, answer = await raw(house, where.replace("TOKEN", token) + "\nHost: x\nConnection: close")
    assert 400 <= status < 500, where
    if "@x" not in where and "/apps/" not in where and "%41" not in where:
        assert b"ada" not in answer.partition(b"\r\n\r\n")[2]
    text = logged.text
    assert token not in text
    assert token.split(".")[-1] not in text


async def test_a_presented_token_is_not_logged_even_if_the_url_has_it_too(tmp_path: Path, logged: Lines) -> None:
    """Also a token without a known form, such as the introspection server's."""
    async with sign_in_house(tmp_path) as house:
        house.know("ci", "short.opaque+token")
        await house.ask("short.opaque+token", "/apps/short.opaque%2Btoken?search=short.opaque%2Btoken")
        await house.ask("short.opaque+token", "/v1/short.opaque%2btoken")
    text = logged.text
    assert '"caller": "ci"' in text or '"caller":"ci"' in text
    assert "short.opaque" not in text


async def test_digests_and_commits_are_still_logged(house: SignInHouse, logged: Lines) -> None:
    digest, commit = "sha256:" + "0a" * 32, "0123456789abcdef" * 2 + "01234567"
    await house.ask(STATIC, f"/v1/trace?image={digest}&commit={commit}")
    text = logged.text
    assert (digest in text, commit in text) == (True, True)


# Teams and names.


@pytest.mark.parametrize(
    "group",
    [
        "team-\uff41lpha", "team-al\u200bpha", "team-al\u00adpha", "team-\u202ealpha", "team-alpha\ufeff", "team-alph\u0430",
        "team-\u0251lpha", "team-alpha\u0301", "team-\u212alpha", "team-alpha\x00", "team-alpha\u2028", "team-a\u0131pha",
        "team-%61lpha", "team-alpha%2Fbeta", "team-alpha%00", "team-./alpha", "team-.alpha", "team--alpha", "team-alpha,beta",
        "team-alpha beta", "team-*", "team-alpha*", "team--", "team-_", "team-\\alpha", "team-alpha\\..\\beta",
        "team-alpha;beta", "team-'alpha'", "team-alpha\r", "team-\talpha", "alpha", "/team-alpha", "team-team-/alpha", "",
        "team-" + "a" * 64, "team-" + "a" * 400, "\uff54eam-alpha",
    ],
)  # fmt: skip
async def test_a_group_that_only_looks_like_a_team_is_none(house: SignInHouse, group: str) -> None:
    found = await house.whoami(house.issuer.mint(groups=[group]))
    assert (found["teams"], found["teams_note"]) == ([], None)


async def test_a_hostile_group_takes_no_other_group_away(house: SignInHouse) -> None:
    found = await house.whoami(
        house.issuer.mint(groups=["team-\uff41lpha", "team-alpha", "team-../alpha", "team-alpha"])
    )
    assert found["teams"] == ["alpha"]


@pytest.mark.parametrize(
    "name",
    [
        "ada\x00", "ada\x1b[2J", "ada\u202e", "ada\u200b", "ad\uff41", " ada", "ada ", "ada\t", "ada;root", "ada,root", "-ada",
        "ada<b>", "ada%0a", "ada\r\nX: y", "ada\u2028", "", "ada\\", 'ada"', {"ada": 1}, True, 1,
    ],
)  # fmt: skip
async def test_a_name_with_control_characters_or_look_alikes_signs_in_nobody(house: SignInHouse, name: object) -> None:
    assert await house.refused(house.issuer.mint(preferred_username=name)) == (401, "token-uid")


@pytest.mark.parametrize("subject", ["a\x00", "a\tb", "a\u202e", "a" * 501, ["a"], {"a": 1}, True, "\u2028"])
async def test_a_subject_with_control_characters_signs_in_nobody(house: SignInHouse, subject: object) -> None:
    assert await house.refused(house.issuer.mint(sub=subject)) == (401, "token-subject")


async def test_two_issuers_people_with_one_subject_are_two(house: SignInHouse) -> None:
    """A person is (iss, sub): neither the name nor the e-mail address identifies it."""
    first = await house.whoami(house.issuer.mint(sub="1", email="ada@example.org"))
    second = await house.whoami(house.issuer.mint(sub="2", email="ada@example.org"))
    assert first["name"] == second["name"]
    assert (first["issuer"], first["subject"]) != (second["issuer"], second["subject"])


async def test_rights_are_given_by_exact_values_only(house: SignInHouse) -> None:
    for roles in (
        "auditorsx",
        ["Auditors"],
        ["auditors "],
        {"auditors": True},
        ["\uff41uditors"],
        [["auditors"]],
        True,
        1,
    ):
        assert (await house.whoami(house.issuer.mint(roles=roles)))["rights"] == [], roles
    assert (await house.whoami(house.issuer.mint(roles="x auditors")))["rights"] == ["audit"], "a scope's form"


# Claims that are large or belong to other clients.

INTROSPECTION = {
    "url": "{issuer}/introspect", "issuer": "{issuer}", "client_id": "whence",
    "client_secret_file": "{directory}/client.secret", "audiences": [AUDIENCE],
    "claims": {"uid": "username", "groups": "groups", "group_prefix": "team-", "rights": [{"right": "read"}]},
}  # fmt: skip


def active(house: SignInHouse, **changes: object) -> dict[str, object]:
    return {
        "active": True, "sub": "ada-1", "username": "ada", "aud": AUDIENCE, "exp": house.clock().timestamp() + 3600,
        "groups": ["team-alpha"], **changes,
    }  # fmt: skip


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"groups": [f"team-{number}" for number in range(2001)]}, "its teams are unknown: the claim groups is not a list"),
        ({"groups": ["team-alpha", 7]}, "its teams are unknown: the claim groups is not a list"),
        ({"groups": ["team-alpha", ["team-beta"]]}, "its teams are unknown: the claim groups is not a list"),
        ({"groups": "team-alpha team-beta"}, "its teams are unknown: the claim groups is not a list"),
    ],
)  # fmt: skip
async def test_too_many_or_nested_groups_are_unknown_and_not_cut(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    async with sign_in_house(tmp_path, introspection=INTROSPECTION) as house:
        house.issuer.tokens["opaque"] = active(house, **changes)
        found = await house.whoami("opaque")
        assert (found["teams"], str(found["teams_note"]).startswith(said)) == ([], True)


async def test_a_response_of_introspection_that_is_too_large_signs_in_nobody(tmp_path: Path) -> None:
    async with sign_in_house(tmp_path, introspection=INTROSPECTION) as house:
        house.issuer.tokens["opaque"] = active(house, filler="x" * 70_000)
        assert await house.refused("opaque") == (503, "sign-in-unavailable")


async def test_groups_that_introspection_no_longer_states_count_for_a_minute_at_most(tmp_path: Path) -> None:
    async with sign_in_house(tmp_path, introspection=INTROSPECTION) as house:
        house.issuer.tokens["opaque"] = active(house)
        assert (await house.whoami("opaque"))["teams"] == ["alpha"]
        house.issuer.tokens["opaque"] = active(house, groups=[])
        house.advance(59)
        assert (await house.whoami("opaque"))["teams"] == ["alpha"]
        house.advance(1)
        assert (await house.whoami("opaque"))["teams"] == []


@pytest.mark.parametrize(
    "changes, said",
    [
        ({}, (200, "")),
        ({"azp": "cli"}, (200, "")),
        ({"azp": "stranger"}, (401, "token-party")),
        ({"client_id": "stranger"}, (401, "token-party")),
        ({"azp": "stranger", "client_id": "cli"}, (401, "token-party")),
        ({"azp": ""}, (401, "token-party")),
        ({"azp": None}, (200, "")),
        ({"aud": [AUDIENCE, "account"]}, (401, "token-party")),
        ({"aud": [AUDIENCE, "account"], "azp": "cli"}, (200, "")),
        ({"aud": ["account"], "azp": "cli"}, (401, "token-audience")),
        ({"aud": [AUDIENCE, "account", "stranger"], "azp": "cli"}, (401, "token-audience")),
        ({"aud": [AUDIENCE, AUDIENCE], "azp": "cli"}, (200, "")),
        ({"aud": [AUDIENCE, None], "azp": "cli"}, (401, "token-audience")),
        ({"aud": {AUDIENCE: True}}, (401, "token-audience")),
        ({"aud": AUDIENCE + "\x00"}, (401, "token-audience")),
    ],
)  # fmt: skip
async def test_a_token_is_accepted_from_listed_applications_only(
    tmp_path: Path, changes: dict[str, object], said: tuple[int, str]
) -> None:
    claims = {"uid": "preferred_username", "rights": [{"right": "read"}]}
    issuer = {"issuer": "{issuer}", "audiences": [AUDIENCE], "trusted_audiences": ["account"], "clients": ["cli"],
              "claims": claims}  # fmt: skip
    async with sign_in_house(tmp_path, issuers=[issuer]) as house:
        assert await house.refused(house.issuer.mint(**changes)) == said  # type: ignore[arg-type]  # claims of any type


# The exchange of a job's token.


async def test_the_exchange_reads_one_form_and_nothing_else(house: SignInHouse, logged: Lines) -> None:
    token = house.job()
    exchange = "grant_type=urn:ietf:params:oauth:grant-type:token-exchange"
    type_ = "subject_token_type=urn:ietf:params:oauth:token-type:jwt"

    async def said(
        body: str, path: str = "/v1/token", content_type: str = "application/x-www-form-urlencoded"
    ) -> object:
        async with house.session.post(
            house.url + path, data=body.encode(), headers={"Content-Type": content_type}
        ) as answer:
            return answer.status, (await answer.json(content_type=None))["code"]

    form = f"{exchange}&{type_}&subject_token={token}"
    assert await said("", path=f"/v1/token?{form}") == (400, "parameter-unknown")
    assert await said(f"{form}&subject_token={token}") == (400, "parameter-repeated")
    assert await said(f"{form}&grant_type=password") == (400, "parameter-repeated")
    assert await said(json.dumps({"subject_token": token}), content_type="application/json") == (400, "body-not-form")
    assert await said(form, content_type="multipart/form-data") == (400, "body-not-form")
    assert await said(form + "\u00e9") == (400, "body-not-form")
    assert await said("&".join(f"a{number}=1" for number in range(100))) == (400, "body-not-form")
    assert await said(f"{exchange}&{type_}") == (401, "token-malformed")
    assert await said(form.replace(token, STATIC)) == (401, "token-malformed")
    session = (await house.exchange(token)).body["access_token"]
    assert await said(form.replace(token, session)) == (401, "token-malformed")
    text = logged.text
    assert (token.split(".")[1] in text, session[:60] in text) == (False, False)


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"repository": "hello/greeter\u200b"}, (401, "workload-claims")),
        ({"repository_id": "1001 "}, (403, "workload-project")),
        ({"repository_id": "01001"}, (403, "workload-project")),
        ({"repository_id": "\uff11001"}, (403, "workload-project")),
        ({"repository_id": 1001.0}, (401, "workload-claims")),
        ({"repository_id": True}, (401, "workload-claims")),
        ({"ref": "refs/heads/main\n"}, (403, "workload-ref")),
        ({"ref": ["refs/heads/main"]}, (403, "workload-ref")),
        ({"ref": "refs/tags/v"}, (403, "workload-ref")),
        ({"ref": "refs/heads/m\u0430in"}, (403, "workload-ref")),
        ({"ref_protected": "True"}, (200, "")),
        ({"ref_protected": 1}, (403, "workload-ref-unprotected")),
        ({"ref_protected": ["true"]}, (403, "workload-ref-unprotected")),
        ({"event_name": "PUSH"}, (403, "workload-event")),
        ({"event_name": ["push"]}, (403, "workload-event")),
        ({"environment": "production\u200b"}, (403, "workload-environment")),
        ({"environment": ["production"]}, (403, "workload-environment")),
        ({"runner_environment": "GitHub-hosted"}, (403, "workload-runner")),
        ({"aud": [AUDIENCE, "https://github.com/hello"]}, (401, "token-audience")),
        ({"iss": "https://token.actions.githubusercontent.com"}, (401, "token-issuer")),
        ({"sub": None}, (401, "token-subject")),
        ({"exp": None}, (401, "token-no-expiry")),
    ],
)  # fmt: skip
async def test_a_jobs_claims_count_in_their_one_spelling_and_type(
    house: SignInHouse, changes: dict[str, object], said: tuple[int, str]
) -> None:
    assert (await house.exchange(house.job(**changes))).said == said
