"""A data set by name."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from darkknowledge.data import CHOICES
from darkknowledge.data._dataset import Dataset, Source, ViewOptions, assemble
from darkknowledge.data._plugin import imported
from darkknowledge.data._replay import Replayable
from darkknowledge.data._split import Classes, Split, SplitOptions
from darkknowledge.errors import UsageError, close_match


def load(
    name: str,
    *,
    root: str | Path | None = None,
    download: bool = False,
    validation: float | int = 0.1,
    split_seed: int = 0,
    fraction: float = 1.0,
    labelled: float = 1.0,
    classes: Classes | None = None,
    without: Classes | None = None,
    hide_labels: bool = False,
    augment: str | Replayable | None = None,
    augment_seed: int = 0,
    mix: str | None = None,
    mix_alpha: float | None = None,
    **options: Any,
) -> Dataset:
    """Read the training part of a data set, and carve a validation set from it. The test files stay closed until ``open_test()``.

    Args:
        name: one of `CHOICES`, or ``package.module:function`` for your own: called with all the arguments below (``options`` too) by keyword, it
            returns a `Dataset`; handing the ones it does not use itself on to `from_tensors` is enough.
        root: the folder that holds the data; by default ``data`` in the current folder. ``digits`` needs none.
        download: fetch the original files into ``root`` if they are not there. Nothing is ever fetched otherwise.
        validation: share of the training set to set aside, or number of cases; this and the next six are the options of `Split`.
        split_seed: seed of the division.
        fraction: share of the cases to train on.
        labelled: share of those that keep their label.
        classes: train on these classes only.
        without: train on all classes but these.
        hide_labels: hide every training label.
        augment: recipe of the training views; None takes the data set's own, ``none`` shows plain pictures in every view. A `Replayable`, or
            ``package.module:name`` of one, is a recipe of your own.
        augment_seed: seed of the views, mixed ones too.
        mix: ``mixup`` or ``cutmix`` (`Mixed`): every training view is mixed with that of another training picture.
        mix_alpha: α of the distribution Beta(α, α) of the shares; None is 0.2 for ``mixup`` and 1 for ``cutmix``.
        options: what the data set itself takes, as ``image_size`` and ``workers`` for ``image_folder`` and ``parquet``.

    Raises:
        UsageError: an unknown name or option, or a value out of range.
        DataError: files missing, unreadable or not what they should be; says where and what to do.
        ResourceError: a download cannot be written.
    """
    division: SplitOptions = {
        "validation": validation,
        "split_seed": split_seed,
        "fraction": fraction,
        "labelled": labelled,
        "classes": classes,
        "without": without,
        "hide_labels": hide_labels,
    }
    views: ViewOptions = {"augment": augment, "augment_seed": augment_seed, "mix": mix, "mix_alpha": mix_alpha}
    split = Split(**division)  # refuses what makes no sense before any file is opened
    folder = Path("data") if root is None else Path(root).expanduser()
    if ":" in name:
        return _own(name, root=folder, download=download, **views, **division, **options)
    if name not in CHOICES:
        raise UsageError(f"there is no data set {name!r}", where="data", fix=close_match(name, CHOICES))
    source = _choice(name, options)(root=folder, download=download, **options)
    return assemble(source, split, **views)


def _choice(name: str, options: dict[str, Any]) -> Callable[..., Source]:
    """The function of a choice, after a look at whether it takes ``options``."""
    module, attribute = CHOICES[name].split(":")
    function: Callable[..., Source] = getattr(importlib.import_module(module), attribute)
    known = set(inspect.signature(function).parameters) - {"root", "download"}
    for option in options:
        if option not in known:
            fix = close_match(option, known) if known else "it has none of its own"
            raise UsageError(f"the data set {name} has no option {option!r}", where=f"data.{option}", fix=fix)
    return function


def _own(name: str, **arguments: Any) -> Dataset:
    function = imported(name, what="data set", where="data")
    try:
        inspect.signature(function).bind(**arguments)
    except TypeError as error:
        raise UsageError(f"{name} cannot be called: {error}", where="data", fix="let it take **options") from error
    data_set = function(**arguments)
    if not isinstance(data_set, Dataset):
        fix = "return what darkknowledge.data.from_tensors makes"
        raise UsageError(f"{name} returned {type(data_set).__name__} and not a Dataset", where="data", fix=fix)
    return data_set
