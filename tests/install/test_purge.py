"""What purging the agent's package removes, by its postrm alone: in a mount namespace, without a package manager."""

from __future__ import annotations

import subprocess

from landscape.whole import ROOT

_POSTRM = ROOT / "packaging/deb/scripts/whence-agent.postrm"
_PREPARED = """
mount -t tmpfs none /var/lib && mount -t tmpfs none /etc && mkdir -p /var/lib/whence-agent/outbox
echo own >/var/lib/whence-agent/outbox/1
if [ "$2" = volume ]; then
    mkdir /var/lib/whence-agent/volume
    mount -t tmpfs none /var/lib/whence-agent/volume
    echo kept >/var/lib/whence-agent/volume/data
fi
sh "$1" purge 2>&1
echo "code $?"
find /var/lib/whence-agent -type f
[ -e /var/lib/whence-agent ] || echo gone
"""


def purged(*prepared: str) -> list[str]:
    command = ("unshare", "--mount", "--propagation", "private", "sh", "-c", _PREPARED, "-", str(_POSTRM), *prepared)
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def test_purging_the_agent_removes_its_state() -> None:
    assert purged()[-2:] == ["code 0", "gone"]


def test_purging_the_agent_keeps_what_is_on_a_volume_that_is_mounted_in_its_state() -> None:
    said = purged("volume")
    assert said[-2:] == ["code 0", "/var/lib/whence-agent/volume/data"]
    assert any("unmount it" in line for line in said)
