"""``pyserini-optical fine-tune``: a retriever from questions and their passages."""

from __future__ import annotations

import argparse

from pyserini_optical.cli.settings import add_settings

HELP = "fine-tune a retriever on questions and their passages; the same command goes on after an interruption"
EXAMPLE = "pyserini-optical fine-tune encoders/late-interaction-en.yaml --output encoders/my-teacher"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("recipe", metavar="RECIPE", help="YAML file")
    add_settings(parser)
    parser.add_argument("--output", metavar="DIR", help="folder of the checkpoint (default: beside the recipe)")


def run(args: argparse.Namespace) -> None:
    """Fine-tune; print the checkpoint's folder."""
    from pyserini_optical.distillation import fine_tune
    from pyserini_optical.processes import refuse_others

    refuse_others("fine-tune")
    print(fine_tune(args.recipe, args.output, settings=args.settings))
