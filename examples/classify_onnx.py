"""Classify pictures with an exported ONNX file, with ONNX Runtime, NumPy and Pillow alone.

    python examples/classify_onnx.py runs/student/export/model.onnx seven.png

The file says itself what its classes are called and how large its pictures are. Pixels go in as numbers from 0 to 1, not normalised: the graph does
that. The softmax of the logits is the answer; no temperature divides them, whatever the network was trained at.
"""

from __future__ import annotations

import json
import sys

import numpy as np
import onnxruntime
from PIL import Image


def pixels(path: str, shape: tuple[int, int, int], prepared: str) -> np.ndarray:
    """A picture as (C, H, W) float32 in [0, 1], made as those were that the network was measured on."""
    channels, height, width = shape
    picture = Image.open(path)
    picture = picture.convert("L" if channels == 1 else "RGB")
    if prepared != "plain":  # photos: the shorter side to 8/7 of the size, then the centre
        shorter, shown = min(picture.size), round(height / 0.875)
        picture = picture.resize((picture.width * shown // shorter, picture.height * shown // shorter), Image.Resampling.BILINEAR)
        left, top = round((picture.width - width) / 2), round((picture.height - height) / 2)
        picture = picture.crop((left, top, left + width, top + height))
    elif picture.size != (width, height):
        picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    values = np.asarray(picture, dtype=np.float32).reshape(height, width, channels) / 255
    return values.transpose(2, 0, 1)


def main(model: str, *paths: str) -> None:
    """Print the three most probable classes of each picture."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    said = {name: json.loads(value) for name, value in session.get_modelmeta().custom_metadata_map.items()}
    batch = np.stack([pixels(path, tuple(said["input_shape"]), said["pictures"]) for path in paths])
    (logits,) = session.run(["logits"], {"pixels": batch})
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    for path, probabilities in zip(paths, exponentials / exponentials.sum(axis=1, keepdims=True), strict=True):
        best = np.argsort(-probabilities)[:3]
        print(f"{path}: " + ", ".join(f"{said['class_names'][index]} {probabilities[index]:.2%}" for index in best))


if __name__ == "__main__":
    main(*sys.argv[1:])
