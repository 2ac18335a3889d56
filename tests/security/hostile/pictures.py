"""Image folders: pictures that unpack to far more than they are, that are no pictures, and that lie elsewhere."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

from darkknowledge.errors import DataError
from security.hostile.archives import MEGABYTE, loaded, trained
from security.hostile.file import Hostile, Opened, empty_of, pickled

KIND = "Pictures"


def png(width: int = 8, height: int = 8, *chunks: bytes, pixels: bytes | None = None) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = b"".join(b"\0" + bytes(24) for _ in range(8)) if pixels is None else pixels
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def folder_with(put: Callable[[Path], object], ending: str = "png") -> Opened:
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


def tiff(width: int, height: int) -> bytes:
    """Grey pixels in one strip, which is not there."""
    tags = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: 1}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)


def whole(content: bytes | Callable[[Path], bytes], ending: str) -> Opened:
    made = content if callable(content) else lambda folder: content
    return folder_with(lambda path: path.write_bytes(made(path.parents[2])), ending)


def picture(name: str, content: bytes | Callable[[Path], bytes], says: str, ending: str = "png") -> Hostile:
    return odd(name, whole(content, ending), says)


def odd(name: str, build: Opened, says: str) -> Hostile:
    return Hostile(f"picture {name}", build, loaded("image_folder"), DataError, says)


BOMB = "a picture cannot be decoded: Image size (3600000000 pixels) exceeds limit"
TEXT = "a picture cannot be decoded: Decompressed data too large"
STRANGE = "a picture cannot be decoded: cannot identify image file"

HOSTILE = [
    picture("of 3.6 billion pixels", png(60_000, 60_000), BOMB),
    Hostile("picture to train from", whole(png(60_000, 60_000), "png"), trained("image_folder"), DataError, BOMB),
    picture("of 100 million pixels", png(10_000, 10_000), "it declares 10000×10000 pixels"),
    picture("of one long row", lambda f: png(64_000, 1, pixels=b"\0" + bytes(3 * 64_000)), "it has 64000×1 pixels"),
    picture("of a row that skips ahead", bitmap(80_000_000, b"\0\2\xff\xff" * 10), "it has 80000000×1 pixels", "bmp"),
    picture("in JPEG of 65,535 pixels a side", bytes.fromhex("ffd8ffc0001108ffffffff03012200021101031101"), "exceeds limit", "jpg"),
    picture("in PPM of 3.6 billion pixels", b"P6\n60000 60000\n255\n", BOMB, "ppm"),
    picture("in TIFF of 3.6 billion pixels", tiff(60_000, 60_000), BOMB, "tif"),
    picture("in WebP of 16,383 pixels a side", b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\xfe\x3f\0\xfe\x3f\0" + bytes(8), "exceeds limit", "webp"),
    picture("with a text that unpacks to 50 MB", lambda f: png(8, 8, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(50 * MEGABYTE)))), TEXT),
    picture("with a profile that unpacks to 50 MB", lambda f: png(8, 8, chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(50 * MEGABYTE)))), TEXT),
    Hostile("picture with pixels that unpack to 50 MB", whole(lambda f: png(pixels=bytes(50 * MEGABYTE)), "png"), loaded("image_folder")),
    picture("that is PostScript", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n(RAN) (w) file\n", STRANGE),
    picture("that is an animation", b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0", STRANGE),
    picture("that is a script", b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>", STRANGE, "jpg"),
    picture("that is a pickle", pickled, STRANGE, "jpg"),
    odd("of 5 GB of nothing", folder_with(empty_of(5 << 30)), STRANGE),
    odd("that is a pipe", folder_with(os.mkfifo), STRANGE),
    odd("that is a link to a device", folder_with(lambda path: path.symlink_to("/dev/zero")), STRANGE),
    odd("that is a link to a secret", folder_with(lambda path: path.symlink_to("/etc/passwd")), STRANGE),
    odd("that is a link to itself", folder_with(lambda path: path.symlink_to(path)), "1.png cannot be read: Too many levels of symbolic links"),
    Hostile("picture of a class that is a link to all", folder_with(lambda path: (path.parents[1] / "all").symlink_to("..")), loaded("image_folder")),
]

SOUND = [Hostile("a picture", whole(png(), "png"), loaded("image_folder"))]
