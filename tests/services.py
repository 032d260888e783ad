#!/usr/bin/env python3
"""A real Kafka broker and a real Elasticsearch node on loopback ports, without Docker, for tests and trials.

    services.py up [NAME...]      download once, start, wait until they answer, print what to export
    services.py status            what runs; exit code 1 when nothing does
    services.py down              stop what `up` started
    services.py wipe              down, then delete the data (the downloads stay)
    services.py run -- COMMAND    an empty set of its own, COMMAND with its addresses in the environment, then gone
                                  (and KAFKA_GROUP, ELASTICSEARCH_GROUP: the groups of their processes)
    services.py java              the Java that would be used; exit code 1 when there is none

NAME is kafka, elasticsearch (these two by default), kafka-secure (SASL_SSL and ACLs) or elasticsearch-secure (TLS
and users); the secure ones take a certificate authority that is made when they first start.

The servers come from Maven artifacts through the ordinary `mvn` with its ordinary settings: Kafka as its own jars,
Elasticsearch as the complete server within the SonarQube distribution (it has no ILM, data streams, percolator or
ES|QL). Needs Java 21 or newer, mvn, openssl and, as root, setpriv (Elasticsearch refuses to run as root).
Standard library only: it runs before any environment exists.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from downloads import HOME, Failed, java
from servers import Elasticsearch, Kafka, Server, up


def all_servers(home: Path) -> dict[str, Server]:
    """All four by name, running or not."""
    found = [kind(home, secure=secure) for secure in (False, True) for kind in (Kafka, Elasticsearch)]
    return {one.folder.name: one for one in found}


def run(command: Sequence[str]) -> int:
    """The command with an empty Kafka and Elasticsearch of its own; its exit code."""
    folder = Path(tempfile.mkdtemp(prefix="tingchao-real-"))
    chosen = [Kafka(folder), Elasticsearch(folder)]
    try:
        addresses = up(chosen)
        groups = {f"{server.name.upper()}_GROUP": str(server.group) for server in chosen}
        return subprocess.run(command, env=os.environ | addresses | groups, check=False).returncode
    finally:
        for server in chosen:
            server.wipe()
        shutil.rmtree(folder, ignore_errors=True)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["up", "status", "down", "wipe", "run", "java"])
    parser.add_argument("rest", nargs="*", metavar="NAME")
    parser.add_argument("--dir", type=Path, default=HOME, help="where the data stand (default: %(default)s)")
    options = parser.parse_args(arguments)
    known = all_servers(options.dir)
    running = [server for server in known.values() if server.running()]
    match options.action:
        case "java":
            print(java())
        case "up":
            if unknown := set(options.rest) - set(known):
                raise Failed(f"no service {', '.join(unknown)}; expected {', '.join(known)}")
            for name, value in up([known[name] for name in options.rest or ("kafka", "elasticsearch")]).items():
                print(f"export {name}={value}")
        case "status":
            for server in running:
                print(*(f"export {name}={value}" for name, value in server.exports().items()))
            return 0 if running else 1
        case "run":
            return run(options.rest)
        case _:
            for server in known.values():
                server.wipe() if options.action == "wipe" else server.stop()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Failed as err:
        sys.exit(f"services: {err}")
