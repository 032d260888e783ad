"""What happens, on standard error: from which level on, and in which form."""

from __future__ import annotations

import os
import sys

import structlog

from tingchao.config.language import Said
from tingchao.pipeline.errors import Refused

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_VARIABLE = "TINGCHAO_LOG"


def begin() -> None:
    """Log what is wrong: all that who waits for the end of a command wants to read between its results."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
            # Plain: the other formatter prints local variables, and so the text of posts.
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
        ],
        # Looked up at each line: who calls this in a process of theirs may have another one later.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
    log_from("WARNING")


def log_from(level: str) -> None:
    """Log from this level on, unless TINGCHAO_LOG says from which. Raises Refused when that is none."""
    wanted = (os.environ.get(_VARIABLE) or level).upper()
    if wanted not in LEVELS:
        raise Refused(Said("error.one_of", option=_VARIABLE, value=wanted, known=", ".join(LEVELS)))
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(wanted))


def quiet() -> dict[str, str]:
    """The environment of a process that works behind a command of which it should say as little."""
    return {_VARIABLE: "WARNING", **os.environ}
