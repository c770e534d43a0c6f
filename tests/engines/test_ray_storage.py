"""Folders on an object store: whole or not at all, whatever happens in between."""

import json

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from trueline.engines.ray.storage import Stored
from trueline.errors import InputError, RunError

ADDRESS = "memory://bucket/project/run"


@pytest.fixture(autouse=True)
def empty_store():
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


def lay(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def held(folder):
    return {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*") if p.is_file()}


def test_what_is_pulled_is_what_was_pushed(tmp_path):
    files = {"run.json": "{}", "checkpoints/step-1/weights": "w" * 1000, "checkpoints/step-1/position": "1"}
    lay(tmp_path / "a", {**files, ".pending-x/half": "no"})
    Stored(ADDRESS).push(tmp_path / "a")
    assert Stored(ADDRESS).pull(tmp_path / "b")
    assert held(tmp_path / "b") == files


def test_nothing_stored_is_said_and_changes_nothing(tmp_path):
    lay(tmp_path, {"own": "stays"})
    assert not Stored(ADDRESS).pull(tmp_path)
    assert held(tmp_path) == {"own": "stays"}


def test_only_what_changed_travels_and_what_nobody_needs_goes(tmp_path):
    stored = Stored(ADDRESS)
    for step in range(6):
        lay(tmp_path / "a", {"same": "s" * 100, f"step-{step}": f"weights {step}"})
        if step > 1:
            (tmp_path / "a" / f"step-{step - 2}").unlink()
        stored.push(tmp_path / "a")
    objects = fsspec.filesystem("memory").ls("/bucket/project/run/objects", detail=False)
    # Two manifests are kept, which have steps 3, 4 and 5 between them, and the file that stays the same.
    assert len(objects) == 4
    Stored(ADDRESS).pull(tmp_path / "b")
    assert held(tmp_path / "b") == {"same": "s" * 100, "step-4": "weights 4", "step-5": "weights 5"}


class Cut(Exception):
    pass


@pytest.mark.parametrize("at", range(12))
def test_cut_off_anywhere_the_folder_is_the_old_or_the_new_one(tmp_path, monkeypatch, at):
    old, new = {"n": "1", "step-1/w": "one"}, {"n": "2", "step-2/w": "two", "step-1/w": "one"}
    stored = Stored(ADDRESS)
    lay(tmp_path / "a", {"n": "0"})
    stored.push(tmp_path / "a")
    lay(tmp_path / "a", old)
    stored.push(tmp_path / "a")
    lay(tmp_path / "a", new)
    done = 0

    def cut_in(name):
        real = getattr(MemoryFileSystem, name)

        def maybe(self, *args, **kwargs):
            nonlocal done
            done += 1
            if done > at:
                if name == "pipe_file":  # half of it is there
                    real(self, args[0], args[1][: len(args[1]) // 2])
                raise Cut
            return real(self, *args, **kwargs)

        monkeypatch.setattr(MemoryFileSystem, name, maybe)

    for name in ("put_file", "pipe_file", "rm_file", "ls", "cat_file"):
        cut_in(name)
    if at < 11:
        with pytest.raises(RunError, match="trueline resume"):
            stored.push(tmp_path / "a")
    else:
        stored.push(tmp_path / "a")
    monkeypatch.undo()
    Stored(ADDRESS).pull(tmp_path / "b")
    assert held(tmp_path / "b") in (old, new)
    Stored(ADDRESS).push(tmp_path / "a")
    Stored(ADDRESS).pull(tmp_path / "c")
    assert held(tmp_path / "c") == new


def test_a_changed_object_is_refused(tmp_path):
    lay(tmp_path / "a", {"weights": "true"})
    Stored(ADDRESS).push(tmp_path / "a")
    store = fsspec.filesystem("memory")
    store.pipe_file(store.ls("/bucket/project/run/objects", detail=False)[0], b"false")
    with pytest.raises(RunError, match="weights is not what was stored"):
        Stored(ADDRESS).pull(tmp_path / "b")
    assert held(tmp_path / "b") == {}


def test_a_manifest_cannot_reach_out_of_the_folder(tmp_path):
    fsspec.filesystem("memory").pipe_file(
        "/bucket/project/run/manifests/00000001.json", json.dumps({"../out": "0" * 64}).encode()
    )
    with pytest.raises(RunError, match="outside"):
        Stored(ADDRESS).pull(tmp_path / "b")


def test_an_unknown_address_is_one_line():
    with pytest.raises(InputError, match=r"align\.ray\.storage"):
        Stored("nowhere://bucket/x").files()
