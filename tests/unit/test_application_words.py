"""The words by which applications are found: in what is written, and in queries that people type or that attack."""

from __future__ import annotations

import pytest

from whence_aggregator.applications.search import Sought
from whence_aggregator.projections.application_words import WORDS_MAX, scores, stem, words_in
from whence_common.errors import InputError


@pytest.mark.parametrize(
    "text, words",
    [
        ("pay-api", ["pay", "api"]),
        ("Poseidon P-8A", ["poseidon", "p", "8a"]),
        ("foo-bar.com/x_y", ["foo", "bar", "com", "x", "y"]),
        ("Müller Cafe\u0301 ﬁle", ["muller", "cafe", "file"]),
        ("STRASSE straße", ["strasse", "strasse"]),
        ("!!! -- ''", []),
    ],
)
def test_words_are_runs_of_letters_and_digits_without_case_and_accents(text: str, words: list[str]) -> None:
    assert list(words_in(text)) == words


@pytest.mark.parametrize(
    "words, common",
    [
        ("payment payments", "payment"),
        ("cache caches cached caching", "cach"),
        ("process processes processing processed", "process"),
        ("query queries", "query"),
        ("run running", "run"),
        ("status", "status"),
        ("aws s3 v1s", None),
    ],
)
def test_forms_of_an_english_word_have_one_stem(words: str, common: str | None) -> None:
    assert {stem(word) for word in words.split()} == ({common} if common else set(words.split()))


def test_the_score_is_that_of_the_fields_and_repeats_count_for_up_to_twice_as_much() -> None:
    found = scores({"id": "pay-api", "name": "Pay", "subtitle": "pays", "description": "pay " * 100})
    assert found == {"pay": 1000 + 400 + 200 + 198, "api": 1000, "pays": 200}


def test_a_long_description_has_a_bounded_number_of_words() -> None:
    text = " ".join(f"w{number}x" for number in range(10_000))
    assert len(scores({"id": "app", "description": text})) == WORDS_MAX


def test_stop_words_are_left_out_of_a_query_unless_there_is_nothing_else() -> None:
    assert [one.word for one in Sought.parse("the greeter of the team").words] == ["greeter", "team"]
    assert [one.word for one in Sought.parse("IT").words] == ["it"]


@pytest.mark.parametrize("text", ["x" * 301, " ".join(f"w{n}" for n in range(9))])
def test_a_search_is_bounded(text: str) -> None:
    with pytest.raises(InputError) as caught:
        Sought.parse(text)
    assert caught.value.code == "search-too-long"


@pytest.mark.parametrize(
    "query, text, excerpt",
    [
        ("greet", "It greets <you> & me", "It <b>greets</b> &lt;you&gt; &amp; me"),
        ("caching", 'A "cache".', "A &quot;<b>cache</b>&quot;."),
        ("b", "<b>x</b>", "&lt;<b>b</b>&gt;x&lt;/<b>b</b>&gt;"),
        ("muller", "Müller", "<b>Müller</b>"),
        ("nowhere", "plain text", "plain text"),
        ("x", None, None),
        ("x", "", ""),
    ],
)
def test_hits_in_the_description_are_marked_and_the_rest_is_escaped(
    query: str, text: str | None, excerpt: str | None
) -> None:
    assert Sought.parse(query).excerpt(text) == excerpt


def test_an_excerpt_begins_near_the_first_hit_and_is_short() -> None:
    text = " ".join([*(f"w{n}" for n in range(100)), "payment", *(f"v{n}" for n in range(100))])
    words = (Sought.parse("payments").excerpt(text) or "").split()
    assert (words[0], words[10], len(words)) == ("w90", "<b>payment</b>", 35)
