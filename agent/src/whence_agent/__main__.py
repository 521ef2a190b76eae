"""Run `whence-agent` as `python -m whence_agent`."""

from __future__ import annotations

import sys

from whence_agent.cli import main

sys.exit(main())
