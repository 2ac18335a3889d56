"""The model card, read back by the Hub's own library, and a push that goes to a stand-in."""

from __future__ import annotations

import html
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import ModelCard

from darkknowledge.errors import ResourceError, UsageError
from darkknowledge.export import Card, Description, Result, push, require_hub

RESULTS = [
    Result("model.safetensors", 5_000_000, 123, 10_000, (0.985, 0.99), 0.0, 10_000),
    Result("model-int8.onnx", 1_300_000, 124, 10_000, (0.984, 0.99), 0.097, 9_999),
]
TRAINING = {
    "objective": "0.9 × 4² KL(softmax(v/4) ‖ softmax(z/4)) + 0.1 × H(y, softmax(z))",
    "temperature": 4.0,
    "transfer_set_fingerprint": "ab" * 32,
}
DESCRIPTION = Description(("seven", "nine"), (1, 28, 28), (0.1,), (0.3,), training=TRAINING)
CARD = Card("student", DESCRIPTION, "parquet:cifar10-jpeg", ["teacher"], ["timm/resnet18.a1_in1k"], 1234, RESULTS, {"torch": "2.15.0"})
HOSTILE = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "---\nlicense: mit\n---",
    "[click](javascript:alert(1))",
    "a | b\n| c",
    "\u202egnirts",
    "\x00\x1b[2J",
    "`code` **bold** https://evil.example",
    "x" * 10_000,
    "'\": {yaml: [",
    "😀",
]


def test_the_hubs_library_reads_what_the_card_says() -> None:
    data = ModelCard(CARD.text()).data
    assert data.base_model == ["timm/resnet18.a1_in1k"]
    assert data.library_name == "darkknowledge"
    assert "knowledge-distillation" in data.tags
    (result,) = data.eval_results
    assert (result.task_type, result.dataset_type, result.dataset_name, result.dataset_split) == (
        *("image-classification", "parquet-cifar10-jpeg"),
        *("parquet:cifar10-jpeg", "test"),
    )
    assert (result.metric_type, result.metric_value) == ("accuracy", 0.9877)
    assert data.model_name == "student"


def test_the_card_says_how_it_was_made_how_it_was_checked_and_what_it_is_not_good_for() -> None:
    text = html.unescape(CARD.text())
    for said in (
        "| temperature | 4 |",
        "0.9 × 4² KL",
        "ab" * 32,
        "No temperature divides them",
        "9.7e-02 | 9,999",
        "98.77 %",
        "98.50 to 99.00 %",
        "## Limits",
        "Made with torch 2.15.0",
        "seven, nine",
    ):
        assert said in text, said


@pytest.mark.parametrize("text", HOSTILE)
def test_whatever_a_class_is_called_it_stays_text(text: str) -> None:
    card = replace(
        CARD,
        name=text,
        data=text,
        teachers=[text],
        description=replace(DESCRIPTION, class_names=(text, "b"), training={**TRAINING, "objective": text}),
    )
    found, harmless = ModelCard(card.text()), ModelCard(CARD.text())
    assert found.data.eval_results[0].dataset_name == text
    assert set(found.data.to_dict()) == set(harmless.data.to_dict())
    body = found.content.split("\n---\n", 1)[1]
    assert len(body.splitlines()) == len(harmless.content.split("\n---\n", 1)[1].splitlines())
    assert not re.search(r"<\w|\]\(|[\x00-\x09\x0b-\x1f\x7f\u202e]|https?://evil|\*\*", body)
    assert len(body) < 8_000
    for ours, theirs in zip(body.splitlines(), harmless.content.split("\n---\n", 1)[1].splitlines(), strict=True):
        assert ours.count("|") == theirs.count("|")


def test_thousands_of_classes_make_no_endless_card() -> None:
    names = tuple(f"class {number}" for number in range(5_000))
    assert "and 4,900 more" in replace(CARD, description=replace(DESCRIPTION, class_names=names)).text()


class Api:
    """What of the Hub's API a push uses."""

    def __init__(self, error: Exception | None = None) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.error = error

    def create_repo(self, repository: str, **options: Any) -> str:
        self.calls.append((repository, options))
        if self.error is not None:
            raise self.error
        return f"https://huggingface.co/{repository}"

    def upload_folder(self, **options: Any) -> None:
        self.calls.append(("upload", options))


def test_a_push_makes_a_private_repository_and_uploads_the_folder(tmp_path: Path) -> None:
    api = Api()
    assert push(tmp_path, "user/name", api=api) == "https://huggingface.co/user/name"
    assert api.calls[0] == ("user/name", {"private": True, "exist_ok": True})
    assert api.calls[1][1]["folder_path"] == tmp_path
    assert api.calls[1][1]["repo_id"] == "user/name"


def test_a_hub_that_refuses_or_is_not_there_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match=r"did not take the network: no route to host\n[\s\S]*hf upload user/name") as caught:
        push(tmp_path, "user/name", api=Api(OSError("no route to host\nand more")))
    assert caught.value.exit_code == 5


def test_without_a_token_or_the_library_nothing_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    with pytest.raises(UsageError, match="there is no token of the Hugging Face Hub here"):
        require_hub()
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ResourceError, match=r'huggingface_hub is not installed\n  fix: pip install "darkknowledge\[hub\]"'):
        require_hub()
