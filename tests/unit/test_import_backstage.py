"""Backstage's entities as applications and teams: the whole table, and nothing rewritten."""

from __future__ import annotations

import pytest

from fakes.catalogs import GROUP, OTHERS, USERS, annotated, component, read_catalog
from whence_aggregator.whence.importing.references import parse_reference

_LINKS = """\
  links:
    - url: https://docs.example.org/other
      title: Reading list
    - url: https://docs.example.org/greeter
      title: Documentation
    - url: https://greeter.example.org
      icon: web
    - url: https://help.example.org
      title: Support
"""


def fields(text: str, *more: str, **options: str) -> dict[str, object]:
    """Return the fields of the one application in a catalog with team hello."""
    reading = read_catalog(text, GROUP, *more, **options)
    assert [str(one.reason) for one in reading.unmapped] == []
    (found,) = reading.applications
    return {"id": found.application_id, **found.fields}


def test_a_component_with_nothing_else_has_id_name_team_and_contact() -> None:
    reading = read_catalog(component("Greeter"), GROUP)
    (found,) = reading.applications
    assert (found.application_id, dict(found.initial)) == ("greeter", {"active": True})
    assert found.fields == {"name": "Greeter", "team_id": "hello", "incident_contact": "hello@example.org"}


@pytest.mark.parametrize(
    "metadata, field, value",
    [
        ("  title: The Greeter\n", "name", "The Greeter"),
        ("  description: It *greets*.\n", "description", "It *greets*."),
        (annotated("backstage.io/source-location: url:https://git.example.org/a/b/tree/main/"), "scm_url",
         "https://git.example.org/a/b/tree/main/"),
        (annotated("github.com/project-slug: hello/greeter"), "scm_url", "https://github.com/hello/greeter"),
        (annotated("gitlab.com/project-slug: top/sub/deeper/greeter"), "scm_url",
         "https://gitlab.com/top/sub/deeper/greeter"),
        (annotated("gitlab.com/project-slug: top/greeter", "gitlab.com/instance: git.example.org"), "scm_url",
         "https://git.example.org/top/greeter"),
        (annotated("backstage.io/managed-by-location: url:https://git.example.org/a/b/blob/main/catalog-info.yaml"),
         "scm_url", "https://git.example.org/a/b/blob/main/catalog-info.yaml"),
        (annotated("backstage.io/managed-by-location: url:https://git.example.org/x/y", "github.com/project-slug: a/b",
                   "backstage.io/source-location: url:https://github.com/a/b/"), "scm_url", "https://github.com/a/b/"),
        (annotated("backstage.io/techdocs-ref: url:https://docs.example.org/a/"), "documentation_url",
         "https://docs.example.org/a/"),
        (annotated("backstage.io/techdocs-ref: dir:.") + _LINKS, "documentation_url", "https://docs.example.org/greeter"),
        (_LINKS, "service_url", "https://greeter.example.org"),
        (_LINKS, "support_url", "https://help.example.org"),
        ("  labels:\n    tier: '1'\n", "criticality_level", 1),
        (annotated("tier: Tier-3"), "criticality_level", 3),
    ],
)  # fmt: skip
def test_a_key_fills_its_field_unchanged(metadata: str, field: str, value: object) -> None:
    assert fields(component(metadata=metadata))[field] == value


def test_a_project_key_of_jira_needs_the_address_of_the_tracker() -> None:
    text = component(metadata=annotated("jira/project-key: PAY"))
    assert "specification_url" not in fields(text)
    found = fields(text, jira_url="https://jira.example.org/")
    assert (found["specification_type"], found["specification_url"]) == ("JIRA", "https://jira.example.org/browse/PAY")


def test_a_component_of_a_fetched_repository_has_that_repository_as_its_last_resort() -> None:
    assert fields(component(), repository="https://git.example.org/a/b")["scm_url"] == "https://git.example.org/a/b"
    text = component(metadata=annotated("github.com/project-slug: hello/greeter"))
    assert fields(text, repository="https://git.example.org/a/b")["scm_url"] == "https://github.com/hello/greeter"


def test_a_second_repository_is_reported_because_one_field_holds_one() -> None:
    slug, location = "github.com/project-slug: a/b", "backstage.io/source-location: url:https://git.example.org/c/d/"
    reading = read_catalog(component(metadata=annotated(slug, location)), GROUP)
    assert reading.applications[0].fields["scm_url"] == "https://git.example.org/c/d/"
    assert [one.reason for one in reading.notes] == ["another repository is named too, and only the first is imported"]


def test_a_deprecated_component_stays_active() -> None:
    reading = read_catalog(component().replace("lifecycle: production", "lifecycle: deprecated"), GROUP)
    assert dict(reading.applications[0].initial) == {"active": True}


def test_other_kinds_and_keys_without_a_field_are_counted() -> None:
    reading = read_catalog(component(spec="  system: greetings\n", metadata="  tags: [java]\n"), GROUP, OTHERS)
    assert reading.skipped == {
        "API": 1, "System": 1, "Template of scaffolder.backstage.io/v1beta3": 1,
    }  # fmt: skip
    assert reading.left_out == {"metadata.tags": 1, "spec.lifecycle": 1, "spec.system": 1, "spec.type": 1}
    assert reading.unmapped == []


@pytest.mark.parametrize(
    "name, reason, fix",
    [
        (
            "my_service",
            "'my_service' has '_' or '.', which an application id cannot have",
            "rename it, as in 'my-service'",
        ),
        (
            "my.service",
            "'my.service' has '_' or '.', which an application id cannot have",
            "rename it, as in 'my-service'",
        ),
        ("2fa", "'2fa' begins with a digit, which an application id cannot", "rename it to begin with a letter"),
        ("a", "'a' is too short for an application id", "use a name of two characters or more"),
    ],
)
def test_a_name_that_kio_cannot_hold_is_refused_with_the_fix(name: str, reason: str, fix: str) -> None:
    reading = read_catalog(GROUP, f"# a comment\n{component(f'{name!r}')}")
    (wrong,) = reading.unmapped
    assert (wrong.reason, wrong.fix, str(wrong.origin)) == (reason, fix, "catalog-2.yaml document 1 line 5")
    assert reading.applications == []


@pytest.mark.parametrize(
    "owner, reason",
    [
        ("user:ada", "the owner is a user, and only a team can own an application"),
        ("component:x", "the owner is a component, and only a team can own an application"),
        ("'group:'", "spec.owner does not refer to a Group"),
        ("':hello'", "spec.owner does not refer to a Group"),
        ("'/hello'", "spec.owner does not refer to a Group"),
        ("'default/a:b'", "spec.owner does not refer to a Group"),
        ("'hello world'", "spec.owner does not refer to a Group"),
        ("'-hello'", "spec.owner does not refer to a Group"),
    ],
)
def test_an_owner_that_is_no_group_is_refused(owner: str, reason: str) -> None:
    reading = read_catalog(component(owner=owner), GROUP)
    assert [one.reason for one in reading.unmapped] == [reason]
    assert reading.applications == []


@pytest.mark.parametrize("owner", ["hello", "HELLO", "group:hello", "Group:default/Hello", "default/hello"])
def test_a_reference_is_compared_in_lower_case(owner: str) -> None:
    found = fields(component(owner=owner))
    assert (found["team_id"], found["incident_contact"]) == ("hello", "hello@example.org")


def test_the_namespace_of_a_reference_is_that_of_the_referring_entity() -> None:
    reading = read_catalog(component(metadata="  namespace: shop\n"), GROUP)
    assert "several namespaces (default, shop)" in reading.unmapped[0].reason
    assert parse_reference("hello", kind="group", namespace="shop") == parse_reference(
        "group:shop/hello", kind="user", namespace="default"
    )


def test_a_slash_before_the_colon_makes_the_colon_part_of_the_name() -> None:
    assert parse_reference("shop/group:hello", kind="group", namespace="default") is None


def test_components_that_differ_in_namespace_or_case_only_are_all_refused() -> None:
    shop = component("greeter", owner="default/hello", metadata="  namespace: shop\n")
    reading = read_catalog(GROUP, f"{component()}---\n{shop}")
    assert [str(one.origin) for one in reading.unmapped] == [
        "catalog-2.yaml document 1 line 4", "catalog-2.yaml document 2 line 13",
    ]  # fmt: skip
    assert "several namespaces (default, shop)" in reading.unmapped[0].reason
    reading = read_catalog(GROUP, component(), component("GREETER"))
    assert [one.reason for one in reading.unmapped] == [
        "application greeter is stated more than once: also in catalog-3.yaml document 1 line 1",
        "application greeter is stated more than once: also in catalog-2.yaml document 1 line 1",
    ]
    assert reading.applications == []


def test_one_namespace_can_be_chosen_and_the_rest_counts_as_present() -> None:
    shop = component("till", owner="default/hello", metadata="  namespace: shop\n")
    reading = read_catalog(GROUP, component(), shop, namespaces=frozenset({"default"}))
    assert [one.application_id for one in reading.applications] == ["greeter"]
    assert (reading.skipped, reading.present()) == ({"Component in namespace shop": 1}, {"greeter", "till"})


def test_groups_and_users_are_teams_with_members_from_both_sides() -> None:
    group = GROUP.replace("  children: []\n", "  members: [ADA.lind, carl]\n  children: [other]\n")
    reading = read_catalog(group, USERS)
    assert [(one.team_id, one.name, one.members) for one in reading.teams] == [
        ("hello", "Team Hello", ("Bo.Berg", "ada.lind", "carl"))
    ]
    assert reading.unmapped == []


def test_a_user_in_two_namespaces_is_a_member_of_no_team() -> None:
    twin = USERS.partition("---")[0].replace("  name: ada.lind\n", "  name: Ada.Lind\n  namespace: development\n")
    reading = read_catalog(GROUP, USERS, twin.replace("[hello]", "[default/hello]"))
    assert reading.teams[0].members == ("Bo.Berg",)
    assert [str(one.origin) for one in reading.unmapped] == [
        "catalog-2.yaml document 1 line 4", "catalog-3.yaml document 1 line 4",
    ]  # fmt: skip
    assert reading.unmapped[0].reason.startswith("user ada.lind is in several namespaces (default, development)")


def test_a_group_in_two_namespaces_or_two_files_is_no_team() -> None:
    other = GROUP.replace("  name: hello\n", "  name: hello\n  namespace: shop\n")
    reading = read_catalog(GROUP, other)
    assert (reading.teams, [one.code for one in reading.unmapped]) == ([], ["import-team", "import-team"])
    reading = read_catalog(GROUP, GROUP)
    assert (reading.teams, [one.code for one in reading.unmapped]) == ([], ["import-duplicate", "import-duplicate"])


def test_a_membership_in_a_group_that_is_not_there_is_reported() -> None:
    reading = read_catalog(GROUP, USERS.replace("[hello]", "[hello, gone]"))
    assert [(str(one.origin), one.reason) for one in reading.notes] == [
        ("catalog-2.yaml document 1 line 6", "spec.memberOf: group:default/gone is not in this catalog")
    ]


def test_what_only_lacks_its_field_is_reported_and_the_rest_is_imported() -> None:
    metadata = annotated("github.com/project-slug: just-a-name", "jira/project-key: pay pay", "tier: gold")
    reading = read_catalog(component(metadata=metadata), GROUP)
    assert [(one.origin.line, one.reason) for one in reading.notes] == [
        (7, "jira/project-key is not a project's key"),
        (6, "github.com/project-slug does not name a repository"),
        (8, "tier is not a tier from 1 to 4"),
    ]
    assert [one.application_id for one in reading.applications] == ["greeter"]
