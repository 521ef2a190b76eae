"""A refusal of the API, as a page shows it beside the form that it answers."""

from __future__ import annotations

from dataclasses import dataclass

from whence_aggregator.console.asking import ApiRefused

_OF_FORMS = (400, 403, 404, 409, 412, 413, 429, 503)
"""What a form may be answered with, so that its page is shown again: the fields keep what was typed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FormRefusal:
    """Why the API refused a form, and what to do. `form` names the form of the page."""

    form: str
    status: int
    code: str
    message: str
    fix: str

    @classmethod
    def of(cls, error: ApiRefused, form: str) -> FormRefusal:
        """Return what to show beside a form. Raises the error again if it is not about the form."""
        status = error.answer.status
        if status not in _OF_FORMS:
            raise error
        return cls(form=form, status=status, code=error.code, message=error.message, fix=error.fix)
