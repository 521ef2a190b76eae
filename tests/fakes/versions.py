"""Two versions of an application, as statements of machines that run them."""

from __future__ import annotations

from fakes.machine import REPOSITORY, scm
from whence_common.statement import ApplicationFacts, ContainerFacts, ImageFacts, UserDataFacts

NEWER = "sha256:" + "e" * 64
OLD, NEW = "c" * 40, "b" * 40


def version(number: str, digest: str, commit: str) -> dict[str, object]:
    """Return the changes of a statement that make it one about a version."""
    return {
        "application": ApplicationFacts(id="greeter", version=number),
        "image": ImageFacts(source=f"{REPOSITORY}:{number}", repository=REPOSITORY, digest=digest),
        "containers": [ContainerFacts(name="taupageapp", container_id="1", image_digest=digest, state="running")],
        "scm_source": scm(revision=commit),
        "user_data": UserDataFacts(
            digest="sha256:" + number[-1] * 64,
            document={"application_version": number, "environment": {"LEVEL": number, "PASSWORD": "MASKED"}},
        ),
    }
