"""Every command and every snippet in README and docs runs, the long ones on tiny data with a tiny budget."""

from __future__ import annotations

import gzip
import io
import re
import shlex
import struct
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from darkknowledge.cli.main import main
from darkknowledge.model import build
from darkknowledge.randomness import view_of
from darkknowledge.report.figure import softmax

ROOT = Path(__file__).parents[1]
FIRST = [ROOT / "README.md", *(ROOT / "docs" / name for name in ("quickstart.md", "howto.md", "concepts.md"))]
"""A newcomer begins with these; what they make is used by the other pages."""
PAGES = [*FIRST, ROOT / "CONTRIBUTING.md", *(page for page in sorted((ROOT / "docs").glob("*.md")) if page not in FIRST)]
FEW = "data.validation=0.2"
"""Of the little that there is, where the settings of MNIST and CIFAR-10 take 5,000."""
TINY = {
    "run": ["training.steps=2", "teacher.training.steps=2", "seeds=2", "teacher.check=false", FEW],
    "train": ["training.steps=2", FEW],
    "distill": ["training.steps=2", "teacher.check=false", FEW],
    "record": ["teacher.check=false", "views=2", FEW],
    "transfer": [],
    "verify": [],
    "evaluate": ["cost=false"],  # which is looked at by tests/pipeline/test_evaluate.py
    "export": [],
    "predict": [],
    "report": [],
    "list": [],
    "figure": [],
}
FETCHING = {"data.download=true", "model.pretrained=true"}
"""The files are there, and nothing may be fetched here."""
TESTED_ELSEWHERE = {
    "uv run sphinx-build -W docs docs/_build": "tests/test_pages.py",
    "uv run pytest": "this suite",
    "uv run ruff format .": ".ci/run",
    ".ci/run": "continuous integration",
    "uv run torchrun --nproc-per-node=2 --no-python dk record teacher=runs/teacher data=mnist data.root=data out=sets/mnist-torchrun": (
        "tests/pipeline/test_transfer.py"
    ),
    'python train.py model.name="teacher" data.download=True': "tests/test_train_script.py",
    'python train.py model.name="distill" data.download=True': "tests/test_train_script.py",
}


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    """Each once, where it is first."""
    lines = (line for page in PAGES for block in blocks(page, "console") for line in block.splitlines() if line)
    return list(dict.fromkeys(re.sub(r"\s+#.*", "", line) for line in lines))


def own_files() -> dict[str, str]:
    """The files that the pages put into the current folder, by name."""
    snippets = [block for page in PAGES for block in blocks(page, "python")]
    return {match[1]: snippet for snippet in snippets if (match := re.match(r"# (\w+\.py), in the current folder\n", snippet))}


def picture(generator: np.random.Generator, size: int, channels: int) -> np.ndarray:
    return generator.integers(0, 256, (size, size, channels) if channels > 1 else (size, size), dtype=np.uint8)


def encoded(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with small data where README says that data lies."""
    folder = tmp_path_factory.mktemp("newcomer")
    generator = np.random.default_rng(0)
    raw = folder / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, count in (("train", 400), ("t10k", 100)):
        images = np.stack([picture(generator, 28, 1) for _ in range(count)])
        header = struct.pack(">IIII", 2051, count, 28, 28)
        (raw / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + images.tobytes(), 1))
        labels = (np.arange(count) % 10).astype(np.uint8)
        (raw / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(struct.pack(">II", 2049, count) + labels.tobytes()))
    parquet = folder / "data" / "cifar10-jpeg"
    parquet.mkdir()
    for part, count in (("train", 150), ("test", 30)):
        same = [{"bytes": encoded(picture(generator, 8, 3)), "path": None} for _ in range(30)]
        table = pa.table({"image": [same[row % 30] for row in range(count)], "label": pa.array([row % 10 for row in range(count)], pa.int64())})
        pq.write_table(table, parquet / f"{part}-00000-of-00001.parquet")
    for part, count in (("train", 12), ("test", 4)):
        for name in ("cat", "dog"):
            place = folder / "photos" / part / name
            place.mkdir(parents=True)
            for row in range(count):
                Image.fromarray(picture(generator, 80, 3)).save(place / f"{row}.jpg")
    for name, text in own_files().items():
        (folder / name).write_text(text, encoding="utf-8")
    theirs = build("cifar_resnet", num_classes=2, input_shape=(3, 64, 64), mean=(0.5,) * 3, std=(0.5,) * 3, depth=8)
    torch.save(theirs.body.state_dict(), folder / "theirs.pth")
    torch.save({"1.weight": torch.randn(2, 3 * 16 * 16) / 30, "1.bias": torch.zeros(2)}, folder / "mine.pth")
    return folder


def test_every_command_is_known() -> None:
    found = commands()
    assert "uv run dk run" in found
    assert "uv run pytest" in found
    assert all(command in TESTED_ELSEWHERE or command.startswith("uv run dk ") for command in found), found
    assert set(TESTED_ELSEWHERE) <= set(found)


def test_every_dk_command_runs_in_order(workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(workplace)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(softmax, "STEPS", 2)  # of the GIF; how it moves, tests/report/figure says
    for name in own_files():
        monkeypatch.delitem(sys.modules, name.removesuffix(".py"), raising=False)
    for command in commands():
        if command in TESTED_ELSEWHERE:
            continue
        words = shlex.split(command)[3:]
        words = [word for word in words if word not in FETCHING]
        assert main([*words, *TINY[words[0]]]) == 0, f"{command}\n{capsys.readouterr().err}"
    assert "student distilled" in capsys.readouterr().out
    for name in own_files():  # other tests have modules of these names too
        sys.modules.pop(name.removesuffix(".py"), None)


def test_every_python_snippet_runs(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace)
    scope = {"student_logits": torch.randn(4, 3, requires_grad=True), "teacher_logits": torch.randn(4, 3), "labels": torch.tensor([0, 1, 2, 0])}
    snippets = [block for page in PAGES for block in blocks(page, "python")]
    assert len(snippets) >= 2
    for snippet in snippets:
        exec(compile(snippet, "README", "exec"), scope)
    assert scope["result"].path.is_dir()
    assert scope["loss"].requires_grad
    assert 0 <= scope["evaluation"].fidelity.overall.at_1 <= 1
    assert len(scope["transfer_set"]) == 2 * len(scope["images"])
    ids = torch.randint(2**40, (1000,))
    for epoch, views in ((0, 8), (5, 3)):
        expected = view_of(ids, epoch=epoch, views=views).tolist()
        assert [scope["view_of"](id, epoch, views) for id in ids.tolist()] == expected, "docs/transfer_format.md makes views of its own"


def test_every_link_leads_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
