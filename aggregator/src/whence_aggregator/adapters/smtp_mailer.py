"""Mail by SMTP (RFC 5321) with Python's own client, in a thread; TLS is verified, and a login never sent without it."""

from __future__ import annotations

import asyncio
import smtplib
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from whence_aggregator.notifications.outcome import ACCEPTED, DeliveryOutcome
from whence_common.errors import InputError, one_line
from whence_common.registry_sign_in import Login

SmtpSecurity = Literal["starttls", "tls", "none"]
SECONDS_MAX = 120.0
"""For one mail; a server that is slower is given up."""
_STEP_SECONDS_MAX = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpMailer:
    """Hands mails to one server. `login` raises InputError where its file cannot be used."""

    host: str
    port: int
    security: SmtpSecurity
    login: Callable[[], Login | None]
    context: Callable[[], ssl.SSLContext] = ssl.create_default_context

    async def mail(self, content: bytes, *, sender: str, recipients: Sequence[str]) -> DeliveryOutcome:
        opened: list[smtplib.SMTP] = []
        try:
            async with asyncio.timeout(SECONDS_MAX):
                return await asyncio.to_thread(self._mail, content, sender, recipients, opened)
        except TimeoutError:
            for one in opened:
                _cut(one)  # so that the thread ends, too
            return self._failed("it took too long")

    def _mail(
        self, content: bytes, sender: str, recipients: Sequence[str], opened: list[smtplib.SMTP]
    ) -> DeliveryOutcome:
        try:
            login = self.login()
            with self._connected() as server:
                opened.append(server)
                if self.security == "starttls":
                    server.starttls(context=self.context())
                if login is not None:
                    server.login(login.username, login.password)
                refused = server.sendmail(sender, list(recipients), content)
        except InputError as exc:
            return DeliveryOutcome(kind="failed", code=exc.code, reason=exc.message)
        except smtplib.SMTPRecipientsRefused as exc:
            return self._refused([code for code, _ in exc.recipients.values()], "no recipient is accepted")
        except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as exc:
            return self._refused([exc.smtp_code], "the mail is not accepted")
        except smtplib.SMTPAuthenticationError as exc:
            return self._failed(f"the login is refused ({exc.smtp_code})")
        except (smtplib.SMTPException, OSError, ValueError) as exc:
            return self._failed(f"it does not take the mail ({type(exc).__name__})")
        if refused:
            names = one_line(", ".join(sorted(refused)), 200)
            return DeliveryOutcome(kind="accepted", code="some-refused", reason=f"{self.host} refuses {names}")
        return ACCEPTED

    def _connected(self) -> smtplib.SMTP:
        name = socket.gethostname()
        if self.security == "tls":
            return smtplib.SMTP_SSL(
                self.host, self.port, local_hostname=name, timeout=_STEP_SECONDS_MAX, context=self.context()
            )
        return smtplib.SMTP(self.host, self.port, local_hostname=name, timeout=_STEP_SECONDS_MAX)

    def _refused(self, codes: Sequence[int], what: str) -> DeliveryOutcome:
        """Return a refusal: for good if every code says so (RFC 5321, 4.2.1)."""
        reason = f"{self.host}: {what} ({', '.join(map(str, sorted(set(codes))))})"
        if all(500 <= code < 600 for code in codes):
            return DeliveryOutcome(kind="refused", code="mail-refused", reason=reason)
        return DeliveryOutcome(kind="failed", code="mail-failed", reason=reason)

    def _failed(self, what: str) -> DeliveryOutcome:
        return DeliveryOutcome(kind="failed", code="mail-failed", reason=f"{self.host}: {what}")


def _cut(server: smtplib.SMTP) -> None:
    found = server.sock
    if found is not None:
        try:
            found.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # it has ended already
