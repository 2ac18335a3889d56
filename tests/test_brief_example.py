"""The three commands of ``train.py`` as they stand, ResNet-50 and ResNet-18, on real pictures for a few dozen steps, with their page."""

from __future__ import annotations

import json
import sys
from importlib import util
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from darkknowledge.cli.main import guarded, main
from report.test_page import numbers

ROOT = Path(__file__).parents[1]
PICTURES = ROOT.parent / "shared" / "data" / "cifar10-jpeg"
SHORT = [
    "training.steps=24",
    "training.batch_size=8",
    "training.learning_rate=0.01",
    "training.threads=1",
    "data.validation=40",
    "logging.progress=false",
    "logging.wandb=true",
]


def script(*words: str) -> int:
    spec = util.spec_from_file_location("train_script", ROOT / "train.py")
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return guarded(lambda: module.main(words))


def a_few(folder: Path) -> None:
    """The first pictures of each split, in files of the same form."""
    folder.mkdir()
    for split, count in (("train", 260), ("test", 40)):
        (path,) = PICTURES.glob(f"{split}-*.parquet")
        pq.write_table(pq.read_table(path).slice(0, count), folder / path.name)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
@pytest.mark.skipif(not PICTURES.is_dir(), reason=f"no CIFAR-10 in {PICTURES}: the example's networks are not run on real pictures")
def test_the_whole_example_runs_from_the_teacher_to_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    import wandb

    monkeypatch.chdir(tmp_path)
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    a_few(tmp_path / "few")
    data = ["data.name=parquet", "data.root=few"]
    for role in ("teacher", "distill", "student"):
        assert script(f"model.name={role}", "model.check=false", *data, *SHORT, f"out=runs/{role}") == 0, capsys.readouterr().err
    wandb.teardown()  # as at the end of a process: its writer is waited for
    for role in ("teacher", "distill", "student"):
        assert len(list(Path("runs", role).glob("wandb/offline-run-*/*.wandb"))) == 1
    records = {role: json.loads(Path("runs", role, "run.json").read_text()) for role in ("teacher", "distill", "student")}
    assert records["distill"]["teacher_fingerprints"] == [records["teacher"]["model_fingerprint"]]
    assert {role: record["steps"] for role, record in records.items()} == dict.fromkeys(records, 24)

    assert [main(["evaluate", f"run=runs/{role}", "cost=false"]) for role in records] == [0, 0, 0]
    assert main(["report", "runs=[runs/student,runs/distill]"]) == 0
    shares = [wrong(Path("runs", role)) for role in ("teacher", "student", "distill")]
    found = [cell.replace("\N{NO-BREAK SPACE}", " ") for cell in numbers("error", Path("runs", "report.html"))]
    assert found == [f"{100 * share:.2f} %" for share in shares]


def wrong(run: Path) -> float:
    """The share of test pictures that a run got wrong, from the logits that it kept."""
    from safetensors.numpy import load_file

    kept = load_file(run / "answers-test.safetensors")
    labels = pa.concat_tables([pq.read_table(path) for path in Path("few").glob("test-*")])["label"].to_numpy()
    assert np.array_equal(kept["labels"], labels)
    return float(np.mean(kept["logits"].argmax(-1) != labels))
