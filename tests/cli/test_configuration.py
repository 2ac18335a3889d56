"""YAML and Python agree: the same keys, the same defaults, and what the command line makes of them."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any

import pytest
import yaml

from cli.world import Program
from darkknowledge import data as data_room, model as model_room, objective as objective_room
from darkknowledge.cli.compose import compose
from darkknowledge.cli.grammar import expand, jobs, nested
from darkknowledge.cli.help import CONF, STAGES
from darkknowledge.errors import UsageError
from darkknowledge.pipeline import settings as schemas
from darkknowledge.pipeline._parts import DataSettings, LoggingSettings, ObjectiveSettings
from darkknowledge.pipeline.settings import validate
from darkknowledge.training.recipe import Recipe

SCHEMAS = {
    "run": schemas.RunSettings,
    "train": schemas.TrainSettings,
    "distill": schemas.DistillSettings,
    "evaluate": schemas.EvaluateSettings,
    "list": schemas.ListSettings,
}


def shown(dk: Program, *words: str) -> Any:
    """What ``--cfg job`` prints, read back."""
    done = dk(*words, "--cfg", "job")
    assert done.code == 0, done.err
    return yaml.safe_load(done.out)


@pytest.mark.parametrize("stage", ["train", "distill", "run", "list"])
def test_without_a_word_the_command_line_has_the_defaults_of_python(stage: str, dk: Program) -> None:
    values = shown(dk, stage, *(["experiment=null"] if stage == "run" else []))
    settings = validate(SCHEMAS[stage], values)
    options = {"hidden": [800, 800], "input_dropout": 0.0, "hidden_dropout": 0.0, "max_norm": None, "initial_std": None}
    for model in (getattr(settings, name) for name in ("model", "student") if hasattr(settings, name)):
        assert model.options() == options  # the family's own defaults, which Python leaves to the family
    plain = settings.model_dump(exclude={"model": set(options), "student": set(options), "teacher": {"model": set(options)}})
    assert without_none(plain) == without_none(SCHEMAS[stage]().model_dump())
    assert set(values) == set(SCHEMAS[stage].model_fields)


def without_none(values: Any) -> Any:
    """Values that are given."""
    return {key: without_none(value) for key, value in values.items() if value is not None} if isinstance(values, dict) else values


def test_evaluate_has_the_defaults_of_python_too(dk: Program) -> None:
    values = shown(dk, "evaluate", "run=runs/a")
    assert validate(schemas.EvaluateSettings, values) == schemas.EvaluateSettings(run=("runs/a",))  # type: ignore[arg-type]
    assert set(values) == set(schemas.EvaluateSettings.model_fields)
    assert shown(dk, "evaluate")["run"] == "???"


def read(group: str, name: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((CONF / group / f"{name}.yaml").read_text(encoding="utf-8"))
    inherited = [read(group, parent) for parent in values.pop("defaults", [])]
    return {key: value for part in (*inherited, values) for key, value in part.items()}


@pytest.mark.parametrize(("group", "schema"), [("training", Recipe), ("logging", LoggingSettings)])
def test_a_section_has_the_keys_and_values_of_its_record(group: str, schema: Any) -> None:
    values = read(group, "default")
    assert list(values) == list(schema.model_fields)
    assert schema(**values) == schema()


@pytest.mark.parametrize("name", data_room.CHOICES)
def test_the_options_of_a_data_set_are_those_of_its_function(name: str) -> None:
    values = read("data", name)
    assert values.pop("name") == name
    assert set(values) <= set(DataSettings.model_fields)
    common = set(inspect.signature(data_room.load).parameters) - {"name", "options"}
    module, _, attribute = data_room.CHOICES[name].partition(":")
    own = inspect.signature(getattr(import_module(module), attribute)).parameters
    assert set(values) == common | set(own)
    assert {key: value for key, value in values.items() if key in own and key not in common} == {
        key: parameter.default for key, parameter in own.items() if key not in common
    }
    assert DataSettings(name=name, **values).model_dump(exclude={"name", "image_column", "label_column"}) == DataSettings().model_dump(
        exclude={"name", "image_column", "label_column"}
    )


@pytest.mark.parametrize("name", model_room.CHOICES)
def test_the_options_of_a_network_are_those_of_its_builder(name: str) -> None:
    values = read("model", name)
    assert values.pop("name") == name
    assert {values.pop(key) for key in ("checkpoint", "preprocessing")} == {None}
    assert values.pop("head") == "keep"
    module, _, attribute = model_room.CHOICES[name].partition(":")
    parameters = inspect.signature(getattr(import_module(module), attribute)).parameters
    defaults = {key: parameter.default for key, parameter in parameters.items() if parameter.kind is parameter.KEYWORD_ONLY}
    assert {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()} == defaults


@pytest.mark.parametrize("name", objective_room.CHOICES)
def test_the_options_of_an_objective_are_those_of_its_class(name: str) -> None:
    values = read("objective", name)
    assert values.pop("name") == name
    assert set(values) <= set(ObjectiveSettings.model_fields)
    module, _, attribute = objective_room.CHOICES[name].partition(":")
    parameters = inspect.signature(getattr(import_module(module), attribute)).parameters
    assert set(values) <= set(parameters)
    required = {key for key, parameter in parameters.items() if parameter.default is parameter.empty}
    assert required <= set(values)
    if name != "mixture":
        plain = ObjectiveSettings(name=name, **values)
        assert plain.options() == {key: value for key, value in values.items() if value is not None}
        assert plain.options() == ObjectiveSettings(name=name).options()


def test_the_free_form_of_the_weights_leaves_alpha_out(dk: Program) -> None:
    words = ["objective.alpha=null", "objective.hard_weight=1", "objective.soft_weight=2"]
    goal = validate(schemas.DistillSettings, shown(dk, "distill", *words)).objective
    assert goal == ObjectiveSettings(name="distillation", hard_weight=1, soft_weight=2)
    assert goal.options() == {"temperature": 4.0, "hard_weight": 1, "soft_weight": 2}


@pytest.mark.parametrize("path", sorted((CONF / "experiment").glob("[!_]*.yaml")), ids=lambda path: path.stem)
def test_every_experiment_is_a_valid_run(path: Any, dk: Program) -> None:
    values = shown(dk, "run", f"experiment={path.stem}", "data.root=data")
    validate(schemas.RunSettings, values)


def test_the_experiment_of_a_data_set_is_used_unless_another_is_named(dk: Program) -> None:
    assert shown(dk, "run", "data=mnist") == shown(dk, "run", "experiment=mnist")
    assert shown(dk, "run") == shown(dk, "run", "experiment=digits")
    assert shown(dk, "run", "data=mnist") != shown(dk, "run", "data=mnist", "experiment=null")
    assert shown(dk, "run", "data=mnist", "experiment=null")["data"]["name"] == "mnist"


def test_what_is_given_beats_the_experiment(dk: Program) -> None:
    values = shown(dk, "run", "seeds=2", "training.seed=7", "teacher.members=1", "student=cifar_resnet", "student.depth=8x4")
    assert (values["seeds"], values["training"]["seed"], values["teacher"]["members"]) == (2, 7, 1)
    assert (values["student"]["name"], values["student"]["depth"]) == ("cifar_resnet", "8x4")
    assert "hidden" not in values["student"]


def test_a_choice_brings_its_own_options(dk: Program) -> None:
    values = shown(dk, "train", "model=cifar_resnet", "model.depth=20", "data=image_folder", "objective=hard_label", "objective.label_smoothing=0.1")
    assert values["model"] == read("model", "cifar_resnet") | {"depth": 20}
    assert values["data"]["image_size"] is None
    assert values["objective"] == {"name": "hard_label", "label_smoothing": 0.1}
    assert shown(dk, "distill", "objective=logit_matching")["objective"] == {"name": "logit_matching"}


@pytest.mark.parametrize(
    ("word", "file"),
    [("timm:resnet18.a1_in1k", "timm"), ("torchvision:resnet18", "torchvision"), ("my.networks:Tiny", "plugin"), ("'timm:vit'", "timm")],
)
def test_a_network_of_a_library_is_named_with_a_colon(word: str, file: str, dk: Program) -> None:
    for stage, key in (("train", "model"), ("distill", "student"), ("run", "student")):
        found = shown(dk, stage, f"{key}={word}")[key]
        assert found == {**read("model", file), "name": word.strip("'")}


def test_an_objective_and_data_of_ones_own_are_named_with_a_colon(dk: Program) -> None:
    values = shown(dk, "train", "objective=my.losses:Mine", "data=my.pictures:load")
    assert values["objective"] == {"name": "my.losses:Mine"}
    assert values["data"]["name"] == "my.pictures:load"


def test_teachers_are_one_or_a_list(dk: Program) -> None:
    assert shown(dk, "distill", "teacher=runs/a")["teacher"]["source"] == "runs/a"
    values = shown(dk, "distill", "teacher=[runs/a,timm:resnet18]", "teacher.weights=[1,2]")
    settings = validate(schemas.DistillSettings, values)
    assert settings.teacher.source == ("runs/a", "timm:resnet18")
    assert settings.teacher.weights == (1, 2)
    assert validate(schemas.DistillSettings, shown(dk, "distill", "teacher=runs/a")).teacher.source == ("runs/a",)


def test_values_follow_the_grammar_of_hydra(dk: Program) -> None:
    values = shown(dk, "train", "out='my runs/a=1,b'", "data.classes=[0,1]", "training.ema=null", "plugins=[a.b]", "logging.project='a b'")
    assert values["out"] == "my runs/a=1,b"
    assert values["data"]["classes"] == [0, 1]
    assert (values["training"]["ema"], values["plugins"], values["logging"]["project"]) == (None, ["a.b"], "a b")


def test_a_mixture_is_written_as_a_dictionary(dk: Program) -> None:
    terms = "objective.terms={soft:{name:hinton,temperature:8,weight:0.9},hard:{name:hard_label,weight:0.1}}"
    found = shown(dk, "distill", "objective=mixture", terms)["objective"]["terms"]
    assert found == {"soft": {"name": "hinton", "temperature": 8, "weight": 0.9}, "hard": {"name": "hard_label", "weight": 0.1}}


def test_a_grid_is_the_product_of_its_values() -> None:
    grid = jobs(["training.seed=1,2", "data=digits", "model=timm:resnet18,hinton_mlp"], multirun=True)
    expected = [(seed, model) for seed in (1, 2) for model in ("timm:resnet18", "hinton_mlp")]
    found = [compose("train", expand("train", job)) for job in grid]
    assert [(values["training"]["seed"], values["model"]["name"]) for values in found] == expected
    assert jobs(["training.seed=range(3)"], multirun=True) == [("training.seed=0",), ("training.seed=1",), ("training.seed=2",)]
    assert jobs(["a=1"], multirun=True) == jobs(["a=1"], multirun=False) == [("a=1",)]


def test_a_grid_shows_every_job_in_a_folder_of_its_number(dk: Program) -> None:
    done = dk("train", "-m", "training.seed=1,2", "out=grid", "--cfg", "job")
    values = list(yaml.safe_load_all(done.out))
    assert [(each["training"]["seed"], each["out"]) for each in values] == [(1, "grid/0"), (2, "grid/1")]


def test_the_configuration_is_resolved_to_plain_values() -> None:
    for stage in STAGES:
        values = compose(stage, expand(stage, ["data.root=${data.name}"] if stage in ("run", "train", "distill", "record") else []), complete=False)
        assert yaml.safe_load(yaml.safe_dump(values)) == values
        assert values.get("data", {"root": "digits"})["root"] == "digits"


def test_the_same_grammar_serves_a_program_without_files() -> None:
    words = ["a.b.c=1", "a.b.d='x, y=1'", "a.e=True", "f=[1,two,3.0]", "g={h:nan}", "i=null", "a.b.c=2", 'j="k"']
    found = nested(words)
    assert str(found.pop("g")["h"]) == "nan"
    assert found == {"a": {"b": {"c": 2, "d": "x, y=1"}, "e": True}, "f": [1, "two", 3.0], "i": None, "j": "k"}


@pytest.mark.parametrize("word", ["a=1,2", "a=range(3)", "~a", "a", "a=[1", "a=1 b.c=2"])
def test_a_word_without_a_single_value_is_refused(word: str) -> None:
    with pytest.raises(UsageError):
        nested([word])


@pytest.mark.parametrize("words", [["a=1", "a.b=2"], ["a.=1"], [".a=1"]])
def test_a_key_that_is_no_path_is_refused(words: list[str]) -> None:
    with pytest.raises(UsageError):
        nested(words)
