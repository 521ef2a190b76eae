"""Whatever document is written: what the judge calls valid never fails later in the boot for a reason of form.

Here without an engine and without AWS, in volume; tests/integration/test_user_data_boots.py asks the real ones.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import Phase, given, settings
from yarl import URL

from fakes.user_data_documents import CIPHERTEXT, RULES, Valid, documents, valid
from landscape.endurance import repeated
from whence_agent.adapters.engine_client import EngineClient
from whence_agent.adapters.engine_create import create_document
from whence_agent.boot.container import PulledImage, Specifier, in_order, write_meta
from whence_agent.boot.secrets import _ciphertext
from whence_agent.boot.storage import host_request, storage_request
from whence_agent.machine.disks import Disks
from whence_agent.machine.host import Host
from whence_agent.machine.place import MachinePaths
from whence_agent.machine.programs import Programs
from whence_agent.machine.protocol import REQUEST_BYTES_MAX, MachineFailed, Request, StorageRequest
from whence_agent.settings import Settings
from whence_common.identity_document import InstanceIdentity
from whence_common.statement import ImageFacts
from whence_common.user_data.container import VARIABLE_BYTES_MAX
from whence_common.user_data.host import HUGE_PAGES
from whence_common.user_data.judge import UserData, judge
from whence_common.user_data.masking import masked
from whence_common.user_data.secret_references import CIPHERTEXT_BYTES_MAX, PREFIXES

EXAMPLES = repeated(sample=50, whole=1000)
IMAGE = PulledImage(
    facts=ImageFacts(source="r.example.org/a/b:1", repository="r.example.org/a/b", digest="sha256:" + "a" * 64),
    image_id="sha256:" + "b" * 64,
)
IDENTITY = InstanceIdentity(
    account_id="123456789012", region="eu-central-1", instance_id="i-0123456789abcdef0", image_id="ami-1",
    instance_type="t3.micro", availability_zone="eu-central-1a", architecture="x86_64", private_ip="10.0.0.1",
    pending_time=datetime(2026, 11, 26, tzinfo=UTC), digest="sha256:" + "0" * 64,
)  # fmt: skip
SETTINGS = Settings(aggregator_url="https://whence.example.org")


@dataclass(frozen=True, slots=True, kw_only=True)
class NoPrograms(Programs):
    """Runs nothing; a blank device is what it finds."""

    def run(self, *command: str, **how: Any) -> tuple[int, str]:
        return 0, ""


class NoEngine(EngineClient):
    """No engine; only a machine with two processors."""

    def info(self) -> dict[str, Any]:
        return {"NCPU": 2}


ENGINE = NoEngine(base_url="unix:///nonexistent.sock", version="1.41", timeout=1.0)


@pytest.mark.endurance
@given(documents)
@settings(max_examples=EXAMPLES, phases=(Phase.explicit, Phase.generate, Phase.shrink))
def test_valid_user_data_never_fails_later_by_its_form(document: dict[str, Any]) -> None:
    found = valid(document)
    if found is None:
        return
    check_user_data(found)
    check_secrets(found.user_data)
    with tempfile.TemporaryDirectory() as directory:
        check_host(found.user_data, Path(directory))
        check_run(found.user_data, Path(directory))


def check_user_data(found: Valid) -> None:
    """The stage `user-data` judges the same bytes; what is valid can be masked, reported and announced."""
    again = judge(found.raw, RULES)
    assert again.user_data == found.user_data
    assert again.document is not None
    json.loads(msgspec.json.encode(masked(again.document)))
    assert all(msgspec.json.encode(problem.to_wire()) for problem in again.problems)


def check_secrets(user_data: UserData) -> None:
    """The stage `secrets` can ask AWS for every reference."""
    holders = [user_data.options.environment, *(one.options.environment for one in user_data.sidecars)]
    for values in (*holders, *user_data.sign_in.values()):
        for value in values.values():
            if not value.startswith(PREFIXES):
                continue
            _, kind, rest = value.split(":", 2)
            assert rest == rest.strip()
            if kind == "kms":
                content = _ciphertext(rest)
                assert 0 < len(content) <= CIPHERTEXT_BYTES_MAX
                assert content in (CIPHERTEXT, bytes(6144))
            else:
                assert rest.partition("#")[0].isascii()


def check_host(user_data: UserData, directory: Path) -> None:
    """The helper of the stages `host` and `storage` takes each request, by its own rules."""
    root = directory / "root"
    place = MachinePaths(dev=directory / "dev", mounts=directory / "mounts", root=root, wait_seconds_max=0)
    programs = NoPrograms(say=lambda _: None)
    request = host_request(user_data.host, instance_users=["ubuntu"])
    if request is not None:
        for name in request.sysctl:
            (root / "proc/sys" / name.replace(".", "/")).parent.mkdir(parents=True, exist_ok=True)
        (root / HUGE_PAGES.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
        Host(place=place, programs=programs, allowed_sysctls=RULES.sysctls).prepare(_sent(request))
    whole = storage_request(user_data.storage, [], owner=(999, 999))
    parts = [StorageRequest(mounts=[one]) for one in whole.mounts]
    for part in (*parts, *(StorageRequest(arrays=[one]) for one in whole.arrays)):
        assert isinstance(_sent(whole), StorageRequest)
        code = "device-missing"
        try:
            Disks(place=place, programs=programs).prepare(part)
        except MachineFailed as exc:
            code = exc.code
        assert code == "device-missing"


def _sent(request: Any) -> Any:
    line = msgspec.json.encode(request)
    assert len(line) < REQUEST_BYTES_MAX
    return msgspec.json.decode(line, type=Request)


def check_run(user_data: UserData, directory: Path) -> None:
    """What the stage `run` asks the engine for can be sent, in an order in which each network is there before."""
    write_meta(directory / "meta", user_data, gid=os.getgid())
    say = Specifier(settings=SETTINGS, gid=999, user_data=user_data, identity=IDENTITY)
    before, after = in_order(user_data)
    specs = [say.sidecar(one, IMAGE, one.options.environment) for one in before]
    specs.append(say.application(IMAGE, user_data.options.environment))
    specs += [say.sidecar(one, IMAGE, one.options.environment) for one in after]
    started: set[str] = set()
    for spec in specs:
        config = create_document(ENGINE, spec)
        json.dumps(config, allow_nan=False)
        kind, _, other = spec.network.partition(":")
        assert kind != "container" or other in started or other not in {one.name for one in specs}
        inside = [one.rpartition(":")[0].rpartition(":")[2] for one in config["HostConfig"]["Binds"]]
        inside += list(config["HostConfig"].get("Tmpfs") or {})
        assert len(inside) == len(set(inside))
        assert all(len(f"{name}={value}".encode()) <= VARIABLE_BYTES_MAX for name, value in spec.environment.items())
        started.add(spec.name)
    if user_data.health_check is not None:
        assert URL(f"http://127.0.0.1:{user_data.health_check.port}{user_data.health_check.path}").host == "127.0.0.1"
