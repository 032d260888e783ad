"""A Kafka broker and an Elasticsearch node as processes of their own on loopback ports. Standard library only."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from downloads import DOWNLOADS, KAFKA_VERSION, SONARQUBE_VERSION, Failed, download, java, reachable

START_SECONDS = 300  # measured on two cores: 40 s when idle, two minutes when eight people share them
STOP_SECONDS = 30
NOBODY = 65534
CLUSTER = "MkU3OEVBNTcwNTJENDM2Qg"  # the id that Kafka's storage is formatted with; any 16 bytes
# Users of the secure servers. On Kafka, `admin` may do everything and each other one what a test grants it.
USERS = ("admin", "setup", "crawl", "score", "index", "watch", "decide", "notify", "web", "stranger")


class Server:
    """One server with its files below one folder; its ports stay the same from start to start."""

    name = ""
    ports = 2

    def __init__(self, home: Path, *, secure: bool = False) -> None:
        self.secure = secure
        self.folder = home.absolute() / (self.name + ("-secure" if secure else ""))
        self._notes = self.folder / "started.json"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        return self._numbers()["ports"][0]

    @property
    def ca(self) -> Path:
        """The certificate of the authority that signed the server's."""
        return self.folder / "tls" / "ca.pem"

    def password(self, user: str) -> Path:
        """The file with a user's password."""
        return self.folder / "passwords" / user

    @property
    def group(self) -> int:
        """The group of its processes, once it was started."""
        return int(self._numbers()["pid"])

    def launch(self) -> None:
        """Start it when it does not run; `wait` until it answers."""
        if self.running():
            return
        reachable(self.folder)
        if self.secure:
            self._make_passwords()
            _make_certificates(self.folder / "tls")
        ports = self._numbers().get("ports") or [_free_port() for _ in range(self.ports)]
        if not all(map(_is_free, ports)):
            ports = [_free_port() for _ in range(self.ports)]
        self._notes.write_text(json.dumps({"ports": ports, "pid": 0}))
        with self._output.open("ab") as out:
            self._process = self._start(java(), *ports, out)
        self._notes.write_text(json.dumps({"ports": ports, "pid": self._process.pid}))

    def wait(self) -> None:
        """Raises Failed with the end of its log when it does not come up."""
        until = time.monotonic() + START_SECONDS
        while not self._answers():
            if time.monotonic() > until or not self.running():
                self.stop()
                tail = self._output.read_text(errors="replace")[-1500:]
                raise Failed(f"{self.folder.name} did not come up; {self._output} ends with:\n{tail}")
            time.sleep(0.2)

    def start(self) -> None:
        self.launch()
        self.wait()

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it; SIGKILL as a power failure would."""
        pid = self._numbers().get("pid", 0)
        if self.running():
            os.killpg(pid, number)
        until = time.monotonic() + STOP_SECONDS
        while self.running():
            if time.monotonic() > until:
                os.killpg(pid, signal.SIGKILL)
            time.sleep(0.05)
        if self._process is not None:
            self._process.wait()

    def wipe(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def running(self) -> bool:
        if self._process is not None:  # a child of ours; what stands in /proc is empty for a moment after it starts
            return self._process.poll() is None
        pid = self._numbers().get("pid", 0)
        try:
            # By its environment, so that another process that got the number is never taken for ours.
            return str(self.folder).encode() in Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            return False

    def exports(self) -> dict[str, str]:
        """What tests and people need to reach it."""
        raise NotImplementedError

    @property
    def _output(self) -> Path:
        return self.folder / "output.log"

    def _numbers(self) -> dict:
        return json.loads(self._notes.read_text()) if self._notes.exists() else {}

    def _make_passwords(self) -> None:
        self.password("any").parent.mkdir(exist_ok=True)
        for user in USERS:
            if not self.password(user).exists():
                self.password(user).write_text(secrets.token_urlsafe(16))

    def _start(self, home: str, port: int, inner: int, out: IO[bytes]) -> subprocess.Popen[bytes]:
        raise NotImplementedError

    def _answers(self) -> bool:
        raise NotImplementedError


class Kafka(Server):
    """One node, broker and controller. Secure: users by PLAIN and SCRAM-SHA-512, and only what was granted."""

    name = "kafka"

    def exports(self) -> dict[str, str]:
        return {f"KAFKA_{'SECURE_' * self.secure}BOOTSTRAP": f"127.0.0.1:{self.port}"}

    def _start(self, home: str, port: int, inner: int, out: IO[bytes]) -> subprocess.Popen[bytes]:
        protocol = "SASL_SSL" if self.secure else "PLAINTEXT"
        settings = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{inner}",
            "listeners": f"{protocol}://127.0.0.1:{port},CONTROLLER://127.0.0.1:{inner}",
            "advertised.listeners": f"{protocol}://127.0.0.1:{port}",
            "inter.broker.listener.name": protocol,
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": f"CONTROLLER:PLAINTEXT,{protocol}:{protocol}",
            "log.dirs": self.folder / "data",
            "auto.create.topics.enable": "false",
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 4,
            "group.initial.rebalance.delay.ms": 0,
            # Compaction and deletion within seconds, so that a test can see them.
            "log.cleaner.backoff.ms": 500,
            "log.retention.check.interval.ms": 1000,
            **(self._security() if self.secure else {}),
        }
        file = self.folder / "server.properties"
        file.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))
        jars = DOWNLOADS / f"kafka-{KAFKA_VERSION}"
        command = [f"{home}/bin/java", "-Xms256m", "-Xmx512m", "-cp", f"{jars}/*"]
        environment = {"PATH": os.defpath, "LANG": "C.UTF-8", "TINGCHAO_FOLDER": str(self.folder)}
        scram = [f"SCRAM-SHA-512=[name={user},password={self._secret(user)}]" for user in USERS] if self.secure else []
        subprocess.run(
            [
                *command,
                "kafka.tools.StorageTool",
                "format",
                "--ignore-formatted",
                "-t",
                CLUSTER,
                "-c",
                file,
            ]
            + [part for one in scram for part in ("--add-scram", one)],
            check=True,
            stdout=out,
            stderr=out,
        )
        return subprocess.Popen(
            [*command, "kafka.Kafka", str(file)], env=environment, stdout=out, stderr=out, start_new_session=True
        )

    def _security(self) -> dict[str, object]:
        users = " ".join(f'user_{user}="{self._secret(user)}"' for user in USERS)
        module = "org.apache.kafka.common.security.{}LoginModule required"
        own = f'username="admin" password="{self._secret("admin")}"'
        tls = self.folder / "tls"
        return {
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512",
            "sasl.mechanism.inter.broker.protocol": "PLAIN",
            "listener.name.sasl_ssl.plain.sasl.jaas.config": f"{module.format('plain.Plain')} {own} {users};",
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": f"{module.format('scram.Scram')};",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": tls / "server-all.pem",
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": tls / "ca.pem",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:admin;User:ANONYMOUS",  # ANONYMOUS: the controller's own listener
        }

    def _secret(self, user: str) -> str:
        return self.password(user).read_text()

    def _answers(self) -> bool:
        with socket.socket() as tried:
            return tried.connect_ex(("127.0.0.1", self.port)) == 0


class Elasticsearch(Server):
    """One node. Secure: TLS, and the users of the file realm are superusers and make others through the interface."""

    name = "elasticsearch"

    def exports(self) -> dict[str, str]:
        scheme = "https" if self.secure else "http"
        return {f"ELASTICSEARCH_{'SECURE_' * self.secure}URL": f"{scheme}://127.0.0.1:{self.port}"}

    def _start(self, home: str, port: int, inner: int, out: IO[bytes]) -> subprocess.Popen[bytes]:
        (program,) = (DOWNLOADS / f"sonarqube-{SONARQUBE_VERSION}").glob("*/elasticsearch")
        config = self.folder / "config"
        for folder in (config / "jvm.options.d", self.folder / "data", self.folder / "logs", self.folder / "tmp"):
            folder.mkdir(parents=True, exist_ok=True)
        for name in ("log4j2.properties", "jvm.options"):
            shutil.copy(program / "config" / name, config / name)
        (config / "jvm.options.d" / "heap.options").write_text("-Xms1g\n-Xmx1g\n")
        settings = {
            "cluster.name": "tingchao-test",
            "discovery.type": "single-node",
            "path.data": self.folder / "data",
            "path.logs": self.folder / "logs",
            "http.port": port,
            "transport.port": inner,
            "network.host": "127.0.0.1",
            "cluster.routing.allocation.disk.threshold_enabled": "false",
            "xpack.security.enabled": str(self.secure).lower(),
            **(self._security(config) if self.secure else {}),
        }
        (config / "elasticsearch.yml").write_text("".join(f"{key}: {value}\n" for key, value in settings.items()))
        command = [f"{home}/bin/java", "-Xms4m", "-Xmx64m", "-XX:+UseSerialGC", "-cp"]
        command += [f"{program}/lib/tools/server-launcher/*", "org.elasticsearch.server.launcher.ServerLauncher"]
        if os.geteuid() == 0:
            for path in [self.folder, *self.folder.rglob("*")]:
                os.chown(path, NOBODY, NOBODY)
            command = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *command]
        environment = {
            "PATH": os.defpath,
            "LANG": "C.UTF-8",
            "HOME": str(self.folder),
            "ES_HOME": str(program),
            "ES_PATH_CONF": str(config),
            "ES_TMPDIR": str(self.folder / "tmp"),
            "ES_JAVA_HOME": home,
            "JAVA_HOME": home,
            "JAVA": f"{home}/bin/java",
            "ES_DISTRIBUTION_TYPE": "tar",
            "JAVA_TYPE": "JAVA_HOME",
        }
        return subprocess.Popen(command, cwd=program, env=environment, stdout=out, stderr=out, start_new_session=True)

    def _security(self, config: Path) -> dict[str, object]:
        for name in ("server.key", "server.pem"):  # it reads certificates from its configuration only
            shutil.copy(self.folder / "tls" / name, config / name)
        lines = [f"{user}:{_hashed(self.password(user).read_text())}\n" for user in USERS]
        (config / "users").write_text("".join(lines))
        (config / "users_roles").write_text(f"superuser:{','.join(USERS)}\n")
        return {
            "xpack.security.http.ssl.enabled": "true",
            "xpack.security.http.ssl.key": "server.key",
            "xpack.security.http.ssl.certificate": "server.pem",
        }

    def _answers(self) -> bool:
        (address,) = self.exports().values()
        request = urllib.request.Request(f"{address}/_cluster/health")
        context = None
        if self.secure:
            pair = f"admin:{self.password('admin').read_text()}"
            request.add_header("Authorization", "Basic " + base64.b64encode(pair.encode()).decode())
            context = ssl.create_default_context(cafile=self.ca)
        try:
            with urllib.request.urlopen(request, timeout=2, context=context) as answer:
                return json.load(answer)["status"] in ("green", "yellow")
        except OSError:
            return False


def _hashed(password: str) -> str:
    """As Elasticsearch's file realm reads it: PBKDF2 with SHA-512, 10,000 rounds."""
    salt = secrets.token_bytes(32)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 10_000, 32)
    return "{PBKDF2}10000$" + base64.b64encode(salt).decode() + "$" + base64.b64encode(digest).decode()


def _make_certificates(folder: Path) -> None:
    """An authority (ca.pem) and a certificate of 127.0.0.1 and localhost signed by it (server.pem, server.key)."""
    if (folder / "server-all.pem").exists():
        return
    folder.mkdir(exist_ok=True)
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    for command in (
        "req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=tingchao-test-ca -keyout ca.key -out ca.pem",
        "req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr",
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile names -out server.pem",
    ):
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)
    (folder / "server-all.pem").write_text("".join((folder / f"server.{end}").read_text() for end in ("key", "pem")))


def _free_port() -> int:
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return tried.getsockname()[1]


def _is_free(port: int) -> bool:
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def up(chosen: Sequence[Server]) -> dict[str, str]:
    """Start them all at the same time; the addresses."""
    download()
    for server in chosen:
        server.launch()
    for server in chosen:
        server.wait()
    return {name: value for server in chosen for name, value in server.exports().items()}
