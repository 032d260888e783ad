"""A message becomes an e-mail."""

from __future__ import annotations

import os
import re
import smtplib
import socket
import ssl
from collections.abc import Mapping
from email.message import EmailMessage
from email.utils import format_datetime

from tingchao.alerts.message import Message, Report, body, subject
from tingchao.alerts.webhook import secret
from tingchao.config.settings import Mail
from tingchao.pipeline.clock import Clock
from tingchao.pipeline.errors import Poison, Retry

# Log in, another way of doing so, wrong password, encrypt first (RFC 4954): of the settings, not of the message.
_MEND = frozenset({530, 534, 535, 538})
_TOO_LARGE = 552  # also the answer to a sender, whose line tells the size (RFC 1870)
_LINE = 900  # characters of a header's value; RFC 5322 allows 998 a line, and EmailMessage folds


class MailChannel:
    """Sends one e-mail for all recipients; the messages of one alert form a thread."""

    def __init__(self, settings: Mail, language: str, clock: Clock) -> None:
        self.name, self.min_level = settings.name, settings.min_level
        self.together, self.flood, self.whole = 50, 0, False
        self._settings, self._language, self._clock = settings, language, clock

    def send(self, message: Message) -> Report:
        """See `Channel.send`. A recipient that is refused does not keep the others from getting it."""
        to = [self._settings.to[n] for n in message.to if n < len(self._settings.to)] or self._settings.to
        try:
            with self._connect() as server:
                refused = server.send_message(self._mail(message), self._settings.sender, to)
        except smtplib.SMTPRecipientsRefused as err:
            refused = err.recipients
        except smtplib.SMTPException as err:
            raise self._judge(err) from None
        except (OSError, ValueError) as err:
            raise Retry(f"{self._where()}: {_words(err)}") from None
        return self._report(refused, everybody=not message.to)

    def _connect(self) -> smtplib.SMTP:
        settings, seconds = self._settings, self._settings.timeout.total_seconds()
        name = socket.gethostname()  # smtplib would ask the name service, which takes long where there is none
        if settings.security == "tls":
            context = ssl.create_default_context()
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                settings.host, settings.port, name, timeout=seconds, context=context
            )
        else:
            server = smtplib.SMTP(settings.host, settings.port, name, timeout=seconds)
        try:
            if settings.security == "starttls":
                server.starttls(context=ssl.create_default_context())
            if settings.user:
                server.login(settings.user, self._password())
        except BaseException:
            server.close()
            raise
        return server

    def _password(self) -> str:
        file = self._settings.password_file
        return secret(file, self._where(), "password_file") if file is not None else ""

    def _mail(self, message: Message) -> EmailMessage:
        domain = self._settings.sender.rpartition("@")[2].strip("<> ") or "tingchao.invalid"
        mail = EmailMessage()
        mail["From"] = self._settings.sender
        mail["To"] = ", ".join(self._settings.to)
        mail["Subject"] = subject(message, self._language)[:_LINE]
        mail["Date"] = format_datetime(self._clock.now())
        mail["Message-ID"] = f"<{message.id}@{domain}>"
        mail["References"] = f"<{message.alert.id}@{domain}>"
        mail["X-Tingchao-Id"] = message.id
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office notes back
        if message.alert.level >= 3 and message.event in {"opened", "raised", "repeated"}:
            mail["Importance"] = "high"
        mail.set_content(body(message, self._language), charset="utf-8", cte="base64")
        return mail

    def _report(self, refused: Mapping[str, tuple[int, bytes]], *, everybody: bool) -> Report:
        """Which recipients lack it; raises Poison when no one ever will have got it."""
        if not refused:
            return Report()
        at = {address: n for n, address in enumerate(self._settings.to)}
        never = tuple(sorted(at[address] for address, (code, _) in refused.items() if _is_final(code)))
        later = tuple(sorted(at[address] for address, (code, _) in refused.items() if not _is_final(code)))
        answers = ", ".join(sorted({_answer(code, line) for code, line in refused.values()}))
        people = ", ".join(str(n + 1) for n in sorted(never + later))
        why = f"{self._where()}: recipients refused (number {people} of 'to'): {answers}"
        if everybody and len(never) == len(at):
            raise Poison("notify.refused", why)
        return Report(later, never, why)

    def _judge(self, err: smtplib.SMTPException) -> Exception:
        """A server's answer as Retry or Poison; its text is left out where it could repeat what it was sent."""
        where = self._where()
        match err:
            case smtplib.SMTPResponseException() if err.smtp_code in _MEND or isinstance(
                err, smtplib.SMTPAuthenticationError
            ):
                return Retry(f"{where}: log-in refused ({err.smtp_code}): look at its user, password_file and security")
            case smtplib.SMTPNotSupportedError():
                return Retry(f"{where}: the server lacks what is asked for: look at its security and user")
            case smtplib.SMTPSenderRefused() if err.smtp_code >= 500 and err.smtp_code != _TOO_LARGE:
                return Retry(f"{where}: sender refused ({_answer(err.smtp_code, err.smtp_error)}): look at its sender")
            case smtplib.SMTPSenderRefused() | smtplib.SMTPDataError() if err.smtp_code >= 500:
                return Poison("notify.refused", f"{where}: message refused: {_answer(err.smtp_code, err.smtp_error)}")
            case smtplib.SMTPResponseException():
                return Retry(f"{where}: answered {_answer(err.smtp_code, err.smtp_error)}")
        return Retry(f"{where}: {type(err).__name__}")

    def _where(self) -> str:
        return f"tingchao.toml, notify {self._settings.name!r} ({self._settings.host}:{self._settings.port})"


def _is_final(code: int) -> bool:
    """Whether the server will answer so again whatever is changed in the settings."""
    return code >= 500 and code not in _MEND


def _answer(code: int, line: bytes | str) -> str:
    """`550 5.1.1`: the code and the enhanced one (RFC 3463)."""
    text = line.decode("utf-8", "replace") if isinstance(line, bytes) else line
    more = re.match(r"\s*(\d\.\d{1,3}\.\d{1,3})\b", text)
    return f"{code} {more[1]}" if more else str(code)


def _words(err: OSError | ValueError) -> str:
    number = err.errno if isinstance(err, OSError) else None
    return os.strerror(number) if number is not None and number > 0 else type(err).__name__
