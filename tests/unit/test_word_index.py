"""The index of words in memory: changed applications, and what remains when many have changed."""

from __future__ import annotations

from whence_aggregator.applications.rows import Hit, Indexable
from whence_aggregator.applications.search import Sought
from whence_aggregator.applications.word_index import WordIndex


def application(id_: str, team: str = "hello") -> Indexable:
    return Indexable(application_id=id_, team=team, incident_contact="", active=True, recorded_at="")


def found(index: WordIndex, text: str, *, after: Hit | None = None, limit: int = 10) -> list[str]:
    return [one.application_id for one in index.find(Sought.parse(text), None, after=after, limit=limit)]


def test_a_changed_application_is_found_by_its_new_words_alone() -> None:
    index = WordIndex()
    index.put(application("b"), {"old": 100, "both": 100})
    index.put(application("a"), {"both": 100})
    index.put(application("b"), {"new": 100, "both": 400})
    assert (found(index, "old"), found(index, "new"), found(index, "both")) == ([], ["b"], ["b", "a"])
    assert found(index, "both", limit=1) == ["b"]
    assert found(index, "both", after=Hit(application_id="b", rank=800)) == ["a"]


def test_many_changes_leave_the_same_answers() -> None:
    index = WordIndex()
    for turn in range(3_000):
        index.put(application(f"app-{turn % 7}", team=f"team-{turn % 2}"), {"word": 100, f"turn{turn}": 100})
    assert len(index) == 7
    assert found(index, "word") == [f"app-{number}" for number in range(7)]
    assert found(index, "turn2999 word") == ["app-3"]
    assert found(index, "turn2990") == []
    hits = index.find(Sought.parse("word"), lambda one: one.team == "team-0", after=None, limit=10)
    assert [one.application_id for one in hits] == ["app-0", "app-2", "app-5"]
