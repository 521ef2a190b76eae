"""What the judge calls valid is decrypted by KMS and started by the engine: a sample of documents on the real ones.

tests/unit/test_user_data_model.py tries many more, without them.
"""

from __future__ import annotations

import base64
import os
import resource
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from fakes.user_data_documents import CIPHERTEXT, REFERENCES, documents, valid, with_ciphertext
from landscape.aws import REGION
from landscape.endurance import repeated
from landscape.whole import Landscape
from whence_agent.adapters.aws_http import AwsSecrets, SignedHttp
from whence_agent.adapters.docker_engine import DockerEngine
from whence_agent.adapters.role import GivenKeys
from whence_agent.adapters.sigv4 import AwsKeys
from whence_agent.boot.container import PulledImage, Specifier, in_order
from whence_agent.boot.secrets import _ciphertext
from whence_agent.ports import ContainerSpec, EngineFailed, Secrets, SecretUnavailable
from whence_agent.settings import Settings
from whence_common.clock import utc_now
from whence_common.identity_document import InstanceIdentity
from whence_common.statement import ImageFacts
from whence_common.user_data.judge import UserData
from whence_common.user_data.limits import MEMORY_BYTES_ENOUGH, UNLIMITED, Ulimit
from whence_common.user_data.options import ContainerOptions

EXAMPLES = repeated(sample=10, whole=200)
SEED = int(os.environ.get("WHENCE_MODEL_SEED", "18"))
NAME = "whence-test-boots"
NOT_OF_FORM = ("address already in use", "port is already allocated")
"""A port that something else on this machine has."""
_CAPABILITIES = """
CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT
SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG
WAKE_ALARM BLOCK_SUSPEND AUDIT_READ
"""
"""By their numbers, capabilities(7)."""
PLAINTEXT = "from-kms"
IDENTITY = InstanceIdentity(
    account_id="123456789012", region=REGION, instance_id="i-0123456789abcdef0", image_id="ami-1",
    instance_type="t3.micro", availability_zone=f"{REGION}a", architecture="x86_64", private_ip="10.0.0.1",
    pending_time=datetime(2026, 11, 26, tzinfo=UTC), digest="sha256:" + "0" * 64,
)  # fmt: skip


@dataclass(frozen=True)
class FakeKms:
    """Decrypts one ciphertext, within the bounds that AWS documents."""

    ciphertext: bytes

    async def decrypt(self, ciphertext: bytes, context: object) -> str:
        if ciphertext != self.ciphertext:
            raise SecretUnavailable("secret-refused", "kms answers InvalidCiphertextException", retryable=False)
        return PLAINTEXT


@pytest.fixture
async def moto(scape: Landscape) -> AsyncIterator[Secrets]:
    keys = GivenKeys(AwsKeys(access_key="test", secret_key="test"))
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        yield AwsSecrets(
            SignedHttp(
                session=session,
                keys=keys,
                region=lambda: REGION,
                endpoint_url=scape.aws.url,
                now=utc_now,
                up_seconds=lambda: 3600.0,
            )
        )


def sample() -> list[dict[str, Any]]:
    """Return the documents of this run: the same each time, unless the environment says otherwise."""
    found: list[dict[str, Any]] = []

    @seed(SEED)
    @settings(max_examples=EXAMPLES, phases=(Phase.generate,), database=None, suppress_health_check=list(HealthCheck))
    @given(documents)
    def gather(document: dict[str, Any]) -> None:
        found.append(document)

    gather()
    return found


@pytest.mark.parametrize("kind", ["moto", "fake"])
async def test_kms_and_the_fake_take_what_they_made_and_refuse_the_rest(
    kind: str, moto: Secrets, scape: Landscape
) -> None:
    made = base64.b64decode(await scape.aws.encrypt(PLAINTEXT)) if kind == "moto" else CIPHERTEXT
    vault = moto if kind == "moto" else FakeKms(made)
    assert await vault.decrypt(made, {}) == PLAINTEXT
    with pytest.raises(SecretUnavailable):
        await vault.decrypt(b"made by nobody", {})


@pytest.mark.endurance
async def test_kms_decrypts_what_is_valid_however_it_was_written(moto: Secrets, scape: Landscape) -> None:
    encoded = await scape.aws.encrypt(PLAINTEXT)
    asked = 0
    for number, document in enumerate(sample()):
        document["environment"] = {**document.get("environment", {}), "KMS": REFERENCES[number % len(REFERENCES)]}
        found = valid(with_ciphertext(document, encoded))
        assert found is not None
        for value in found.user_data.options.environment.values():
            if not value.startswith("aws:kms:"):
                continue
            content = _ciphertext(value.removeprefix("aws:kms:"))
            if content == base64.b64decode(encoded):
                assert await moto.decrypt(content, {}) == PLAINTEXT
                asked += 1
            else:
                with pytest.raises(SecretUnavailable):
                    await moto.decrypt(content, {})
    assert asked > 0


@pytest.mark.endurance
async def test_the_engine_starts_what_is_valid(scape: Landscape, tmp_path: Path) -> None:
    built = await scape.build("boots", "1.0", scm=None, command=("/bin/busybox", "sleep", "600"))
    repository = f"{scape.registry}/demo/boots"
    engine = DockerEngine(socket=scape.engine)
    facts = ImageFacts(source=f"{repository}:1.0", repository=repository, digest=built.digest)
    image = PulledImage(facts=facts, image_id=await engine.pull(repository, built.digest, None))
    settings_ = Settings(
        aggregator_url="https://whence.example.org", container_name=NAME, mounts_directory=str(tmp_path / "mounts"),
        container_directory=str(tmp_path / "meta"), publish_address="127.0.0.1", engine_socket=scape.engine,
    )  # fmt: skip
    (tmp_path / "meta").mkdir()
    try:
        for document in sample():
            document.pop("mount_custom_log", None)  # it would leave a directory on this machine
            found = valid(document)
            assert found is not None
            say = Specifier(settings=settings_, gid=999, user_data=found.user_data, identity=IDENTITY)
            await _start_all(engine, specified(say, found.user_data, image), document)
    finally:
        await engine.close()


def specified(say: Specifier, user_data: UserData, image: PulledImage) -> list[ContainerSpec]:
    before, after = in_order(user_data)
    specs = [say.sidecar(one, image, one.options.environment) for one in before]
    specs.append(say.application(image, user_data.options.environment))
    specs += [say.sidecar(one, image, one.options.environment) for one in after]
    names = {f"container:{one.name}" for one in specs}
    return [replace(one, options=of_this_machine(one.options), network=_present(one.network, names)) for one in specs]


def _present(network: str, names: set[str]) -> str:
    """Another container that user data does not declare is not there; whether it is, is no matter of form."""
    return network if not network.startswith("container:") or network in names else "none"


def of_this_machine(options: ContainerOptions) -> ContainerOptions:
    """Leave out what only a machine with every capability grants, and memory that the judge warns about."""
    command = ("/bin/busybox", "true", *options.command) if options.command else ()
    status = Path("/proc/self/status").read_text(encoding="ascii")
    bounding = int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapBnd:")), 16)
    known = _CAPABILITIES.split()
    return replace(
        options,
        command=command,
        memory_bytes=None if options.memory_bytes is None else max(options.memory_bytes, MEMORY_BYTES_ENOUGH),
        ulimits=tuple(one for one in options.ulimits if _can_be_set(one)),
        privileged=options.privileged and bounding == 2 ** (bounding.bit_length()) - 1,
        capabilities_add=tuple(
            one for one in options.capabilities_add if one in known and bounding >> known.index(one) & 1
        ),
    )


def _can_be_set(ulimit: Ulimit) -> bool:
    number = getattr(resource, f"RLIMIT_{ulimit.name.upper()}", None)
    most = resource.RLIM_INFINITY if number is None else resource.getrlimit(number)[1]
    return most == resource.RLIM_INFINITY or (ulimit.hard != UNLIMITED and ulimit.hard <= most)


async def _start_all(engine: DockerEngine, specs: list[ContainerSpec], document: dict[str, Any]) -> None:
    try:
        for spec in specs:
            try:
                await engine.run(spec)
            except EngineFailed as exc:
                if any(why in exc.message for why in NOT_OF_FORM):
                    return
                raise AssertionError(f"{exc.message}\n{spec.options}\n{document}") from exc
            state = await engine.inspect(spec.name)
            assert state is not None
            assert state.facts.exit_code in (None, 0), f"{state}\n{spec.options}\n{document}"
    finally:
        for spec in reversed(specs):
            await engine.stop(spec.name, seconds_max=0)
