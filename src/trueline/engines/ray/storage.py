"""Folders on storage that is no file system: any address that fsspec opens, such as S3 and what speaks like it.

An object store renames nothing, and a folder there is no unit. So files are kept by their content (objects/SHA256), and
a numbered manifest, written after them, says which of them are the folder. Whoever reads takes the newest whole one,
and so sees the folder before a push or after it, never half of it.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

from trueline import durable
from trueline.errors import InputError, RunError

KEEP = 2
TRIES = 3
BLOCK = 2**20
SET = "align.ray.storage"

Files = Mapping[str, str]
"""sha256 by path, relative and with slashes."""


@dataclass(frozen=True)
class Stored:
    """One folder at an address of fsspec. known: hashes of local files that were hashed before, by path, size, time."""

    url: str
    known: dict[tuple[str, int, int], str] = field(default_factory=dict, compare=False)

    def push(self, folder: Path) -> None:
        """The folder as it is now; only what changed travels. RunError where the storage does not take it."""
        store, root = self._open()
        here = {name: self._hash(folder / name) for name in _names(folder)}
        try:
            number, there = self._newest(store, root)
            for part in ("objects", "manifests"):
                store.makedirs(f"{root}/{part}", exist_ok=True)
            for name, digest in here.items():
                if digest not in there.values():
                    store.put_file(str(folder / name), f"{root}/objects/{digest}")
            if here != there:
                manifest = json.dumps(here, indent=1).encode()
                store.pipe_file(f"{root}/manifests/{number + 1:08d}.json", manifest)
            self._forget(store, root)
        except Exception as error:
            raise RunError(
                f"{self.url}: does not take {folder.name} ({_reason(error)}); what is there stays whole. Mend it and "
                "go on with `trueline resume`"
            ) from error

    def pull(self, folder: Path, only: Container[str] | None = None) -> bool:
        """Make `folder` hold what is stored, or `only` files of such names, each new subfolder at once, and leave its
        other files alone; False where nothing is stored. RunError where it cannot be read, or a file is not what the
        manifest says.
        """
        store, root = self._open()
        for left in reversed(range(TRIES)):
            try:
                _, there = self._newest(store, root)
                wanted = {n: digest for n, digest in there.items() if only is None or n in only}
                self._fetch(store, root, wanted, folder)
                return bool(there)
            except FileNotFoundError as error:  # its files were replaced meanwhile: there is a newer manifest
                if not left:
                    raise RunError(f"{self.url}: cannot be read ({_reason(error)})") from error
            except RunError:
                raise
            except Exception as error:
                raise RunError(f"{self.url}: cannot be read ({_reason(error)}); `trueline resume` goes on") from error
        return False

    def files(self) -> Files:
        """What is stored; empty where nothing is. InputError where the address cannot be opened."""
        store, root = self._open()
        try:
            return self._newest(store, root)[1]
        except Exception as error:
            raise InputError(f"{SET} = {self.url!r}: cannot be read ({_reason(error)})") from error

    def _open(self) -> tuple[Any, str]:
        import fsspec

        try:
            # Listings are not cached: other processes write there.
            store, root = fsspec.core.url_to_fs(self.url, use_listings_cache=False, skip_instance_cache=True)
        except ImportError as error:
            raise InputError(f"{SET} = {self.url!r}: {error}") from error
        except ValueError as error:
            raise InputError(f"{SET} = {self.url!r}: no address that fsspec knows ({error})") from error
        return store, root.rstrip("/")

    def _newest(self, store: Any, root: str) -> tuple[int, Files]:
        """The newest manifest that is whole, and its number; 0 and nothing where there is none."""
        for path in reversed(self._manifests(store, root)):
            try:
                return int(PurePosixPath(path).stem), dict(json.loads(store.cat_file(path)))
            except ValueError:
                continue  # cut by a crash
        return 0, {}

    def _manifests(self, store: Any, root: str) -> list[str]:
        try:
            return sorted(p for p in store.ls(f"{root}/manifests", detail=False) if p.endswith(".json"))
        except FileNotFoundError:
            return []

    def _forget(self, store: Any, root: str) -> None:
        """Delete manifests but the newest, and objects that none of those has."""
        manifests = self._manifests(store, root)
        if len(manifests) <= KEEP:
            return
        kept: set[str] = set()
        for path in manifests[-KEEP:]:
            kept |= set(json.loads(store.cat_file(path)).values())
        for path in manifests[:-KEEP]:
            store.rm_file(path)
        for path in store.ls(f"{root}/objects", detail=False):
            if PurePosixPath(path).name not in kept:
                store.rm_file(path)

    def _fetch(self, store: Any, root: str, there: Files, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        wanted: dict[Path, dict[str, str]] = defaultdict(dict)
        for name, digest in there.items():
            path = folder / _inside(name, self.url)
            if not (path.is_file() and self._hash(path) == digest):
                wanted[path.parent][path.name] = digest

        def copy(name: str, digest: str, handle: BinaryIO) -> None:
            seen = hashlib.sha256()
            with store.open(f"{root}/objects/{digest}", "rb") as source:
                while part := source.read(BLOCK):
                    seen.update(part)
                    handle.write(part)
            if seen.hexdigest() != digest:
                raise RunError(f"{self.url}: {name} is not what was stored; delete it there and push again")

        def get(files: Files, parent: Path) -> None:
            for name, digest in files.items():
                durable.fill_file(parent / name, partial(copy, name, digest))

        for parent, files in sorted(wanted.items()):
            if parent.exists():
                get(files, parent)
            else:
                durable.write_folder(parent, partial(get, files))

    def _hash(self, path: Path) -> str:
        seen = path.stat()
        key = (str(path), seen.st_size, seen.st_mtime_ns)
        if key not in self.known:
            self.known[key] = _sha256(path)
        return self.known[key]


def _names(folder: Path) -> list[str]:
    """Files of a folder, without what is half-written."""
    found = (p.relative_to(folder) for p in folder.rglob("*") if p.is_file())
    return sorted(p.as_posix() for p in found if not any(part.startswith(durable.PENDING) for part in p.parts))


def _inside(name: str, url: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise RunError(f"{url}: its manifest names {name!r}, which lies outside the folder; whose storage is this?")
    return path


def _sha256(path: Path) -> str:
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _reason(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
