"""The application's credentials and tokens, and the agent's logins at registries."""

from __future__ import annotations
