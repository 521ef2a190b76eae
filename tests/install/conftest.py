"""One Debian root with both packages in it, for all tests that boot it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from landscape.processes import run
from landscape.programs import BIN
from landscape.whole import ROOT


@pytest.fixture(scope="session")
async def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Debian root with the packages installed in it."""
    assert os.geteuid() == 0, "this test boots a machine, which needs root"
    work = tmp_path_factory.mktemp("package")
    for part in ("common", "agent", "aggregator"):
        await run(BIN / "python", "-m", "build", "--wheel", "--outdir", work / "wheels", ROOT / part)
    await run(BIN / "python", ROOT / "packaging/deb/build.py", "--wheels", work / "wheels", "--out", work)
    packages = sorted(work.glob("*.deb"))
    assert [one.name.split("_")[0] for one in packages] == ["whence-agent", "whence-aggregator"]
    root = work / "root"
    await run(
        "mmdebstrap", "--variant=minbase", "--include=systemd,systemd-sysv,dbus,python3-minimal,python3,ca-certificates",
        *(hook for one in packages for hook in (
            f"--customize-hook=copy-in {one} /", f"--customize-hook=chroot $1 dpkg -i /{one.name}"
        )),
        "bookworm", root,
    )  # fmt: skip
    (root / "var/log/journal").mkdir(exist_ok=True)
    return root
