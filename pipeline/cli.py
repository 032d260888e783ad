"""The command line: its commands stand in `commands/`; here they are put together, and errors become messages."""

from __future__ import annotations

import sys

from tingchao.config.language import in_language
from tingchao.config.load import ConfigError
from tingchao.models.scores import ModelError
from tingchao.pipeline import logs
from tingchao.pipeline.commands import alerts, backtest, dead, events, install, models, posts, run, search, silence
from tingchao.pipeline.commands.base import LANGUAGE, app, say, t
from tingchao.pipeline.errors import Retry, TingchaoError

# Importing them has added their commands.
GROUPS = (alerts, backtest, dead, events, install, models, posts, run, search, silence)


def main() -> None:
    """Exit codes: 0 done, 1 it could not be done and the message says why, 2 wrong usage."""
    try:
        logs.begin()
        app()
    except ConfigError as err:
        say(t("said.config_wrong"), error=True)
        for mistake in err.mistakes:
            say(f"  {in_language(mistake, LANGUAGE)}", error=True)
        sys.exit(1)
    except Retry as err:  # nobody tries any more: who does caught it
        say(t("said.given_up", message=in_language(err, LANGUAGE)), error=True)
        sys.exit(1)
    except (TingchaoError, ModelError) as err:
        say(t("said.error", message=in_language(err, LANGUAGE)), error=True)
        sys.exit(1)
    except BrokenPipeError:  # `tingchao search … | head`
        sys.stderr.close()
        sys.exit(1)


if __name__ == "__main__":
    main()
