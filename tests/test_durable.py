"""The order of a durable write: fsync every file, then rename, then fsync the folder it stands in."""

import json
import os
from pathlib import Path

import pytest

from trueline import durable


class Recorder:
    """Notes fsync and rename calls, with the path behind each file descriptor."""

    def __init__(self, monkeypatch, *, skip_fsync=False):
        self.calls = []
        real_fsync, real_rename = os.fsync, os.rename

        def fsync(descriptor):
            path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
            if not skip_fsync:
                self.calls.append(("fsync", path))
            real_fsync(descriptor)

        def rename(source, target):
            self.calls.append(("rename", Path(source), Path(target)))
            real_rename(source, target)

        monkeypatch.setattr(os, "fsync", fsync)
        monkeypatch.setattr(os, "rename", rename)


def in_order(calls, target: Path, names: list[str]) -> bool:
    """Every file was synced before the rename to target, and the parent folder behind it."""
    renames = [i for i, c in enumerate(calls) if c[0] == "rename" and c[2] == target]
    if len(renames) != 1:
        return False
    before, after = calls[: renames[0]], calls[renames[0] + 1 :]
    pending = calls[renames[0]][1]
    synced = {c[1] for c in before if c[0] == "fsync"}
    return {pending, *(pending / n for n in names)} <= synced and ("fsync", target.parent) in after


def fill(folder: Path) -> None:
    (folder / "a").write_text("1")
    (folder / "b").write_text("2")


def rename_first(target: Path, write) -> None:
    """The wrong way round: what the check must catch."""
    pending = target.with_name(".pending-" + target.name)
    pending.mkdir()
    write(pending)
    os.rename(pending, target)
    for path in (target / "a", target / "b", target, target.parent):
        durable._fsync(path)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to name file descriptors")
def test_files_are_synced_then_renamed_then_the_folder(tmp_path, monkeypatch):
    recorder = Recorder(monkeypatch)
    durable.write_folder(tmp_path / "x", fill)
    assert in_order(recorder.calls, tmp_path / "x", ["a", "b"])


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to name file descriptors")
def test_the_check_fails_on_a_writer_without_the_order(tmp_path, monkeypatch):
    recorder = Recorder(monkeypatch)
    rename_first(tmp_path / "x", fill)
    assert not in_order(recorder.calls, tmp_path / "x", ["a", "b"])
    without = Recorder(monkeypatch, skip_fsync=True)
    durable.write_folder(tmp_path / "y", fill)
    assert not in_order(without.calls, tmp_path / "y", ["a", "b"])


def test_a_failed_write_leaves_the_old_folder(tmp_path):
    durable.write_folder(tmp_path / "x", fill)

    def fails(folder):
        (folder / "a").write_text("new")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError):
        durable.write_folder(tmp_path / "x", fails)
    assert (tmp_path / "x" / "a").read_text() == "1"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_what_a_crash_left_is_mended(tmp_path):
    """Between the two renames of a replacement the old folder waits under another name: it must come back."""
    durable.write_folder(tmp_path / "x", fill)
    os.rename(tmp_path / "x", tmp_path / ".pending-old-x")
    (tmp_path / ".pending-y").mkdir()
    durable.remove_pending(tmp_path)
    assert (tmp_path / "x" / "a").read_text() == "1"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_json_refuses_nan(tmp_path):
    with pytest.raises(ValueError):
        durable.write_json(tmp_path / "x.json", {"a": float("nan")})
    durable.write_json(tmp_path / "x.json", {"a": "ä"})
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": "ä"}
