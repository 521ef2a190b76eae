"""Settings of sign-in: what would let too many in is refused at the start, each mistake at its place."""

from __future__ import annotations

import json
from typing import Any

import pytest

from whence_aggregator.settings.server import parse_settings
from whence_common.settings_file import SettingsInvalid

URL = "https://login.example.org"
CLAIMS: dict[str, Any] = {"rights": [{"right": "read"}]}
ISSUER: dict[str, Any] = {"issuer": URL, "audiences": ["us"], "claims": CLAIMS}
RULE: dict[str, Any] = {"team": "hello", "project_id": "7", "refs": ["refs/heads/main"]}


def document(**sign_in: object) -> bytes:
    return json.dumps({"audience": "https://w", "accounts": ["123456789012"], "sign_in": sign_in}, indent=1).encode()


def issuer(**changes: object) -> dict[str, object]:
    return {"issuers": [{**ISSUER, **changes}]}


def claims(**changes: object) -> dict[str, object]:
    return issuer(claims={**CLAIMS, **changes})


def rule(provider: str = "github", **changes: object) -> dict[str, object]:
    return {"workloads": [{"issuer": URL, "provider": provider, "audiences": ["us"], "rules": [{**RULE, **changes}]}]}


def introspection(**changes: object) -> dict[str, object]:
    asked = {
        "url": URL,
        "issuer": URL,
        "client_id": "c",
        "client_secret_file": "/f",
        "audiences": ["us"],
        "claims": CLAIMS,
    }
    return {"introspection": {**asked, **changes}}


@pytest.mark.parametrize(
    "sign_in, said",
    [
        (issuer(issuer="http://login.example.org"), "sign_in.issuers[0].issuer must be an https URL"),
        (issuer(issuer="https://a@login.example.org"), "sign_in.issuers[0].issuer must be an https URL"),
        (issuer(issuer="https://login.example.org?x=1"), "sign_in.issuers[0].issuer must be an https URL"),
        (issuer(jwks_url="ftp://x"), "sign_in.issuers[0].jwks_url"),
        (issuer(audiences=[]), "sign_in.issuers[0].audiences must name this server"),
        (issuer(audiences=[""]), "sign_in.issuers[0].audiences must name this server"),
        (issuer(algorithms=["HS256"]), "sign_in.issuers[0].algorithms: 'HS256' is not one of"),
        (issuer(algorithms=["none"]), "sign_in.issuers[0].algorithms: 'none' is not one of"),
        (issuer(algorithms=[]), "algorithms and token_types must not be empty"),
        (issuer(token_types=["logout+jwt"]), "sign_in.issuers[0].token_types"),
        (issuer(token_seconds_max=1e9), "sign_in.issuers[0].token_seconds_max must be from 60 to 604800"),
        (claims(rights=[]), "sign_in.issuers[0].claims.rights must grant at least one right"),
        (claims(rights=[{"right": "audit"}]), "grants audit to every user of the issuer"),
        (claims(rights=[{"right": "write-all"}]), "grants write-all to every user of the issuer"),
        (claims(rights=[{"right": "root"}]), "sign_in.issuers[0].claims.rights[0].right"),
        (claims(rights=[{"right": "read", "claim": "roles"}]), "set claim and values together"),
        (claims(group_pattern="("), "group_pattern is not a regular expression"),
        (claims(group_pattern="(a)(b)"), "group_pattern must have at most one capture group"),
        (claims(group_teams={"x": "Hello"}), "group_teams.x: 'Hello' is not a team"),
        (claims(realm_claim="kind"), "set realm_claim and service_values together"),
        (claims(subject=[]), "subject must name at least one claim"),
        ({"issuers": [ISSUER, ISSUER]}, f"the issuer {URL} is listed twice"),
        (rule(team="Hello"), "sign_in.workloads[0].rules[0].team is not a team"),
        (rule(project_id="hello/greeter"), "sign_in.workloads[0].rules[0].project_id must be the number"),
        (rule(refs=[]), "sign_in.workloads[0].rules[0].refs must name at least one ref"),
        (rule(refs=["main"]), "refs: 'main' must be complete"),
        (rule(refs=["*"]), "refs: '*' must be complete"),
        (rule(refs=["refs/heads/release*"]), "refs: 'refs/heads/release*' must be complete"),
        (rule(refs=["refs/*/main"]), "refs: 'refs/*/main' must be complete"),
        (rule(amis=["*"]), "rules[0].amis: '*' is not the name of an AMI"),
        (rule(amis=["Wh*"]), "rules[0].amis: 'Wh*' is not the name of an AMI, or at least three characters"),
        (rule(amis=["Whence-*-AMI"]), "rules[0].amis: 'Whence-*-AMI' is not the name of an AMI"),
        (rule(amis=[""]), "rules[0].amis: '' is not the name of an AMI"),
        (rule(events=["pull_request_target"]), "events: 'pull_request_target' may run code from outside"),
        (rule("gitlab", events=["merge_request_event"]), "events: 'merge_request_event' may run code from outside"),
        (rule("aws", project_id="arn:aws:iam::1:role/x", refs=[], events=["push"]), "do not state which event"),
        (rule("jenkins"), "sign_in.workloads[0].provider"),
        (introspection(url="http://x.example.org"), "sign_in.introspection.url must be an https URL"),
        (introspection(audiences=[]), "sign_in.introspection.audiences must name this server"),
        (introspection(issuer="login", cli={"client_id": "c"}), "sign_in.introspection.issuer must be an https URL"),
        (issuer(cli={}), "sign_in.issuers[0].cli"),
        (issuer(cli={"client_id": ""}), "sign_in.issuers[0].cli.client_id must have 1 to 300"),
        (issuer(cli={"client_id": "c", "client_secret": "s"}), "client_secret: unknown setting"),
        (issuer(cli={"client_id": "c", "scopes": ["openid profile"]}), "cli.scopes: 'openid profile' is not a scope"),
        (issuer(cli={"client_id": "c", "resource": "whence"}), "cli.resource must be an absolute URI"),
        (issuer(cli={"client_id": "c", "resource": "https://w#x"}), "cli.resource must be an absolute URI"),
        (issuer(cli={"client_id": "c", "prompt": "login&x=1"}), "cli.prompt must be values of OpenID Connect"),
        (issuer(cli={"client_id": "c", "redirect_port": 80}), "cli.redirect_port must be from 1024 to 65535"),
        (issuer(cli={"client_id": "us"}, token_types=["jwt"]), "ID tokens would be accepted; remove it"),
        ({**issuer(cli={"client_id": "c"}), **introspection(cli={"client_id": "c"})}, "has two settings cli"),
        ({"tokeninfo_url": "x"}, "sign_in.tokeninfo_url must be an http or https URL"),
        ({"team_url": "ftp://x"}, "sign_in.team_url must be an http or https URL"),
        ({"session_seconds": 86_400}, "sign_in.session_seconds must be from 60 to 3600"),
        ({"reads": "nothing"}, "sign_in.reads"),
        ({"issuer": URL}, "sign_in.issuer: unknown setting"),
    ],
)  # fmt: skip
def test_what_would_let_too_many_in_is_refused_at_its_place(sign_in: dict[str, object], said: str) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        parse_settings(document(**sign_in), name="aggregator.yaml")
    assert said in str(caught.value)
    assert "aggregator.yaml:" in str(caught.value)


@pytest.mark.parametrize("refs", [["refs/heads/main"], ["refs/heads/release/*"], ["refs/tags/v*"], ["refs/tags/*"]])
def test_refs_are_whole_or_end_where_names_do(refs: list[str]) -> None:
    assert parse_settings(document(**rule(refs=refs)), name="a").sign_in.workloads[0].rules[0].refs == refs


def test_without_sign_in_nobody_but_the_file_of_tokens_counts() -> None:
    sign_in = parse_settings(document(), name="a").sign_in
    assert (sign_in.issuers, sign_in.workloads, sign_in.introspection, sign_in.tokeninfo_url) == ([], [], None, None)
