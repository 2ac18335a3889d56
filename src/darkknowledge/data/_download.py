"""Fetching the original archive of a data set: over https only, checked against a pinned size and MD5, whole under its name or not there.

MD5 is what the authors of these data sets publish. It guards against damage; against forgery stand https and the authors' own addresses.
"""

from __future__ import annotations

import hashlib
import http.client
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from darkknowledge.errors import DataError, ResourceError
from darkknowledge.runs.files import write_file

_CHUNK = 1 << 20
_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of a data set: its name, published MD5, size in bytes, and the folders on the net (mirrors) that hold it."""

    name: str
    md5: str
    size: int
    addresses: tuple[str, ...]


def fetch(remote: RemoteFile, folder: Path) -> Path:
    """Download ``remote`` into ``folder`` from the first address that gives the right bytes.

    Raises:
        DataError: no address gave them; says which file to put where by hand.
        ResourceError: the file cannot be written.
    """
    target = folder / remote.name
    reasons = []
    for address in remote.addresses:
        try:
            _store(address + remote.name, remote, target)
        except _UnfetchedError as error:
            reasons.append(f"{address}: {error}")
        else:
            return target
    raise DataError(
        f"{remote.name} could not be downloaded",
        where="; ".join(reasons),
        fix=f"put the file {remote.name} (MD5 {remote.md5}) into {folder.absolute()} yourself, or point data.root=… at a folder that has it",
    )


class _UnfetchedError(Exception):
    """An address that does not give the file, and why."""


def _store(url: str, remote: RemoteFile, target: Path) -> None:
    try:
        response = urllib.request.urlopen(_https(url), timeout=_TIMEOUT_SECONDS)
    except (OSError, http.client.HTTPException) as error:
        raise _UnfetchedError(getattr(error, "reason", None) or error) from error
    with response:
        _https(response.url)  # a mirror may have redirected us
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            write_file(target, lambda file: _copy(response, file, remote))
        except (OSError, ResourceError) as error:
            reason = error.what if isinstance(error, ResourceError) else f"cannot make the folder: {error.strerror or error}"
            fix = "point data.root=… at a folder with space that you may write to"
            raise ResourceError(reason, where=str(target), fix=fix) from error


def _https(url: str) -> str:
    if not url.startswith("https://"):
        raise _UnfetchedError(f"{url} is not an https address")
    return url


def _copy(response: BinaryIO, file: BinaryIO, remote: RemoteFile) -> None:
    digest, size = hashlib.md5(usedforsecurity=False), 0
    while chunk := _read(response):
        size += len(chunk)
        if size > remote.size:
            break
        digest.update(chunk)
        file.write(chunk)
    if size != remote.size or digest.hexdigest() != remote.md5:
        raise _UnfetchedError(f"it gave other bytes than those of size {remote.size:,} and MD5 {remote.md5}")


def _read(response: BinaryIO) -> bytes:
    """The next chunk. A broken connection is no fault of our disk, so it must not leave `write_file` as an OSError."""
    try:
        return response.read(_CHUNK)
    except (OSError, http.client.HTTPException) as error:
        raise _UnfetchedError(error) from error
