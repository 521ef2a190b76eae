"""Ask a program of this machine whether it is ready: `python3 -m whence_common.runtime.probe URL`, for containers.

It imports Python's own modules only, since it is run every few seconds. Exit code 0: the answer was 200; 1: another
answer, or none; 2: wrong usage.
"""

from __future__ import annotations

import sys
import urllib.error
import urllib.request

DEFAULT = "http://127.0.0.1:7381/ready"
SECONDS_MAX = 3.0
_TEXT_BYTES_MAX = 300


def main(words: list[str]) -> int:
    """Ask one URL; write why it is not ready."""
    if len(words) > 1 or (words and not words[0].startswith("http://")):
        sys.stderr.write("usage: python3 -m whence_common.runtime.probe [http://127.0.0.1:PORT/ready]\n")
        return 2
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(words[0] if words else DEFAULT, timeout=SECONDS_MAX) as answer:
            return 0 if answer.status == 200 else 1
    except urllib.error.HTTPError as exc:
        with exc:
            sys.stdout.write(f"HTTP {exc.code}: {exc.read(_TEXT_BYTES_MAX).decode('utf-8', 'replace')}\n")
    except (OSError, ValueError) as exc:
        sys.stdout.write(f"no answer: {exc}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
