import subprocess
import sys
from pathlib import Path

import pytest
import torch

from darkknowledge.errors import UsageError
from darkknowledge.model import CHOICES, LIBRARIES, Preprocessing, build, load, save

DATA = {"num_classes": 4, "input_shape": (1, 8, 8), "mean": [0.3], "std": [0.4]}

OWN = """
import torch

class Own(torch.nn.Module):
    def __init__(self, num_classes, input_shape, *, width: int = 5, scales=()):
        super().__init__()
        channels, height, width_of_picture = input_shape
        self.layers = torch.nn.Sequential(
            torch.nn.Flatten(), torch.nn.Linear(channels * height * width_of_picture, width), torch.nn.Linear(width, num_classes))
        self.scales = scales

    def forward(self, inputs):
        return self.layers(inputs)

class Wrong(Own):
    def forward(self, inputs):
        return (self.layers(inputs),)

class Sure(Own):
    def forward(self, inputs):
        return self.layers(inputs).softmax(-1)

class Lucky(Own):
    def forward(self, inputs):
        return torch.full((len(inputs), 4), 0.25) + (inputs.mean() > 0)

class Narrow(Own):
    def forward(self, inputs):
        return self.layers(inputs)[:, :2]

def number(num_classes, input_shape):
    return 3
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "own_networks.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_networks", raising=False)
    return "own_networks"


def test_naming_the_choices_imports_nothing_slow() -> None:
    slow = "{'torch', 'timm', 'torchvision', 'safetensors', 'numpy'}"
    program = f"import sys, darkknowledge.model as model; model.CHOICES; assert not {slow} & set(sys.modules), set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_building_a_network_of_our_own_imports_no_other_library() -> None:
    program = (
        "import sys, torch, darkknowledge.model as model\n"
        "model.build('hinton_mlp', num_classes=2, input_shape=(1, 2, 2), mean=[0.5], std=[0.5])\n"
        "assert not {'timm', 'torchvision', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_every_choice_is_a_file_of_the_room_and_the_other_way_round() -> None:
    import darkknowledge.model as room

    files = {path.stem for path in Path(room.__file__).parent.glob("*.py") if not path.stem.startswith("_")}
    assert {*CHOICES, *LIBRARIES} == files


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("hinton", "Did you mean 'hinton_mlp'"),
        ("cifar-resnet", "Did you mean 'cifar_resnet'"),
        ("", "Choices:"),
        ("timm:", "timm:NAME"),
        ("torchvison:resnet18", "torchvision:NAME"),
        ("not a module:Class", "Choices:"),
    ],
)
def test_an_unknown_name_gets_a_hint(name: str, hint: str) -> None:
    with pytest.raises(UsageError, match=hint):
        build(name, **DATA)


def test_an_unknown_option_gets_a_close_match() -> None:
    with pytest.raises(UsageError, match="Did you mean 'depth'"):
        build("cifar_resnet", **DATA, dept=20)


def test_the_same_seed_gives_the_same_weights() -> None:
    drawn = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        drawn.append(build("hinton_mlp", **DATA).body.layers[1].weight)
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_a_network_is_built_ready_for_training_and_its_statistics_are_untouched() -> None:
    network = build("cifar_resnet", **DATA)
    assert network.training
    assert network.body.bn1.num_batches_tracked == 0
    assert network.body.bn1.running_mean.abs().max() == 0


def test_classes_are_numbered_unless_they_are_named() -> None:
    assert build("hinton_mlp", **DATA).spec.class_names == ("0", "1", "2", "3")
    assert build("hinton_mlp", **DATA, class_names=["a", "b", "c", "d"]).spec.class_names == ("a", "b", "c", "d")


def test_a_given_preprocessing_goes_before_the_data_s() -> None:
    preprocessing = Preprocessing((0.1,), (0.9,), (16, 16))
    assert build("cifar_resnet", **DATA, preprocessing=preprocessing).preprocessing == preprocessing
    assert build("cifar_resnet", **DATA).preprocessing == Preprocessing((0.3,), (0.4,))


def test_means_must_fit_the_channels() -> None:
    with pytest.raises(UsageError, match="1 channel means for inputs of shape"):
        build("hinton_mlp", num_classes=4, input_shape=(3, 8, 8), mean=[0.5], std=[0.5])


def test_an_unknown_treatment_of_the_head_names_the_choices() -> None:
    with pytest.raises(UsageError, match="Choices: keep, replace"):
        build("hinton_mlp", **DATA, head="replaced")


def test_a_class_of_the_user_is_built_and_returns_from_disk_when_allowed(own: str, tmp_path: Path) -> None:
    network = build(f"{own}:Own", **DATA, width=6, scales=[1, 2])
    save(network, tmp_path / "model")
    again = load(tmp_path / "model", plugins=[own])
    assert torch.equal(again.body.layers[2].weight, network.body.layers[2].weight)
    assert again.body.scales == network.body.scales == (1, 2)
    assert network.preprocessing == Preprocessing((0.3,), (0.4,))


@pytest.mark.parametrize(
    ("attribute", "options", "message"),
    [
        ("Own", {"widht": 6}, "Options it takes: scales, width"),
        ("Missing", {}, "has no 'Missing'"),
        ("number", {}, "made a int, not a torch.nn.Module"),
        ("Wrong", {}, "answers one example with tuple"),
        ("Sure", {}, "answers with probabilities"),
        ("Narrow", {}, r"shape \(1, 2\), not with shape \(1, 4\)"),
    ],
)
def test_a_class_that_does_not_serve_is_refused(own: str, attribute: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build(f"{own}:{attribute}", **DATA, **options)


def test_logits_that_look_like_probabilities_once_are_no_reason_to_refuse(own: str) -> None:
    network = build(f"{own}:Lucky", **DATA)
    assert network(torch.zeros(1, 1, 8, 8)).sum() == 1
