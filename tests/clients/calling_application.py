"""An application that calls a service all the time, with tokens of python-tokens as it is, from the files in /meta.

For each line of its standard input it prints a line: how many calls it has made, of which client its last one was,
and each refusal and each error.
"""

from __future__ import annotations

import json
import select
import sys

import requests
import tokens  # type: ignore[import-not-found]  # it is in the environment of the clients only

SERVICE_URL, NAME, SCOPE = sys.argv[1:4]
BETWEEN_SECONDS = 0.02


def main() -> None:
    tokens.manage(NAME, [SCOPE])
    session, calls, client = requests.Session(), 0, ""
    refused: list[str] = []
    while True:
        if select.select([sys.stdin], [], [], BETWEEN_SECONDS)[0]:
            if not sys.stdin.readline():
                return
            print(json.dumps({"calls": calls, "client_id": client, "refused": refused}), flush=True)
        try:
            answer = session.get(SERVICE_URL, headers={"Authorization": f"Bearer {tokens.get(NAME)}"}, timeout=10)
        except (requests.RequestException, tokens.InvalidCredentialsError, tokens.ConfigurationError) as exc:
            refused.append(repr(exc))
            continue
        calls += 1
        if answer.status_code == 200:
            client = answer.json()["client_id"]
        else:
            refused.append(f"{answer.status_code} {answer.text} after {client}")


main()
