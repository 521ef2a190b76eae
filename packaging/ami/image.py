"""Make an image here: a root by mmdebstrap, provisioned, cleaned and checked as Packer does, and a raw disk that boots.

    python packaging/ami/image.py --package dist/whence-agent_0.1.0_amd64.deb --settings agent.yaml --out build/image

It needs root, mmdebstrap, systemd-container, fdisk, dosfstools, mtools and e2fsprogs, and APT sources of the suite.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from description import DescriptionInvalid, ImageDescription, ImagePlan, plan_image, read_description
from disk import make_disk, write_boot_files
from inputs import STEPS, find_mistakes
from root_packages import read_origins, write_origins
from root_statement import built_at, stated_source, write_statement

from whence_aggregator.trace.ami_statement import EC2_TAG
from whence_aggregator.whence.attest import BUILDER, source_of_git
from whence_common.errors import InputError
from whence_common.scm_source import ScmSource

HERE = Path(__file__).resolve().parent
_TOLD_CHARACTERS = 4_000
_ORIGINS = "origins.json"


class ImageFailed(Exception):
    """A step did not succeed; the message has the end of what it printed."""


def main() -> int:
    """Do what the command line asks; return 0, or 1 with the reason on standard error."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--distribution", help="one of image.yaml's")
    parser.add_argument("--architecture", help="one of image.yaml's; this machine's only")
    parser.add_argument("--package", type=Path, help="whence-agent's .deb (make deb)")
    parser.add_argument("--settings", type=Path, help="the platform's agent.yaml")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of image.yaml")
    parser.add_argument("--sources", type=Path, help="sources.list of the suite; else this machine's")
    parser.add_argument("--version", default="0", help="tag Version, and the end of the name")
    parser.add_argument("--git", type=Path, help="the clone that it is made from: tag CommitID, and the statement")
    parser.add_argument("--builder-id", default=BUILDER, help="the builder's id that the statement names")
    parser.add_argument("--kernel-options", default="", help="for the kernel's command line")
    parser.add_argument("--out", type=Path, default=Path("build/image"))
    parser.add_argument("--only", choices=STEPS, help="one step, of what is in --out")
    parser.add_argument("--plan", action="store_true", help="print what would be in the image, and do nothing")
    arguments = parser.parse_args()
    try:
        description = read_description()
        chosen = {name: json.loads(value) for name, _, value in (one.partition("=") for one in arguments.set)}
        plan = plan_image(
            description, distribution=arguments.distribution, architecture=arguments.architecture, settings=chosen
        )
        if arguments.plan:
            print(json.dumps({**plan.environment(), "suite": plan.suite}, indent=2))
            return 0
        source = source_of_git(arguments.git) if arguments.git is not None else None
        if source is not None:
            stated_source(source)  # raises InputError now, and not after minutes
        _make(arguments, description, plan, source)
    except json.JSONDecodeError as exc:
        print(f"image.py: --set takes JSON, as in --set sshd=true: {exc}", file=sys.stderr)
        return 1
    except InputError as exc:
        print(f"image.py: {exc.diagnostics()}", file=sys.stderr)
        return 1
    except (DescriptionInvalid, ImageFailed, OSError, ValueError) as exc:
        print(f"image.py: {exc}", file=sys.stderr)
        return 1
    except subprocess.CalledProcessError as exc:
        print(f"image.py: {exc.cmd[0]} failed: {exc.stderr[-_TOLD_CHARACTERS:]}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("image.py: interrupted", file=sys.stderr)
        return 130
    return 0


def _make(
    arguments: argparse.Namespace, description: ImageDescription, plan: ImagePlan, source: ScmSource | None
) -> None:
    root, only = arguments.out / "root", arguments.only
    mistakes = find_mistakes(
        STEPS if only is None else (only,), root, architecture=plan.architecture, package=arguments.package,
        settings=arguments.settings, sources=arguments.sources,
    )  # fmt: skip
    if found := list(mistakes):
        raise ImageFailed("\nimage.py: ".join(found))
    arguments.out.mkdir(parents=True, exist_ok=True)
    if only in (None, "base"):
        _say(f"installing {plan.distribution} in {root}, which takes minutes")
        make_base(plan, root, arguments.sources)
    if only in (None, "provision"):
        _say("installing the agent, and cleaning the root")
        origins = arguments.out / _ORIGINS
        provision(plan, root, package=arguments.package, settings=arguments.settings, origins=origins)
    if only in (None, "disk"):
        _say("writing the disk")
        seed = f"{plan.distribution}-{plan.architecture}-{arguments.version}"
        write_boot_files(root, seed=seed, options=arguments.kernel_options)
        check(root)
        stated = state(description, plan, arguments.version)
        if source is not None:
            stated["Tags"] |= _attest(root, arguments.out, stated["Name"], source, arguments.builder_id)
        (arguments.out / "image.json").write_text(json.dumps(stated, indent=2) + "\n", encoding="utf-8")
        made = arguments.out / "disk.raw"
        make_disk(
            root, made, architecture=plan.architecture, seed=seed, size_mib=plan.settings.disk_mib,
            at=int(_built().timestamp()),
        )  # fmt: skip
        print(made)


def _say(what: str) -> None:
    print(f"image.py: {what}", file=sys.stderr, flush=True)


def make_base(plan: ImagePlan, root: Path, sources: Path | None) -> None:
    """Make the root with everything that comes from the distribution."""
    if root.exists():
        shutil.rmtree(root)
    packages = ",".join(plan.packages)
    where = [plan.suite, str(root), *([str(sources)] if sources is not None else [])]
    # APT's lists stay until the image is cleaned: they state where the packages are from.
    kept = "--skip=cleanup/apt/lists"
    _run(
        "mmdebstrap", "--variant=minbase", f"--architectures={plan.architecture}", f"--include={packages}", kept, *where
    )


def provision(plan: ImagePlan, root: Path, *, package: Path, settings: Path, origins: Path) -> None:
    """Run provision.sh in the root, note the origins of its packages in a file, then clean and check it."""
    within = root / "whence-image"
    shutil.rmtree(within, ignore_errors=True)
    shutil.copytree(HERE, within, ignore=shutil.ignore_patterns("__pycache__"))
    try:
        shutil.copy(package, within / package.name)
        shutil.copy(settings, within / "agent.yaml")
        given = [f"--setenv={name}={value}" for name, value in plan.environment().items()]
        inside = "/whence-image"
        _run(
            "systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--pipe", "--resolv-conf=copy-host", *given,
            f"--directory={root}", f"{inside}/provision.sh", inside, f"{inside}/{package.name}", f"{inside}/agent.yaml",
        )  # fmt: skip
    finally:
        shutil.rmtree(within)
    write_origins(root, origins)
    _run(str(HERE / "clean.sh"), str(root))
    check(root)


def check(root: Path) -> None:
    """Refuse a root in which something of this machine is left. Raises ImageFailed with every finding."""
    _run(sys.executable, str(HERE / "check.py"), str(root))


def _attest(root: Path, out: Path, name: str, source: ScmSource, builder_id: str) -> dict[str, str]:
    """Write the statement about the complete root; return the tags that name it and its commit. Raises InputError."""
    noted = out / _ORIGINS
    digest = write_statement(
        root, out, name=name, source=source, builder_id=builder_id, built_at=_built(),
        origins=read_origins(noted) if noted.exists() else None,
    )  # fmt: skip
    return {"CommitID": source.commit_id or "", EC2_TAG: digest}


def _built() -> datetime:
    return built_at(os.environ.get("SOURCE_DATE_EPOCH"))


def state(description: ImageDescription, plan: ImagePlan, version: str) -> dict[str, Any]:
    """Return the image's name and tags, as publishing and Packer set them."""
    built = _built()
    ends = built + timedelta(days=description.expires_after_days)
    return {
        "Name": f"{description.name}-{plan.distribution}-{plan.architecture}-{version}",
        "Architecture": description.architectures[plan.architecture].ec2_name,
        "Tags": {
            "Version": version, "BuildDate": built.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "ExpirationTime": ends.strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
    }  # fmt: skip


def _run(*command: str) -> None:
    done = subprocess.run(
        command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
    )
    if done.returncode != 0:
        told = done.stdout.decode(errors="replace")[-_TOLD_CHARACTERS:]
        raise ImageFailed(f"{command[0]} ended with {done.returncode}:\n{told}")


if __name__ == "__main__":
    sys.exit(main())
