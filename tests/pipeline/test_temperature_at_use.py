"""A student trained at a high temperature is used at temperature 1: nothing divides its logits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import darkknowledge
from darkknowledge import Dataset
from pipeline.small import LOGGING, STUDENT


@pytest.mark.parametrize("temperature", [1.0, 20.0])
def test_the_answers_of_a_student_are_the_bare_logits_of_its_layers(runs: Path, tmp_path: Path, temperature: float) -> None:
    student = darkknowledge.distill(runs / "teacher-0", STUDENT, temperature=temperature, training={"steps": 20}, logging=LOGGING, out=tmp_path / "s")
    (evaluation,) = darkknowledge.evaluate(student.path, cost=False)
    weights = {name: tensor.double().numpy() for name, tensor in load_file(student.path / "model" / "model.safetensors").items()}
    data: Dataset = darkknowledge.data.load("digits")
    batch = next(iter(data.open_test().batches(torch.arange(500), batch_size=500, views=None)))
    hidden = (batch.inputs.double().numpy().reshape(500, -1) - data.mean[0]) / data.std[0]
    *inner, last = sorted({name.rpartition(".")[0] for name in weights})
    for layer in inner:
        hidden = np.maximum(hidden @ weights[f"{layer}.weight"].T + weights[f"{layer}.bias"], 0)
    by_hand = hidden @ weights[f"{last}.weight"].T + weights[f"{last}.bias"]
    assert np.allclose(evaluation.answers.logits.numpy(), by_hand, atol=1e-4)
