"""Each link of a lineage but the source's: its state, its reason and whose evidence it shows, for all that may be known."""

from __future__ import annotations

from typing import Any

import pytest

from fakes.facts import AT, FAILED, OTHERS, OURS, READ, answer, container, facts, image, lineage, link
from fakes.machine import DIGEST, REPOSITORY
from whence_aggregator.trace.facts import NOT_ASKED, Answer, InventoryFacts
from whence_aggregator.trace.lineage import LINK_NAMES, LinkName, without_user_data
from whence_aggregator.trace.tags import TagHistory, TagSeen
from whence_common.statement import ApplicationFacts, UserDataFacts

SIDECARS, ELSEWHERE = "sha256:" + "5" * 64, "sha256:" + "7" * 64
SOURCE = f"{REPOSITORY}:1.0"


def sources(name: LinkName, **changes: Any) -> list[str]:
    return [one.source for one in link(name, facts(**changes)).evidence]


def test_a_lineage_has_every_link_in_its_order_and_what_is_known_beside_them() -> None:
    known = facts(life="running", life_since=AT, heard="speaking", late=True)
    found = lineage(known, checkpoint="c")
    assert [one.link for one in found.links] == [
        "account", "team", "instance", "ami", "user_data", "application", "version", "approval", "image", "source",
        "commit", "review", "ticket", "specification",
    ]  # fmt: skip
    assert (found.instance_id, found.at, found.known_at, found.checkpoint) == ("i-0123456789abcdef0", AT, AT, "c")
    assert (found.life, found.life_since, found.heard, found.last_seen) == ("running", AT, "speaking", AT)
    assert found.late
    assert not found.complete


# --- account, instance and AMI: AWS has signed them


def test_account_and_instance_are_proved_by_awss_signature_and_the_statement() -> None:
    account, instance = link("account", facts()), link("instance", facts())
    assert (account.state, account.value) == ("unknown", {"account_id": "123456789012"})
    assert [(one.source, one.ledger_index, one.digest) for one in account.evidence] == [
        ("aws-signature", 1, "sha256:" + "9" * 64), ("agent", 2, "sha256:" + "1" * 64),
    ]  # fmt: skip
    assert instance.state == "confirmed"
    assert instance.value == {
        "instance_id": "i-0123456789abcdef0",
        "region": "eu-central-1",
        "instance_type": "t3.micro",
        "proof": "document",
        "bindings": [{"number": 1, "proof": "document", "enrolled_at": AT}],
        "boot_id": "b",
        "cause": "boot",
        "observed_at": AT,
        "recorded_at": AT,
        "skew_seconds": 0.0,
        "last_seen": AT,
    }


def test_the_account_is_the_one_that_aws_signed_and_not_the_one_that_the_agent_states() -> None:
    assert link("account", facts(identity={"account_id": "210987654321"})).value == {"account_id": "210987654321"}


@pytest.mark.parametrize(
    "image_id, state, value",
    [("ami-1", "confirmed", {"image_id": "ami-1"}), ("", "missing", None), (None, "missing", None)],
)
def test_the_ami_is_confirmed_where_the_identity_document_names_one(
    image_id: str | None, state: str, value: object
) -> None:
    found = link("ami", facts(identity={"image_id": image_id}))
    assert (found.state, found.value) == (state, value)
    assert [one.source for one in found.evidence] == ["aws-signature"]


# --- user data: the agent's word beside the EC2 API's

LAUNCH = "2026-11-22T12:00:00.000Z"


def listed(digest: str = OURS, **changes: Any) -> InventoryFacts:
    values = {
        "listed_at": AT, "state": "running", "asked_at": AT, "launched_at": LAUNCH, "user_data_digest": digest,
        "ledger_index": 6, **changes,
    }  # fmt: skip
    return InventoryFacts(**values)


DIFFER = (
    "the EC2 API and the agent report different user data: they cannot be compared: one of them is not stored "
    "as a document"
)


@pytest.mark.parametrize(
    ("inventory", "state", "reason"),
    [
        (InventoryFacts(), "asserted", None),
        (InventoryFacts(listed_at=AT), "asserted", None),
        (listed(state=""), "asserted", None),
        (listed(), "confirmed", None),
        (listed(state="stopped"), "confirmed", None),
        (listed(launched_at="2020-01-01T00:00:00.000Z"), "confirmed", None),
        (listed(""), "asserted", None),
        (listed("", user_data_unread="HTTP 403"), "asserted", "the EC2 API's user data was not read: HTTP 403"),
        (
            listed(OTHERS, state="stopping"),
            "asserted",
            "the instance is stopping: the EC2 API's user data may be that of its next start",
        ),
        (
            listed(OTHERS, state="stopped"),
            "asserted",
            "the instance is stopped: the EC2 API's user data may be that of its next start",
        ),
        (listed(OTHERS), "contradicted", DIFFER),
        (listed(OTHERS, state="pending"), "contradicted", DIFFER),
        (listed(OTHERS, launched_at="2026-11-22T12:00:20.000Z"), "contradicted", DIFFER),
        (listed(OTHERS, launched_at="2026-11-22T11:59:40.000Z"), "contradicted", DIFFER),
        (
            listed(OTHERS, launched_at="2026-11-22T12:00:20.001Z"),
            "asserted",
            "not compared: the EC2 API's user data is of another launch, at 2026-11-22T12:00:20.001Z",
        ),
        (
            listed(OTHERS, launched_at=""),
            "asserted",
            "not compared: the EC2 API's user data is of another launch, at ",
        ),
    ],
)
def test_user_data_is_confirmed_or_contradicted_only_by_a_listing_of_the_same_launch(
    inventory: InventoryFacts, state: str, reason: str | None
) -> None:
    found = link("user_data", facts(listed=inventory))
    assert (found.state, found.reason) == (state, reason)
    assert found.value == {"digest": OURS, "document": {"application_id": "greeter"}, "problems": []}
    both = inventory.ledger_index is not None and inventory.state != ""
    assert [one.source for one in found.evidence] == (["agent", "ec2-api"] if both else ["agent"])


def test_the_reason_of_contradicted_user_data_names_what_differs() -> None:
    inventory = listed(OTHERS, user_data={"application_id": "other"})
    found = link("user_data", facts(listed=inventory))
    assert found.reason == "the EC2 API and the agent report different user data: they differ in application_id"
    assert [one.digest for one in found.evidence] == [OURS, OTHERS]


def test_user_data_that_the_agent_did_not_find_is_missing() -> None:
    found = link("user_data", facts(stated={"user_data": None}, listed=listed()))
    assert (found.state, found.reason) == ("missing", "the agent found no user data")


@pytest.mark.parametrize(
    "problems, reason",
    [
        ([{"severity": "warning", "message": "w"}], None),
        ([{"severity": "error", "message": "e"}], "1 error; nothing was started"),
        ([{"severity": "error"}, {"severity": "warning"}, {"severity": "error"}], "2 errors; nothing was started"),
    ],
)
@pytest.mark.parametrize("inventory, state", [(InventoryFacts(), "asserted"), (listed(), "confirmed")])
def test_the_errors_of_user_data_are_counted_and_change_no_state(
    problems: list[dict[str, str]], reason: str | None, inventory: InventoryFacts, state: str
) -> None:
    found = link("user_data", facts(stated={"problems": problems}, listed=inventory))
    assert (found.state, found.reason) == (state, reason)


def test_a_caller_without_the_right_sees_of_user_data_what_the_other_links_rest_on() -> None:
    document = {"application_id": "greeter", "source": SOURCE, "environment": {"A": "b"}}
    whole = lineage(facts(stated={"user_data": UserDataFacts(digest=OURS, document=document)}))
    found = without_user_data(whole)
    assert found.link("user_data").value == {
        "digest": OURS,
        "document": {"application_id": "greeter", "source": SOURCE},
        "problems": [],
        "withheld": "the right user-data is needed for the rest",
    }
    assert [one for one in found.links if one.link != "user_data"] == [
        one for one in whole.links if one.link != "user_data"
    ]
    nothing = lineage(facts(stated={"user_data": None}))
    assert without_user_data(nothing) == nothing
    unread = lineage(facts(stated={"user_data": UserDataFacts(digest=OURS, document=None)}))
    assert (without_user_data(unread).link("user_data").value or {})["document"] is None


# --- application, team, version and specification: the registry's word


@pytest.mark.parametrize(
    ("changes", "state", "reason", "evidence"),
    [
        ({}, "confirmed", None, ["agent", "application-registry"]),
        (
            {"kio": {"active": False}},
            "confirmed",
            "it is not active in the application registry",
            ["agent", "application-registry"],
        ),
        ({"application": None}, "missing", "greeter is not in the application registry", ["agent"]),
        (
            {"stated": {"application": None, "user_data": None}, "application": None},
            "missing",
            "user data contains no valid application_id",
            ["agent"],
        ),
        (
            {"stated": {"application": ApplicationFacts(id="Not An Id", version="1")}, "application": None},
            "missing",
            "user data contains no valid application_id",
            ["agent"],
        ),
        (
            {"stated": {"application": None}, "application": None},
            "missing",
            "greeter is not in the application registry",
            ["agent"],
        ),
    ],
)
def test_the_application_is_confirmed_where_the_registry_knows_what_user_data_names(
    changes: dict[str, Any], state: str, reason: str | None, evidence: list[str]
) -> None:
    found = link("application", facts(**changes))
    assert (found.state, found.reason) == (state, reason)
    assert [one.source for one in found.evidence] == evidence


def test_the_application_is_shown_as_the_registry_has_it() -> None:
    assert link("application", facts()).value == {"application_id": "greeter", "name": "Greeter", "active": True}


@pytest.mark.parametrize(
    ("changes", "state", "value", "reason", "evidence"),
    [
        ({}, "asserted", {"team_id": "hello"}, None, ["application-registry"]),
        (
            {"application": None},
            "missing",
            None,
            "no team: greeter is not in the application registry",
            ["agent"],
        ),
        (
            {"stated": {"application": None, "user_data": None}, "application": None},
            "missing",
            None,
            "no team: no application",
            ["agent"],
        ),
    ],
)
def test_the_team_is_asserted_by_the_application_registry_only(
    changes: dict[str, Any], state: str, value: object, reason: str | None, evidence: list[str]
) -> None:
    found = link("team", facts(**changes))
    assert (found.state, found.value, found.reason) == (state, value, reason)
    assert [one.source for one in found.evidence] == evidence


@pytest.mark.parametrize(
    ("stated", "state", "value"),
    [
        ({}, "asserted", {"application_version": "1.0"}),
        ({"application": None}, "missing", None),
        ({"application": ApplicationFacts(id="greeter", version="")}, "missing", None),
        ({"application": ApplicationFacts(id="greeter", version="a b")}, "missing", None),
        (FAILED, "asserted", {"application_version": "1.0"}),
    ],
)
def test_the_version_is_asserted_by_the_agent_only(stated: dict[str, Any], state: str, value: object) -> None:
    found = link("version", facts(stated=stated))
    assert (found.state, found.value) == (state, value)
    assert [one.source for one in found.evidence] == ["agent"]


@pytest.mark.parametrize(
    ("changes", "state", "value", "reason"),
    [
        ({"kio": {"specification_url": "https://s/"}}, "asserted", {"url": "https://s/"}, None),
        ({}, "missing", None, "the application registry has no specification_url"),
        ({"kio": {"specification_url": ""}}, "missing", None, "the application registry has no specification_url"),
        ({"application": None}, "missing", None, "the application is not registered"),
    ],
)
def test_the_specification_is_asserted_by_the_application_registry_only(
    changes: dict[str, Any], state: str, value: object, reason: str | None
) -> None:
    found = link("specification", facts(**changes))
    assert (found.state, found.value, found.reason) == (state, value, reason)


# --- image: the agent's word, the registry's, the tag's history

GONE = answer("absent", "the registry has no such image")
AWAY = answer("unknown", "HTTP 503")


def tag(*digests: str, front: bool = False, elsewhere: tuple[TagSeen, ...] = ()) -> TagHistory:
    seen = [
        TagSeen(digest=one, said_by="front" if front else "registry", ledger_index=n) for n, one in enumerate(digests)
    ]
    return TagHistory(in_front=front, seen=tuple(seen), elsewhere=elsewhere)


RUNS_OTHER = "a container runs a different image than the one that was booted"
DISAGREE = "the agent and the registry report different signers of this image"


@pytest.mark.parametrize(
    ("changes", "state", "reason", "evidence"),
    [
        ({}, "confirmed", None, ["agent", "registry"]),
        ({"image_source": answer("missing", "no source in it")}, "confirmed", None, ["agent", "registry"]),
        ({"image_source": NOT_ASKED}, "asserted", "the registry was not read: not collected yet", ["agent"]),
        ({"image_source": AWAY}, "asserted", "the registry was not read: HTTP 503", ["agent"]),
        ({"image_source": GONE}, "contradicted", "the registry has no such image", ["agent", "registry"]),
        ({"stated": {"containers": []}}, "confirmed", None, ["agent", "registry"]),
        ({"stated": {"containers": [container(ELSEWHERE)]}}, "contradicted", RUNS_OTHER, ["agent", "agent"]),
        ({"stated": {"containers": [container("")]}}, "contradicted", RUNS_OTHER, ["agent", "agent"]),
        (
            {"stated": {"containers": [container(), container(SIDECARS, declared=SIDECARS)]}},
            "confirmed",
            None,
            ["agent", "registry"],
        ),
        (
            {"stated": {"containers": [container(), container(ELSEWHERE, declared=SIDECARS)]}},
            "contradicted",
            RUNS_OTHER,
            ["agent", "agent"],
        ),
        ({"tag": tag(DIGEST)}, "confirmed", None, ["agent", "registry"]),
        ({"tag": tag(ELSEWHERE)}, "confirmed", None, ["agent", "registry"]),
        (
            {"tag": tag(DIGEST, ELSEWHERE)},
            "contradicted",
            f"the tag has moved: {SOURCE} pointed to 2 different images",
            ["agent", "tag", "tag"],
        ),
        (
            {"tag": tag(DIGEST, ELSEWHERE), "image_source": AWAY},
            "contradicted",
            f"the tag has moved: {SOURCE} pointed to 2 different images",
            ["agent", "tag", "tag"],
        ),
        ({"tag": tag(DIGEST, front=True)}, "confirmed", None, ["agent", "registry"]),
        (
            {"tag": tag(ELSEWHERE, front=True)},
            "contradicted",
            f"the registry front never recorded that {SOURCE} points to this image",
            ["agent", "tag"],
        ),
        (
            {"tag": tag(ELSEWHERE, front=True), "stated": {"image": image(index_digest=ELSEWHERE)}},
            "confirmed",
            None,
            ["agent", "registry"],
        ),
        (
            {"stated": {"image": image(signed_by="k")}, "image_source": answer("found", signed_by="k")},
            "confirmed",
            None,
            ["agent", "registry"],
        ),
        (
            {"stated": {"image": image(signed_by="k")}, "image_source": answer("found")},
            "confirmed",
            None,
            ["agent", "registry"],
        ),
        (
            {"stated": {"image": image(signed_by="k")}, "image_source": answer("found", signed_by="")},
            "contradicted",
            DISAGREE,
            ["agent"],
        ),
        (
            {"stated": {"image": image(signed_by="k")}, "image_source": answer("found", signed_by="other")},
            "contradicted",
            DISAGREE,
            ["agent"],
        ),
        ({"image_source": answer("found", signed_by="other")}, "confirmed", None, ["agent", "registry"]),
    ],
)
def test_the_image_is_confirmed_by_the_registry_and_contradicted_by_any_source_that_differs(
    changes: dict[str, Any], state: str, reason: str | None, evidence: list[str]
) -> None:
    found = link("image", facts(**changes))
    assert (found.state, found.reason) == (state, reason)
    assert [one.source for one in found.evidence] == evidence


def test_the_image_is_shown_with_its_containers_and_with_what_other_accounts_state_of_its_tag() -> None:
    stranger = TagSeen(digest=ELSEWHERE, said_by="210987654321", ledger_index=7)
    found = link("image", facts(tag=tag(DIGEST, elsewhere=(stranger,))))
    assert found.value == {
        "reference": SOURCE,
        "repository": REPOSITORY,
        "digest": DIGEST,
        "index_digest": None,
        "containers": [{"name": "taupageapp", "id": "1", "state": "running", "digest": DIGEST}],
        "tag_stated_elsewhere": [{"account_id": "210987654321", "digest": ELSEWHERE, "ledger_index": 7}],
    }
    assert found.state == "confirmed"


def test_a_moved_tag_is_shown_with_every_image_that_it_named() -> None:
    found = link("image", facts(tag=tag(DIGEST, ELSEWHERE)))
    assert found.value is not None
    assert found.value["tag_digests"] == [DIGEST, ELSEWHERE]


# --- nothing runs


@pytest.mark.parametrize("name", ["image", "source", "commit", "review", "ticket"])
def test_every_link_that_hangs_on_an_image_is_missing_where_nothing_runs(name: LinkName) -> None:
    found = link(name, facts(stated=FAILED))
    assert (found.state, found.reason) == (
        "missing",
        "nothing runs: the boot failed" if name == "image" else "nothing runs",
    )
    assert [one.source for one in found.evidence] == ["agent"]


@pytest.mark.parametrize(
    "problems, reason",
    [
        ([], "nothing runs: the boot failed"),
        ([{"severity": "warning", "message": "w"}], "nothing runs: the boot failed"),
        (
            [{"severity": "warning", "message": "w"}, {"severity": "error", "message": "it moves"}],
            "nothing runs: it moves",
        ),
        (
            [{"severity": "error", "message": "a"}, {"severity": "error", "message": "b"}],
            "nothing runs: a (and 1 more)",
        ),
    ],
)
def test_the_image_link_names_the_first_error_where_nothing_runs(problems: list[dict[str, str]], reason: str) -> None:
    assert link("image", facts(stated={**FAILED, "problems": problems})).reason == reason


@pytest.mark.parametrize("source", [READ, NOT_ASKED, GONE, AWAY])
def test_an_answer_about_an_image_is_ignored_when_nothing_runs(source: Answer) -> None:
    found = lineage(facts(stated=FAILED, image_source=source))
    assert [found.link(name).state for name in LINK_NAMES] == [
        "unknown", "asserted", "confirmed", "confirmed", "asserted", "confirmed", "asserted",
        "unknown", "missing", "missing", "missing", "missing", "missing", "missing",
    ]  # fmt: skip
