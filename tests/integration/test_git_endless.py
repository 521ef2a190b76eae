"""Git servers whose answers do not end: bounded in bytes and in time, and never taken for a denial."""

from __future__ import annotations

import time
from typing import get_args

import pytest

from fakes.endless_git import HEAD, Endless, endless_git
from fakes.roads import git_reader
from whence_aggregator.ports import SourceUnavailable
from whence_common.scm_source import SourceRepository

SECONDS_MAX, FILE_BYTES_MAX = 2.0, 1 << 20


@pytest.mark.parametrize("kind", get_args(Endless))
async def test_an_answer_without_an_end_is_unknown_and_given_up_in_time(kind: Endless) -> None:
    async with endless_git(kind) as host:
        git = git_reader(host, seconds_max=SECONDS_MAX, file_bytes_max=FILE_BYTES_MAX)
        place = SourceRepository(host=host, path="app")
        began = time.monotonic()
        try:
            found = await git.branch(place, "2" * 40)
        except SourceUnavailable as refused:
            assert "\x1b" not in refused.diagnostics()  # noqa: PT017 - either is right
        else:
            assert (found.branch, found.reachable) == ("main", None)
            assert found.reason.startswith("not all of the history of main was read: ")
        if kind != "refs":
            with pytest.raises(SourceUnavailable):
                await git.commit(place, HEAD)
        assert time.monotonic() - began < 20 * SECONDS_MAX
