"""``pyserini-optical doctor``: what is installed, what is missing, how to mend it."""

from __future__ import annotations

import argparse
import importlib.util
import platform
from collections.abc import Iterator
from importlib import metadata
from typing import NamedTuple

from pyserini_optical.errors import SetupError

HELP = "say what is installed, what is missing and how to mend it"
EXAMPLE = "pyserini-optical doctor"


class Finding(NamedTuple):
    """One line of the report: whether the thing is there, what it is, whether the package needs it."""

    ok: bool
    text: str
    required: bool = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """There are none."""


def run(args: argparse.Namespace) -> None:
    """Print the findings, one a line.

    Raises
    ------
    SetupError
        Something required is missing.
    """
    missing = 0
    for finding in examine():
        missing += finding.required and not finding.ok
        print(f"{'ok' if finding.ok else 'missing':<9}{finding.text}", flush=True)
    if missing:
        raise SetupError(f"{missing} of the required things missing; the lines above say how to mend it")


def examine() -> Iterator[Finding]:
    """Look at Python, the packages, Java, the JVM inside Python, and what computes."""
    yield Finding(True, f"python {platform.python_version()} ({platform.system()} {platform.machine()})")
    yield from _packages()
    yield from _java()
    if importlib.util.find_spec("torch"):
        yield from _hardware()


def _packages() -> Iterator[Finding]:
    try:
        from packaging.requirements import Requirement
    except ImportError:
        yield Finding(False, "packaging: `pip install packaging`")
        return
    try:
        wanted = metadata.requires("pyserini-optical") or []
    except metadata.PackageNotFoundError:
        yield Finding(False, "pyserini-optical is not installed: `pip install -e .` in its folder")
        return
    for requirement in map(Requirement, wanted):
        required = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if required or (requirement.marker and requirement.marker.evaluate({"extra": "quickstart"})):
            yield _package(requirement.name, str(requirement.specifier), required)


def _package(name: str, wanted: str, required: bool) -> Finding:
    from packaging.specifiers import SpecifierSet

    what = name if required else f"{name} (only for `quickstart`)"
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        if name == "faiss-cpu" and importlib.util.find_spec("faiss"):
            return Finding(True, "faiss (another build than faiss-cpu)")
        return Finding(False, f"{what}: `pip install '{name}{wanted}'`", required)
    if not SpecifierSet(wanted).contains(version, prereleases=True):
        return Finding(False, f"{what} {wanted}, found {version}: `pip install '{name}{wanted}'`", required)
    return Finding(True, f"{what} {version}")


def _java() -> Iterator[Finding]:
    from pyserini_optical.integration import ensure_java, java_class

    try:
        java = ensure_java()
    except SetupError as error:
        yield Finding(False, f"Java: {error}")
        return
    vectors = "with" if java.has_vector_module else "without"
    yield Finding(True, f"Java {java.version} by {java.found_by} ({java.home}), {vectors} jdk.incubator.vector")
    if not importlib.util.find_spec("pyserini"):
        return
    try:
        java_class("java.lang.String")
    except Exception as error:  # whatever keeps it from starting is the finding
        remedy = "`pip install --force-reinstall --no-deps pyserini pyjnius`"
        yield Finding(False, f"Pyserini in that Java ({error}): {remedy}")
    else:
        yield Finding(True, "Pyserini starts in that Java")


def _hardware() -> Iterator[Finding]:
    import torch

    from pyserini_optical.models.device import has_fast_bfloat16

    device = "cuda" if torch.cuda.is_available() else "cpu"
    name = torch.cuda.get_device_name() if device == "cuda" else f"CPU, {torch.get_num_threads()} threads (no CUDA GPU)"
    yield Finding(True, f"computes on {name}")
    precision = "bfloat16" if has_fast_bfloat16(device) else "float32 (no fast bfloat16 here, so training is slower)"
    yield Finding(True, f"computes in {precision}")
