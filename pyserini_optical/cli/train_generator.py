"""``pyserini-optical train-generator``: a query generator from questions and their passages."""

from __future__ import annotations

import argparse

from pyserini_optical.cli.settings import add_settings

HELP = "train a query generator on questions and their passages; the same command goes on after an interruption"
EXAMPLE = "pyserini-optical train-generator encoders/query-generator.yaml --set language=ha"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("recipe", metavar="RECIPE", help="YAML file")
    add_settings(parser)
    parser.add_argument("--output", metavar="DIR", help="folder of the checkpoint (default: beside the recipe)")


def run(args: argparse.Namespace) -> None:
    """Train; print the checkpoint's folder."""
    from pyserini_optical.distillation import train_generator

    print(train_generator(args.recipe, args.output, settings=args.settings))
