"""The binary archives of CIFAR-10 and CIFAR-100: fixed records of label bytes and 3×32×32 pixel bytes. (The "python" ones are pickles: never.)

Source: Krizhevsky (2009), "Learning multiple layers of features from tiny images"; the record format is described on the data sets' page.
"""

from __future__ import annotations

import gzip
import tarfile
import zlib
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

import torch

from darkknowledge.data._checks import check_labels
from darkknowledge.data._dataset import Source, fingerprint, image_content
from darkknowledge.data._download import RemoteFile, fetch
from darkknowledge.data._files import first_file, missing, read_bytes, require_folder, unreadable
from darkknowledge.data._images import ImageExamples
from darkknowledge.errors import DataError

PIXELS = 3 * 32 * 32
LARGEST = 1 << 28
"""Bytes of files beyond which an unpacked archive, or a file of it, is taken to be corrupt: the true ones have 1.84 × 10⁸."""
MOST_MEMBERS, MOST_AT_ONCE = 64, 1 << 20
"""Files of an archive (the true ones have 8), and bytes that are taken from it at a time."""


@dataclass(frozen=True, slots=True)
class Family:
    """One of the two data sets: ``label_bytes`` is 1 or 2 a record, and the last of them is the class."""

    name: str
    archive: RemoteFile
    folder: str
    train_files: tuple[str, ...]
    test_files: tuple[str, ...]
    label_bytes: int
    class_names: tuple[str, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def source(self, root: Path, *, download: bool) -> Source:
        """The data set under ``root``; the training files are read now, the test file when it is asked for.

        Raises:
            DataError: a file is missing, unreadable or not what it should be.
        """
        if download and not self._complete(root):
            fetch(self.archive, root)
        require_folder(root, download=True)
        train = self._read(root, self.train_files, first_id=0)
        return Source(
            name=self.name,
            train=train,
            open_test=lambda: self._read(root, self.test_files, first_id=len(train)),
            class_names=self.class_names,
            input_shape=(3, 32, 32),
            mean=self.mean,
            std=self.std,
            fingerprint=fingerprint(train.ids, train.labels, self.class_names, image_content(train.images)),
            augmentation="crop_flip",
            require_test=lambda: self._require(root, self.test_files),
        )

    def _read(self, root: Path, files: Sequence[str], *, first_id: int) -> ImageExamples:
        tables = [self._records(content, name, root) for name, content in zip(files, self._contents(root, files), strict=True)]
        records = torch.cat(tables)
        labels = records[:, self.label_bytes - 1].long()
        images = records[:, self.label_bytes :].reshape(-1, 3, 32, 32)
        check_labels(labels, len(self.class_names), first_id=first_id, where=f"{', '.join(files)} in {root}")
        return ImageExamples(images, torch.arange(first_id, first_id + len(labels)), labels)

    def _records(self, content: bytes, name: str, root: Path) -> torch.Tensor:
        size = self.label_bytes + PIXELS
        if not content or len(content) % size:
            why = f"{len(content):,} bytes are not a whole number of records of {size:,} bytes"
            raise DataError(f"{name} is not a whole file of {self.name}", where=str(root), why=why, fix="fetch the archive anew")
        return torch.frombuffer(bytearray(content), dtype=torch.uint8).view(-1, size)

    def _contents(self, root: Path, files: Sequence[str]) -> list[bytes]:
        """The bytes of ``files``, from the extracted folder where it has them, else from the archive."""
        folder = self._extracted(root, files)
        if folder is not None:
            return [read_bytes(folder / name, largest=LARGEST) for name in files]
        found = read_members(self._archive(root, files), self._members(files))
        return [found[name] for name in self._members(files)]

    def _require(self, root: Path, files: Sequence[str]) -> None:
        """Check that ``files`` are there; of an archive the list is read (it takes a second or two) and no file in it."""
        if self._extracted(root, files) is None:
            require_members(self._archive(root, files), self._members(files))

    def _extracted(self, root: Path, files: Sequence[str]) -> Path | None:
        return next((folder for folder in self._folders(root) if first_file([folder / files[0]])), None)

    def _archive(self, root: Path, files: Sequence[str]) -> Path:
        archive = first_file(self._archives(root))
        if archive is None:
            raise missing(self.name, files[0], (*(folder / files[0] for folder in self._folders(root)), *self._archives(root)), download=True)
        return archive

    def _members(self, files: Sequence[str]) -> list[str]:
        return [f"{self.folder}/{name}" for name in files]

    def _complete(self, root: Path) -> bool:
        files = (*self.train_files, *self.test_files)
        return first_file(self._archives(root)) is not None or any(
            all(first_file([folder / name]) for name in files) for folder in self._folders(root)
        )

    def _folders(self, root: Path) -> tuple[Path, ...]:
        return root / self.folder, root

    def _archives(self, root: Path) -> tuple[Path, ...]:
        return (root / self.archive.name,)


def read_members(archive: Path, names: Sequence[str]) -> dict[str, bytes]:
    """The named files of a gzipped tar archive, read in memory: nothing is unpacked to disk.

    Raises:
        DataError: the archive is damaged, lacks one of the files, or unpacks to absurdly much.
    """
    found: dict[str, bytes] = {}
    with _opened(archive) as tar:
        for member in _modest(tar, archive):
            if member.name in names and member.isfile() and not member.issparse() and (file := tar.extractfile(member)):
                found[member.name] = b"".join(iter(partial(file.read, MOST_AT_ONCE), b""))
            if len(found) == len(names):
                return found
    raise _lacking(archive, names, found)


def require_members(archive: Path, names: Sequence[str]) -> None:
    """Check that an archive is whole and lists the named files, reading none of them.

    Raises:
        DataError: the archive is damaged, or lacks one of the files.
    """
    with _opened(archive) as tar:
        listed = {member.name for member in _modest(tar, archive) if member.isfile()}
    if not listed.issuperset(names):
        raise _lacking(archive, names, listed)


@contextmanager
def _opened(archive: Path) -> Iterator[tarfile.TarFile]:
    try:
        with gzip.open(archive) as unpacked, tarfile.open(fileobj=cast(BinaryIO, _Bounded(unpacked)), mode="r:") as tar:
            yield tar
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise _broken(archive, str(error)) from error
    except OSError as error:
        raise (unreadable(archive, error) if error.errno else _broken(archive, str(error))) from error


class _Bounded:
    """What a reader of tar archives needs of an unpacked one, of which it gets no more than a true one has: a small file may unpack to anything."""

    def __init__(self, unpacked: gzip.GzipFile) -> None:
        self._unpacked = unpacked

    def read(self, size: int) -> bytes:
        if size > MOST_AT_ONCE:  # such as a name of that length
            raise tarfile.ReadError(f"it asks for {size:,} bytes at once")
        return self._unpacked.read(size)

    def seek(self, place: int) -> int:
        if place > LARGEST:
            raise tarfile.ReadError(f"it unpacks to more than {LARGEST:,} bytes")
        return self._unpacked.seek(place)

    def tell(self) -> int:
        return self._unpacked.tell()


def _modest(tar: tarfile.TarFile, archive: Path) -> Iterator[tarfile.TarInfo]:
    sizes = 0
    for count, member in enumerate(tar, start=1):
        sizes += member.size  # which a file with holes may declare without having it
        if sizes > LARGEST:
            raise _broken(archive, f"it declares {member.size:,} bytes for {member.name!r}, {sizes:,} with those before it")
        if count > MOST_MEMBERS:
            raise _broken(archive, f"it lists more than {MOST_MEMBERS} files")
        yield member


def _lacking(archive: Path, names: Sequence[str], found: Container[str]) -> DataError:
    return _broken(archive, f"it has no {next(name for name in names if name not in found)}")


def _broken(archive: Path, why: str) -> DataError:
    return DataError(f"{archive.name} is not the whole archive", where=str(archive), why=why, fix="delete the file and fetch it anew")
