"""The IDX files of MNIST and its kin, plain or gzipped.

An IDX file is big-endian: two zero bytes, a type (8: unsigned byte), the number of dimensions d, d sizes of four bytes, then the values.

Source: the format's description on the MNIST page, LeCun, Cortes & Burges (1998).
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, cast

import torch
from torch import Tensor

from darkknowledge.data._checks import check_labels
from darkknowledge.data._dataset import Source, fingerprint, image_content
from darkknowledge.data._download import RemoteFile, fetch
from darkknowledge.data._files import first_file, missing, require_folder, unreadable
from darkknowledge.data._images import ImageExamples
from darkknowledge.errors import DataError

LARGEST, DENSEST, SMALL = 1 << 30, 100, 1 << 20
"""A header is taken to be corrupt that declares more than so many bytes of values, or so many for each byte of the file, unless they are few.
(Pictures of digits and clothes are compressed to a fifth; gzip shrinks zeros to a thousandth.)"""

Part = Literal["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]
TEST_PARTS: tuple[Part, Part] = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


@dataclass(frozen=True, slots=True)
class Family:
    """One data set of four IDX files: its name, folder below the root, classes, pixel statistics, recipe and downloads."""

    name: str
    folder: str
    class_names: tuple[str, ...]
    mean: float
    std: float
    augmentation: str
    archives: Mapping[Part, RemoteFile]

    def source(self, root: Path, *, download: bool) -> Source:
        """The data set under ``root``; the training files are read now, the test files when they are asked for.

        Raises:
            DataError: a file is missing, unreadable or not what it should be.
        """
        if download:
            for part, archive in self.archives.items():
                if first_file(self._places(root, part)) is None:
                    fetch(archive, root / self.folder)
        require_folder(root, download=True)
        train = self._read(root, "train-images-idx3-ubyte", "train-labels-idx1-ubyte", first_id=0)

        def require_test() -> None:
            for part in TEST_PARTS:
                self._find(root, part)

        return Source(
            name=self.name,
            train=train,
            open_test=lambda: self._read(root, *TEST_PARTS, first_id=len(train)),
            class_names=self.class_names,
            input_shape=(1, train.images.shape[2], train.images.shape[3]),
            mean=(self.mean,),
            std=(self.std,),
            fingerprint=fingerprint(train.ids, train.labels, self.class_names, image_content(train.images)),
            augmentation=self.augmentation,
            require_test=require_test,
        )

    def _read(self, root: Path, images: Part, labels: Part, *, first_id: int) -> ImageExamples:
        image_path, label_path = self._find(root, images), self._find(root, labels)
        pictures, classes = read_idx(image_path, dimensions=3), read_idx(label_path, dimensions=1).long()
        if len(pictures) != len(classes):
            raise DataError(
                f"{image_path.name} holds {len(pictures)} pictures, {label_path.name} {len(classes)} labels", where=str(image_path.parent)
            )
        if not pictures.numel():
            raise DataError(f"{image_path.name} holds no pictures", where=str(image_path))
        check_labels(classes, len(self.class_names), first_id=first_id, where=str(label_path))
        return ImageExamples(pictures[:, None], torch.arange(first_id, first_id + len(classes)), classes)

    def _find(self, root: Path, part: Part) -> Path:
        places = self._places(root, part)
        path = first_file(places)
        if path is None:
            raise missing(self.name, part, places, download=True)
        return path

    def _places(self, root: Path, part: Part) -> list[Path]:
        return [folder / name for folder in (root / self.folder, root) for name in (part, f"{part}.gz")]


def archives(addresses: tuple[str, ...], checks: tuple[tuple[str, int], ...]) -> dict[Part, RemoteFile]:
    """The four gzipped files with their MD5 and size, in the order of `Part`."""
    parts = cast("tuple[Part, ...]", Part.__args__)  # type: ignore[attr-defined]
    return {part: RemoteFile(f"{part}.gz", md5, size, addresses) for part, (md5, size) in zip(parts, checks, strict=True)}


def read_idx(path: Path, *, dimensions: int) -> Tensor:
    """The uint8 tensor in an IDX file; a name in ``.gz`` is decompressed on the way.

    Raises:
        DataError: the file cannot be read, its header is not that of unsigned bytes in ``dimensions`` dimensions, or it is too short or too long.
    """
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
            return _parse(cast(BinaryIO, file), path, dimensions)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise _broken(path, f"its compressed data are damaged: {error}") from error
    except OSError as error:
        raise unreadable(path, error) from error


def _parse(file: BinaryIO, path: Path, dimensions: int) -> Tensor:
    header = file.read(4 + 4 * dimensions)
    if header[:4] != bytes((0, 0, 8, dimensions)):
        raise _broken(path, f"it starts with {header[:4].hex() or 'nothing'} and not with {bytes((0, 0, 8, dimensions)).hex()}")
    if len(header) < 4 + 4 * dimensions:
        raise _broken(path, "it ends within its header")
    shape = struct.unpack(f">{dimensions}I", header[4:])
    size = math.prod(shape)
    if size > min(LARGEST, SMALL + DENSEST * path.stat().st_size):
        raise _broken(path, f"its header declares {size:,} values")
    # One byte more than declared is asked for, so that a longer file is noticed and a gzip bomb is not unpacked.
    values = bytearray(file.read(size + 1))
    if len(values) != size:
        raise _broken(path, f"its header declares {size:,} bytes of values, and it holds {'more' if len(values) > size else f'{len(values):,}'}")
    return torch.frombuffer(values, dtype=torch.uint8).view(shape) if size else torch.empty(shape, dtype=torch.uint8)


def _broken(path: Path, why: str) -> DataError:
    return DataError(f"{path.name} is not a whole IDX file of the expected kind", where=str(path), why=why, fix="fetch the file anew")
