"""ONNX files, which ``dk predict`` reads, and the other files of an exported folder."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import darkknowledge
from darkknowledge.errors import IntegrityError
from security.hostile.file import Hostile, Opened, command, empty_of, made, nested, pickled, vouched
from security.hostile.torch_files import network

KIND = "ONNX files"

ELSEWHERE = "the ONNX file does not stand for itself"
SAID = {"class_names": ["a", "b"], "input_shape": [1, 2, 2], "mean": [0.5], "std": [0.5], "size": None, "pictures": "plain", "training": {}}


def graph(*, weights: Any = None, domain: str = "", operator: str = "MatMul", said: Any = None, text: Any = None, extra: Any = ()) -> bytes:
    """A network of one layer by hand."""
    from onnx import TensorProto, helper

    shape = helper.make_tensor("flat", TensorProto.INT64, [2], [-1, 4])
    nodes = [
        helper.make_node("Reshape", ["pixels", "flat"], ["row"]),
        helper.make_node(operator, ["row", "w"], ["logits"], domain=domain),
        *extra,
    ]
    own = helper.make_tensor("w", TensorProto.FLOAT, [4, 2], [float(index) for index in range(8)])
    ends = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])] for name, shape in (("pixels", [1, 2, 2]), ("logits", [2]))]
    model = helper.make_model(
        helper.make_graph(nodes, "g", *ends, [shape, own if weights is None else weights]),
        ir_version=10,
        opset_imports=[helper.make_opsetid("", 20), *([helper.make_opsetid(domain, 1)] if domain else [])],
    )
    helper.set_model_props(model, {name: json.dumps(value) for name, value in (SAID if said is None else said).items()} | dict(text or {}))
    return bytes(model.SerializeToString())


def tensor(place: str) -> Any:
    """Weights that lie in another file."""
    from onnx import TensorProto, helper

    found = helper.make_tensor("w", TensorProto.FLOAT, [4, 2], [0.0] * 8)
    found.ClearField("float_data")
    found.data_location = TensorProto.EXTERNAL
    found.external_data.add(key="location", value=place)
    return found


def branch(place: str) -> Any:
    """A branch whose weights lie in another file."""
    from onnx import TensorProto, helper

    inner = helper.make_graph(
        [helper.make_node("Constant", [], ["c"], value=tensor(place))], "inner", [], [helper.make_tensor_value_info("c", TensorProto.FLOAT, [4, 2])]
    )
    return helper.make_node("If", ["flat"], ["unused"], then_branch=inner, else_branch=inner)


def of(make: Callable[[Path], bytes]) -> Opened:
    def build(folder: Path) -> None:
        (folder / "m.onnx").write_bytes(make(folder))
        (folder / "rows.csv").write_text("0,0.5,1,0.25\n")

    return build


def at(make: Callable[[Path], object]) -> Opened:
    def build(folder: Path) -> None:
        make(folder / "m.onnx")
        (folder / "rows.csv").write_text("0,0.5,1,0.25\n")

    return build


ASKED = command("predict", "model=m.onnx", "input=rows.csv", "threads=1")


def row(name: str, build: Opened, says: str) -> Hostile:
    return Hostile(f"ONNX file {name}", build, ASKED, IntegrityError, says)


def _save(folder: Path) -> None:
    darkknowledge.model.save(network(), folder)


def with_program(folder: Path) -> None:
    """An exported folder, whole, whose program for PyTorch is a pickle."""
    made(_save, folder / "model")
    (folder / "model" / "model.pt2").write_bytes(pickled(folder))
    vouched(folder / "model", "config.json", "model.safetensors", "model.pt2")


def said(**values: Any) -> Opened:
    return of(lambda folder: graph(said=SAID | values))


def said_as_text(**values: str) -> Opened:
    return of(lambda folder: graph(text=values))


HOSTILE = [
    row("with weights in a file above", of(lambda f: graph(weights=tensor("../../../../etc/passwd"))), ELSEWHERE),
    row("with weights in a file by its absolute path", of(lambda f: graph(weights=tensor("/etc/passwd"))), ELSEWHERE),
    row("with weights in a file beside it", of(lambda f: graph(weights=tensor("rows.csv"))), ELSEWHERE),
    row("with weights elsewhere in a branch", of(lambda f: graph(extra=[branch("/etc/passwd")])), ELSEWHERE),
    row("that reads a compiled program", of(lambda f: graph(domain="com.microsoft", operator="EPContext")), ELSEWHERE),
    row("with an operator of a stranger", of(lambda f: graph(domain="ran", operator="Run")), ELSEWHERE),
    row("of an operator that is none", of(lambda f: graph(operator="Run")), "ONNX Runtime cannot read the file"),
    row("that is a pickle", of(pickled), "the file is no ONNX model"),
    row("that is nothing", of(lambda f: b""), "the file does not say what it is for"),
    row("that is a pipe", at(os.mkfifo), "it is no file"),
    row("that is a device", at(lambda path: path.symlink_to("/dev/zero")), "it is no file"),
    row("of 5 GB", at(empty_of(5 << 30)), "it is no file of at most"),
    row("that says nothing", of(lambda f: graph(said={})), "the file does not say what it is for"),
    row("that says it deeply", said_as_text(class_names=nested(100_000)), "does not say what it is for"),
    row("for a picture of a trillion pixels", said(input_shape=[1, 1 << 20, 1 << 20]), "the file does not say what it is for"),
    row("for larger pictures than it takes", said(input_shape=[1, 4, 4]), "the file is not what it says"),
    row("of more classes than it answers", said(class_names=["a"] * 3), "the file is not what it says"),
    Hostile("exported folder whose program is a pickle", with_program, lambda folder: darkknowledge.load(folder / "model")),
]


SOUND = [
    Hostile("an ONNX file", of(lambda folder: graph()), ASKED),
    Hostile("an ONNX file that names itself in colours", said(class_names=["\x1b[2Ja", "b"]), ASKED),
]
