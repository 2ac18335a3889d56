"""Do the tests notice a mistake? Mutants drawn at random from the objectives, the codecs and the manifests, each run against the tests that call it.

    uv run --with mutmut==3.8.1 python -m benchmarks mutants --draw 300 --seed 2016

The mutants are mutmut's; the tests are run by `running`, because mutmut's own runner knows nothing of forked workers and temporary folders.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from darkknowledge.runs.environment import environment
from darkknowledge.runs.files import write_json, write_text

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
ROOMS = ("objective", "runs", "transfer")
"""Whose tests are run."""
MUTATED = [
    "objective/*.py",
    "runs/checked_json.py",
    "runs/files.py",
    "transfer/codec/*.py",
    *(f"transfer/_{name}.py" for name in ("identity", "layout", "manifest", "output", "plan", "shard", "sidecar", "statistics")),
]


def main(words: Sequence[str]) -> int:
    """Draw, watch, try, and write the record and its page."""
    arguments = parser().parse_args(words)
    with tempfile.TemporaryDirectory() as temporary:
        folder = (arguments.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "watched.json").exists():
            prepare(folder, arguments.draw, arguments.seed)
            tests(folder, "watch", 0)
        tests(folder, "try", arguments.seconds)
        found = record(folder, arguments)
    write_json(HERE / "results.json", found)
    write_text(HERE / "README.md", page(found))
    print(page(found))
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="python -m benchmarks mutants", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--draw", type=int, default=300, help="how many mutants (300)")
    made.add_argument("--seed", type=int, default=2016, help="of the draw (2016)")
    made.add_argument("--seconds", type=float, default=20, help="of processor time for the tests of one mutant, the quickest first (20)")
    made.add_argument("--folder", type=Path, help="where to work, to go on after a stop; a temporary one")
    return made


def prepare(folder: Path, draw: int, seed: int) -> None:
    """Copy what is committed, write the mutants, and draw some."""
    code = folder / "code"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(code)], check=True)
    chosen = json.dumps([f"src/darkknowledge/{path}" for path in MUTATED])
    with (code / "pyproject.toml").open("a") as file:
        file.write(f'\n[tool.mutmut]\nsource_paths = ["src"]\nonly_mutate = {chosen}\ntrack_dependencies = false\n')
    subprocess.run([sys.executable, "-m", "benchmarks.mutants.writing", str(folder), str(draw), str(seed)], cwd=code, check=True)


def tests(folder: Path, what: str, seconds: float) -> None:
    """Run pytest with the plugin over the mutated copy."""
    mutated = folder / "code" / "mutants"
    places = os.pathsep.join([str(mutated / "src"), str(ROOT), os.environ.get("PYTHONPATH", "")])
    told = {"MUTANTS": str(folder), "MUTANTS_DO": what, "MUTANTS_SECONDS": str(seconds), "PYTHONPATH": places, "PY_IGNORE_IMPORTMISMATCH": "1"}
    options = ["-n", "0", "-p", "benchmarks.mutants.running", "-p", "no:cacheprovider", "-m", "not slow"]
    command = [sys.executable, "-m", "pytest", *options, *(f"tests/{room}" for room in ROOMS)]
    subprocess.run(command, cwd=mutated, env=os.environ | told, check=True)


def record(folder: Path, arguments: Any) -> dict[str, Any]:
    """What came of it, with the machine."""
    changed = json.loads((folder / "draw.json").read_text())
    tried = [json.loads(line) for line in (folder / "tried.jsonl").read_text().splitlines()]
    survivors = [
        {"mutant": each["mutant"], "tests": each["tests"], "of": each["of"], "change": changed[each["mutant"]]}
        for each in tried
        if each["outcome"] == "survived"
    ]
    return {
        "environment": environment(),
        "seed": arguments.seed,
        "seconds": arguments.seconds,
        "mutants": json.loads((folder / "all.json").read_text()),
        "drawn": len(tried),
        "outcomes": Counter(each["outcome"] for each in tried),
        "survivors": survivors,
    }


def page(found: dict[str, Any]) -> str:
    """The record in words."""
    drawn, survived = found["drawn"], len(found["survivors"])
    lines = [
        "# Do the tests notice a mistake?",
        "",
        "```sh",
        f"uv run --with mutmut==3.8.1 python -m benchmarks mutants --draw {drawn} --seed {found['seed']}",
        "```",
        "",
        f"{drawn} mutants drawn at random from the {found['mutants']:,} that mutmut makes of the objectives, the codecs and the manifests.",
        f"Each runs against the tests of {', '.join(ROOMS)} that call what was changed,",
        f"the quickest first, for {found['seconds']:g} s of processor time.",
        "",
        f"**{drawn - survived} of {drawn} ({100 * (1 - survived / drawn):.1f} %) were noticed**: "
        + ", ".join(f"{count} {name}" for name, count in sorted(found["outcomes"].items()))
        + ".",
        "",
        "Those that survived, with the tests that were run of all that call them:",
        "",
    ]
    for each in found["survivors"]:
        lines += [f"- `{each['mutant'].removeprefix('darkknowledge.')}` ({each['tests']} of {each['of']})", "", "  ```diff"]
        lines += [f"  {line}" for line in each["change"]] + ["  ```", ""]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
