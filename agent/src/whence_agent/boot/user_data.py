"""Stage user-data: judges the whole document before anything on the machine changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from whence_agent.boot.identity import Identified
from whence_agent.boot.stage import Observation, ObservedSoFar, StageHandle
from whence_agent.progress.stage import StageFailed
from whence_agent.settings import Settings
from whence_common.digest import sha256_digest
from whence_common.problems import Problem
from whence_common.statement import ApplicationFacts, UserDataFacts
from whence_common.user_data.judge import Announcement, UserData, judge
from whence_common.user_data.masking import masked
from whence_common.user_data.quoting import quoted_lines


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedDocument(Observation):
    """The document with secrets masked, and every problem in it."""

    facts: UserDataFacts
    problems: tuple[Problem, ...]
    quotes: Mapping[int, str]
    """The lines of the problems, by number, without secrets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged(JudgedDocument):
    """A document without errors, and its parsed content."""

    user_data: UserData
    application: ApplicationFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeStage:
    """Judges user data. `announce` receives the stack and hooks to signal, also if the document is invalid."""

    settings: Settings
    announce: Callable[[Announcement], None]
    name: str = "user-data"

    def is_wanted(self, so_far: ObservedSoFar) -> bool:
        return True

    async def run(self, so_far: ObservedSoFar, handle: StageHandle) -> Judged:
        """Return the parsed user data. Raises StageFailed with every error in it."""
        raw = so_far.of(Identified).user_data
        judgement = judge(raw, self.settings.platform_rules())
        self.announce(judgement.announcement)
        document = judgement.document
        if document is not None:
            document = masked(
                document,
                whole_environment=self.settings.mask_environment,
                shown=self.settings.show_environment,
            )
        quotes = quoted_lines(raw, judgement.problems, document)
        facts, user_data = UserDataFacts(digest=sha256_digest(raw), document=document), judgement.user_data
        if user_data is None:
            handle.observed(JudgedDocument(facts=facts, problems=judgement.problems, quotes=quotes))
            raise StageFailed("user-data", tuple(p for p in judgement.problems if p.severity == "error"))
        return Judged(
            facts=facts,
            problems=judgement.problems,
            quotes=quotes,
            user_data=user_data,
            application=ApplicationFacts(id=user_data.application_id, version=user_data.application_version),
        )
