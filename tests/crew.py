"""Who works in a storm: the processes of all roles, and the webhook that they tell."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Webhook:
    """Where alerts are sent: remembers every message, and now and then does not answer well."""

    def __init__(self, chance: random.Random) -> None:
        self.heard: list[dict[str, Any]] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                refused = chance.random() < 0.1
                if not refused:
                    hook.heard.append(body)
                self.send_response(503 if refused else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def opened(self) -> list[dict[str, Any]]:
        """The messages that told of a new alert."""
        return [body for body in self.heard if body.get("event") == "opened"]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Crew:
    """The processes of all roles; what is killed is started again, as an orchestrator does."""

    def __init__(self, config: Path, folder: Path) -> None:
        self._config, self._folder = config, folder
        self.running: list[tuple[str, subprocess.Popen[bytes]]] = []

    def start(self, role: str) -> None:
        number = len(list(self._folder.glob(f"{role}-*.log")))
        command = [sys.executable, "-m", "tingchao.pipeline.cli", "run", role, "--config", str(self._config)]
        with (self._folder / f"{role}-{number}.log").open("wb") as said:
            process = subprocess.Popen(
                [*command, "--db", str(self._folder / "t.db")], stdin=subprocess.DEVNULL, stdout=said, stderr=said
            )
        self.running.append((role, process))

    def look(self) -> Counter[str]:
        """Start again what ended by itself; which roles that was."""
        ended = [one for one in self.running if one[1].poll() is not None]
        for one in ended:
            self.running.remove(one)
            self.start(one[0])
        return Counter(role for role, _ in ended)

    def end(self, role: str, chance: random.Random, number: int) -> bool:
        """Send a signal to some process of the role and wait for its end."""
        found = [one for one in self.running if one[0] == role and one[1].poll() is None]
        if not found:
            return False
        one = chance.choice(found)
        self.running.remove(one)
        one[1].send_signal(number)
        one[1].wait(60)
        return True

    def stop(self) -> None:
        for _, process in self.running:
            process.terminate()
        for _, process in self.running:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
