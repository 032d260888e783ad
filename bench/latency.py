"""From the log to the webhook while 200 posts a second come in, with `tingchao up` as it is."""

from __future__ import annotations

import http.server
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from parts import family_pss, percentile, posts

from tingchao.pipeline.clock import SystemClock
from tingchao.pipeline.intake import Intake, Raw
from tingchao.pipeline.log import Log, output
from tingchao.pipeline.sqlite_log import SqliteLog

RATE = 200  # posts a second
ALERTS = 60
EVERY = 1.0  # seconds between two incidents
INCIDENT = ("{word}突然起火，浓烟滚滚，多人受伤", "{word}着火了，消防车都来了", "{word}发生火灾，乘客紧急疏散")


class Desk(http.server.BaseHTTPRequestHandler):
    arrived: dict[str, float] = {}  # noqa: RUF012 one desk a run

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.arrived.setdefault(body["alert"]["topic"], time.monotonic())
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


def configure(folder: Path, port: int) -> None:
    (folder / "tingchao.toml").write_text(
        f'[page]\nport = 0\n[[notify]]\nkind = "webhook"\nname = "desk"\nurl = "http://127.0.0.1:{port}/"\n'
    )
    words = [f'[[topic]]\nname = "t{n}"\ntitle = "t{n}"\nany = ["甲{n}号楼"]\n' for n in range(ALERTS)]
    (folder / "topics.toml").write_text("".join(words))
    (folder / "rules.toml").write_text(
        '[[rule]]\nname = "safety"\nkind = "signal"\nsignal = "safety"\nthreshold = 1.0\nmin_posts = 2\nlevel = 3\n'
    )
    (folder / "sources.toml").write_text("source = []\n")


def main(shared: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Desk)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        configure(folder, server.server_address[1])
        db = folder / "t.db"
        command = [sys.executable, "-m", "tingchao.pipeline.cli", "up", "--config", name, "--db", str(db)]
        up = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            time.sleep(8)  # until the stages have their models
            sent = feed(shared, SqliteLog(db))
            time.sleep(5)
            delays = [Desk.arrived[topic] - at for topic, at in sent.items() if topic in Desk.arrived]
            sizes = family_pss(up.pid)
        finally:
            up.send_signal(signal.SIGINT)
            up.wait(10)
    print(f"latency: log to webhook at {RATE} posts a second, {len(delays)} of {ALERTS} incidents told")
    if delays:
        shown = ", ".join(f"p{share * 100:.0f} {percentile(delays, share):.2f} s" for share in (0.5, 0.95, 0.99))
        print(f"  {shown} (wanted: p95 at most 2 s); memory {sum(sizes.values()):.0f} MB")


def feed(shared: Path, log: Log) -> dict[str, float]:
    """Topic -> when the last post of its incident was in the log."""
    clock, sent = SystemClock(), {}
    intake = Intake(log)
    background = posts(shared, int(RATE * EVERY * (ALERTS + 5)))
    began = time.monotonic()
    for second in range(ALERTS):
        for tenth in range(10):
            batch = [next(background) for _ in range(int(RATE * EVERY / 10))]
            raws = [Raw(source="b", text=str(p["text"]), basis=str(p["id"]), fetched_at=clock.now()) for p in batch]
            if tenth == 5:
                raws += [incident(second, n, clock.now()) for n in range(len(INCIDENT))]
            records = [intake.post(raw) for raw in raws]
            log.publish([output("posts", post.id, post) for post in records], clock.now())
            if tenth == 5:
                sent[f"t{second}"] = time.monotonic()
            time.sleep(max(0.0, began + (second + (tenth + 1) / 10) * EVERY - time.monotonic()))
    return sent


def incident(topic: int, number: int, now: datetime) -> Raw:
    text = INCIDENT[number].format(word=f"甲{topic}号楼")
    return Raw(
        source=f"s{number}", author=str(number), text=text, basis=f"i{topic}-{number}", fetched_at=now.astimezone(UTC)
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
