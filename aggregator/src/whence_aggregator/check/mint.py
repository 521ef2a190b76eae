"""Check the files of mint: its key, the logins at providers, and external ids."""

from __future__ import annotations

from functools import partial

from whence_aggregator.check.findings import SettingsProblems
from whence_aggregator.settings.mint import MintSettings
from whence_aggregator.wiring.mint_files import load_external_id, load_mint_key


def check_mint_files(findings: SettingsProblems, mint: MintSettings) -> None:
    """Report files that cannot be used. Sends no request to a provider."""
    findings.attempt("mint.key_file", lambda: load_mint_key(mint.key_file))
    for name, one in mint.providers.items():
        for setting, path in (("token_file", one.token_file), ("client_secret_file", one.client_secret_file)):
            if path is not None:
                findings.content(f"mint.providers.{name}.{setting}", path)
    for number, row in enumerate(mint.buckets):
        if row.external_id_file is not None:
            setting = f"mint.buckets[{number}].external_id_file"
            findings.attempt(setting, partial(load_external_id, setting, row.external_id_file))
