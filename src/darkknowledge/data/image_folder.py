"""Your own pictures: one folder a class.

Either ``root/train/CLASS/…`` with ``root/test/CLASS/…`` (or ``root/val/…``), or ``root/CLASS/…``, of which a fixed part becomes the test set.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from darkknowledge.data._checks import check_class_names, no_test
from darkknowledge.data._dataset import Source
from darkknowledge.data._encoded import Listing, PictureOptions, encoded_source
from darkknowledge.data._files import require_folder, unreadable
from darkknowledge.data._split import stratified_order
from darkknowledge.errors import DataError, UsageError
from darkknowledge.randomness import Stream

SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm"))
TEST_FOLDERS = ("test", "val")
TEST_SHARE = 0.2
TEST_SEED = 2015
"""The test set is part of the data set, so its share and seed never change."""


def image_folder(*, root: Path, download: bool, image_size: int | None = None, workers: int | None = None) -> Source:
    """The pictures under ``root``, classes in alphabetical order of their folders' names.

    Ids are positions in the sorted list of paths relative to the split's folder; where test has a folder of its own its ids follow those of
    train. Without such folders a stratified fifth of the pictures is the test set. Files that do not end like pictures, and hidden ones, are
    passed over.

    Raises:
        DataError: no class folders, an empty one, two whose names differ only in case, a picture that cannot be decoded.
        UsageError: an option out of range, or a download asked for.
    """
    options = PictureOptions(image_size, workers)
    if download:
        raise UsageError("an image folder is your own: there is nothing to download", where="data.download", fix="leave it away")
    require_folder(root, download=False)
    name = f"image_folder:{root.resolve().name}"
    folder = root / "train"
    if not folder.is_dir():
        _refuse_test_alone(root)
        return _divided(name, _Files.under(root), options)
    files = _Files.under(folder)

    def list_test() -> Listing:
        return _Files.under(_test_folder(name, root), files.class_names).listing(first_id=len(files))

    def require_test() -> None:
        list_test()  # which opens no picture

    source = encoded_source(name, files.listing(first_id=0), class_names=files.class_names, open_test=list_test, options=options)
    return replace(source, require_test=require_test)


def _divided(name: str, files: _Files, options: PictureOptions) -> Source:
    listing = files.listing(first_id=0)
    order = stratified_order(listing.ids, listing.labels, seed=TEST_SEED, stream=Stream.TEST)
    count = round(TEST_SHARE * len(files))
    if not 0 < count < len(files):
        raise DataError(f"{len(files)} pictures are too few to set a test set aside", where=str(files.folder), fix="add pictures")
    test, train = (files.at(part.sort().values) for part in (order[:count], order[count:]))
    return encoded_source(name, train, class_names=files.class_names, open_test=lambda: test, options=options)


def _refuse_test_alone(root: Path) -> None:
    """Without ``train``, the folders ``test`` and ``val`` would be taken for classes."""
    for name in TEST_FOLDERS:
        if (root / name).is_dir():
            raise DataError(f"there is a folder {name!r} but no folder 'train'", where=str(root), fix="put the training pictures into train/CLASS/")


def _test_folder(name: str, root: Path) -> Path:
    for candidate in TEST_FOLDERS:
        if (root / candidate).is_dir():
            return root / candidate
    fix = "add one with a folder a class, or put all class folders directly under data.root so that a part of each is set aside"
    raise no_test(name, where=" or ".join(str(root / candidate) for candidate in TEST_FOLDERS), fix=fix)


@dataclass(frozen=True, slots=True)
class _Files:
    """The picture files of one split, sorted, each with its class."""

    folder: Path
    paths: tuple[str, ...]
    labels: Tensor
    class_names: tuple[str, ...]

    @classmethod
    def under(cls, folder: Path, class_names: tuple[str, ...] | None = None) -> _Files:
        """List ``folder``; its classes are its subfolders, or must lie among ``class_names``."""
        present = _classes(folder)
        names = present if class_names is None else class_names
        check_class_names(names, where=str(folder))
        strange = sorted(set(present) - set(names))
        if strange:
            raise DataError(f"there is no class {strange[0]!r} in the training set", where=str(folder / strange[0]), fix="rename the folder")
        entries = sorted((path, names.index(name)) for name in present for path in _pictures(folder, name))
        return cls(folder, tuple(path for path, _ in entries), torch.tensor([label for _, label in entries]), names)

    def __len__(self) -> int:
        return len(self.paths)

    def open(self, row: int) -> BinaryIO:
        try:
            # Without waiting, as one that is a pipe would have us do for its writer.
            return os.fdopen(os.open(self.folder / self.paths[row], os.O_RDONLY | os.O_NONBLOCK), "rb")
        except OSError as error:
            raise unreadable(self.folder / self.paths[row], error) from error

    def where(self, row: int) -> str:
        return str(self.folder / self.paths[row])

    def content(self) -> Iterable[bytes]:
        """Paths and sizes stand for the pictures, which may be too many to read."""
        return (f"{path}\0{(self.folder / path).stat().st_size}\n".encode() for path in self.paths)

    def listing(self, *, first_id: int) -> Listing:
        return Listing(self, torch.arange(first_id, first_id + len(self)), self.labels)

    def at(self, positions: Tensor) -> Listing:
        """The pictures at ``positions`` alone, which keep their ids."""
        part = _Files(self.folder, tuple(self.paths[row] for row in positions.tolist()), self.labels[positions], self.class_names)
        return Listing(part, positions, part.labels)


def _classes(folder: Path) -> tuple[str, ...]:
    try:
        names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise unreadable(folder, error) from error
    if not names:
        raise DataError(f"{folder} holds no class folders", where=str(folder), fix="put the pictures of each class into a folder of its name")
    _check_case(folder, names)
    return tuple(names)


def _check_case(folder: Path, names: Sequence[str]) -> None:
    seen: dict[str, str] = {}
    for name in names:
        other = seen.setdefault(name.casefold(), name)
        if other != name:
            why = "they would be one folder on many file systems, and one class by mistake here"
            raise DataError(f"the class folders {other!r} and {name!r} differ only in case", where=str(folder), why=why, fix="merge or rename them")


def _pictures(folder: Path, name: str) -> list[str]:
    """Paths of the pictures of a class, relative to ``folder``, with forward slashes."""

    def refuse(error: OSError) -> None:
        raise unreadable(Path(error.filename or folder / name), error) from error

    found = []
    for place, _, files in os.walk(folder / name, onerror=refuse):
        pictures = (Path(place, file) for file in files if Path(file).suffix.lower() in SUFFIXES and not file.startswith("."))
        found += [picture.relative_to(folder).as_posix() for picture in pictures]
    if not found:
        suffixes = ", ".join(sorted(SUFFIXES))
        fix = f"add pictures ({suffixes}) or remove the folder"
        raise DataError(f"the class folder {name!r} holds no pictures", where=str(folder / name), fix=fix)
    return found
