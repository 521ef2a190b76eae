"""What acceptance tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from landscape.stage import Stage
from landscape.whole import Landscape


@pytest.fixture
async def stage(scape: Landscape, tmp_path: Path) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        yield Stage(scape, tmp_path, stack)
