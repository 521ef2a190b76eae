"""Four eyes: which approvals count, whose do not, and what is unknown about them."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from whence_aggregator.approvals.people import Authors, KnownPeople, KnownPerson
from whence_aggregator.approvals.rule import ApprovalJudgement, ApprovalPolicy, ReviewEvidence, judge, required_people
from whence_aggregator.approvals.values import Approval

DIGEST, AT = "sha256:" + "a" * 64, "2026-11-22T12:00:00.000Z"
ADA, BOB, EVE = "ada@example.org", "bob@example.org", "eve@example.org"
ALL = ("SPECIFICATION", "CODE_CHANGE", "TEST", "DEPLOY")
BY_ADA = Authors(emails=frozenset({ADA}))


def policy(
    *people: KnownPerson, required: tuple[str, ...] = ALL, domains: tuple[str, ...] = ("example.org",)
) -> ApprovalPolicy:
    return ApprovalPolicy(required=required, teams={}, people=KnownPeople.of(people, domains))


def given_by(name: str, *types: str, emails: tuple[str, ...] | None = None) -> list[Approval]:
    """Return approvals of somebody whose token has the address name@example.org, unless others are named."""
    return [
        Approval(
            digest=DIGEST, type=one, person=f"https://idp.example.org\t{name}", user_id=name,
            emails=(f"{name}@example.org",) if emails is None else emails, notes=None, approved_at=AT,
            ledger_index=number,
        )
        for number, one in enumerate(types)
    ]  # fmt: skip


def judged(approvals: list[Approval], *, by: Authors = BY_ADA, required: int = 2,
           rules: ApprovalPolicy | None = None, reviews: tuple[ReviewEvidence, ...] = ()) -> ApprovalJudgement:  # fmt: skip
    return judge(approvals, reviews, by, rules or policy(), required=required)


def test_two_people_who_are_not_the_author_approve_a_version_and_a_form_is_only_asserted() -> None:
    found = judged([*given_by("bob", *ALL), *given_by("eve", "TEST")])
    assert (found.grade, found.reason, found.people, found.required_people) == ("asserted", None, 2, 2)


def test_one_person_who_gives_every_type_is_one_person() -> None:
    found = judged(given_by("bob", *ALL))
    assert (found.grade, found.reason) == (
        "missing", "1 person approved CODE_CHANGE, TEST, DEPLOY, and 2 must",
    )  # fmt: skip
    assert judged(given_by("bob", *ALL), required=1).grade == "asserted"


def test_the_author_of_the_commit_does_not_count_for_the_code_change() -> None:
    found = judged([*given_by("ada", *ALL), *given_by("bob", "TEST")])
    assert (found.grade, found.missing) == ("missing", ("CODE_CHANGE",))
    assert found.reason == (
        "no approval of CODE_CHANGE; ada approved CODE_CHANGE: an author of a commit of the version does not count"
    )


def test_the_author_may_test_and_deploy() -> None:
    found = judged([*given_by("ada", "TEST", "DEPLOY", "SPECIFICATION"), *given_by("bob", "CODE_CHANGE")])
    assert (found.grade, found.people) == ("asserted", 2)


def test_a_co_author_is_an_author() -> None:
    authors = Authors.of_commit(
        "Ada <ADA@example.org>", "PAY-7: pay\n\nCo-authored-by: Bob <Bob@Example.org>\n", unproved=""
    )
    assert authors.emails == {ADA, BOB}
    assert judged([*given_by("bob", *ALL), *given_by("eve", "TEST")], by=authors).missing == ("CODE_CHANGE",)


def test_the_types_that_are_missing_are_named() -> None:
    found = judged([*given_by("bob", "CODE_CHANGE"), *given_by("eve", "TEST")])
    assert (found.grade, found.reason) == ("missing", "no approval of SPECIFICATION, DEPLOY")
    assert judged([]).reason == (
        "no approval of SPECIFICATION, CODE_CHANGE, TEST, DEPLOY; "
        "0 people approved CODE_CHANGE, TEST, DEPLOY, and 2 must"
    )


# --- where it cannot be told who the author is


def test_an_approver_without_a_known_address_is_unknown_and_not_a_pass() -> None:
    found = judged([*given_by("bob", *ALL, emails=()), *given_by("eve", "TEST")])
    assert (found.grade, found.missing) == ("unknown", ("CODE_CHANGE",))
    assert "bob approved CODE_CHANGE: it is not known whether this is an author: no e-mail address is known" in str(
        found.reason
    )


def test_a_commit_that_was_not_read_leaves_its_approvals_unknown() -> None:
    found = judged([*given_by("bob", *ALL), *given_by("eve", "TEST")], by=Authors(unknown="not collected yet"))
    assert found.grade == "unknown"
    assert "it is not known who wrote the code: not collected yet" in str(found.reason)


def test_a_private_address_in_the_commit_may_be_the_approvers_own() -> None:
    approvals = [*given_by("bob", *ALL), *given_by("eve", "TEST")]
    private = Authors(emails=frozenset({"penguin@home.example"}))
    assert judged(approvals, by=private).grade == "unknown"
    ada = KnownPerson(names=frozenset({"ada"}), emails=frozenset({"penguin@home.example"}))
    assert judged(approvals, by=private, rules=policy(ada)).grade == "asserted"
    bob = KnownPerson(names=frozenset({"bob"}), emails=frozenset({"penguin@home.example"}))
    assert judged(approvals, by=private, rules=policy(bob)).grade == "missing"


def test_without_domains_of_the_organisation_only_known_people_are_told_apart() -> None:
    approvals = [*given_by("bob", *ALL), *given_by("eve", "TEST")]
    assert judged(approvals, rules=policy(domains=())).grade == "unknown"
    ada = KnownPerson(names=frozenset({"ada"}), emails=frozenset({ADA}))
    assert judged(approvals, rules=policy(ada, domains=())).grade == "asserted"
    by_her_own_approval = [*approvals, *given_by("ada", "TEST")]
    assert judged(by_her_own_approval, rules=policy(domains=())).grade == "asserted"


def test_addresses_in_two_domains_of_the_organisation_may_be_one_persons() -> None:
    rules = policy(domains=("example.org", "other.example"))
    found = judged([*given_by("ada2", *ALL, emails=("ada@other.example",)), *given_by("eve", "TEST")], rules=rules)
    assert found.grade == "unknown"
    assert "nobody known has the address in the commit" in str(found.reason)


def test_an_address_outside_the_domains_does_not_tell_its_owner_from_an_author_inside() -> None:
    """Bob signed in with a private address: he may have an address of the organisation too."""
    found = judged([*given_by("bob", *ALL, emails=("bob@home.example",)), *given_by("eve", "TEST")])
    assert found.grade == "unknown"


# --- one person with several names


def test_one_address_in_two_accounts_is_one_person() -> None:
    found = judged([*given_by("bob", *ALL), *given_by("bob-admin", "TEST", emails=("BOB@example.org",))])
    assert (found.grade, found.people) == ("missing", 1)


def test_one_name_at_two_issuers_or_with_a_static_token_is_one_person() -> None:
    bob = given_by("bob", *ALL)
    elsewhere = [replace(one, person="tokeninfo\tbob", emails=()) for one in given_by("bob", "TEST")]
    static = [replace(one, person="Bob", user_id="Bob", emails=()) for one in given_by("bob", "DEPLOY")]
    found = judged([*bob, *elsewhere, *static])
    assert (found.grade, found.people) == ("missing", 1)


def test_two_names_of_one_person_in_the_people_file_are_one_person() -> None:
    bob = KnownPerson(names=frozenset({"bob", "bob-admin"}), emails=frozenset())
    found = judged([*given_by("bob", *ALL), *given_by("bob-admin", "TEST", emails=())], rules=policy(bob))
    assert (found.grade, found.people) == ("missing", 1)


# --- reviews


def review(name: str, *, is_author: bool | None = False, type_: str = "CODE_CHANGE") -> ReviewEvidence:
    return ReviewEvidence(
        source="review:github", type=type_, reviewer=name, emails=frozenset({f"{name}@example.org"}), observed_at=AT,
        ledger_index=9, is_author=is_author,
    )  # fmt: skip


def test_reviews_by_enough_people_confirm_a_version_that_needs_no_other_type() -> None:
    rules = policy(required=("CODE_CHANGE",))
    found = judged([], rules=rules, reviews=(review("bob"), review("eve")))
    assert (found.grade, [one.source for one in found.approvals]) == ("confirmed", ["review:github", "review:github"])
    assert judged(given_by("eve", "TEST"), rules=rules, reviews=(review("bob"),)).grade == "asserted"


def test_a_review_by_the_author_does_not_count_whatever_the_host_states() -> None:
    rules = policy(required=("CODE_CHANGE",))
    assert judged([], rules=rules, required=1, reviews=(review("ada"),)).grade == "missing"
    assert judged([], rules=rules, required=1, reviews=(review("bob", is_author=True),)).grade == "missing"


def test_a_host_that_tells_who_wrote_the_change_decides_where_addresses_cannot() -> None:
    unread = Authors(unknown="not collected yet")
    rules = policy(required=("CODE_CHANGE",))
    assert judged([], by=unread, rules=rules, required=1, reviews=(review("bob"),)).grade == "confirmed"
    found = judged([], by=unread, rules=rules, required=1, reviews=(review("bob", is_author=None),))
    assert found.grade == "unknown"


def test_a_host_does_not_tell_that_a_reviewer_is_none_of_the_co_authors_of_a_message() -> None:
    by = Authors.of_commit("Ada <ada@example.org>", "pay\n\nCo-authored-by: Dave <dave@example.com>\n", unproved="")
    rules = policy(required=("CODE_CHANGE",))
    unknown = replace(review("dave"), emails=frozenset())
    assert judged([], by=by, rules=rules, required=1, reviews=(unknown,)).grade == "unknown"
    dave = policy(
        KnownPerson(names=frozenset({"github:dave"}), emails=frozenset({"dave@example.com"})), required=("CODE_CHANGE",)
    )
    assert judged([], by=by, rules=dave, required=1, reviews=(unknown,)).grade == "missing"
    told = policy(
        KnownPerson(names=frozenset({"github:dave"}), emails=frozenset({"dave@example.com"})),
        KnownPerson(names=frozenset({"github:bob"}), emails=frozenset({"bob@example.org"})), required=("CODE_CHANGE",),
    )  # fmt: skip
    other = replace(review("bob"), emails=frozenset())
    assert judged([], by=by, rules=told, required=1, reviews=(other,)).grade == "confirmed"


UNSIGNED = replace(BY_ADA, unproved="it is not proved who wrote commit cccccccccccc: it is not signed")


def test_a_review_confirms_nothing_while_only_the_commit_itself_states_its_author() -> None:
    """Mallory writes Ada's address into her commit, and approves it."""
    rules = policy(required=("CODE_CHANGE",))
    found = judged([], by=UNSIGNED, rules=rules, required=1, reviews=(review("mallory", is_author=None),))
    assert (found.grade, found.reason) == (
        "unknown", "no approval of CODE_CHANGE; 0 people approved CODE_CHANGE, TEST, DEPLOY, and 1 must; mallory approved"
        " CODE_CHANGE: it is not proved who wrote commit cccccccccccc: it is not signed",
    )  # fmt: skip
    listed = policy(
        *(KnownPerson(names=frozenset({name}), emails=frozenset({f"{name}@example.org"})) for name in ("ada", "mallory")),
        required=("CODE_CHANGE",),
    )  # fmt: skip
    assert (
        judged([], by=UNSIGNED, rules=listed, required=1, reviews=(review("mallory", is_author=None),)).grade
        == "unknown"
    )
    assert (
        judged([], by=BY_ADA, rules=rules, required=1, reviews=(review("mallory", is_author=None),)).grade
        == "confirmed"
    )


def test_what_a_host_proves_of_authors_needs_no_signature_of_our_own_keys() -> None:
    rules = policy(required=("CODE_CHANGE",))
    assert judged([], by=UNSIGNED, rules=rules, required=1, reviews=(review("bob"),)).grade == "confirmed"


def test_forms_stay_asserted_by_what_commits_state() -> None:
    assert judged([*given_by("bob", *ALL), *given_by("eve", "TEST")], by=UNSIGNED).grade == "asserted"


def test_authors_are_proved_only_if_those_of_each_commit_are() -> None:
    proved = Authors.of_commit("Ada <ada@example.org>", "pay", unproved="")
    assert proved.with_those_of(Authors()).unproved == ""
    assert proved.with_those_of(UNSIGNED).unproved == UNSIGNED.unproved
    assert Authors.of_commit("no address", "pay", unproved="why").unproved == "why"


def test_one_person_by_two_logins_is_not_two_people() -> None:
    """Bob reviews as bobby77 on the code host, and sends the forms as bob: nothing tells that these are two people."""
    stranger = ReviewEvidence(
        source="review:github", type="CODE_CHANGE", reviewer="bobby77", emails=frozenset(), observed_at=AT,
        is_author=False,
    )  # fmt: skip
    found = judged(given_by("bob", *ALL), reviews=(stranger,))
    assert (found.grade, found.people, found.reason) == (
        "unknown", 1, "1 person approved CODE_CHANGE, TEST, DEPLOY, and 2 must; whether accounts of different places are"
        " different people is not in the people file",
    )  # fmt: skip
    eve = KnownPerson(names=frozenset({"eve", "github:bobby77"}), emails=frozenset())
    assert judged(given_by("bob", *ALL), reviews=(stranger,), rules=policy(eve)).grade == "asserted"
    bob = KnownPerson(names=frozenset({"bob", "github:bobby77"}), emails=frozenset())
    assert judged(given_by("bob", *ALL), reviews=(stranger,), rules=policy(bob)).grade == "missing"
    other = replace(stranger, reviewer="eve")
    rules = policy(required=("CODE_CHANGE",))
    assert judged([], reviews=(stranger, other), rules=rules).grade == "confirmed"


def test_a_login_that_equals_a_tokens_name_has_none_of_that_persons_addresses() -> None:
    dave = KnownPerson(names=frozenset({"dave"}), emails=frozenset({"dave@example.com"}))
    people = KnownPeople.of([dave])
    assert people.somebody("https://idp.example.org\tdave", "dave", ()).emails == {"dave@example.com"}
    assert people.somebody("dave", "dave", ()).emails == {"dave@example.com"}
    assert people.somebody("review:github.com\tdave", "dave", ()).emails == frozenset()


def test_an_account_at_a_code_host_is_listed_by_host_and_login_whatever_its_case() -> None:
    dave = KnownPerson(names=frozenset({"dave", "GitHub.com:Dave-L"}), emails=frozenset({"dave@example.com"}))
    people = KnownPeople.of([dave])
    assert people.somebody("review:github.com\tdave-l", "dave-l", ()).emails == {"dave@example.com"}
    assert people.somebody("review:gitlab.com\tdave-l", "dave-l", ()).emails == frozenset()


def test_a_token_whose_name_looks_like_an_account_is_not_that_account() -> None:
    dave = KnownPerson(names=frozenset({"github.com:dave"}), emails=frozenset({"dave@example.com"}))
    found = KnownPeople.of([dave]).somebody("https://idp.example.org\t1", "github.com:dave", ())
    assert found.emails == frozenset()


# --- in general


def test_criticality_1_needs_one_person_and_every_other_two() -> None:
    assert [required_people(one) for one in (1, 2, 3, 4, None, "1")] == [1, 2, 2, 2, 2, 2]


_SOMEBODY = st.sampled_from(["ada", "bob", "eve", "mallory"])


@given(st.lists(st.tuples(_SOMEBODY, st.sampled_from(ALL), st.booleans()), max_size=12), st.sampled_from([1, 2]))
def test_the_order_of_approvals_changes_nothing_and_no_author_ever_counts(
    asked: list[tuple[str, str, bool]], required: int
) -> None:
    approvals = [one for name, type_, known in asked
                 for one in given_by(name, type_, emails=None if known else ())]  # fmt: skip
    found, reversed_ = judged(approvals, required=required), judged(approvals[::-1], required=required)
    assert (found.grade, found.missing, found.people) == (reversed_.grade, reversed_.missing, reversed_.people)
    code = {one.who.name for one in found.approvals if one.type == "CODE_CHANGE" and one.counts == "yes"}
    assert "ada" not in code
    if found.grade == "asserted":
        assert found.people >= required
        assert {one.type for one in approvals} >= set(ALL)
