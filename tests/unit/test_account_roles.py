"""The roles that a configuration states: their policies, merged and checked, and the roles that Whence knows."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from whence_aggregator.accounts.account import ConfiguredAccount
from whence_aggregator.accounts.configuration.account import AccountSettings
from whence_aggregator.accounts.permissions import actions_of
from whence_aggregator.accounts.resources import WantedResource
from whence_aggregator.accounts.steps.roles import mark, wanted
from whence_aggregator.accounts.steps.table import STEPS
from whence_common.errors import InputError

_ID = "123456789012"
_TRUST = {"Statement": {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}}
_ALLOW = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
_ARN = "arn:aws:iam::aws:policy/ReadOnlyAccess"
_READS = ("ec2:DescribeVpcs", "iam:ListRoles")


def _account(region: str = "eu-west-1", **settings: Any) -> ConfiguredAccount:
    section = {"id": _ID, "regions": [region], **settings}
    return ConfiguredAccount(name="hello", account_id=_ID, settings=msgspec.convert(section, AccountSettings))


def _wanted(**settings: Any) -> dict[str, WantedResource]:
    return {one.address: one for one in wanted(_account(**settings), _READS)}


def _roles(**roles: Any) -> dict[str, WantedResource]:
    return _wanted(roles=roles)


def _statements(role: WantedResource, aspect: str) -> list[dict[str, Any]]:
    document: Any = role.state[aspect]
    return list(document["Statement"])


def _allowed(role: WantedResource) -> dict[str, tuple[list[str], list[str]]]:
    """Return actions and resources by Sid of a role's own policy."""
    return {
        one["Sid"]: (one["Action"], one["Resource"]) for one in _statements(role, f"policy:{role.name}")
    }  # fmt: skip


def test_an_account_without_roles_wants_none() -> None:
    assert _wanted() == {}
    assert _roles(x=None) == {}


def test_a_role_of_version_10_is_read_as_it_is() -> None:
    found = _roles(
        Admin={"path": "/people/", "assume_role_policy": _TRUST, "policy": {"Statement": [_ALLOW]},
               "attached_policies": [_ARN]}
    )["role/Admin"]  # fmt: skip
    assert found.state == {
        "path": "/people/",
        "trust": {"Version": "2008-10-17", "Statement": [
            {"Action": ["sts:AssumeRole"], "Effect": "Allow", "Principal": {"Service": ["ec2.amazonaws.com"]}}
        ]},
        "attached:arn:aws:iam::aws:policy/ReadOnlyAccess": True,
        "policy:Admin": {"Version": "2008-10-17", "Statement": [
            {"Action": ["s3:GetObject"], "Effect": "Allow", "Resource": ["*"]}
        ]},
        "tags": {
            "whence:managed-by": "whence-accounts",
            "whence:parts": " ".join(sorted([mark("policy:Admin"), mark(f"attached:{_ARN}")])),
        },
    }  # fmt: skip


def test_as_many_policies_as_a_role_may_have_fit_the_tag_of_our_parts() -> None:
    document = {"Statement": [_ALLOW]}
    role = {
        "assume_role_policy": _TRUST, "policy": document, "inline_policies": {f"p{n}": document for n in range(6)},
        "attached_policies": [f"arn:aws:iam::aws:policy/P{n}" for n in range(25)],
    }  # fmt: skip
    tags: Any = _roles(x=role)["role/x"].state["tags"]
    assert len(tags["whence:parts"]) == 255


def test_a_dropped_role_needs_no_trust_policy() -> None:
    assert _roles(x={"drop": True})["role/x"].is_dropped


def test_account_ids_in_a_trust_policy_are_the_accounts_of_the_partition() -> None:
    trust = {"Statement": [{"Effect": "Allow", "Principal": {"AWS": ["210987654321"]}, "Action": "sts:AssumeRole"}]}
    found = _wanted(region="cn-north-1", roles={"x": {"assume_role_policy": trust}})["role/x"]
    assert _statements(found, "trust")[0]["Principal"] == {"AWS": ["arn:aws-cn:iam::210987654321:root"]}


def test_a_description_states_the_usual_session_too() -> None:
    found = _roles(x={"assume_role_policy": _TRUST, "description": "reads"})["role/x"]
    assert found.state["details"] == {"description": "reads", "max_session_duration": 3600}
    found = _roles(x={"assume_role_policy": _TRUST, "max_session_duration": 43200})["role/x"]
    assert found.state["details"] == {"description": "", "max_session_duration": 43200}


def test_additional_policies_are_added_to_the_roles_that_they_name() -> None:
    found = _wanted(
        roles={"x": {"assume_role_policy": _TRUST, "policy": {"Statement": _ALLOW}}, "y": {"assume_role_policy": _TRUST}},
        additional_policies=[
            {"role": "x", "statement": {**_ALLOW, "Action": "sqs:ListQueues"}}, {"role": "y", "statement": _ALLOW},
        ],
        additional_attached_policies=[{"role": "y", "policies": [_ARN]}, {"role": "y", "policies": [_ARN]}],
    )  # fmt: skip
    assert [one["Action"] for one in _statements(found["role/x"], "policy:x")] == [["s3:GetObject"], ["sqs:ListQueues"]]
    assert [one["Action"] for one in _statements(found["role/y"], "policy:y")] == [["s3:GetObject"]]
    assert found["role/y"].state[f"attached:{_ARN}"] is True


def test_additional_policies_may_name_the_roles_that_whence_knows() -> None:
    found = _wanted(
        auditor_role={"trusted": ["210987654321"]},
        additional_policies=[{"role": "fullstop", "statement": {**_ALLOW, "Sid": "More"}}],
    )  # fmt: skip
    assert list(_allowed(found["role/fullstop"])) == ["Inventory", "More"]


_BAD_ROLES: list[tuple[dict[str, Any], str]] = [
    ({}, "roles.x.assume_role_policy is missing"),
    ({"assume_role_policy": {}}, "assume_role_policy has not 1 to 200 statements"),
    ({"assume_role_policy": {"Statement": []}}, "assume_role_policy has not 1 to 200 statements"),
    ({"assume_role_policy": {"Statement": "all"}}, "assume_role_policy has not 1 to 200 statements"),
    ({"assume_role_policy": {**_TRUST, "Statments": []}}, "has the unknown key Statments"),
    ({"assume_role_policy": {**_TRUST, "Version": "2013"}}, "has an unknown Version"),
    ({"assume_role_policy": {"Statement": ["all"]}}, r"Statement\[0\] is not a mapping"),
    ({"assume_role_policy": {"Statement": [_ALLOW]}}, r"Statement\[0\] has no Principal"),
    (
        {"assume_role_policy": {"Statement": [{**_TRUST["Statement"], "Resource": "*"}]}},
        r"Statement\[0\] has a Resource",
    ),
    (
        {"assume_role_policy": {"Statement": [{**_TRUST["Statement"], "Principal": {"AWS": "AROAEXAMPLEEXAMPLE123"}}]}},
        "has the id AROAEXAMPLEEXAMPLE123, which IAM shows for a role or user that was deleted",
    ),
    (
        {"assume_role_policy": {"Statement": [{**_TRUST["Statement"], "Principal": "everybody"}]}},
        "Principal is not a mapping",
    ),
    ({"policy": {"Statement": [{**_ALLOW, "effect": "Deny"}]}}, "has the unknown key effect"),
    ({"policy": {"Statement": [{**_ALLOW, "Effect": "allow"}]}}, "has no Effect"),
    ({"policy": {"Statement": [{**_ALLOW, "NotAction": "*"}]}}, "has not exactly one of Action and NotAction"),
    (
        {"policy": {"Statement": [{"Effect": "Allow", "Action": "*"}]}},
        "has not exactly one of Resource and NotResource",
    ),
    ({"policy": {"Statement": [{**_ALLOW, "Principal": "*"}]}}, "has a Principal"),
    ({"policy": {"Statement": [{**_ALLOW, "Action": {"a": "b"}}]}}, r"Action is not a text or a list of texts"),
    ({"policy": {"Statement": [{**_ALLOW, "Condition": ["a"]}]}}, "Condition is not a mapping"),
    ({"policy": {"Statement": [{**_ALLOW, "Condition": {"Bool": {"a": [None]}}}]}}, "Condition is not a mapping"),
    ({"policy": {"Statement": [{**_ALLOW, "Sid": "s" * 11_000}]}}, "IAM takes 10240"),
    ({"inline_policies": {"x": {"Statement": [_ALLOW]}}}, "has the name of the role, as its policy has"),
    ({"inline_policies": {"more": {"Statement": []}}}, "roles.x.inline_policies.more has not 1 to 200 statements"),
]


@pytest.mark.parametrize("role, message", _BAD_ROLES, ids=range(len(_BAD_ROLES)))
def test_a_policy_that_iam_would_refuse_is_named_with_its_key(role: dict[str, Any], message: str) -> None:
    known = {"assume_role_policy": _TRUST} if set(role) & {"policy", "inline_policies"} else {}
    with pytest.raises(InputError, match=message) as refused:
        _roles(x={**known, **role})
    assert refused.value.message.startswith("accounts.hello.roles.x.")
    assert refused.value.fix


def test_a_policy_that_is_too_deep_is_refused() -> None:
    deep: Any = "x"
    for _ in range(500):
        deep = {"a": deep}
    with pytest.raises(InputError, match="Condition is not a mapping"):
        _roles(x={"assume_role_policy": _TRUST, "policy": {"Statement": [{**_ALLOW, "Condition": deep}]}})


def test_an_unknown_role_of_additional_policies_is_named() -> None:
    with pytest.raises(InputError, match=r"accounts\.hello\.additional_policies\[0\]\.role: z is not") as refused:
        _wanted(
            roles={"x": {"assume_role_policy": _TRUST}, "gone": {"drop": True}},
            additional_policies=[{"role": "z", "statement": _ALLOW}],
        )  # fmt: skip
    assert refused.value.fix == "name one of: x"
    with pytest.raises(InputError, match=r"additional_attached_policies\[0\]\.role: x is not a configured role"):
        _wanted(additional_attached_policies=[{"role": "x", "policies": [_ARN]}])


def test_a_statement_that_is_added_is_checked() -> None:
    with pytest.raises(InputError, match=r"additional_policies\[0\]\.statement has no Effect"):
        _wanted(
            roles={"x": {"assume_role_policy": _TRUST}}, additional_policies=[{"role": "x", "statement": {"Action": "*"}}]
        )  # fmt: skip


def test_additions_to_a_policy_without_statements_do_not_hide_its_fault() -> None:
    with pytest.raises(InputError, match=r"roles\.x\.policy has not 1 to 200 statements"):
        _wanted(
            roles={"x": {"assume_role_policy": _TRUST, "policy": {"Statement": "all"}}},
            additional_policies=[{"role": "x", "statement": _ALLOW}],
        )  # fmt: skip


def test_more_attached_policies_than_iam_takes_are_refused() -> None:
    arns = [f"arn:aws:iam::aws:policy/P{number}" for number in range(25)]
    with pytest.raises(InputError, match="makes 26 attached policies; IAM takes 25"):
        _wanted(
            roles={"x": {"assume_role_policy": _TRUST, "attached_policies": arns}},
            additional_attached_policies=[{"role": "x", "policies": [_ARN]}],
        )  # fmt: skip


def test_one_name_for_two_roles_is_refused() -> None:
    with pytest.raises(InputError, match="the role fullstop is also that of auditor_role"):
        _wanted(auditor_role={"trusted": [_ID]}, roles={"fullstop": {"assume_role_policy": _TRUST}})
    with pytest.raises(InputError, match="the role app-x is also that of vpc_flowlogs_role"):
        _wanted(vpc_flowlogs_role={"name": "app-x"}, application_roles={"applications": ["x"]})


def test_the_auditor_may_make_the_calls_of_the_inventory_and_no_other() -> None:
    found = _wanted(auditor_role={"trusted": ["210987654321"], "external_id": "whence-7f3a"})["role/fullstop"]
    assert _allowed(found) == {
        "Inventory": (["ec2:DescribeImages", "ec2:DescribeInstanceAttribute", "ec2:DescribeInstances"], ["*"])
    }
    assert _statements(found, "trust") == [{
        "Action": ["sts:AssumeRole"], "Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam::210987654321:root"]},
        "Condition": {"StringEquals": {"sts:ExternalId": ["whence-7f3a"]}},
    }]  # fmt: skip


def test_the_auditor_of_drift_reads_what_plans_read_and_who_did_it() -> None:
    found = _wanted(auditor_role={"trusted": ["210987654321"], "drift": True})["role/fullstop"]
    reads = ["cloudtrail:LookupEvents", "ec2:DescribeVpcs", "iam:ListRoles"]
    assert _allowed(found)["Drift"] == (reads, ["*"])


def test_the_step_of_the_table_allows_the_reads_of_all_steps_and_no_write() -> None:
    (roles,) = (one for one in STEPS if one.name == "roles")
    (found,) = roles.wanted(_account(auditor_role={"trusted": ["210987654321"], "drift": True}))
    actions, _ = _allowed(found)["Drift"]
    assert actions == sorted({*actions_of(STEPS, writing=False), "cloudtrail:LookupEvents"})
    assert {"s3:GetBucketPolicy", "iam:GetAccountAuthorizationDetails"} <= set(actions)
    assert not [one for one in actions if one.partition(":")[2].startswith(("Create", "Put", "Delete", "Update"))]


def test_an_auditor_without_external_id_has_no_condition() -> None:
    found = _wanted(auditor_role={"name": "whence-inventory", "trusted": ["arn:aws:iam::210987654321:role/whence"]})
    assert "Condition" not in _statements(found["role/whence-inventory"], "trust")[0]


def test_the_auditor_reads_the_trail_the_organisation_and_images_where_they_are_configured() -> None:
    queue = "arn:aws:sqs:eu-west-1:123456789012:trail"
    found = _wanted(
        auditor_role={
            "trusted": [_ID], "organization": True, "registry_pull": True,
            "trail": {"queues": [queue], "buckets": ["logs"], "keys": ["arn:aws:kms:eu-west-1:123456789012:key/k"]},
        }
    )["role/fullstop"]  # fmt: skip
    allowed = _allowed(found)
    assert allowed["TrailQueues"] == (
        ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"], [queue],
    )  # fmt: skip
    assert allowed["TrailKeys"] == (["cloudtrail:ListPublicKeys"], ["*"])
    assert allowed["TrailBuckets"] == (["s3:ListBucket"], ["arn:aws:s3:::logs"])
    assert allowed["TrailFiles"] == (["s3:GetObject"], ["arn:aws:s3:::logs/*"])
    assert allowed["TrailDecrypt"] == (["kms:Decrypt"], ["arn:aws:kms:eu-west-1:123456789012:key/k"])
    assert len(allowed["Organization"][0]) == 5
    assert allowed["RegistryPull"][1] == ["arn:aws:ecr:*:123456789012:repository/*"]


def test_flow_logs_of_this_account_only_use_their_role() -> None:
    found = _wanted(vpc_flowlogs_role={})["role/vpc-flowlogs"]
    assert _statements(found, "trust")[0]["Condition"] == {
        "ArnLike": {"aws:SourceArn": ["arn:aws:ec2:*:123456789012:vpc-flow-log/*"]},
        "StringEquals": {"aws:SourceAccount": [_ID]},
    }
    group = "arn:aws:logs:*:123456789012:log-group:vpc-flowgroup"
    assert _allowed(found)["Write"][1] == [group, f"{group}:*"]


_TRAIL = {
    "s3_bucket_name": "logs", "home_region": "eu-west-1",
    "cloud_watch_logs": {"group": "trail", "role": "trail-logs", "create": {}},
}  # fmt: skip


def test_cloudtrail_writes_its_own_streams_of_one_log_group_only() -> None:
    found = _wanted(cloudtrail=_TRAIL)["role/trail-logs"]
    (trust,) = _statements(found, "trust")
    assert trust["Principal"] == {"Service": ["cloudtrail.amazonaws.com"]}
    streams = f"arn:aws:logs:eu-west-1:{_ID}:log-group:trail:log-stream:"
    assert _allowed(found) == {
        "WriteTrail": (
            ["logs:CreateLogStream", "logs:PutLogEvents"], [f"{streams}{_ID}_CloudTrail_eu-west-1*"]
        )
    }  # fmt: skip
    of_organization = {**_TRAIL, "organization": True, "organization_id": "o-exampleorgid"}
    found = _wanted(cloudtrail=of_organization)["role/trail-logs"]
    assert _allowed(found)["WriteTrail"][1] == [f"{streams}{_ID}_CloudTrail_eu-west-1*", f"{streams}o-exampleorgid_*"]


def test_no_role_is_made_for_a_trail_that_is_off_or_whose_log_group_exists() -> None:
    assert _wanted(cloudtrail=_TRAIL, enable_cloudtrail=False) == {}
    assert _wanted(cloudtrail={**_TRAIL, "cloud_watch_logs": {"group": "trail", "role": "trail-logs"}}) == {}


def test_the_role_of_the_trail_is_not_also_another_one() -> None:
    with pytest.raises(InputError, match=r"the role trail-logs is also that of cloudtrail.cloud_watch_logs.role"):
        _wanted(cloudtrail=_TRAIL, roles={"trail-logs": {"drop": True}})


def test_an_application_reads_its_own_prefix_only() -> None:
    found = _wanted(application_roles={"applications": ["greeter", "greeter"], "mint_bucket": "hello-mint"})
    assert sorted(found) == ["instance-profile/app-greeter", "role/app-greeter"]
    statements = {one["Sid"]: one for one in _statements(found["role/app-greeter"], "policy:app-greeter")}
    assert statements["AllowMintRead"]["Resource"] == ["arn:aws:s3:::hello-mint/greeter/*"]
    assert statements["AllowMintList"] == {
        "Sid": "AllowMintList", "Effect": "Allow", "Action": ["s3:ListBucket"],
        "Resource": ["arn:aws:s3:::hello-mint"], "Condition": {"StringLike": {"s3:prefix": ["greeter/*"]}},
    }  # fmt: skip
    assert statements["DescribeTags"]["Action"] == ["ec2:DescribeTags"]


def test_an_application_role_may_do_without_list_and_profile() -> None:
    found = _wanted(
        application_roles={
            "applications": ["greeter"], "mint_bucket": "hello-mint", "list_bucket": False, "instance_profiles": False,
            "registry_pull": True,
        }
    )  # fmt: skip
    assert list(_allowed(found["role/app-greeter"])) == [
        "DescribeTags", "AllowMintRead", "RegistrySignIn", "RegistryPull",
    ]  # fmt: skip
    assert list(found) == ["role/app-greeter"]


@pytest.mark.parametrize(
    "settings",
    [
        {"roles": {"a b": None}}, {"roles": {"x" * 65: None}}, {"roles": {"x": {"path": "people"}}},
        {"roles": {"x": {"attached_policies": ["ReadOnlyAccess"]}}}, {"roles": {"x": {"max_session_duration": 60}}},
        {"roles": {"x": {"polices": {}}}}, {"auditor_role": {"trusted": []}}, {"auditor_role": {"trusted": ["*"]}},
        {"auditor_role": {"trusted": [_ID], "external_id": "a b"}}, {"application_roles": {"applications": ["../x"]}},
        {"application_roles": {"applications": ["x"], "mint_bucket": "UPPER"}},
        {"additional_policies": [{"role": "x"}]},
    ],
    ids=range(12),
)  # fmt: skip
def test_values_that_are_not_what_their_key_needs_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        _account(**settings)
