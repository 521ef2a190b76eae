"""What import states of an account that has what a configuration wants is that configuration again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fakes.found_accounts import effective, found_as
from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.configuration.account import AccountSettings
from whence_aggregator.accounts.configuration.read import read_configuration
from whence_aggregator.accounts.importing import stated_by
from whence_aggregator.accounts.steps.table import STEPS
from whence_common.errors import InputError

WHOLE = Path("tests/data/accounts/whole.yaml")
REGIONS = ("eu-west-1", "us-east-1")
_ID = "123456789012"
_tags = st.dictionaries(st.sampled_from(["team", "cost"]), st.sampled_from(["a", ""]), max_size=2)
_sources = st.lists(st.sampled_from(["203.0.113.0/24", "198.51.100.7/32", "2001:db8::/32"]), min_size=1, unique=True)
_permissions = st.builds(
    lambda protocol, port, sources: {"ip_protocol": protocol, "from_port": port, "to_port": port, "ip_ranges": sources},
    st.sampled_from(["tcp", "udp", "-1", "icmp", "50"]), st.sampled_from([0, 22, 443]), _sources,
)  # fmt: skip
_groups = st.dictionaries(
    st.sampled_from(["Office", "web servers", "db"]),
    st.fixed_dictionaries(
        {"ip_permissions": st.lists(_permissions, min_size=1, max_size=3), "allow_from_trusted": st.booleans()}
    ),
    max_size=2,
)
_kinds = st.sampled_from(["dmz", "internal", "web"])


@st.composite
def _nets(draw: st.DrawFn, region: str) -> dict[str, Any]:
    """Return a network with computed subnets, or with stated ones, some of them with a custom part in their name."""
    number = draw(st.integers(0, 9))
    zones = draw(st.lists(st.sampled_from([f"{region}{one}" for one in "abc"]), min_size=1, unique=True))
    if draw(st.booleans()):
        return {"cidr": f"10.{number}.0.0/16", "zones": zones}
    subnets = {}
    for place, zone in enumerate(sorted(zones)):
        entries: list[dict[str, Any]] = [{"cidr": f"10.{number}.{place * 16}.0/24", "type": "dmz"}]
        entries += [
            {"cidr": f"10.{number}.{place * 16 + more}.0/24", "type": draw(_kinds), "tags": draw(_tags)}
            | {"tags": {"zalando.org/custom-subnet": f"c{more}"}}
            for more in range(1, 1 + draw(st.integers(0, 2)))
        ]
        subnets[zone] = entries
    return {"cidr": f"10.{number}.0.0/16", "subnets": subnets}


@st.composite
def _networks(draw: st.DrawFn, regions: tuple[str, ...]) -> dict[str, Any]:
    section: dict[str, Any] = {
        "nat": draw(st.sampled_from(["none", "gateway"])), "security_groups": draw(_groups),
        "enable_dedicated_dmz_route": draw(st.booleans()),
        "trusted_networks": {"office": "198.51.100.0/24", "home": "2001:db8::/48"},
    }  # fmt: skip
    if draw(st.booleans()):
        section["vpc_net"] = {one: draw(_nets(one)) for one in regions}
        section["vpc"] = {
            "tags": draw(_tags), "flow_logs_retention_in_days": draw(st.sampled_from([1, 3653])),
            "flow_log_destinations": draw(st.lists(st.sampled_from(
                ["log-group", "arn:aws:s3:::logs-{region}", "arn:aws:firehose:{region}:1:deliverystream/x"]), unique=True)),
            "flow_logs_role": draw(st.sampled_from(["vpc-flowlogs", "other"])),
            "endpoints": draw(st.lists(st.sampled_from(["s3", "dynamodb", "kms"]), unique=True)),
            }  # fmt: skip
        section["database_subnet_groups"] = draw(st.booleans())
    elif draw(st.booleans()):
        section["vpc_net"] = {one: draw(_nets(one)) for one in regions[:1]}
    return section


@st.composite
def _guardrails(draw: st.DrawFn, regions: tuple[str, ...]) -> dict[str, Any]:
    chosen = st.sampled_from([(), regions[-1:]])
    section: dict[str, Any] = {}
    if draw(st.booleans()):
        section["guardduty"] = {
            "finding_publishing_frequency": draw(st.sampled_from(["ONE_HOUR", "SIX_HOURS"])), "regions": draw(chosen),
        }  # fmt: skip
    if draw(st.booleans()):
        section["aws_config"] = {
            "s3_bucket_name": draw(st.sampled_from(["trails", "files"])), "regions": draw(chosen),
            "s3_key_prefix": draw(st.sampled_from([None, "c"])),
            "recording_frequency": draw(st.sampled_from(["CONTINUOUS", "DAILY"])),
        }  # fmt: skip
    if draw(st.booleans()):
        alerts = st.sampled_from([
            [], [{"percent": 80, "emails": ["a@example.org", "b@example.org"]}],
            [{"percent": 99.5, "of": "forecasted", "topic": f"arn:aws:sns:eu-west-1:{_ID}:costs"}],
        ])  # fmt: skip
        section["budgets"] = {"monthly": {"amount": draw(st.sampled_from([1, 100.5])), "alerts": draw(alerts)}}
    return section


@st.composite
def _sections(draw: st.DrawFn) -> dict[str, Any]:
    regions = REGIONS[: draw(st.integers(1, 2))]
    section = {"id": _ID, "alias": None, "regions": list(regions), **draw(_networks(regions))}
    names = st.sampled_from(["a.example.org", "*.example.org", "b.example.org"])
    section["acm"] = [
        {"domain_name": one, "subject_alternative_names": draw(st.lists(names, unique=True))}
        for one in draw(st.lists(names, unique=True, max_size=2))
    ]
    section["kms"] = {"app": {"description": "applications"}}
    if draw(st.booleans()):
        section["mint_bucket"] = {
            "name": "mint-{region}", "writer": f"arn:aws:iam::{_ID}:role/mint", "tags": draw(_tags),
            "key": draw(st.sampled_from(["app", None])), "noncurrent_days": draw(st.integers(1, 99)),
            "tls_only": draw(st.booleans()), "regions": draw(st.sampled_from([None, ["eu-west-1"]])),
        }  # fmt: skip
    if draw(st.booleans()):
        section["cloudtrail"] = {
            "s3_bucket_name": "trails", "name": draw(st.sampled_from(["Default", "audit"])),
            "log_bucket": draw(st.sampled_from([None, {}, {"accounts": ["1" * 12], "aws_config": draw(st.booleans()), "readers": [f"arn:aws:iam::{_ID}:role/r"]}])),
            "events": draw(st.sampled_from([None, {}, {"queue_name": "q", "receives_max": 3, "kms_key": "app"}])),
            "auditor_role": draw(st.sampled_from(["fullstop", "auditor", None])),
            "s3_key_prefix": draw(st.sampled_from([None, "x"])),
            "cloud_watch_logs": draw(st.sampled_from([None, {"group": "g", "role": "logs", "create": {"retention_in_days": 30}}])),
        }  # fmt: skip
    return section | draw(_guardrails(regions))


def account(**section: Any) -> ConfiguredAccount:
    return ConfiguredAccount(name="hello", account_id=_ID, settings=msgspec.convert(section, AccountSettings))


@settings(max_examples=80)
@given(_sections())
def test_what_is_imported_wants_the_same_as_what_was_configured(section: dict[str, Any]) -> None:
    configured = account(**section)
    try:
        wanted = effective(configured)
    except InputError:
        assume(False)
    found = found_as(configured)
    stated, _ = stated_by(STEPS, found)
    assert stated.notes == ()
    assert effective(found.account(stated.section)) == wanted


@settings(max_examples=40)
@given(_sections())
def test_what_somebody_else_made_so_is_stated_so(section: dict[str, Any]) -> None:
    configured = account(**section)
    try:
        found = found_as(configured, own=False)
    except InputError:
        assume(False)
    stated, _ = stated_by(STEPS, found)
    again = found.account(stated.section)
    assert not found.refusal(stated.section, lambda one: [each for step in STEPS for each in step.wanted(one)])
    assert {one.cidr for one in again.settings.vpc_net.values()} == {
        one.name for one in found.of("vpc") if not one.state["is_default"]
    }
    assert set(again.settings.security_groups) >= set(configured.settings.security_groups)


def test_the_configuration_of_every_step_is_imported_as_it_is() -> None:
    _, configured = read_configuration(WHOLE.read_bytes(), name="whole.yaml").accounts()
    found = found_as(configured)
    stated, _ = stated_by(STEPS, found)
    again, wanted = effective(found.account(stated.section)), effective(configured)
    left_out = {one.split("/")[0 if one.startswith(("root", "delegation")) else 1] for one in set(wanted) - set(again)}
    assert left_out == {"root-user", "delegation", "launch_permission"}, "images are stated by their ids"
    network = [one for one in wanted if one in again and "/" in one.partition("/")[2]]
    assert {one: again[one] for one in network if "ebs-encryption" not in one} == {
        one: wanted[one] for one in network if "ebs-encryption" not in one
    }, "the key of new volumes is left as it is"
    others = (
        "bucket/mint-222222222222-eu-west-1", "bucket/trails-222222222222", "role/app-kio", "role/trail-logs",
        "budget/monthly",
    )  # fmt: skip
    assert {one: again[one] for one in others} == {one: wanted[one] for one in others}
