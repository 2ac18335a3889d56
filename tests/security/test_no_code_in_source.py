"""What the source never does, read off its syntax: run what it was given, unpickle, unpack to disk, or talk to a network where nobody asked."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "darkknowledge"
FILES = sorted([*SOURCE.rglob("*.py"), ROOT / "train.py"])

DOWNLOADS = "data/_download.py"
RULES = {
    "runs text as code": (r"(builtins|codeop|runpy|torch\.utils\.cpp_extension)\b|(eval|exec|compile|__import__)$|torch\.jit\.load", ()),
    "unpickles": (r"(_?pickle|cPickle|cloudpickle|dill|joblib|marshal|shelve|jsonpickle|pandas|torch\.package)\b", ()),
    "lets PyTorch build more": (r"torch\.serialization\.(add_safe_globals|safe_globals|register_package)|torch\._weights_only_unpickler", ()),
    "starts a process": (r"(subprocess|pty)\b|os\.(system|popen|exec|spawn|posix_spawn|startfile)", ()),
    "reads YAML that makes objects": (r"yaml\.(?!(safe_load|safe_dump|dump|SafeDumper|SafeLoader|AliasEvent|Node|YAMLError)$)|ruamel\b", ()),
    "makes what a configuration names": (r"hydra\.(utils|_internal)\b|(\w+\.)*(instantiate|get_class|get_method|get_object)$", ()),
    "resolves what a configuration asks for": (r"omegaconf\.OmegaConf\.(load|register\w*|legacy_register\w*)$", ()),
    "unpacks to disk": (r"shutil\.unpack_archive|(\w+\.)*(extractall|extract)$", ()),
    "opens a connection": (r"(urllib(?!\.parse|3)|http|ssl|ftplib|smtplib|telnetlib|xmlrpc|asyncio)\b|socket\.(?!gethostname$)", (DOWNLOADS,)),
    "fetches with a library": (r"(requests|httpx|aiohttp|urllib3|fsspec|huggingface_hub|torch\.hub|webbrowser)\b", ("export/_libraries.py",)),
    "lets PyTorch read a program": (r"torch\.export\.(load|pt2_archive)|torch\._inductor\.(package|aoti_load)", ("export/_torch_export.py",)),
    "imports by name": (
        r"importlib\.(import_module|__import__|machinery|util\.(module_from_spec|spec_from))|(\w+\.)*(exec_module|load_module)$",
        (
            *(
                f"{room}/__init__.py"
                for room in (".", "analysis", "data", "export", "model", "objective", "teacher", "training", "transfer", "transfer/codec")
            ),
            *("data/_load.py", "data/_plugin.py", "model/_build.py", "model/_plugin.py", "objective/_build.py"),
        ),
    ),
}
"""What a name that is used would do, and the only files that may."""

ONLY = {
    "weights_only": True,
    "allow_pickle": False,
    "shell": False,
    "trust_remote_code": False,
    "MAX_IMAGE_PIXELS": ...,
    "LOAD_TRUNCATED_IMAGES": False,
}
"""Arguments and attributes that are given this literal value or none at all; with … never."""


def faults(source: str, place: str = "") -> Iterator[str]:
    """What the rules forbid in the text of a module that lies at ``place`` in the source."""
    tree = ast.parse(source)
    names = dict(_imported(tree))
    own = {argument.arg for node in ast.walk(tree) if isinstance(node, ast.arguments) for argument in (*node.args, *node.kwonlyargs)}
    used = list(names.values())
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load) and not (isinstance(node, ast.Name) and node.id in own):
            used.append(_dotted(node, names))
        yield from _values(node)
        if isinstance(node, ast.Call) and _dotted(node.func, names) == "torch.load" and "weights_only" not in {word.arg for word in node.keywords}:
            yield "torch.load without weights_only=True"
    for what, (pattern, places) in RULES.items():
        if place not in places:
            yield from (f"{name} {what}" for name in used if re.match(pattern, name))


def _imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Each imported name, and what it stands for."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (
                (alias.asname or alias.name.partition(".")[0], alias.name if alias.asname else alias.name.partition(".")[0]) for alias in node.names
            )
            yield from ((alias.name, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((alias.asname or alias.name, f"{node.module}.{alias.name}") for alias in node.names)


def _dotted(node: ast.expr, names: Mapping[str, str]) -> str:
    """``np.load`` as ``numpy.load``; of another expression's attribute, its own name."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value, names) or '_'}.{node.attr}"
    return ""


def _values(node: ast.AST) -> Iterator[str]:
    """Values that are not the only ones allowed."""
    if isinstance(node, ast.keyword) and node.arg in ONLY:
        given = [(node.arg, node.value)]
    elif isinstance(node, ast.Assign):
        given = [(target.attr, node.value) for target in node.targets if isinstance(target, ast.Attribute) and target.attr in ONLY]
    else:
        return
    for name, value in given:
        if not (isinstance(value, ast.Constant) and value.value is ONLY[name]):
            yield f"{name}={ast.unparse(value)}"


def test_no_file_runs_unpickles_unpacks_or_connects() -> None:
    assert len(FILES) > 80
    found = {path: list(faults(path.read_text(encoding="utf-8"), _place(path))) for path in FILES}
    assert {path: what for path, what in found.items() if what} == {}


def _place(path: Path) -> str:
    place = path.relative_to(SOURCE).as_posix() if path.is_relative_to(SOURCE) else path.name
    return place if "/" in place else f"./{place}"


def test_every_exception_is_still_needed() -> None:
    for what, (pattern, places) in RULES.items():
        for place in places:
            text = (SOURCE / place).read_text(encoding="utf-8")
            assert any(what in fault for fault in faults(text)), f"{place} no longer {what} ({pattern})"


def test_torch_load_is_called_in_one_place() -> None:
    calls = [_place(path) for path in FILES if "torch.load(" in path.read_text(encoding="utf-8")]
    assert calls == ["runs/torch_file.py"]


BAD = """
import pickle
from pickle import loads
import _pickle as fast
from joblib import load
import dill
import marshal
import shelve
import cloudpickle
import pandas as pd
eval('1')
exec(text)
compile(text, 'a', 'exec')
__import__(name)
run = eval
import builtins
import runpy
torch.load(path)
import torch as t; t.load(path)
from torch import load; load(path)
torch.load(path, weights_only=False)
torch.load(path, weights_only=flag)
weights.get_state_dict(weights_only=False)
torch.jit.load(path)
torch.hub.load('a', 'b')
from torch.hub import load_state_dict_from_url
torch.serialization.add_safe_globals([Net])
from torch.utils.cpp_extension import load_inline
np.load(path, allow_pickle=True)
numpy.load(path, allow_pickle=flag)
AutoModel.from_pretrained(name, trust_remote_code=True)
import subprocess
from subprocess import run
os.system('true')
from os import system
os.execv(path, words)
pty.spawn('sh')
helper(line, shell=True)
yaml.load(text, Loader)
yaml.unsafe_load(text)
yaml.full_load(text)
yaml.SafeLoader.add_constructor('!x', make)
from yaml import Loader
from hydra.utils import instantiate
hydra.utils.instantiate(config)
import hydra.utils as u; u.call(config)
from hydra.utils import get_class, get_method
OmegaConf.register_new_resolver('env', f); from omegaconf import OmegaConf
from omegaconf import OmegaConf; OmegaConf.load(path)
tar.extractall(folder)
zipfile.ZipFile(path).extract(name)
tarfile.open(path).extractall(folder, filter='data')
shutil.unpack_archive(path)
import requests
import urllib.request
from urllib.request import urlopen
import http.client
import socket; socket.create_connection(place)
import huggingface_hub
torch.export.load(path)
importlib.import_module(name)
from importlib import import_module
spec.loader.exec_module(module)
Image.MAX_IMAGE_PIXELS = None
ImageFile.LOAD_TRUNCATED_IMAGES = True
""".strip().splitlines()


@pytest.mark.parametrize("code", BAD)
def test_the_rules_find_what_they_forbid(code: str) -> None:
    assert list(faults(code)), code


GOOD = """
torch.load(path, weights_only=True)
np.load(path, allow_pickle=False)
yaml.safe_load(text)
model.eval()
re.compile(pattern)
torch.compile(model)
socket.gethostname()
from urllib.parse import urlsplit
OmegaConf.to_container(config)
tar.extractfile(member)
helper(shell=False)
def prepare(*, compile): return compile
""".strip().splitlines()


@pytest.mark.parametrize("code", GOOD)
def test_the_rules_let_pass_what_is_safe(code: str) -> None:
    assert not list(faults(code)), code


def test_a_file_that_may_is_not_found_for_that_alone() -> None:
    assert not list(faults("import urllib.request", DOWNLOADS))
    assert list(faults("import pickle", DOWNLOADS))
