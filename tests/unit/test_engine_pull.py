"""How far a pull is, by what engines stream: recorded from Docker 20.10, Docker 26 and 28 with containerd, and Podman."""

from __future__ import annotations

from typing import Any

import pytest

from whence_agent.adapters.engine_pull import PullWatch


def event(name: str, status: str, current: int | None = None, total: int = 0, **more: Any) -> dict[str, Any]:
    detail = {} if current is None else {"current": current, "total": total}
    return {"status": status, "progressDetail": {**detail, **more}, "id": name}


def watch(*events: dict[str, Any]) -> PullWatch:
    watching = PullWatch(stall_seconds_max=60.0)
    for one in events:
        watching.take(one)
    return watching


def test_layers_and_bytes_are_counted_as_docker_states_them() -> None:
    watching = watch(
        {"status": "Pulling from demo/x", "id": "r.example.org/demo/x@sha256:cf55"},
        event("a", "Already exists"),
        event("b", "Pulling fs layer"),
        event("c", "Pulling fs layer"),
        event("b", "Downloading", 105_000_000, 240_000_000),
        event("c", "Downloading", 105_000_000, 240_000_000),
        event("c", "Download complete"),
    )
    assert watching.progress().describe() == "2 of 3 layers, 345 of 480 MB"
    assert watching.progress().layers_kept == 1


def test_before_the_first_layer_there_is_no_progress() -> None:
    assert watch().progress().describe() == ""
    assert watch(event("a", "Pulling fs layer")).progress().describe() == "0 of 1 layers"


def test_only_what_moves_is_progress() -> None:
    watching = watch(event("a", "Pulling fs layer"), event("a", "Downloading", 5, 100))
    assert not watching.take(event("a", "Downloading", 5, 100)), "containerd's store repeats what stands still"
    assert watching.take(event("a", "Downloading", 6, 100))
    assert watching.take(event("a", "Retrying in 5 seconds"))
    assert watching.take(event("a", "Retrying in 4 seconds"))
    assert not watching.take({"status": "Digest: sha256:7a48"})


@pytest.mark.parametrize("junk", [{}, {"id": 7, "status": []}, {"id": "a"}, {"id": "a", "status": "Downloading",
                                  "progressDetail": 5}, event("a", "Downloading", -1, -1), event("a", "Downloading", 2**80)])  # fmt: skip
def test_junk_counts_nothing(junk: dict[str, Any]) -> None:
    assert watch(junk, junk).progress().bytes_fetched == 0


def test_no_more_than_a_thousand_layers_are_counted() -> None:
    assert watch(*(event(str(number), "Waiting") for number in range(5_000))).progress().layers == 1_000


def test_a_download_may_stand_still_for_a_minute_and_extracting_for_ten() -> None:
    watching = watch()
    assert watching.silence_seconds_max() == 60.0
    watching = watch(event("a", "Downloading", 5, 10), event("b", "Download complete"))
    assert watching.silence_seconds_max() == 60.0
    watching.take(event("a", "Download complete"))
    assert watching.silence_seconds_max() == 600.0, "containerd's store before 28 and Podman say no more than this"
    watching.take(event("a", "Extracting", 32_768, 10))
    watching.take(event("c", "Downloading", 5, 10))
    assert watching.silence_seconds_max() == 600.0


def test_extracting_counts_seconds_in_new_engines_and_they_are_no_bytes() -> None:
    watching = watch(event("a", "Downloading", 5, 10), event("a", "Download complete", hidecounts=True))
    assert watching.take({"status": "Extracting", "progressDetail": {"current": 1, "units": "s"}, "id": "a"})
    assert watching.take({"status": "Extracting", "progressDetail": {"current": 2, "units": "s"}, "id": "a"})
    assert watching.progress().describe() == "1 of 1 layers, 0 of 0 MB"
