# SPDX-License-Identifier: Apache-2.0
"""A packed record: one compressed file, run.zip, in place of run.json and the raw files.

    packed.pack(folder, names)      run.zip of these files, which are then removed (scripts/poolmark pack)
    packed.view(archive)            a temporary folder with all files of the record
    packed.record_in(folder)        its run.json, or run.zip of a packed one; None without a record

run.zip holds the files byte for byte. Their checksums in run.json and the seal of run.json stay as they are and hold for the unpacked
contents, so an edit inside shows as in any other record. The seal and the tables for people stay beside run.zip. load()
(read_record.py) opens a packed record by view(), so readers see the files where they always are.

An archive may come from anybody: names that lead out of its folder, contents that do not fit, and other kinds of compression are refused
with a RecordError.
"""
import atexit
import os
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from poolmark.base.errors import PoolmarkError, RecordError

PACKED = "run.zip"
RECORD = "run.json"
MAX_BYTES = 1 << 30     # of all files together, unpacked
MAX_FILES = 100_000
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
EPOCH = (1980, 1, 1, 0, 0, 0)   # of every file: an archive depends on names and contents alone
# What zipfile and zlib raise for an archive that is damaged, encrypted or made to harm, and the system for a full disk.
DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, NotImplementedError, RuntimeError, EOFError, OverflowError, ValueError, OSError)


def record_in(folder: Path) -> Path | None:
    """run.json of a folder, or run.zip of a packed record; None when it holds no record."""
    try:
        return next((path for name in (RECORD, PACKED) if (path := folder / name).is_file()), None)
    except OSError:     # a folder of another user
        return None


def _members(file: zipfile.ZipFile, archive: Path) -> list[zipfile.ZipInfo]:
    """The files of an archive. RecordError for one that may not be unpacked."""
    found = file.infolist()
    size = sum(one.file_size for one in found)
    if len(found) > MAX_FILES or size > MAX_BYTES:
        raise RecordError(archive, "", f"has {len(found)} files of {size} bytes; a record of more than {MAX_FILES} or {MAX_BYTES} is not read")
    for one in found:
        name = PurePosixPath(one.filename)
        if not name.parts or name.is_absolute() or ".." in name.parts or "\\" in one.filename or one.is_dir():
            raise RecordError(archive, one.filename, "is no name of a file in a run's folder")
        if one.compress_type not in METHODS or one.flag_bits & 1:
            raise RecordError(archive, one.filename, "is encrypted, or compressed otherwise than by deflate")
    return found


def _unpack(archive: Path, to: Path) -> None:
    """Writes the files of an archive below `to`. A file that is there already has to be the same."""
    with zipfile.ZipFile(archive) as file:
        members = _members(file, archive)
        if not any(one.filename == RECORD for one in members):
            raise RecordError(archive, RECORD, "is not in it: this is no packed record")
        for one in members:
            path = to / one.filename
            if path.exists():
                if path.read_bytes() != file.read(one):
                    raise RecordError(archive, one.filename, "is also beside it, or in it twice, with another content")
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            with file.open(one) as source, open(path, "xb") as out:
                shutil.copyfileobj(source, out)


def _copy_beside(folder: Path, to: Path) -> None:
    """The files that stand beside an archive, as a record's list of files has them: regular ones."""
    for path in folder.rglob("*"):
        name = path.relative_to(folder)
        if path.is_symlink() or not path.is_file() or str(name) in (PACKED, f"{PACKED}.new"):
            continue
        target = to / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def view(archive: Path) -> Path:
    """A temporary folder with all files of a packed record, which ends with this process. RecordError when it cannot be unpacked."""
    made = Path(tempfile.mkdtemp(prefix="poolmark-run-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    try:
        _copy_beside(archive.parent, made)
        _unpack(archive, made)
    except DAMAGED as error:
        shutil.rmtree(made, ignore_errors=True)
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise RecordError(archive, "", f"cannot be unpacked: {why}") from error
    return made


def _write(archive: Path, folder: Path, names: list[str]) -> None:
    """Writes the archive and reads it again: each file is in it as it is in the folder."""
    with open(archive, "wb") as out:
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
            for name in names:
                facts = zipfile.ZipInfo(name, EPOCH)
                facts.compress_type, facts.external_attr, facts.create_system = zipfile.ZIP_DEFLATED, 0o100644 << 16, 3
                file.writestr(facts, (folder / name).read_bytes(), compresslevel=9)
            # A reader refuses what this check refuses.
            _members(file, archive)
        out.flush()
        os.fsync(out.fileno())
    with zipfile.ZipFile(archive) as file:
        for name in names:
            if file.read(name) != (folder / name).read_bytes():
                raise PoolmarkError(f"{archive}: {name} is not in it as it is in the folder")


def _remove(folder: Path, names: Iterable[str]) -> None:
    """Removes files, and the folders that are empty then."""
    for name in names:
        (folder / name).unlink(missing_ok=True)
        for above in PurePosixPath(name).parents[:-1]:
            try:
                (folder / above).rmdir()
            except OSError:
                break


def pack(folder: Path, names: Iterable[str]) -> Path:
    """Makes run.zip of run.json and `names`, then removes them. Returns its path. Ended at any moment, it leaves a whole record, and
    may be called again. PoolmarkError when it cannot be written; then nothing has changed."""
    archive, new = folder / PACKED, folder / f"{PACKED}.new"
    names = [RECORD, *sorted(set(names) - {RECORD})]
    try:
        _write(new, folder, names)
        os.replace(new, archive)
    except (*DAMAGED, PoolmarkError) as error:
        new.unlink(missing_ok=True)
        raise PoolmarkError(f"{archive}: cannot be written: {getattr(error, 'strerror', None) or error}") from error
    _remove(folder, names)  # run.json first: from then on the archive is the record
    return archive


def tidy(folder: Path) -> None:
    """Removes what stands beside run.zip and is in it too: a pack that was ended early left it. They are the same: view() compares."""
    with zipfile.ZipFile(folder / PACKED) as file:
        _remove(folder, file.namelist())


def unpack(folder: Path, seen: Path) -> None:
    """Undoes pack(). `seen`: the record's view()."""
    archive = folder / PACKED
    try:
        with zipfile.ZipFile(archive) as file:
            names = sorted(file.namelist(), key=lambda name: name == RECORD)    # run.json last: until then the archive is the record
        for name in names:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            new = target.with_name(f"{target.name}.new")
            shutil.copyfile(seen / name, new)
            os.replace(new, target)
        archive.unlink()
    except OSError as error:
        raise PoolmarkError(f"{error.filename or archive}: cannot be written: {error.strerror}") from error
