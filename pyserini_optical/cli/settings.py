"""The option ``--set`` of commands that read a YAML file."""

from __future__ import annotations

import argparse


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Declare ``--set KEY=VALUE``, which may be repeated, as ``settings``."""
    parser.add_argument(
        "--set",
        dest="settings",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting or variable over what the file says (training.epochs=1); may be repeated",
    )
