"""Update AWS's certificates: `python packaging/certificates.py FOLDER` takes REGION.pem files from a folder of yours.

Each must hold RSA-2048 certificates that are valid now. What would change is printed; with --write it is done. Nothing
is fetched: get the files from AWS's documentation, and have somebody else read the difference.
"""

from __future__ import annotations

import argparse
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa

SHIPPED = Path(__file__).resolve().parents[1] / "aggregator/src/whence_aggregator/aws_certificates"
_REGION = re.compile(r"[a-z]{2,4}(?:-[a-z]{2,9}){1,3}-[0-9]{1,2}\Z")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--write", action="store_true", help="put the new files in place")
    arguments = parser.parse_args()
    files = sorted(arguments.folder.glob("*.pem"))
    if not files:
        print(f"{arguments.folder} holds no REGION.pem", file=sys.stderr)
        return 1
    wrong = [said for file in files if (said := _what_is_wrong(file))]
    for said in wrong:
        print(said, file=sys.stderr)
    if wrong:
        return 1
    for file in files:
        shipped = SHIPPED / file.name
        before = _fingerprints(shipped) if shipped.exists() else []
        after = _fingerprints(file)
        if before != after:
            print(f"{file.stem}: {', '.join(before) or 'new'} -> {', '.join(after)}")
            if arguments.write:
                shipped.write_bytes(file.read_bytes())
    return 0


def _what_is_wrong(file: Path) -> str:
    if not _REGION.match(file.stem):
        return f"{file}: the name is not a region"
    try:
        found = x509.load_pem_x509_certificates(file.read_bytes())
    except ValueError as exc:
        return f"{file}: {exc}"
    now = datetime.now(UTC)
    for one in found:
        key = one.public_key()
        if not isinstance(key, rsa.RSAPublicKey) or key.key_size != 2048:
            return f"{file}: not an RSA-2048 key"
        if not one.not_valid_before_utc <= now <= one.not_valid_after_utc:
            return f"{file}: not valid now"
    return ""


def _fingerprints(file: Path) -> list[str]:
    return [one.fingerprint(hashes.SHA256()).hex()[:16] for one in x509.load_pem_x509_certificates(file.read_bytes())]


if __name__ == "__main__":
    sys.exit(main())
