"""Data sets of numbers: IDX files, plain and gzipped, the archives of CIFAR, and what lies there in their place."""

from __future__ import annotations

import gzip
import io
import os
import struct
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from darkknowledge import data
from darkknowledge.errors import DataError, UsageError
from security.hostile.file import TRAIN, Hostile, Opened, command, empty_of, later, pickled
from security.hostile.torch_files import objects

KIND = "IDX files and CIFAR's archives"

MEGABYTE = 1 << 20


def loaded(name: str) -> Opened:
    """The data set in the folder, and every picture of it."""

    def read(folder: Path) -> object:
        alone: dict[str, Any] = {"workers": 0} if name == "image_folder" else {}
        found = data.load(name, root=folder, validation=0, **alone)
        return [len(batch) for batch in found.train.batches(torch.arange(len(found.train)), batch_size=64, views=None)]

    return read


MNIST, CIFAR10 = loaded("mnist"), loaded("cifar10")


def trained(name: str) -> Opened:
    return command(*TRAIN, f"data={name}", "data.root=.")


def zeros(megabytes: int) -> bytes:
    """So many, compressed to a thousandth."""
    return gzip.compress(bytes(MEGABYTE), 9) * megabytes


def idx(shape: Sequence[int], content: bytes = b"") -> bytes:
    return bytes((0, 0, 8, len(shape))) + struct.pack(f">{len(shape)}I", *shape) + content


PICTURES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def mnist(pictures: bytes | Callable[[Path], bytes], labels: bytes = idx([2], b"\0\1"), ending: str = "") -> Opened:
    def build(folder: Path) -> None:
        (folder / f"{PICTURES}{ending}").write_bytes(pictures if isinstance(pictures, bytes) else pictures(folder))
        (folder / f"{LABELS}{ending}").write_bytes(gzip.compress(labels) if ending else labels)

    return build


def row(name: str, build: Opened, says: str, open: Opened) -> Hostile:
    return Hostile(name, build, open, DataError, says)


def of_idx(name: str, build: Opened, says: str, open: Opened = MNIST) -> Hostile:
    return row(f"IDX file {name}", build, says, open)


UNPACKS_TO_40_MB = later(lambda: mnist(gzip.compress(idx([40, 1024, 1024])) + zeros(40), ending=".gz"))
UNPACKS_TO_MORE = later(lambda: mnist(gzip.compress(idx([2, 8, 8])) + zeros(400), ending=".gz"))


def piped(folder: Path) -> None:
    mnist(b"")(folder)
    (folder / PICTURES).unlink()
    os.mkfifo(folder / PICTURES)


IDX = [
    of_idx("that unpacks to 40 MB", UNPACKS_TO_40_MB, "its header declares 41,943,040 values"),
    of_idx("that unpacks to 40 MB, to train from", UNPACKS_TO_40_MB, "its header declares 41,943,040 values", trained("fashion_mnist")),
    of_idx("that says less than it unpacks to", UNPACKS_TO_MORE, "its header declares 128 bytes of values, and it holds more"),
    of_idx("of 10¹⁸ bytes", mnist(idx([1 << 20, 1 << 20, 1 << 20])), "its header declares 1,152,921,504,606,846,976 values"),
    of_idx("that is a pickle", mnist(pickled), "it starts with 80026370 and not with 00000803"),
    of_idx("that is a pickle, to train from", mnist(pickled), "it starts with 80026370 and not with 00000803", trained("mnist")),
    of_idx("that is an array of objects", mnist(objects), "it starts with 934e554d and not with 00000803"),
    of_idx("of a label that is no class", mnist(idx([2, 8, 8], bytes(128)), idx([2], b"\0\xff")), "label 255 of row 1 (id 1) is outside 0 … 9"),
    of_idx("that is a pipe", piped, "mnist: train-images-idx3-ubyte was not found"),
    of_idx("in Keras's archive", lambda f: (f / "mnist.npz").write_bytes(objects(f)), "mnist: train-images-idx3-ubyte was not found"),
]

FIRST = "cifar-10-batches-bin/data_batch_1.bin"


def archive(*parts: bytes | tarfile.TarInfo, tail: bytes = b"") -> Opened:
    """A gzipped tar archive by hand: headers and contents, then more that is compressed already."""
    content = b"".join(part if isinstance(part, bytes) else part.tobuf(tarfile.GNU_FORMAT) for part in parts)
    return lambda folder: (folder / "cifar-10-binary.tar.gz").write_bytes(gzip.compress(content) + tail) and None


def member(name: str = FIRST, kind: bytes = tarfile.REGTYPE, size: int = 0, target: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.size, found.linkname = kind, size, target
    return found


def climbing(name: str) -> Opened:
    return archive(member(name, size=3), b"ran".ljust(512))


def sparse() -> bytes:
    """A header that declares 256 MB of nothing."""
    header = bytearray(member(kind=tarfile.GNUTYPE_SPARSE, size=512).tobuf(tarfile.GNU_FORMAT))
    header[386:398], header[398:410], header[483:495] = b"00000000000\0", b"00000001000\0", b"01777777777\0"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + bytes(512)


def pickled_archive(folder: Path) -> None:
    """The archive of the same pictures that is made of pickles, under the name of the other."""
    with tarfile.open(folder / "cifar-10-binary.tar.gz", "w:gz") as tar:
        found = member("cifar-10-batches-py/data_batch_1", size=len(pickled(folder)))
        tar.addfile(found, io.BytesIO(pickled(folder)))


def extracted(make: Callable[[Path], object], number: int = 1, name: str = "cifar-10-batches-bin/data_batch_{}.bin") -> Opened:
    """The batches of pictures, one of which is something else."""

    def build(folder: Path) -> None:
        (folder / name).parent.mkdir()
        for each in range(1, 6):
            (folder / name.format(each)).write_bytes(bytes(3073))
        (folder / name.format(number)).unlink()
        make(folder / name.format(number))

    return build


def of_cifar(name: str, build: Opened, says: str, open: Opened = CIFAR10) -> Hostile:
    return row(f"archive {name}", build, says, open)


def is_pickle(path: Path) -> object:
    return path.write_bytes(pickled(path.parents[1]))


LACKING = f"it has no {FIRST}"

CIFAR = [
    of_cifar("that climbs out", climbing("../RAN"), LACKING),
    of_cifar("that climbs out of a folder of its own", climbing("cifar-10-batches-bin/../../RAN"), LACKING),
    of_cifar("with an absolute path", lambda f: climbing(str(f.parent / "RAN"))(f), LACKING),
    of_cifar("with a link to a file", archive(member(kind=tarfile.SYMTYPE, target="/etc/passwd")), LACKING),
    of_cifar("with a hard link", archive(member(kind=tarfile.LNKTYPE, target="../../etc/passwd")), LACKING),
    of_cifar("with a device", archive(member(kind=tarfile.CHRTYPE)), LACKING),
    of_cifar("with a pipe", archive(member(kind=tarfile.FIFOTYPE)), LACKING),
    of_cifar(
        "with a name of 300 MB",
        later(lambda: archive(member(kind=tarfile.GNUTYPE_LONGNAME, size=300 * MEGABYTE), tail=zeros(300))),
        "it asks for 314,572,800 bytes at once",
    ),
    of_cifar(
        "with a header of 300 MB",
        later(lambda: archive(member(kind=tarfile.XHDTYPE, size=300 * MEGABYTE), tail=zeros(300))),
        "it asks for 314,572,800 bytes at once",
    ),
    of_cifar("of 200 MB before its pictures", later(lambda: archive(member("a", size=200 * MEGABYTE), tail=zeros(201))), LACKING),
    of_cifar(
        "that declares 400 MB", later(lambda: archive(member("a", size=400 * MEGABYTE), tail=zeros(400))), "it declares 419,430,400 bytes for 'a'"
    ),
    of_cifar(
        "that unpacks to 300 MB",
        later(lambda: archive(member("a", size=(1 << 28) - 1), tail=zeros(300))),
        "it unpacks to more than 268,435,456 bytes",
    ),
    of_cifar("of a file with holes", archive(sparse()), LACKING),
    of_cifar("of ten thousand files", later(lambda: archive(*(member(str(number)) for number in range(10_000)))), "it lists more than 64 files"),
    of_cifar("of pickles", pickled_archive, LACKING),
    of_cifar("of pickles to train from", pickled_archive, LACKING, trained("cifar10")),
    of_cifar("of pickles, unpacked", extracted(is_pickle, name="cifar-10-batches-py/data_batch_{}"), "cifar10: data_batch_1.bin was not found"),
    of_cifar("of a pickle, unpacked, under another's name", extracted(is_pickle), "are not a whole number of records of 3,073 bytes"),
    of_cifar("of a batch of 5 GB", extracted(empty_of(5 << 30)), "data_batch_1.bin is absurdly large"),
    of_cifar("of a batch that is a pipe", extracted(os.mkfifo, 2), "data_batch_2.bin is no file"),
    of_cifar("of a batch that is a device", extracted(lambda path: path.symlink_to("/dev/zero"), 2), "data_batch_2.bin is no file"),
]

OTHER = [
    Hostile("data set named like a function", lambda f: None, lambda f: data.load("os.path", root=f), UsageError, "there is no data set 'os.path'"),
    row(
        "data set whose folder is a file",
        lambda f: (f / "data").write_text(""),
        "is a file and not a folder",
        lambda f: data.load("mnist", root=f / "data"),
    ),
]

HOSTILE = [*IDX, *CIFAR, *OTHER]


def sound_archive(folder: Path) -> None:
    parts = [part for number in range(1, 6) for part in (member(f"{FIRST[:-5]}{number}.bin", size=3073), bytes(3584))]
    archive(*parts)(folder)


SOUND = [
    Hostile("an IDX file", mnist(gzip.compress(idx([2, 8, 8], bytes(128))), ending=".gz"), loaded("mnist")),
    Hostile("an archive", sound_archive, loaded("cifar10")),
    Hostile("an archive, unpacked", extracted(lambda path: path.write_bytes(bytes(3073))), loaded("cifar10")),
]
