"""`make demo`: the web of an invented city is crawled for real, over loopback, and within a minute an alert is there.

Everything it writes stands in var/demo, anew at each start. `--once` ends by itself: 0 when the alert was shown, 1 when
none came. TINGCHAO_LANG=en speaks English (the city stays Chinese).
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tingchao.config.language import from_environment, text
from tingchao.config.load import DEFAULTS
from tingchao.pipeline.clock import BEIJING, FastClock, stopwatch
from tingchao.pipeline.errors import Refused
from tingchao.pipeline.logs import quiet
from tingchao.pipeline.records import ACTIVE
from tingchao.pipeline.roles import Role

HERE = Path(__file__).resolve().parent
WATCHED = "metro"  # the topic to which something happens, in config/topics.toml
SPEED = 60.0  # a minute of the story is a second
QUIET = timedelta(seconds=20)  # real time before the incident: the day before it is crawled and scored by then
PATIENCE = 90.0  # seconds: two thirds of it are promised
PORT = 8761  # of the page, as in config/tingchao.toml
LANGUAGE = from_environment()


@dataclass(frozen=True, slots=True)
class Place:
    """Where the demo keeps its things, and where it can be reached."""

    folder: Path
    site: str
    page: str

    @property
    def config(self) -> Path:
        return self.folder / "config"

    @property
    def db(self) -> Path:
        return self.folder / "tingchao.db"


def main() -> int:
    """Exit code: 0 done, 1 no alert came or something could not start."""
    parser = argparse.ArgumentParser(description=text("demo.about", LANGUAGE))
    parser.add_argument("--once", action="store_true", help=text("demo.once", LANGUAGE))
    parser.add_argument("--dir", type=Path, default=HERE.parent / "var" / "demo", help=text("demo.dir", LANGUAGE))
    args = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # SIGINT too: a shell's `&` has it ignored
        signal.signal(number, signal.default_int_handler)
    try:
        return _demo(args.dir, once=args.once)
    except KeyboardInterrupt:
        return 0
    except (Refused, OSError) as err:
        print(err, file=sys.stderr)
        return 1


def _demo(folder: Path, *, once: bool) -> int:
    holder = Role(folder / "tingchao.db", "demo")
    if not holder.take():
        raise Refused(text("demo.busy", LANGUAGE, folder=folder))
    _clear(folder)
    began = stopwatch()
    clock = story_clock(datetime.now(UTC))
    with ExitStack() as stack:
        site = stack.enter_context(_site(clock))
        place = Place(folder, site, f"http://127.0.0.1:{_free_port()}")
        write_config(place)
        _say("begin", site=place.site, page=place.page, clock=f"{clock.now().astimezone(BEIJING):%H:%M}")
        up = stack.enter_context(_up(place, clock))
        alert = _wait_for_alert(place, clock, up, began + PATIENCE)
        if alert is None:
            _say("none", seconds=round(stopwatch() - began))
            return 1
        time.sleep(1.5)  # the terminal's own panel comes from another thread, within tenths of a second
        _say("there", seconds=round(stopwatch() - began), page=place.page)
        _say_next(place, str(alert["id"]))
        if once:
            return 0
        _say("stays")
        up.wait()
    return 1  # it was not asked to end


def story_clock(now: datetime) -> FastClock:
    """A clock of today by which the incident begins QUIET after `now`."""
    first = min(row[0] for row in tomllib.loads((HERE / "story" / "incident.toml").read_text("utf-8"))["posts"])
    day = now.astimezone(BEIJING).date()
    incident = datetime.fromisoformat(f"{day} {first}").replace(tzinfo=BEIJING)
    return FastClock(incident - QUIET * SPEED, now, SPEED)


def write_config(place: Place) -> None:
    """The demo's settings with the site's and the page's address and the language; the rules are the shipped ones."""
    place.config.mkdir(parents=True, exist_ok=True)
    main, sources = (HERE / "config" / name for name in ("tingchao.toml", "sources.toml"))
    port = place.page.rpartition(":")[2]
    filled = _filled(main.read_text("utf-8"), f"port = {PORT}", f"port = {port}")
    filled = _filled(filled, 'language = "zh"', f'language = "{LANGUAGE}"')
    (place.config / main.name).write_text(filled, "utf-8")
    (place.config / sources.name).write_text(
        _filled(sources.read_text("utf-8"), "http://127.0.0.1:8770", place.site), "utf-8"
    )
    shutil.copy(HERE / "config" / "topics.toml", place.config)
    shutil.copy(DEFAULTS / "rules.toml", place.config)


def _filled(template: str, old: str, new: str) -> str:
    if old not in template:
        raise Refused(f"demo/config: expected {old!r} to replace, it is not there")
    return template.replace(old, new)


def _clear(folder: Path) -> None:
    """Away with the last demo's posts and alerts."""
    for suffix in ("", "-wal", "-shm"):
        (folder / f"tingchao.db{suffix}").unlink(missing_ok=True)


def _free_port() -> int:
    """The page's usual one, so that an open browser finds it again; another one while that is taken."""
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the page does
        try:
            free.bind(("127.0.0.1", PORT))
        except OSError:
            free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def _site(clock: FastClock) -> Iterator[str]:
    """The city's web in a process of its own; its address."""
    command = [sys.executable, str(HERE / "site.py"), "--clock", str(clock), "--port", "0"]
    with _running(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        address = process.stdout.readline().decode().strip()
        if not address:
            raise Refused(f"demo/site.py did not start; try it alone: {shlex.join(command)}")
        yield address


@contextmanager
def _up(place: Place, clock: FastClock) -> Iterator[subprocess.Popen[bytes]]:
    """`tingchao up` as anybody would start it; what it says goes to this terminal."""
    command = [sys.executable, "-m", "tingchao.pipeline.cli", "up"]
    command += ["--config", str(place.config), "--db", str(place.db), "--clock", str(clock)]
    with _running(command, env=quiet()) as process:
        yield process


@contextmanager
def _running(command: list[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, **options)  # noqa: S603 our own programs
    try:
        yield process
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # asked once is enough
        process.terminate()
        try:
            process.wait(8)
        except subprocess.TimeoutExpired:  # transactions make this harmless
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _wait_for_alert(place: Place, clock: FastClock, up: subprocess.Popen[bytes], until: float) -> dict[str, Any] | None:
    """The first active alert of the topic; None when none came until then, or `tingchao up` ended."""
    incident = clock.start + QUIET * SPEED
    told = False
    while stopwatch() < until and up.poll() is None:
        found = [alert for alert in _alerts(place.page) if alert["topic"] == WATCHED and alert["state"] in ACTIVE]
        if found:
            return found[0]
        if not told and clock.now() >= incident:
            told = True
            _say("incident", clock=f"{incident.astimezone(BEIJING):%H:%M}")
        time.sleep(0.3)
    return None


def _alerts(page: str) -> list[dict[str, Any]]:
    """What the page's JSON shows; nothing while it is not up yet."""
    try:
        with urllib.request.urlopen(f"{page}/api/alerts", timeout=5) as answer:  # noqa: S310 http on loopback
            alerts: list[dict[str, Any]] = json.load(answer)
    except OSError:
        return []
    return alerts


def _say_next(place: Place, alert: str) -> None:
    _say("next")
    here = Path(sys.executable).with_name("tingchao")
    found = shutil.which("tingchao")
    program = "tingchao" if found and Path(found).resolve() == here.resolve() else _short(here)
    options = f"--db {shlex.quote(_short(place.db))} --config {shlex.quote(_short(place.config))}"
    for key, words in (
        ("try_search", f"{program} search 冒烟 {options}"),
        ("try_signal", f"{program} search 梧桐路 --signal safety {options}"),
        ("try_list", f"{program} alerts list {options}"),
        ("try_show", f"{program} alerts show {alert[:8]} {options}"),
        ("try_ack", f"{program} alerts ack {alert[:8]} {options}"),
        ("try_run", "make run"),
    ):
        print(f"  {words}\n      {text(f'demo.{key}', LANGUAGE)}", flush=True)


def _short(path: Path) -> str:
    """Relative to where the reader stands, if it is below."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _say(key: str, **values: object) -> None:
    print(text(f"demo.{key}", LANGUAGE, **values), flush=True)


if __name__ == "__main__":
    sys.exit(main())
