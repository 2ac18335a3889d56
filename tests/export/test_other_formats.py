"""Programs of torch.export, and files of 8 bits."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from darkknowledge.errors import UsageError
from darkknowledge.export import OnnxModel, read_torch_export, to_int8, to_onnx, to_torch_export
from export.small import DESCRIPTION, by_hand, network, pictures


@pytest.fixture(scope="module")
def program() -> bytes:
    return to_torch_export(network(), DESCRIPTION)


@pytest.mark.parametrize("batch", [1, 7])
def test_a_program_computes_what_numpy_computes(program: bytes, batch: int) -> None:
    found = read_torch_export(program)(pictures(batch)).detach().numpy()
    expected = by_hand(network().state_dict(), pictures(batch).numpy())
    assert np.abs(found - expected).max() <= 1e-5 * np.abs(expected).max()


def test_a_program_holds_no_path_and_no_pickle_and_says_what_it_is(program: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(program)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    assert not any(b".py" in content or content.startswith((b"\x80\x02", b"\x80\x04", b"PK")) for content in members.values())
    (said,) = (content for name, content in members.items() if name.endswith("darkknowledge.json"))
    assert b"class_names" in said


@pytest.fixture(scope="module")
def float32() -> bytes:
    return to_onnx(network(), DESCRIPTION)


def test_eight_bits_are_near_and_their_ranges_are_those_of_the_given_pictures(float32: bytes) -> None:
    asked: list[int] = []

    def batches() -> Iterator[torch.Tensor]:
        for part in pictures(200).split(100):
            asked.append(len(part))
            yield part

    small = to_int8(float32, DESCRIPTION, batches())
    assert asked == [100, 100]
    model = OnnxModel.of(small, where="here")
    assert model.description == DESCRIPTION
    expected = by_hand(network().state_dict(), pictures(200).numpy())
    found = model(pictures(200)).numpy()
    assert 0 < np.abs(found - expected).max() < 0.05 * np.abs(expected).max()
    values = {each.name: numpy_helper.to_array(each) for each in onnx.load_model_from_string(small).graph.initializer}
    assert {value.dtype.name for value in values.values() if value.ndim == 2} == {"int8"}
    scales = [float(value) for name, value in values.items() if value.ndim == 0 and value.dtype == np.float32 and name.startswith("pixels")]
    assert scales == [pytest.approx(pictures(200).numpy().max() / 255, rel=0.02)], "the pictures' own range, from 0"


def test_weights_are_scaled_a_channel_each(float32: bytes) -> None:
    small = to_int8(float32, DESCRIPTION, [pictures(8)])
    values = {each.name: numpy_helper.to_array(each) for each in onnx.load_model_from_string(small).graph.initializer}
    assert {value.shape for name, value in values.items() if "weight_scale" in name or name.endswith("_scale")} >= {(16,), (5,)}


def test_nothing_to_calibrate_by_is_told(float32: bytes) -> None:
    with pytest.raises(UsageError, match="ONNX Runtime cannot quantise the network"):
        to_int8(float32, DESCRIPTION, [])
