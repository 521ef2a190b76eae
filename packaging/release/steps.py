"""Steps of a release, several at a time: each writes files; one that is complete is not built again by the next run."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

_STARTED = time.monotonic()
_AT_A_TIME_MIN = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What writes some files of the release into the folder that it is given."""

    name: str
    build: Callable[[Path], None]


class Work:
    """A folder with the finished files of one release, by step. It stays when a run is interrupted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = folder / "files"
        self._stamps = folder / "steps"
        for one in (self.files, self._stamps):
            one.mkdir(parents=True, exist_ok=True)

    def run(self, steps: Sequence[Step]) -> None:
        """Run steps concurrently, as many as there are processors. Raises what a step raised, after those that run."""
        with ThreadPoolExecutor(max(_AT_A_TIME_MIN, os.cpu_count() or 1)) as pool:
            running = [pool.submit(self._make, step) for step in steps]
            waiting = wait(running, return_when=FIRST_EXCEPTION).not_done
            for one in waiting:
                one.cancel()
        for one in running:
            if not one.cancelled():
                one.result()

    def _make(self, step: Step) -> None:
        if self._has(step):
            say(f"  {step.name}: as an interrupted run left it")
            return
        began = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="unfinished-", dir=self.folder) as unfinished:
            step.build(Path(unfinished))
            made = {one.name: digest(one) for one in sorted(Path(unfinished).iterdir())}
            for name in made:
                (Path(unfinished) / name).rename(self.files / name)
        stamp = self._stamp(step)
        stamp.with_suffix(".new").write_text(json.dumps(made), encoding="utf-8")
        stamp.with_suffix(".new").rename(stamp)
        say(f"  {step.name}: {time.monotonic() - began:.0f} s")

    def names(self, steps: Sequence[Step]) -> list[str]:
        """Return the names of the files that steps made, sorted."""
        return sorted(name for step in steps for name in json.loads(self._stamp(step).read_text(encoding="utf-8")))

    def _has(self, step: Step) -> bool:
        """Return whether a step is done, and its files are as it made them."""
        if not self._stamp(step).exists():
            return False
        made = json.loads(self._stamp(step).read_text(encoding="utf-8"))
        files = {self.files / name: stated for name, stated in made.items()}
        return all(file.is_file() and digest(file) == stated for file, stated in files.items())

    def _stamp(self, step: Step) -> Path:
        return self._stamps / f"{step.name.replace(' ', '-')}.json"

    def remove(self) -> None:
        shutil.rmtree(self.folder)


def digest(file: Path) -> str:
    """Return SHA-256 in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def say(text: str) -> None:
    print(f"[{time.monotonic() - _STARTED:5.1f} s] {text}", flush=True)
