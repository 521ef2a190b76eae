"""The application's credentials and tokens, and the logins that the agent shows to registries."""

from __future__ import annotations
