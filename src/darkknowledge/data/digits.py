"""The 1,797 handwritten digits of 8×8 pixels that ship inside scikit-learn: nothing to fetch, too small for claims.

Source: Alpaydin & Kaynak (1998), "Optical recognition of handwritten digits", UCI repository; scikit-learn holds that set's test part.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import torch

from darkknowledge.data._dataset import Source, channel_statistics, fingerprint, image_content
from darkknowledge.data._images import ImageExamples
from darkknowledge.data._split import stratified_order
from darkknowledge.errors import ResourceError
from darkknowledge.randomness import Stream

CLASS_NAMES = tuple("0123456789")
TEST_CASES = 500
TEST_SEED = 2015
"""The test set is part of the data set, so its seed never changes (the year of the paper on distillation)."""


def digits(*, root: Path, download: bool) -> Source:
    """The digits, of which a fixed stratified choice of 500 is the test set. ``root`` and ``download`` have no meaning here.

    Ids are rows of the original table, in both sets. Its values 0 … 16 become 0 … 255.
    """
    table = torch.from_numpy(np.loadtxt(_table(), delimiter=",", dtype=np.int64))
    images = (table[:, :64] * 255 / 16).round().byte().view(-1, 1, 8, 8)
    everything = ImageExamples(images, torch.arange(len(table)), table[:, 64])
    order = stratified_order(everything.ids, everything.labels, seed=TEST_SEED, stream=Stream.TEST)
    test, train = (_at(everything, part.sort().values) for part in (order[:TEST_CASES], order[TEST_CASES:]))
    mean, std = channel_statistics(train.images)
    return Source(
        name="digits",
        train=train,
        open_test=lambda: test,
        class_names=CLASS_NAMES,
        input_shape=(1, 8, 8),
        mean=mean,
        std=std,
        fingerprint=fingerprint(train.ids, train.labels, CLASS_NAMES, image_content(train.images)),
    )


def _at(examples: ImageExamples, positions: torch.Tensor) -> ImageExamples:
    return examples.select(positions, labels=examples.labels[positions])


def _table() -> Path:
    """The table inside the package scikit-learn, found without importing it, which would take seconds."""
    package = importlib.util.find_spec("sklearn")
    if package is None or package.origin is None:
        raise ResourceError("the digits ship with scikit-learn, which is not installed", fix="pip install scikit-learn")
    path = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
    if not path.is_file():
        raise ResourceError("this scikit-learn does not hold the digits where they were", where=str(path), fix="install scikit-learn 1.7 or newer")
    return path
