"""The settings of scanners and of the right findings are checked by name; what they mean is applied to findings."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from whence_aggregator.callers.caller import Caller
from whence_aggregator.callers.claim_mapping import ClaimMapping, RightRule
from whence_aggregator.callers.tokens import TokensInvalid, new_token, parse_tokens
from whence_aggregator.findings.rows import StoredFinding
from whence_aggregator.findings.scanners import Scanner, Scanners
from whence_aggregator.settings.server import parse_settings
from whence_aggregator.wiring.findings import load_scanners
from whence_common.settings_file import SettingsInvalid

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
AGGREGATOR = 'audience: https://whence.example.org\naccounts: ["123456789012"]\n'
ISSUER = (
    "sign_in: {issuers: [{issuer: https://idp.example.org, audiences: [w], claims: {rights: ["
    "{right: read}, {right: findings, claim: roles, values: [scanner]%s}]}}]}\n"
)


def finding(**changes: object) -> StoredFinding:
    stated: dict[str, object] = {
        "account_id": "123456789012", "product": "prowler", "uid": "f", "check_id": "c", "severity": 3, "result": "fail",
        "closed": "", "suppressed": False, "vulnerability": False, "region": "", "instance_id": "", "image_digest": "",
        "application_id": "", "first_seen": "2026-11-20T12:00:00.000Z", "last_seen": "2026-11-22T06:00:00.000Z",
        "reported_at": "2026-11-22T06:00:00.000Z", "since": "2026-11-20T12:00:00.000Z", "reopened": 0, "ledger_index": 1,
        "body": {},
    }  # fmt: skip
    return StoredFinding(**(stated | changes))  # type: ignore[arg-type]  # a test's values are of the fields' types


@pytest.mark.parametrize(
    "line, says",
    [
        ("{scanners: [{product: Prowler}]}", r"findings.scanners\[0\].product: write it in lower case"),
        ("{scanners: [{product: p, interval_seconds: 5}]}", r"scanners\[0\].interval_seconds must be from 60"),
        ("{scanners: [{product: p, accounts: ['12']}]}", "'12' is not an account id"),
        ("{scanners: [{product: p}, {product: p}]}", "p is listed twice for all accounts"),
        ("{scanners: [{product: p, reports: some}]}", "reports"),
        ("{cve_severity: 0}", "cve_severity must be a severity from 1"),
        ("{severities: {prowler/x: 9}}", "prowler/x must be a severity from 1"),
        ("{scaners: []}", "scaners"),
    ],
)
def test_wrong_settings_of_findings_are_refused_by_name(line: str, says: str) -> None:
    with pytest.raises(SettingsInvalid, match=says):
        parse_settings(f"{AGGREGATOR}findings: {line}\n".encode(), name="a")


@pytest.mark.parametrize(
    "accounts, says",
    [
        ("", "findings needs accounts"),
        (", accounts: []", "findings needs accounts"),
        (", accounts: ['1']", "'1' is not an account"),
    ],
)
def test_an_issuer_cannot_grant_the_right_for_no_account(accounts: str, says: str) -> None:
    with pytest.raises(SettingsInvalid, match=says):
        parse_settings((AGGREGATOR + ISSUER % accounts).encode(), name="a")
    good = (AGGREGATOR + ISSUER % ", accounts: ['*']").encode()
    assert parse_settings(good, name="a").sign_in.issuers[0].claims.rights[1].accounts == ["*"]


def test_a_token_of_an_issuer_has_the_accounts_of_the_rules_that_cover_it() -> None:
    rules = [
        RightRule(right="read"),
        RightRule(right="findings", claim="roles", values=frozenset({"a"}), accounts=frozenset({"111111111111"})),
        RightRule(right="findings", claim="roles", values=frozenset({"b"}), accounts=frozenset({"222222222222"})),
    ]
    mapping = ClaimMapping(rights=rules, reads="organisation")

    def accounts(*roles: str) -> frozenset[str]:
        return mapping.caller("i", {"sub": "s", "roles": list(roles)}, until=NOW.timestamp()).accounts

    assert (accounts(), accounts("a")) == (frozenset(), frozenset({"111111111111"}))
    assert accounts("a", "b") == frozenset({"111111111111", "222222222222"})


def test_products_of_a_rule_bound_its_own_accounts_and_not_those_of_another() -> None:
    def rule(role: str, account: str, *products: str) -> RightRule:
        return RightRule(
            right="findings", claim="roles", values=frozenset({role}), accounts=frozenset({account}),
            products=frozenset(products),
        )  # fmt: skip

    rules = [rule("a", "1", "prowler"), rule("b", "2", "trivy"), rule("c", "2"), rule("d", "*", "inspector")]
    mapping = ClaimMapping(rights=rules, reads="organisation")

    def may(role: str, account: str, product: str) -> bool:
        caller = mapping.caller("i", {"sub": "s", "roles": list(role)}, until=NOW.timestamp())
        return caller.may_record_findings_of(account, product)

    assert may("ab", "1", "prowler")
    assert may("ab", "2", "trivy")
    assert not may("ab", "1", "trivy")
    assert not may("ab", "2", "prowler")
    assert may("bc", "2", "prowler"), "another rule names the account without a product"
    assert may("ad", "1", "inspector")
    assert may("ad", "1", "prowler")
    assert not may("ad", "3", "prowler")


@pytest.mark.parametrize("products", ["['Prowler']", "['a b']", "['']"])
def test_an_issuer_cannot_bound_the_right_to_what_is_no_product(products: str) -> None:
    with pytest.raises(SettingsInvalid, match="is not the name of a product"):
        parse_settings((AGGREGATOR + ISSUER % f", accounts: ['*'], products: {products}").encode(), name="a")
    good = (AGGREGATOR + ISSUER % ", accounts: ['*'], products: [prowler]").encode()
    assert parse_settings(good, name="a").sign_in.issuers[0].claims.rights[1].products == ["prowler"]


def test_a_line_of_the_tokens_file_keeps_the_products() -> None:
    until = NOW + timedelta(days=1)
    _, token = new_token(
        "scans", [], admin=False, made=NOW, until=until, rights=["findings"], accounts=["123456789012"],
        products=["trivy", "prowler"],
    )  # fmt: skip
    assert " - may=findings accounts=123456789012 products=prowler,trivy made=" in token.to_line()
    assert token.rights == "read, findings of 123456789012 by prowler,trivy"
    caller = parse_tokens(token.to_line(), name="t")[token.hash].caller
    assert caller == token.caller
    assert [caller.may_record_findings_of("123456789012", one) for one in ("prowler", "trivy", "kics")] == [
        True, True, False,
    ]  # fmt: skip


@pytest.mark.parametrize("products", [["Prowler"], ["a b"], ["a,b"], ["*"], [""]])
def test_a_token_is_bounded_to_names_of_products(products: list[str]) -> None:
    with pytest.raises(TokensInvalid, match="is not the name of a product"):
        new_token(
            "x", [], admin=False, made=NOW, until=NOW + timedelta(days=1), rights=["findings"], accounts=["*"],
            products=products,
        )  # fmt: skip


def test_products_bound_the_right_findings_only() -> None:
    with pytest.raises(TokensInvalid, match="products belong to the right findings"):
        new_token("x", [], admin=False, made=NOW, until=NOW + timedelta(days=1), products=["prowler"])
    with pytest.raises(TokensInvalid, match="not of the form"):
        parse_tokens(f"sha256:{'0' * 64} ada - products=prowler", name="t")


def test_a_line_without_products_records_findings_of_every_product() -> None:
    line = f"sha256:{'0' * 64} ada - may=findings accounts=123456789012"
    (token,) = parse_tokens(line, name="t").values()
    assert token.caller.may_record_findings_of("123456789012", "prowler")
    assert token.rights == "read, findings of 123456789012"


def test_a_line_of_the_tokens_file_keeps_the_accounts() -> None:
    until = NOW + timedelta(days=1)
    _, token = new_token(
        "prowler", [], admin=False, made=NOW, until=until, rights=["findings"], accounts=["123456789012"]
    )  # fmt: skip
    assert " - may=findings accounts=123456789012 made=" in token.to_line()
    assert token.rights == "read, findings of 123456789012"
    assert parse_tokens(token.to_line(), name="t")[token.hash].caller == token.caller


@pytest.mark.parametrize(
    "rights, accounts", [(["findings"], []), ([], ["123456789012"]), (["findings"], ["1"]), (["audit"], ["*"])]
)
def test_a_token_has_accounts_exactly_with_the_right(rights: list[str], accounts: list[str]) -> None:
    with pytest.raises(TokensInvalid):
        new_token("x", [], admin=False, made=NOW, until=NOW + timedelta(days=1), rights=rights, accounts=accounts)


@pytest.mark.parametrize("words", ["may=findings", "accounts=*", "may=audit accounts=*", "may=findings accounts=1"])
def test_a_line_with_the_right_and_no_account_is_malformed(words: str) -> None:
    with pytest.raises(TokensInvalid, match="not of the form"):
        parse_tokens(f"sha256:{'0' * 64} ada - {words}", name="t")


@pytest.mark.parametrize(
    "caller, own, other, none",
    [
        (Caller(name="a", teams=None), True, True, True),
        (Caller(name="a", teams=frozenset(), rights=frozenset({"findings"}), accounts=frozenset({"1"})), True, False, False),
        (Caller(name="a", teams=frozenset(), rights=frozenset({"findings"}), accounts=frozenset({"*"})), True, True, True),
        (Caller(name="a", teams=frozenset(), rights=frozenset({"findings"})), False, False, False),
        (Caller(name="a", teams=frozenset(), accounts=frozenset({"1"})), False, False, False),
    ],
)  # fmt: skip
def test_the_right_covers_its_accounts_and_no_other(caller: Caller, own: bool, other: bool, none: bool) -> None:
    assert tuple(map(caller.may_record_findings_of, ("1", "2", ""))) == (own, other, none)


def test_the_settings_of_a_scanner_for_an_account_outweigh_those_for_all() -> None:
    text = (
        "findings: {scanners: [{product: prowler, interval_seconds: 3600},"
        " {product: prowler, interval_seconds: 86400, accounts: ['123456789012']}], cve_severity: 1}\n"
    )
    scanners = load_scanners(parse_settings((AGGREGATOR + text).encode(), name="a"))
    assert scanners.of("prowler", "123456789012").interval_seconds == 86_400
    assert scanners.of("prowler", "210987654321").interval_seconds == 3_600
    assert scanners.of("trivy", "210987654321").interval_seconds == 172_800
    assert scanners.cve_severity == 1
    assert scanners.verdict(finding(), now=NOW)[0] == "fail"
    assert scanners.verdict(finding(account_id="210987654321"), now=NOW)[0] == "unknown"


@pytest.mark.parametrize(
    "changes, rule, severity",
    [
        ({}, "prowler/c", 3),
        ({"check_id": "x"}, "prowler/x", 4),
        ({"vulnerability": True}, "prowler/c", 3),
        ({"vulnerability": True, "image_digest": "sha256:d"}, "image-cve", 3),
        ({"check_id": "Outdated-Base-Image", "image_digest": "sha256:d"}, "base-image-outdated", 1),
    ],
)
def test_rules_and_severities_are_those_of_the_settings(changes: dict[str, object], rule: str, severity: int) -> None:
    scanners = Scanners(
        base_image_checks=("outdated-base-image",), severities={"prowler/x": 4, "base-image-outdated": 1}
    )  # fmt: skip
    one = finding(**changes)
    assert (scanners.rule_of(one), scanners.severity_of(one)) == (rule, severity)


def test_what_a_scanner_no_longer_confirms_is_never_a_pass() -> None:
    scanners = Scanners(named=[Scanner(product="prowler", interval_seconds=3600.0)])
    for result in ("pass", "fail", "manual", "unknown"):
        assert scanners.verdict(finding(result=result), now=NOW)[0] == "unknown"
