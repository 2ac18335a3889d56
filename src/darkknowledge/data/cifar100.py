"""CIFAR-100: 50,000 + 10,000 colour pictures of 32×32 in a hundred (fine) classes.

Source: Krizhevsky (2009), "Learning multiple layers of features from tiny images".
"""

from __future__ import annotations

from pathlib import Path

from darkknowledge.data._cifar import Family
from darkknowledge.data._dataset import Source
from darkknowledge.data._download import RemoteFile

_NAMES = """apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can castle caterpillar cattle
    chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo
    keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter
    palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk
    skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip
    turtle wardrobe whale willow_tree wolf woman worm"""
CLASS_NAMES = tuple(_NAMES.split())

FAMILY = Family(
    name="cifar100",
    archive=RemoteFile("cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8", 168_513_733, ("https://www.cs.toronto.edu/~kriz/",)),
    folder="cifar-100-binary",
    train_files=("train.bin",),
    test_files=("test.bin",),
    label_bytes=2,  # the coarse class, then the fine one
    class_names=CLASS_NAMES,
    mean=(0.5071, 0.4865, 0.4409),
    std=(0.2673, 0.2564, 0.2762),
)


def cifar100(*, root: Path, download: bool) -> Source:
    """CIFAR-100 from ``root/cifar-100-binary.tar.gz``, or from the files extracted of it; ids as those of CIFAR-10."""
    return FAMILY.source(root, download=download)
