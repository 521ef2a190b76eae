"""The artifact of a version, as Kio's clients write it: `docker://team/name:1.0`, with or without a registry. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from whence_common.errors import InputError
from whence_common.image_reference import ImageReference, ImageReferenceInvalid

ARTIFACT_CHARACTERS_MAX = 600
NOTES_CHARACTERS_MAX = 4096
_SCHEME = "docker://"


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """An artifact as it was written, and what of an image it names; both are empty where it names none."""

    text: str
    reference: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, text: object, *, front: str) -> Artifact:
        """Read an artifact. `front` is the registry front's host: the registry of a name without one.

        Whatever is not the name of an image is kept as it is, as Kio did: then no digest is known. Raises InputError.
        """
        if not isinstance(text, str) or not 0 < len(text) <= ARTIFACT_CHARACTERS_MAX or not text.isprintable():
            raise InputError(
                "version-artifact",
                f"artifact must be text of 1 to {ARTIFACT_CHARACTERS_MAX} characters in one line",
                fix='write {"artifact": "docker://registry.example.org/team/name:1.0"}',
            )
        name = text.removeprefix(_SCHEME)
        found = _parsed(name) or (_parsed(f"{front}/{name}") if front else None)
        if found is None:
            return cls(text=text)
        if found.digest is not None:
            return cls(text=text, digest=found.digest)
        return cls(text=text, reference=str(found))


def checked_notes(notes: object) -> str | None:
    """Return notes, which may be missing. Raises InputError."""
    if notes is None:
        return None
    if not isinstance(notes, str) or len(notes) > NOTES_CHARACTERS_MAX:
        raise InputError("notes-malformed", f"notes must be text of at most {NOTES_CHARACTERS_MAX} characters")
    return notes


def _parsed(text: str) -> ImageReference | None:
    try:
        return ImageReference.parse(text)
    except ImageReferenceInvalid:
        return None
