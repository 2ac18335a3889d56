from __future__ import annotations

import hashlib
import io
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from darkknowledge import data
from darkknowledge.data import _download, cifar10, cifar100, fashion_mnist, mnist
from darkknowledge.data._download import RemoteFile, fetch
from darkknowledge.errors import DataError, ResourceError

CONTENT = b"four bytes and some more" * 100
REMOTE = RemoteFile("file.gz", hashlib.md5(CONTENT).hexdigest(), len(CONTENT), ("https://one.example/", "https://two.example/"))


class Response(io.BytesIO):
    def __init__(self, content: bytes, url: str) -> None:
        super().__init__(content)
        self.url = url


class Broken(Response):
    def read(self, size: int | None = -1, /) -> bytes:
        raise ConnectionResetError(104, "Connection reset by peer")


@pytest.fixture
def net(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What each address answers: bytes, a response or an error; others are unreachable. No test touches the real net."""
    answers: dict[str, Any] = {}

    def open_url(url: str, timeout: float) -> Response:
        answer = answers.get(url, urllib.error.URLError("Name or service not known"))
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Response) else Response(answer, url)

    monkeypatch.setattr(urllib.request, "urlopen", open_url)
    return answers


def test_a_file_is_stored_whole_under_its_name(net: dict[str, Any], tmp_path: Path) -> None:
    net["https://one.example/file.gz"] = CONTENT
    assert fetch(REMOTE, tmp_path / "new" / "folder").read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["file.gz"]


@pytest.mark.parametrize(
    "bad",
    [
        CONTENT[:-1],
        CONTENT + b"!",
        b"x" * len(CONTENT),
        Broken(CONTENT, "https://one.example/file.gz"),
        Response(CONTENT, "http://one.example/file.gz"),
        urllib.error.HTTPError("https://one.example/file.gz", 404, "Not Found", {}, None),  # type: ignore[arg-type]
        TimeoutError("timed out"),
    ],
    ids=["short", "long", "other", "broken", "not https", "404", "timeout"],
)
def test_after_a_bad_address_the_next_is_tried_and_nothing_half_written_stays(bad: Any, net: dict[str, Any], tmp_path: Path) -> None:
    net["https://one.example/file.gz"] = bad
    with pytest.raises(DataError, match=r"file.gz could not be downloaded") as caught:
        fetch(REMOTE, tmp_path)
    assert caught.value.exit_code == 3
    assert "one.example" in caught.value.where
    assert "two.example" in caught.value.where
    assert f"file.gz (MD5 {REMOTE.md5}) into {tmp_path}" in caught.value.fix
    assert list(tmp_path.iterdir()) == []
    if isinstance(bad, Response):
        return
    net["https://two.example/file.gz"] = CONTENT
    assert fetch(REMOTE, tmp_path).read_bytes() == CONTENT


def test_a_folder_that_cannot_be_written_exits_5(net: dict[str, Any], tmp_path: Path) -> None:
    net["https://one.example/file.gz"] = CONTENT
    (tmp_path / "file").touch()
    with pytest.raises(ResourceError, match="cannot make the folder") as caught:
        fetch(REMOTE, tmp_path / "file")
    assert caught.value.exit_code == 5
    assert "data.root=…" in caught.value.fix


def test_offline_the_message_says_which_file_to_put_where(net: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"put the file cifar-10-binary.tar.gz \(MD5 c32a1d4ab5d03f1284b67883e8d87530\) into") as caught:
        data.load("cifar10", root=tmp_path, download=True)
    assert str(tmp_path) in caught.value.fix
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte.gz \(MD5 f68b3c2dcbeaaa9fbdd348bbdeb94873\) into .*MNIST/raw"):
        data.load("mnist", root=tmp_path, download=True)


def test_what_is_there_is_not_fetched_again(net: dict[str, Any], tmp_path: Path, write_mnist: Any) -> None:
    write_mnist(tmp_path)
    assert len(data.load("mnist", root=tmp_path, download=True, validation=0).train) == 40


def test_nothing_is_fetched_unless_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_download.urllib.request, "urlopen", lambda *_, **__: pytest.fail("the net was touched"))
    for name in ("mnist", "fashion_mnist", "cifar10", "cifar100"):
        with pytest.raises(DataError):
            data.load(name, root=tmp_path)


def test_every_address_is_https_and_every_file_is_pinned() -> None:
    idx = [remote for family in (mnist.FAMILY, fashion_mnist.FAMILY) for remote in family.archives.values()]
    for remote in (*idx, cifar10.FAMILY.archive, cifar100.FAMILY.archive):
        assert all(address.startswith("https://") and address.endswith("/") for address in remote.addresses)
        assert len(bytes.fromhex(remote.md5)) == 16
        assert remote.size > 1000
