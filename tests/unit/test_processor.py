"""Which of an image's platforms runs on a processor, and which of those is the best."""

from __future__ import annotations

from typing import Any

import pytest

from whence_agent.adapters.processor import ImagePlatform, Processor, choose, flags_of, offers, written
from whence_agent.adapters.this_processor import this_processor
from whence_common.oci_manifest import OCI_INDEX, OCI_MANIFEST

V2 = "cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3"
V3 = f"{V2} abm avx avx2 bmi1 bmi2 f16c fma movbe xsave"
V4 = f"{V3} avx512bw avx512cd avx512dq avx512f avx512vl"
GRAVITON_2 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp ssbs"


def processor(machine: str, flags: str = "") -> Processor:
    return Processor.of(machine, frozenset(flags.split()))


def entry(number: int, platform: str | None, **members: Any) -> dict[str, Any]:
    described: dict[str, Any] = {"mediaType": OCI_MANIFEST, "digest": digest(number), "size": 7, **members}
    if platform is not None:
        described["platform"] = dict(zip(("os", "architecture", "variant"), platform.split("/"), strict=False))
    return described


def digest(number: int) -> str:
    return f"sha256:{number:064x}"


def chosen(here: Processor, *platforms: str | None) -> int | None:
    """Give the number of the chosen entry, from 1."""
    entries = [entry(number, platform) for number, platform in enumerate(platforms, start=1)]
    found = choose({"manifests": entries}, here)
    return int(found.removeprefix("sha256:"), 16) if found is not None else None


@pytest.mark.parametrize(
    "machine, flags, platform",
    [
        ("x86_64", "", "linux/amd64/v1"),
        ("x86_64", V2, "linux/amd64/v2"),
        ("x86_64", V3, "linux/amd64/v3"),
        ("x86_64", V4, "linux/amd64/v4"),
        ("x86_64", V4.replace("movbe", ""), "linux/amd64/v2"),
        ("x86_64", V3.replace("ssse3", ""), "linux/amd64/v1"),
        ("aarch64", "", "linux/arm64/v8"),
        ("aarch64", GRAVITON_2, "linux/arm64/v8.2"),
        ("armv7l", "", "linux/arm/v7"),
        ("armv6l", "", "linux/arm/v6"),
        ("armv5tel", "", "linux/arm/v5"),
        ("armv8l", "", "linux/arm/v8"),
        ("s390x", "", "linux/s390x"),
        ("riscv64", "", "linux/riscv64"),
    ],
)
def test_a_processor_has_the_level_whose_features_it_has_all_of(machine: str, flags: str, platform: str) -> None:
    assert str(processor(machine, flags).platform) == platform


@pytest.mark.parametrize(
    "here, platforms, number",
    [
        (processor("x86_64", V3), ["linux/amd64", "linux/amd64/v2", "linux/amd64/v3", "linux/amd64/v4"], 3),
        (processor("x86_64", V4), ["linux/amd64/v3"], 1),
        (processor("x86_64", V4), ["linux/amd64", "linux/amd64/v2"], 2),
        (processor("x86_64", V2), ["linux/amd64/v3", "linux/amd64"], 2),
        (processor("x86_64", V2), ["linux/amd64/v3", "linux/amd64/v4"], None),
        (processor("x86_64", V2), ["linux/amd64", "linux/amd64/v1"], 1),
        (processor("x86_64", V2), ["linux/amd64/haswell", "linux/amd64"], 2),
        (processor("x86_64", V2), ["linux/amd64/haswell"], None),
        (processor("x86_64", V4), ["linux/386", "linux/arm64/v8", "windows/amd64", "darwin/amd64"], None),
        (processor("aarch64"), ["linux/arm/v7", "linux/arm/v8", "linux/amd64", "linux/arm64"], 4),
        (processor("aarch64"), ["linux/arm64/v9", "linux/arm64/v8"], 2),
        (processor("aarch64"), ["linux/arm64/v8.0"], 1),
        (processor("aarch64", GRAVITON_2), ["linux/arm64", "linux/arm64/v8.1", "linux/arm64/v8.4"], 2),
        (processor("aarch64"), ["linux/arm/v7", "linux/arm/v6"], None),
        (processor("armv7l"), ["linux/arm/v5", "linux/arm/v7", "linux/arm/v6"], 2),
        (processor("armv6l"), ["linux/arm", "linux/arm/v7"], None),
        (processor("armv6l"), ["linux/arm/v7", "linux/arm/v5", "linux/arm/v6"], 3),
        (processor("s390x"), ["linux/amd64", "linux/s390x"], 2),
        (processor("x86_64"), ["unknown/unknown", "linux/amd64", "unknown/unknown"], 2),
        (processor("x86_64"), ["unknown/unknown"], None),
        (processor("x86_64"), [None], 1),
        (processor("x86_64"), [None, "unknown/unknown"], 1),
        (processor("x86_64"), [None, None], None),
        (processor("x86_64"), [None, "linux/arm64"], None),
        (processor("x86_64"), [], None),
    ],
)
def test_the_best_image_that_runs_here_is_chosen_and_never_another(
    here: Processor, platforms: list[str | None], number: int | None
) -> None:
    assert chosen(here, *platforms) == number


def test_attestations_in_an_index_are_never_chosen() -> None:
    index = {
        "manifests": [
            entry(1, "linux/amd64", annotations={"vnd.docker.reference.type": "attestation-manifest"}),
            entry(2, "linux/amd64", artifactType="application/vnd.example.sbom"),
            entry(3, "linux/amd64", mediaType="application/vnd.example.other"),
            {"platform": {"os": "linux", "architecture": "amd64"}},
            {"digest": 7, "platform": {"os": "linux", "architecture": "amd64"}},
            {"digest": digest(4), "platform": ["linux"]},
            7,
            entry(5, "linux/amd64"),
        ]
    }
    assert choose(index, processor("x86_64")) == digest(5)
    assert written(offers(index)) == "linux/amd64"
    assert choose({"manifests": {"linux": digest(1)}}, processor("x86_64")) is None


def test_a_nested_index_is_chosen_by_its_platform_and_refused_later() -> None:
    index = {"manifests": [entry(1, "linux/amd64", mediaType=OCI_INDEX)]}
    assert choose(index, processor("x86_64")) == digest(1)


def test_what_belongs_to_windows_is_passed_over() -> None:
    platform = {
        "os": "linux",
        "architecture": "amd64",
        "os.version": "10.0.14393",
        "os.features": ["win32k"],
        "variant": 7,
    }
    assert choose({"manifests": [{"digest": digest(1), "platform": platform}]}, processor("x86_64")) == digest(1)


@pytest.mark.parametrize(
    "wanted, refused, too_old",
    [
        (ImagePlatform(system="linux", architecture="amd64"), False, False),
        (ImagePlatform(system="linux", architecture="amd64", variant="v2"), False, False),
        (ImagePlatform(system="linux", architecture="amd64", variant="v3"), True, True),
        (ImagePlatform(system="", architecture="amd64", variant="v3"), True, True),
        (ImagePlatform(system="linux", architecture="amd64", variant="haswell"), False, False),
        (ImagePlatform(system="linux", architecture="arm64"), True, False),
        (ImagePlatform(system="windows", architecture="amd64"), True, False),
        (ImagePlatform(system="", architecture=""), False, False),
    ],
)
def test_a_single_image_is_refused_only_for_its_stated_platform(
    wanted: ImagePlatform, refused: bool, too_old: bool
) -> None:
    here = processor("x86_64", V2)
    assert (here.cannot_run(wanted), here.is_too_old_for(wanted)) == (refused, too_old)


def test_the_flags_of_the_first_processor_are_read() -> None:
    text = "processor\t: 0\nflags\t\t: fpu sse2\n\nprocessor\t: 1\nflags\t\t: fpu\n"
    assert flags_of(text) == {"fpu", "sse2"}
    assert flags_of("processor\t: 0\nFeatures\t: fp asimd\n") == {"fp", "asimd"}
    assert flags_of("") == frozenset()


def test_a_long_list_of_platforms_is_cut_in_a_message() -> None:
    many = [ImagePlatform(system="linux", architecture=f"a{number}") for number in range(10)]
    assert written(many) == "linux/a0, linux/a1, linux/a2, linux/a3, linux/a4, linux/a5, linux/a6, linux/a7 and 2 more"


def test_this_machine_runs_its_own_architecture() -> None:
    here = this_processor()
    assert here.rank(ImagePlatform(system="linux", architecture=here.architecture)) == 0
