"""Our encoder classes under the name ``optical`` wherever Pyserini chooses an encoder by a name."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import Any

from pyserini_optical.errors import InputError
from pyserini_optical.integration.encoders import OpticalDocumentEncoder, OpticalQueryEncoder, is_optical
from pyserini_optical.integration.versions import around_import

NAME = "optical"


@cache
def register() -> None:
    """Make ``optical`` an encoder class of Pyserini's commands and of ``FaissSearcher(index_dir, "name")``.

    The class is chosen by ``--encoder-class optical``, and also without that flag where :func:`is_optical` says so of
    the encoder's name. Imports nothing: it takes effect on the parts of Pyserini that are imported, now or later.
    """
    around_import("pyserini.encode", _in_class_maps)
    around_import("pyserini.search.faiss._searcher", _in_faiss_searcher)
    _open_command_lines()


class OpticalName(str):
    """The name of a checkpoint of ours; in lower case, where Pyserini looks for names of classes, ``optical``."""

    __slots__ = ()

    def lower(self) -> str:
        return NAME


@contextmanager
def _in_class_maps(module: ModuleType) -> Iterator[None]:
    yield
    for classes, ours in (
        (module.document_encoder_class_map, OpticalDocumentEncoder),
        (module.query_encoder_class_map, OpticalQueryEncoder),
    ):
        # First, because the first key that the encoder's name holds is taken.
        theirs = dict(classes)
        classes.clear()
        classes.update({NAME: ours}, **theirs)


@contextmanager
def _in_faiss_searcher(module: ModuleType) -> Iterator[None]:
    yield
    theirs = module.FaissSearcher._init_encoder_from_str

    def init_encoder(encoder: str) -> Any:
        return OpticalQueryEncoder(encoder) if is_optical(encoder) else theirs(encoder)

    module.FaissSearcher._init_encoder_from_str = staticmethod(init_encoder)


def _open_command_lines() -> None:
    """Let every parser with ``--encoder-class`` take ``optical``; mark encoders of ours and fill in their dimension."""
    parse = argparse.ArgumentParser.parse_known_args

    def parse_known_args(self: argparse.ArgumentParser, args: Any = None, namespace: Any = None) -> Any:
        options = {option: action for action in self._actions for option in action.option_strings}
        choice = options.get("--encoder-class")
        if choice and choice.choices and NAME not in choice.choices:
            choice.choices = [*choice.choices, NAME]
        found, rest = parse(self, args, namespace)
        if "--encoder" in options and isinstance(found.encoder, str) and is_optical(found.encoder):
            _check_class(found.encoder, getattr(found, "encoder_class", None))
            found.encoder = OpticalName(found.encoder)
            dimension = options.get("--dimension")
            if dimension and found.dimension == dimension.default:
                # Pyserini's default is 768, and it asserts when the vectors have another length.
                from pyserini_optical.models import load_encoder

                found.dimension = load_encoder(str(found.encoder)).dimension
        return found, rest

    argparse.ArgumentParser.parse_known_args = parse_known_args  # type: ignore[method-assign]


def _check_class(encoder: str, kind: str | None) -> None:
    """Refuse a class that would read the bare weights of an encoder with glosses."""
    if kind in (None, NAME):
        return
    from pyserini_optical.models.transformer import GLOSS_FILES, find_file

    if find_file(encoder, GLOSS_FILES[0]) is not None:
        problem = f"reads its texts through glosses, which --encoder-class {kind} would pass by"
        raise InputError(problem, path=encoder, remedy="leave --encoder-class out")


@contextmanager
def in_place_of_auto() -> Iterator[None]:
    """Inside the block ``AutoQueryEncoder(name, …)`` is ours for encoders of ours.

    For ``pyserini.encode.query`` alone, which passes the class maps by and ends in that class.
    """
    import pyserini.encode as module

    theirs = module.AutoQueryEncoder

    def choose(encoder: str, **kwargs: Any) -> Any:
        return OpticalQueryEncoder(encoder, **kwargs) if isinstance(encoder, OpticalName) else theirs(encoder, **kwargs)

    module.AutoQueryEncoder = choose
    try:
        yield
    finally:
        module.AutoQueryEncoder = theirs
