"""Steps of a release: concurrent, built once, and built again if their files are not what they were."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from landscape.loaded import loaded
from landscape.whole import ROOT

steps: ModuleType = loaded(ROOT / "packaging/release/steps.py")


class Built:
    """A step that writes one file, and counts how often it is built."""

    def __init__(self, name: str, content: str = "1\n") -> None:
        self.name, self.content, self.times = name, content, 0

    def __call__(self, out: Path) -> None:
        self.times += 1
        (out / f"{self.name}.whl").write_text(self.content, encoding="utf-8")

    @property
    def step(self) -> object:
        return steps.Step(name=self.name, build=self)


def failing(then: Callable[[], None] = lambda: None) -> object:
    def build(out: Path) -> None:
        (out / "half.deb").write_text("half", encoding="utf-8")
        then()
        raise SystemExit("make release: dpkg-deb failed with exit code 2")

    return steps.Step(name="packages deb12 amd64", build=build)


def test_a_run_after_a_failed_one_builds_only_what_is_missing(tmp_path: Path) -> None:
    first, second = Built("wheels"), Built("sboms")
    steps.Work(tmp_path / "work").run([first.step])
    with pytest.raises(SystemExit, match="dpkg-deb failed"):
        steps.Work(tmp_path / "work").run([failing()])
    again = steps.Work(tmp_path / "work")
    again.run([first.step, second.step])
    assert (first.times, second.times) == (1, 1)
    assert sorted(one.name for one in again.files.iterdir()) == ["sboms.whl", "wheels.whl"]


def test_a_failed_step_leaves_no_file(tmp_path: Path) -> None:
    work = steps.Work(tmp_path / "work")
    with pytest.raises(SystemExit):
        work.run([failing()])
    assert list(work.files.iterdir()) == []
    assert [one.name for one in work.folder.iterdir() if one.name.startswith("unfinished")] == []


@pytest.mark.parametrize("spoil", [lambda file: file.write_text("2\n"), lambda file: file.unlink()])
def test_a_file_that_is_not_as_it_was_made_is_built_again(tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    one = Built("wheels")
    work = steps.Work(tmp_path / "work")
    work.run([one.step])
    spoil(work.files / "wheels.whl")
    work.run([one.step])
    assert (one.times, (work.files / "wheels.whl").read_text()) == (2, "1\n")


def test_files_of_a_part_that_is_not_chosen_again_are_not_released(tmp_path: Path) -> None:
    chosen, earlier = Built("wheels"), Built("sboms")
    work = steps.Work(tmp_path / "work")
    work.run([chosen.step, earlier.step])
    assert work.names([chosen.step]) == ["wheels.whl"]


def test_steps_are_built_concurrently(tmp_path: Path) -> None:
    both = threading.Barrier(2, timeout=20)

    def build(out: Path) -> None:
        both.wait()

    steps.Work(tmp_path / "work").run([steps.Step(name=name, build=build) for name in ("a", "b")])


def test_what_a_failed_step_raised_is_raised_after_the_steps_that_run(tmp_path: Path) -> None:
    begun, failed = threading.Event(), threading.Event()
    ended: list[str] = []

    def slow(out: Path) -> None:
        begun.set()
        assert failed.wait(20)
        ended.append("slow")

    def fails_when_both_run() -> None:
        assert begun.wait(20)
        failed.set()

    with pytest.raises(SystemExit):
        steps.Work(tmp_path / "work").run([failing(fails_when_both_run), steps.Step(name="slow", build=slow)])
    assert ended == ["slow"]
