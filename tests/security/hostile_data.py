"""Data sets: archives, IDX files, Parquet and pictures."""

from __future__ import annotations

import gzip
import io
import json
import os
import struct
import tarfile
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from darkknowledge import data
from darkknowledge.errors import DataError, UsageError
from security.hostile import Hostile, nested, pickled

MEGABYTE = 1 << 20


def loaded(name: str) -> Callable[[Path], object]:
    """The data set in the folder, and every picture of it."""

    def read(folder: Path) -> object:
        found = data.load(name, root=folder, validation=0, **({"workers": 0} if name == "image_folder" else {}))
        return [len(batch) for batch in found.train.batches(torch.arange(len(found.train)), batch_size=64, views=None)]

    return read


def zeros(megabytes: int) -> bytes:
    """So many, compressed to a thousandth."""
    return gzip.compress(bytes(MEGABYTE), 9) * megabytes


def idx(shape: Sequence[int], content: bytes = b"") -> bytes:
    return bytes((0, 0, 8, len(shape))) + struct.pack(f">{len(shape)}I", *shape) + content


def mnist(pictures: bytes, labels: bytes = idx([2], b"\0\1"), ending: str = "") -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        (folder / f"train-images-idx3-ubyte{ending}").write_bytes(pictures)
        (folder / f"train-labels-idx1-ubyte{ending}").write_bytes(gzip.compress(labels) if ending else labels)

    return build


IDX = [
    Hostile("IDX file that unpacks to 40 MB", mnist(gzip.compress(idx([40, 1024, 1024])) + zeros(40), ending=".gz"), loaded("mnist"), DataError),
    Hostile(
        "IDX file that says less than it unpacks to", mnist(gzip.compress(idx([2, 8, 8])) + zeros(400), ending=".gz"), loaded("mnist"), DataError
    ),
    Hostile("IDX file of 10¹⁸ bytes", mnist(idx([1 << 20, 1 << 20, 1 << 20])), loaded("mnist"), DataError),
    Hostile("IDX file that is a pickle", lambda f: mnist(pickled(f))(f), loaded("mnist"), DataError),
    Hostile("IDX file of a label that is no class", mnist(idx([2, 8, 8], bytes(128)), idx([2], b"\0\xff")), loaded("mnist"), DataError),
]

FIRST = "cifar-10-batches-bin/data_batch_1.bin"


def archive(*parts: bytes | tarfile.TarInfo, tail: bytes = b"") -> Callable[[Path], None]:
    """A gzipped tar archive by hand: headers and contents, then more that is compressed already."""
    content = b"".join(part if isinstance(part, bytes) else part.tobuf(tarfile.GNU_FORMAT) for part in parts)
    return lambda folder: (folder / "cifar-10-binary.tar.gz").write_bytes(gzip.compress(content) + tail) and None


def member(name: str = FIRST, kind: bytes = tarfile.REGTYPE, size: int = 0, target: str = "") -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.size, found.linkname = kind, size, target
    return found


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


ARCHIVES = [
    Hostile("archive that climbs out", archive(member("../../../../tmp/RAN", size=3), b"ran".ljust(512)), loaded("cifar10"), DataError),
    Hostile("archive with an absolute path", archive(member("/tmp/RAN", size=3), b"ran".ljust(512)), loaded("cifar10"), DataError),
    Hostile("archive with a link to a file", archive(member(kind=tarfile.SYMTYPE, target="/etc/passwd")), loaded("cifar10"), DataError),
    Hostile("archive with a hard link", archive(member(kind=tarfile.LNKTYPE, target="../../etc/passwd")), loaded("cifar10"), DataError),
    Hostile("archive with a device", archive(member(kind=tarfile.CHRTYPE)), loaded("cifar10"), DataError),
    Hostile("archive with a pipe", archive(member(kind=tarfile.FIFOTYPE)), loaded("cifar10"), DataError),
    Hostile(
        "archive with a name of 300 MB",
        archive(member(kind=tarfile.GNUTYPE_LONGNAME, size=300 * MEGABYTE), tail=zeros(300)),
        loaded("cifar10"),
        DataError,
    ),
    Hostile(
        "archive with a header of 300 MB", archive(member(kind=tarfile.XHDTYPE, size=300 * MEGABYTE), tail=zeros(300)), loaded("cifar10"), DataError
    ),
    Hostile("archive that unpacks to 400 MB", archive(member("a", size=200 * MEGABYTE), tail=zeros(400)), loaded("cifar10"), DataError),
    Hostile("archive of a file with holes", archive(sparse()), loaded("cifar10"), DataError),
    Hostile("archive of ten thousand files", archive(*(member(str(number)) for number in range(10_000))), loaded("cifar10"), DataError),
    Hostile("archive of pickles", pickled_archive, loaded("cifar10"), DataError),
]


def png(width: int = 8, height: int = 8, *chunks: bytes, pixels: bytes | None = None) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = b"".join(b"\0" + bytes(24) for _ in range(8)) if pixels is None else pixels
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def pictures(make: Callable[[Path], bytes], ending: str = "png") -> Callable[[Path], None]:
    return folder_with(lambda path: path.write_bytes(make(path.parents[2])) and None, ending)


def folder_with(put: Callable[[Path], object], ending: str = "png") -> Callable[[Path], None]:
    """An image folder in which one picture of each class is sound."""

    def build(folder: Path) -> None:
        for name in ("ant", "bee"):
            (folder / "train" / name).mkdir(parents=True)
            (folder / "train" / name / "0.png").write_bytes(png())
        put(folder / "train" / "bee" / f"1.{ending}")

    return build


def bitmap(width: int, runs: bytes) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, width, 1, 1, 8, 1, len(runs), 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 1078 + len(runs), 0, 0, 1078) + header + bytes(1024) + runs


def picture(name: str, make: bytes | Callable[[Path], bytes], ending: str = "png", refused: type[DataError] | None = DataError) -> Hostile:
    made = (lambda folder: make) if isinstance(make, bytes) else make
    return Hostile(f"picture {name}", pictures(made, ending), loaded("image_folder"), refused)


PICTURES = [
    picture("of 3.6 billion pixels", png(60_000, 60_000)),
    picture("of 100 million pixels", png(10_000, 10_000)),
    picture("of one long row", png(64_000, 1, pixels=b"\0" + bytes(3 * 64_000))),
    picture("of a row that skips ahead", bitmap(80_000_000, b"\0\2\xff\xff" * 10), "bmp"),
    picture("in JPEG of 65,535 pixels a side", bytes.fromhex("ffd8ffc0001108ffffffff03012200021101031101"), "jpg"),
    picture("in PPM of 3.6 billion pixels", b"P6\n60000 60000\n255\n", "ppm"),
    picture("in WebP of 16,383 pixels a side", b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xfe\x3f\0\xfe\x3f\0" + bytes(8), "webp"),
    picture("with a text that unpacks to 50 MB", png(8, 8, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(50 * MEGABYTE))))),
    picture("with a profile that unpacks to 50 MB", png(8, 8, chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(50 * MEGABYTE))))),
    picture("with pixels that unpack to 50 MB", png(pixels=bytes(50 * MEGABYTE)), refused=None),
    picture("that is PostScript", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n(RAN) (w) file\n"),
    picture("that is a script", b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>", "jpg"),
    picture("that is a pickle", pickled, "jpg"),
    Hostile("picture that is a pipe", folder_with(os.mkfifo), loaded("image_folder"), DataError),
    Hostile("picture that is a link to a device", folder_with(lambda path: path.symlink_to("/dev/zero")), loaded("image_folder"), DataError),
    Hostile("picture that is a link to a secret", folder_with(lambda path: path.symlink_to("/etc/passwd")), loaded("image_folder"), DataError),
    Hostile("picture that is a link to itself", folder_with(lambda path: path.symlink_to(path)), loaded("image_folder"), DataError),
]


def rows(labels: Sequence[int] = (0, 1) * 4, kind: Any = None) -> pa.Table:
    return pa.table({"image": pa.array([png()] * len(labels), pa.binary()), "label": pa.array(labels, kind or pa.int64())})


def parquet(table: pa.Table, metadata: dict[str, str] | None = None, **how: Any) -> Callable[[Path], None]:
    return lambda folder: pq.write_table(table.replace_schema_metadata(metadata), folder / "train-0.parquet", **how)


def of_type(name: str, content: bytes) -> pa.Table:
    """Labels that say that they are of another Arrow type."""
    field = pa.field("label", pa.int64(), metadata={"ARROW:extension:name": name, "ARROW:extension:metadata": content})
    return pa.table([rows()["image"], rows()["label"]], schema=pa.schema([pa.field("image", pa.binary()), field]))


def repeated() -> pa.Table:
    """A thousand rows of the same megabyte."""
    column = pa.DictionaryArray.from_arrays(pa.array(np.zeros(1000, np.int32)), pa.array([bytes(MEGABYTE)], pa.binary()))
    return pa.table({"image": column, "label": pa.array([0, 1] * 500)})


def elsewhere() -> pa.Table:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return pa.table({"image": pa.array([{"bytes": None, "path": "/etc/passwd"}] * 4, kind), "label": pa.array([0, 1, 0, 1])})


def unnamed(folder: Path) -> None:
    """A column whose name is no text."""
    parquet(rows())(folder)
    path = folder / "train-0.parquet"
    path.write_bytes(path.read_bytes().replace(b"label", b"l\xff\xfeel"))


COMPACT = {"compression": "zstd", "write_statistics": False, "store_schema": False}
HUGGING = '{"info": {"features": {"label": {"names": %s}}}}'


def table(name: str, build: Callable[[Path], None], refused: type[DataError] | None = DataError) -> Hostile:
    return Hostile(f"Parquet {name}", build, loaded("parquet"), refused)


PARQUET = [
    table("with a pickled extension type", parquet(of_type("arrow.py_extension_type", b"\x80\x04cos\nsystem\n(S'touch RAN'\ntR.")), None),
    table("with an extension type that is no JSON", parquet(of_type("arrow.opaque", b'{"type_name": 1'))),
    table("with _target_ in the metadata of pandas", parquet(rows(), {"pandas": '{"index_columns": [{"_target_": "os.system"}]}'}), None),
    table("with a script in its metadata", parquet(rows(), {"huggingface": '{"_target_": "os.system", "info": {"builder_name": "ran"}}'}), None),
    table("with deep metadata", parquet(rows(), {"huggingface": nested(100_000)})),
    table("with metadata of another kind", parquet(rows(), {"huggingface": "[1]"})),
    table("with fifty thousand classes", parquet(rows(), {"huggingface": HUGGING % json.dumps(list(map(str, range(50_000))))}), None),
    table("with a label of ten millions", parquet(rows([0, 10_000_000]))),
    table("with a label of 2⁶²", parquet(rows([0, 1 << 62]))),
    table("with labels beyond all integers", parquet(rows([0, (1 << 63) + 5], pa.uint64()))),
    table(
        "with two columns of a name",
        parquet(pa.Table.from_arrays([rows()["image"], rows()["label"], rows()["label"]], names=["image", "label", "label"])),
    ),
    table("with a column without a name", unnamed),
    table("of a thousand rows of one megabyte", parquet(repeated(), **COMPACT)),
    table("of pictures that unpack to 30 MB", parquet(pa.table({"image": [bytes(30 * MEGABYTE)], "label": [0]}), **COMPACT, use_dictionary=False)),
    table("of pictures that lie elsewhere", parquet(elsewhere())),
    table("of pickles", lambda f: parquet(pa.table({"image": [pickled(f)] * 2, "label": [0, 1]}))(f)),
    table("that is a pickle", lambda f: (f / "train-0.parquet").write_bytes(pickled(f)) and None),
    table("that is a pipe", lambda f: os.mkfifo(f / "train-0.parquet")),
]


def arrays(folder: Path, ending: str) -> None:
    """An array of objects, which NumPy keeps as a pickle."""
    with (folder / f"train-images-idx3-ubyte{ending}").open("wb") as file:
        np.save(file, np.array([pickled(folder)], dtype=object), allow_pickle=True)


OTHER = [
    Hostile("array of objects for an IDX file", partial(arrays, ending=""), loaded("mnist"), DataError),
    Hostile("data set named like a function", lambda f: None, lambda f: data.load("os.path", root=f), UsageError),
    Hostile("data set whose folder is a file", lambda f: (f / "data").write_text(""), lambda f: data.load("mnist", root=f / "data"), DataError),
]

HOSTILE = [*IDX, *ARCHIVES, *PICTURES, *PARQUET, *OTHER]


def sound_archive(folder: Path) -> None:
    parts = [part for number in range(1, 6) for part in (member(f"{FIRST[:-5]}{number}.bin", size=3073), bytes(3584))]
    archive(*parts)(folder)


SOUND = [
    Hostile("an IDX file", mnist(gzip.compress(idx([2, 8, 8], bytes(128))), ending=".gz"), loaded("mnist"), None),
    Hostile("an archive", sound_archive, loaded("cifar10"), None),
    Hostile("a picture", pictures(lambda f: png()), loaded("image_folder"), None),
    Hostile("a Parquet file", parquet(rows()), loaded("parquet"), None),
]
