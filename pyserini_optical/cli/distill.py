"""``pyserini-optical distill``: one encoder from a recipe."""

from __future__ import annotations

import argparse

from pyserini_optical.cli.settings import add_settings

HELP = "make an encoder from a recipe; the same command goes on after an interruption"
EXAMPLE = "pyserini-optical distill encoders/optical.yaml --set language=sw --output encoders/my-swahili"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("recipe", metavar="RECIPE", help="YAML file")
    add_settings(parser)
    parser.add_argument("--output", metavar="DIR", help="folder of the checkpoint (default: beside the recipe)")


def run(args: argparse.Namespace) -> None:
    """Distil; print the checkpoint's folder."""
    from pyserini_optical.distillation import distill
    from pyserini_optical.processes import is_first, leave

    made = distill(args.recipe, args.output, settings=args.settings)
    if is_first():
        print(made)
    leave()
