"""The house rules, read off the source: who imports whom, what is never called, and that source, configuration and test go together."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "darkknowledge"
FILES = sorted([*SOURCE.rglob("*.py"), ROOT / "train.py"])

FORBIDDEN_MODULES = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
FORBIDDEN_CALLS = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "os.system",
    "os.popen",
    "torch.hub.load",
    "torch.hub.load_state_dict_from_url",
    "torch.jit.load",
    "torch.serialization.add_safe_globals",
    "yaml.load",
    "yaml.load_all",
    "yaml.unsafe_load",
    "yaml.full_load",
    "hydra.utils.instantiate",
    "hydra.utils.call",
    "instantiate",
}


def faults(source: str) -> Iterator[str]:
    """What the rules forbid, in the text of a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from (name for name in _imported(node) if name.partition(".")[0] in FORBIDDEN_MODULES or name in FORBIDDEN_CALLS)
        elif isinstance(node, ast.Call):
            yield from _call_faults(node)


def _call_faults(call: ast.Call) -> Iterator[str]:
    name = ast.unparse(call.func)
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    if name in FORBIDDEN_CALLS:
        yield name
    if name.endswith("torch.load") and not _is(keywords.get("weights_only"), True):
        yield "torch.load without weights_only=True"
    if "allow_pickle" in keywords and not _is(keywords["allow_pickle"], False):
        yield "allow_pickle"
    if "shell" in keywords and not _is(keywords["shell"], False):
        yield "shell"
    if "trust_remote_code" in keywords:
        yield "trust_remote_code"


def _imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [f"{node.module}.{alias.name}" for alias in node.names]


def _is(node: ast.expr | None, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def test_no_file_runs_code_that_it_read() -> None:
    assert len(FILES) > 80
    assert {path: found for path in FILES if (found := list(faults(path.read_text(encoding="utf-8"))))} == {}


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from joblib import load",
        "eval('1')",
        "exec(text)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.load(path, weights_only=flag)",
        "np.load(path, allow_pickle=True)",
        "subprocess.run(line, shell=True)",
        "yaml.load(text, Loader)",
        "from hydra.utils import instantiate",
        "hydra.utils.instantiate(config)",
        "torch.hub.load('a', 'b')",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
    ],
)
def test_the_rule_above_finds_what_it_forbids(code: str) -> None:
    assert list(faults(code))


@pytest.mark.parametrize("code", ["torch.load(path, weights_only=True)", "np.load(path, allow_pickle=False)", "yaml.safe_load(text)", "model.eval()"])
def test_the_rule_above_lets_pass_what_is_safe(code: str) -> None:
    assert not list(faults(code))


KNOWN_BY = {
    "accelerate": (),
    "huggingface_hub": ("export/_libraries.py",),
    "hydra": ("cli/",),
    "joblib": (),
    "lightning": ("training/lightning_module.py",),
    "lightning_fabric": ("training/",),
    "matplotlib": ("report/figure/",),
    "omegaconf": ("cli/",),
    "PIL": ("data/", "report/figure/softmax.py", "report/picture.py", "training/tensorboard_logger.py"),
    "onnx": ("export/_libraries.py",),
    "onnxruntime": ("export/_libraries.py",),
    "onnxscript": ("export/_libraries.py",),
    "pyarrow": ("data/parquet.py", "transfer/_shard.py", "transfer/_export.py"),
    "pydantic": (
        "cli/",
        "pipeline/settings.py",
        "pipeline/_parts.py",
        "pipeline/_explanation.py",
        "pipeline/_finished.py",
        "training/history.py",
        "training/recipe.py",
    ),
    "rich": ("cli/", "pipeline/", "training/progress.py", "training/shared_progress.py"),
    "scipy": (),
    "sklearn": ("data/digits.py",),
    "tensorboard": (),
    "timm": ("model/timm.py",),
    "torch.utils.tensorboard": ("training/tensorboard_logger.py",),
    "torchmetrics": (),
    "torchvision": ("data/_photos.py", "model/torchvision.py"),
    "transformers": (),
    "wandb": ("training/wandb_logger.py",),
}
"""A library and the only places of the source that may know it."""


def test_a_library_is_known_in_its_place_alone() -> None:
    elsewhere = []
    for path in SOURCE.rglob("*.py"):
        place = path.relative_to(SOURCE).as_posix()
        modules = {name for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) for name in _modules(node)}
        for library, places in KNOWN_BY.items():
            if any(f"{name}.".startswith(f"{library}.") for name in modules) and not place.startswith(places or "\0"):
                elsewhere.append(f"{place} imports {library}")
    assert elsewhere == []


def _modules(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []


def test_the_rooms_import_in_one_direction() -> None:
    done = subprocess.run([str(Path(sys.executable).with_name("lint-imports")), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "1 kept, 0 broken" in done.stdout


def test_no_file_is_a_drawer_for_everything() -> None:
    drawers = {"utils", "util", "helpers", "helper", "common", "core", "engine", "misc"}
    assert not [path for path in [*SOURCE.rglob("*"), *(ROOT / "tests").rglob("*")] if path.stem in drawers]


def test_every_file_says_what_it_is_for() -> None:
    assert [path for path in FILES if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))] == []


ELSEWHERE = {"objective": {"gaussian_kl"}}
"""Files that are no choice on the command line: a formula for regression, which the classification stages have no use for."""
LIBRARIES = {"model": {"timm", "torchvision"}}
"""Files that stand for a library of networks, chosen as ``timm:NAME``; their tests share a file."""
ANY = {"model": {"plugin"}, "objective": {"plugin"}, "data": {"plugin"}}
"""Configurations of what a user spells ``package.module:NAME``."""
CHOOSING = ["objective", "model", "data", "teacher"]


def _public_files(room: str) -> set[str]:
    return {path.stem for path in (SOURCE / room).glob("*.py") if not path.stem.startswith("_")}


@pytest.mark.parametrize("room", CHOOSING)
def test_a_public_file_is_a_choice_under_its_own_name(room: str) -> None:
    choices = import_module(f"darkknowledge.{room}").CHOICES
    assert set(choices) == _public_files(room) - ELSEWHERE.get(room, set()) - LIBRARIES.get(room, set())
    for name, place in choices.items():
        module, _, attribute = place.partition(":")
        assert module == f"darkknowledge.{room}.{name}"
        assert callable(getattr(import_module(module), attribute))


@pytest.mark.parametrize("room", ["objective", "model", "data"])
def test_a_choice_has_a_configuration_of_its_name(room: str) -> None:
    configurations = {path.stem for path in (SOURCE / "conf" / room).glob("*.yaml") if not path.stem.startswith("_")}
    assert configurations == set(import_module(f"darkknowledge.{room}").CHOICES) | LIBRARIES.get(room, set()) | ANY[room]


@pytest.mark.parametrize("room", CHOOSING)
def test_a_choice_has_a_test_file_of_its_name_or_a_place_in_the_harness(room: str) -> None:
    tests = ROOT / "tests" / room
    own = {path.stem.removeprefix("test_") for path in tests.glob("test_*.py")}
    harness = "".join(path.read_text(encoding="utf-8") for path in tests.glob("test_every_*.py"))
    untested = _public_files(room) - LIBRARIES.get(room, set()) - own
    assert [name for name in untested if f"from darkknowledge.{room}.{name} import" not in harness] == []
