"""A PostgreSQL server of the tests' own, from Debian's package, run as an ordinary user on a socket and a free port."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg

_numbers = itertools.count()


def binaries() -> Path | None:
    """The newest server's folder; None where none is installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda p: int(p.parts[-3]))
    return found[-1].parent if found else None


def why_not() -> str | None:
    """Why these tests cannot run here, or None."""
    if binaries() is None:
        return "needs PostgreSQL's server (Debian: apt install postgresql)"
    if os.getuid() == 0 and shutil.which("setpriv") is None:
        return "PostgreSQL does not run as root, and there is no setpriv to become somebody else"
    return None


@dataclass
class Server:
    """A running server; `address` gives the URL of a fresh database."""

    folder: Path
    port: int
    process: subprocess.Popen | None = None

    @classmethod
    def make(cls) -> Server:
        folder = Path(tempfile.mkdtemp(prefix="trueline-pg-"))
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        server = cls(folder, port)
        if os.getuid() == 0:
            shutil.chown(folder, "nobody")
        server._run("initdb", "-D", str(folder / "data"), "-U", "trueline", "--auth=trust", "-E", "UTF8", "--no-locale")
        server.start()
        return server

    def start(self) -> None:
        options = ["-D", str(self.folder / "data"), "-p", str(self.port), "-k", str(self.folder)]
        options += ["-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200"]
        log = (self.folder / "log").open("ab")
        self.process = subprocess.Popen(self._as_somebody("postgres", *options), stdout=log, stderr=log)
        until = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self.url("postgres")).close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > until or self.process.poll() is not None:
                    raise
                time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: clients are cut off; SIGQUIT: at once, as in a crash."""
        assert self.process is not None
        self.process.send_signal(how)
        self.process.wait(30)

    def remove(self) -> None:
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str) -> str:
        return f"postgresql://trueline@127.0.0.1:{self.port}/{database}"

    def address(self) -> str:
        """The URL of a new empty database."""
        name = f"t{next(_numbers)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as c:
            c.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def _run(self, *command: str) -> None:
        subprocess.run(self._as_somebody(*command), check=True, capture_output=True, timeout=60)

    def _as_somebody(self, name: str, *arguments: str) -> list[str]:
        command = [str((binaries() or Path()) / name), *arguments]
        if os.getuid() != 0:
            return command
        return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *command]
