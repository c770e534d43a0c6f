"""API keys, kept as sha256 in a text file, a line each: the hash, and whose it is. And how often a key may ask.

Not the accounts of the labelling pages: whoever may ask a model need not be able to read labels, and a model's folder
has no store. Keys are random, so that a plain hash tells nothing of them.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from trueline import durable
from trueline.errors import InputError

PREFIX, LONGEST_NAME, REMEMBERED = "tl-", 100, 10_000


def new_key(path: Path, name: str) -> str:
    """Add a key to the file and give it out, this once. InputError for a name that a line cannot hold."""
    name = " ".join(name.split())
    if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise InputError(f"key name {name!r}: must have 1 to {LONGEST_NAME} visible characters")
    secret = PREFIX + secrets.token_urlsafe(32)
    before = path.read_text("utf-8") if path.exists() else ""
    gap = "" if not before or before.endswith("\n") else "\n"
    durable.write_file(path, f"{before}{gap}{_hash(secret)} {name}\n".encode())
    path.chmod(0o600)
    return secret


class Keys:
    """The file is read again when it changed, so that a line that is taken out ends a key at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stamp: tuple[int, int] | None = None
        self.names: dict[str, str] = {}
        self._read()

    def whose(self, secret: str) -> str | None:
        """The hash by which a key is counted, None for an unknown one."""
        self._read()
        found = _hash(secret)
        return found if found in self.names else None

    def _read(self) -> None:
        """InputError: not such a file. A file that is gone has no keys."""
        try:
            stat = self.path.stat()
            stamp = (stat.st_mtime_ns, stat.st_size)
            if stamp == self.stamp:
                return
            lines = self.path.read_text("utf-8").splitlines()
        except FileNotFoundError:
            self.names, self.stamp = {}, None
            return
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{self.path}: cannot be read ({error}); it must be a text file of API keys") from error
        names = {}
        for number, line in enumerate(lines, 1):
            digest, _, name = line.strip().partition(" ")
            if not digest or digest.startswith("#"):
                continue
            if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
                raise InputError(
                    f"{self.path}: line {number} is not the sha256 of a key and its name; make keys with "
                    "`trueline serve --new-key NAME`"
                )
            names[digest] = name
        self.names, self.stamp = names, stamp


@dataclass
class Rate:
    """At most `most` requests of each key in a minute. clock: seconds."""

    most: int
    clock: Callable[[], float] = time.monotonic
    seen: OrderedDict[str, deque[float]] = field(default_factory=OrderedDict)

    def wait(self, key: str) -> float:
        """Seconds until the key may ask; 0: now, and this one counts."""
        now = self.clock()
        times = self.seen.setdefault(key, deque())
        self.seen.move_to_end(key)
        while times and times[0] <= now - 60:
            times.popleft()
        if len(times) >= self.most:
            return times[0] + 60 - now
        times.append(now)
        while len(self.seen) > REMEMBERED:
            self.seen.popitem(last=False)
        return 0.0


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
