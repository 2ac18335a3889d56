"""ONNX files: what they compute, what they say, and what of others is refused."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from darkknowledge.errors import IntegrityError, ResourceError, UsageError
from darkknowledge.export import Description, OnnxModel, _onnx, to_onnx
from darkknowledge.model import Network, NetworkSpec, Preprocessing
from export.small import CLASSES, DESCRIPTION, SHAPE, by_hand, network, pictures


@pytest.fixture(scope="module")
def data() -> bytes:
    return to_onnx(network(), DESCRIPTION)


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_the_file_computes_what_numpy_computes_of_pixels_that_nobody_has_normalised(data: bytes, batch: int) -> None:
    found = OnnxModel.of(data, where="here", threads=1)(pictures(batch)).numpy()
    expected = by_hand(network().state_dict(), pictures(batch).numpy())
    assert found.shape == (batch, CLASSES)
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


def test_inputs_and_outputs_have_names_and_the_batch_is_free(data: bytes) -> None:
    model = onnx.load_model_from_string(data)
    shapes = [[(each.name, [dim.dim_param or dim.dim_value for dim in each.type.tensor_type.shape.dim]) for each in side] for side in
              (model.graph.input, model.graph.output)]  # fmt: skip
    assert shapes == [[("pixels", ["batch", *SHAPE])], [("logits", ["batch", CLASSES])]]


def test_the_weights_are_in_it_and_no_path_of_this_machine(data: bytes) -> None:
    model = onnx.load_model_from_string(data)
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    assert len(data) > 4 * sum(weight.numel() for weight in network().parameters())
    assert b".py" not in data
    assert str(Path(__file__).parents[2]).encode() not in data


def test_it_says_what_it_is_in_plain_json(data: bytes) -> None:
    said = {each.key: json.loads(each.value) for each in onnx.load_model_from_string(data).metadata_props}
    assert said == {"class_names": list("abcde"), "input_shape": [2, 3, 4], "mean": [0.3, 0.6], "std": [0.2, 0.7], "size": None, "pictures": "plain",
                    "training": {"temperature": 20.0}}  # fmt: skip
    assert OnnxModel.of(data, where="here").description == DESCRIPTION


@pytest.mark.parametrize("size", [(9, 7), (3, 2)])
def test_what_the_network_does_to_a_picture_is_in_the_graph(size: tuple[int, int]) -> None:
    """A grey picture of another size, for a body that was trained on colour: it is scaled, repeated and normalised there."""
    preprocessing = Preprocessing((0.4, 0.5, 0.6), (0.2, 0.3, 0.4), size)
    body = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 2), torch.nn.Flatten(), torch.nn.Linear(4 * (size[0] - 1) * (size[1] - 1), 2))
    grey = Network(body, preprocessing, NetworkSpec("own", 2, (1, 5, 5), ("a", "b"))).eval()
    description = Description(("a", "b"), (1, 5, 5), preprocessing.mean, preprocessing.std, size)
    inputs = torch.from_numpy(np.random.default_rng(0).random((7, 1, 5, 5), dtype=np.float32))
    with torch.no_grad():
        expected = grey(inputs)
    found = OnnxModel.of(to_onnx(grey, description), where="here")(inputs)
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


def external(model: Any) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../etc/passwd")


def external_but_for_a_word(model: Any) -> None:
    external(model)
    model.graph.initializer[0].data_location = TensorProto.DEFAULT


def external_in_a_branch(model: Any) -> None:
    hidden = helper.make_tensor("deep", TensorProto.FLOAT, [1], [0.0])
    hidden.ClearField("float_data")
    hidden.data_location = TensorProto.EXTERNAL
    hidden.external_data.add(key="location", value="/etc/passwd")
    inner = helper.make_graph([helper.make_node("Constant", [], ["c"], value=hidden)], "inner", [], [helper.make_tensor_value_info("c", 1, [1])])
    model.graph.node.append(helper.make_node("If", ["logits"], ["unused"], then_branch=inner, else_branch=inner))


def foreign(model: Any) -> None:
    model.graph.node[0].domain = "com.microsoft"
    model.graph.node[0].op_type = "EPContext"


def other_size(model: Any) -> None:
    del model.metadata_props[:]
    helper.set_model_props(model, Description(tuple("abcde"), (1, 3, 4), (0.3,), (0.2,)).to_metadata())


def other_classes(model: Any) -> None:
    del model.metadata_props[:]
    helper.set_model_props(model, Description(tuple("abcd"), SHAPE, (0.3,), (0.2,)).to_metadata())


def silent(model: Any) -> None:
    del model.metadata_props[:]


def nonsense(model: Any) -> None:
    next(each for each in model.metadata_props if each.key == "input_shape").value = "[1e400, 3, 4]"


def unknown(model: Any) -> None:
    model.graph.node[0].op_type = "Nothing"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (external, "lie in another file"),
        (external_but_for_a_word, "lie in another file"),
        (external_in_a_branch, "its weights 'deep' lie in another file"),
        (foreign, "the operator 'EPContext' of the domain 'com.microsoft'"),
        (other_size, "the file is not what it says"),
        (other_classes, "the file is not what it says"),
        (silent, "the file does not say what it is for"),
        (nonsense, "the file does not say what it is for"),
        (unknown, "ONNX Runtime cannot read the file"),
    ],
)
def test_a_file_that_is_no_export_is_refused(data: bytes, change: Callable[[Any], None], says: str) -> None:
    model = onnx.load_model_from_string(data)
    change(model)
    with pytest.raises(IntegrityError, match=says):
        OnnxModel.of(model.SerializeToString(), where="here")


@pytest.mark.parametrize("content", [b"", b"\x80\x04K\x01.", b"\xff" * 100])
def test_what_is_no_model_at_all_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(IntegrityError):
        OnnxModel.open(tmp_path / "m.onnx")
    with pytest.raises(IntegrityError, match="cannot be read"):
        OnnxModel.open(tmp_path / "none.onnx")
    with pytest.raises(IntegrityError, match="is no ONNX file: it is no file"):
        OnnxModel.open(tmp_path)


def test_more_weights_than_a_file_can_hold_are_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_onnx, "LARGEST", 100)
    with pytest.raises(UsageError, match=r"one ONNX file holds 2 GB[\s\S]*fix: export format=safetensors"):
        to_onnx(network(), DESCRIPTION)


class Uncertain(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if float(x.sum()) > 0 else -x


def test_a_network_that_pytorch_cannot_translate_is_told_why_in_a_line(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(
        UsageError, match=r"PyTorch cannot write the network as ONNX: [^\n\x1b]*data-dependent[^\n]*\n  fix: export format=safetensors"
    ):
        to_onnx(Uncertain(), DESCRIPTION)
    assert "def forward" not in capfd.readouterr().err


@pytest.mark.parametrize("name", ["onnx", "onnxscript"])
def test_a_missing_library_is_named_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ResourceError, match=rf'{name} is not installed\n  fix: pip install "darkknowledge\[export\]"') as caught:
        to_onnx(network(), DESCRIPTION)
    assert caught.value.exit_code == 5
