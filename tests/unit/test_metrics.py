"""Metrics as text that OpenMetrics' own parser reads, with bounded series and labels that can be hidden."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from fakes.in_process import FakeSources
from whence_aggregator.adapters.process_state import process_families
from whence_aggregator.collect.commits import CommitCollector
from whence_aggregator.collect.measured import Questions
from whence_aggregator.http.measures import HttpMeasures, template
from whence_aggregator.ports import SourceUnavailable, StorageUnavailable, WriteConflict
from whence_aggregator.queries.callers import NOTE_TOKEN_USE, NoteTokenUseParameters
from whence_aggregator.queries.query import BoundCommand
from whence_aggregator.storage.measured import MeasuredDatabase
from whence_aggregator.storage.sqlite import SqliteDatabase
from whence_common.meters import Counter, Histogram
from whence_common.open_metrics import Family, Metric, Sample, gauge, number, render, render_families


def parsed(*families: Family) -> dict[str, list[tuple[str, dict[str, str], float]]]:
    """Read families as a strict reader does."""
    text = render_families(families)
    read = text_string_to_metric_families(text)  # type: ignore[no-untyped-call]  # it has no types
    return {one.name: [(sample.name, sample.labels, sample.value) for sample in one.samples] for one in read}


@pytest.mark.parametrize(
    "value, text",
    [
        (1_234_567, "1234567"), (1_795_662_929.253, "1795662929.253"), (0.1, "0.1"), (0, "0"), (math.inf, "+Inf"),
        (-math.inf, "-Inf"), (math.nan, "NaN"), (2.0**60, "1.152921504606847e+18"), (-3, "-3"),
    ],
)  # fmt: skip
def test_a_number_keeps_every_digit(value: float, text: str) -> None:
    assert number(value) == text


def test_samples_that_do_not_stand_together_become_one_family() -> None:
    one, other = (Metric(name=name, kind="gauge", help="h", value=1, labels={"l": name}) for name in ("a", "b"))
    assert render([one, other, one]).count("# TYPE a gauge") == 1


@pytest.mark.parametrize("label", ['x"\n\\', "é\u202e", "", "}{,="])
def test_a_label_cannot_break_the_text(label: str) -> None:
    counter = Counter("a", 'help "\n\\', ("l",))
    counter.add(label)
    assert parsed(counter.family()) == {"a": [("a_total", {"l": label}, 1.0)]}


def test_a_histogram_is_read_by_others() -> None:
    histogram = Histogram("s", "h", ("route",))
    for seconds in (0.001, 0.005, 0.0051, 99.0):
        histogram.observe(seconds, "/a")
    samples = {labels.get("le", name): value for name, labels, value in parsed(histogram.family())["s"]}
    assert (samples["0.005"], samples["0.01"], samples["30.0"], samples["+Inf"]) == (2, 3, 3, 4)
    assert samples["s_count"] == 4
    assert samples["s_sum"] == pytest.approx(99.0111)


def test_series_are_bounded_whatever_comes() -> None:
    counter = Counter("a", "h", ("l",), series_max=3)
    histogram = Histogram("b", "h", ("l",), series_max=3)
    for number_ in range(10_000):
        counter.add(str(number_))
        histogram.observe(0.1, str(number_))
    assert len(counter.family().samples) == 4
    assert counter.family().samples[-1] == Sample(9_997, {"l": "other"})
    assert len(histogram.family().samples) == 4 * 15


def test_hidden_labels_are_added_up_and_nothing_is_left_of_them() -> None:
    histogram = Histogram("s", "h", ("host", "kind"), hidden=("host",))
    for host in ("git.internal", "registry.internal"):
        histogram.observe(0.2, host, "commit")
    family = Family(
        name="n", kind="gauge", help="h", hidden=frozenset({"account"}),
        samples=[Sample(2, {"account": "123456789012"}), Sample(3, {"account": "210987654321"})],
    )  # fmt: skip
    shown = parsed(histogram.family().public(), family.public())
    assert shown["n"] == [("n", {}, 5.0)]
    assert ("s_count", {"kind": "commit"}, 2.0) in shown["s"]
    assert ("s_bucket", {"kind": "commit", "le": "0.25"}, 2.0) in shown["s"]


def test_a_family_without_samples_says_that_it_exists() -> None:
    assert parsed(gauge("a", "h", None)) == {"a": []}


@pytest.mark.parametrize(
    "path, route",
    [
        ("/v2/{name:.+}/manifests/{reference}", "/v2/{name}/manifests/{reference}"),
        ("/v1/log/tile/{path:.+}", "/v1/log/tile/{path}"), ("/{path:.*}", "other"), ("/health", "/health"),
    ],
)  # fmt: skip
def test_a_route_is_named_by_its_template(path: str, route: str) -> None:
    assert template(path) == route


async def test_requests_are_counted_by_route_whatever_path_and_method_a_caller_makes_up() -> None:
    measures = HttpMeasures(clock=lambda: 0.0)

    async def answer(request: web.Request) -> web.StreamResponse:
        raise web.HTTPNotFound

    handle = measures.around("/{path:.*}", answer)
    for count in range(50):
        with pytest.raises(web.HTTPNotFound):
            await handle(make_mocked_request(f"M{count}", f"/i-{count}"))
    requests, seconds, _ = measures.families()
    assert parsed(requests)["whence_http_requests"] == [
        ("whence_http_requests_total", {"route": "other", "method": "other", "status": "404"}, 50.0)
    ]
    assert {sample.labels["route"] for sample in seconds.samples} == {"other"}


async def test_a_caller_who_leaves_and_a_bug_are_counted_too() -> None:
    measures = HttpMeasures(clock=lambda: 0.0)
    for failure in (ConnectionResetError(), ValueError()):

        async def fail(_: web.Request, failure: Exception = failure) -> web.StreamResponse:
            raise failure

        with pytest.raises(type(failure)):
            await measures.around("/a", fail)(make_mocked_request("GET", "/a"))
    requests, _, under_way = measures.families()
    assert [sample.labels["status"] for sample in requests.samples] == ["499", "500"]
    assert under_way.samples[0].value == 0


async def test_questions_are_counted_by_hosts_of_the_settings_alone() -> None:
    sources = FakeSources(commits={"a" * 40: None})
    questions = Questions(frozenset({"git.example.org"}), clock=lambda: 0.0)
    collector = questions.of({"commit": CommitCollector(sources)})["commit"]
    await collector.collect(f"git.example.org/a/b@{'a' * 40}")
    for number_ in range(5):
        with pytest.raises(SourceUnavailable):
            await collector.collect(f"h{number_}.attacker.example/a/b@{'b' * 40}")
    counted, _ = questions.families()
    assert [(dict(one.labels), one.value) for one in counted.samples] == [
        ({"host": "git.example.org", "kind": "commit", "outcome": "missing"}, 1.0),
        ({"host": "other", "kind": "commit", "outcome": "failed"}, 5.0),
    ]


async def test_failures_of_the_database_are_counted_and_passed_on(tmp_path: Path) -> None:
    database = MeasuredDatabase(await SqliteDatabase.open(tmp_path / "l.db"))
    row: NoteTokenUseParameters = {"token": "t", "used_at": "x"}
    await database.write(NOTE_TOKEN_USE.bind([row]))
    with pytest.raises(WriteConflict):
        await database.write(BoundCommand(NOTE_TOKEN_USE.name, [{**row, "token": None}]))
    with pytest.raises(StorageUnavailable):
        async with database.transaction():
            raise StorageUnavailable("storage-sqlite", "away")
    errors = parsed(*database.families())["whence_database_errors"]
    found = {(labels["operation"], labels["error"]): value for _, labels, value in errors if value}
    assert found == {("write", "conflict"): 1.0, ("transaction", "unavailable"): 1.0}
    await database.close()


def test_the_process_is_read_even_when_its_name_is_odd(tmp_path: Path) -> None:
    (tmp_path / "fd").mkdir()
    (tmp_path / "fd" / "0").touch()
    fields = ["R", *["0"] * 10, "250", "50", *["0"] * 6, "1000", "0", "7", *["0"] * 20]
    (tmp_path / "stat").write_text(f"1 (a) b (c) {' '.join(fields)}\n")
    (tmp_path / "boot").write_text("cpu 1\nbtime 1700000000\n")
    shown = parsed(*process_families(tmp_path, tmp_path / "boot"))
    assert shown["process_cpu_seconds"][0][2] == 3.0
    assert shown["process_start_time_seconds"][0][2] == 1_700_000_010.0
    assert shown["process_open_fds"][0][2] == 1.0
    assert shown["process_resident_memory_bytes"][0][2] == 7 * 4096
    assert parsed(*process_families())["process_resident_memory_bytes"][0][2] > 1_000_000
