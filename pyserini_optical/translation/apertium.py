"""Translation by the rules of Apertium, which Debian and others have as packages."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from pyserini_optical.data import fingerprint, fingerprint_texts
from pyserini_optical.errors import InputError, OpticalError, SetupError
from pyserini_optical.translation.translator import Spec, choose


class Apertium:
    """``apertium:PAIR``, such as ``apertium:spa-eng``; words that it does not know stay as they are.

    Raises
    ------
    SetupError
        Apertium or its data for the pair is not installed.
    """

    batch_size = 500
    slow = True

    def __init__(self, spec: Spec) -> None:
        choose(spec, {})
        self.name, self.languages = spec.name, spec.what
        program = shutil.which("apertium")
        if program is None:
            problem = f"translator {spec.name!r}: Apertium is not installed"
            raise SetupError(f"{problem}; run `apt-get install apertium {_package(spec.what)}`")
        self._program = program
        pairs = self._run("-l").split()
        if spec.what not in pairs:
            problem = (
                f"translator {spec.name!r}: Apertium has no pair {spec.what!r} (it has {', '.join(pairs) or 'none'})"
            )
            raise SetupError(f"{problem}; run `apt-get install {_package(spec.what)}`, or with its languages swapped")
        self.version = f"{self._run('-V').strip()} {spec.what}{_data_version(program, spec.what)}"

    def translate(self, texts: Sequence[str], ids: Sequence[str]) -> list[str]:
        """Translate, each text on a line of its own.

        Raises
        ------
        OpticalError
            Apertium failed.
        """
        # Its own marks for words that are not known (-u) are left out.
        lines = self._run("-u", "-f", "line", self.languages, given="".join(f"{text}\n" for text in texts)).split("\n")
        if lines.pop() or len(lines) != len(texts):
            raise OpticalError(f"{self.name}: {len(lines)} lines came back for {len(texts)}; report it to Apertium")
        return lines

    def _run(self, *arguments: str, given: str = "") -> str:
        answer = subprocess.run(
            [self._program, *arguments],
            input=given,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            env={**os.environ, "LC_ALL": "C.UTF-8"},
            check=False,
        )
        if answer.returncode and given:
            reason = (answer.stderr.strip() or f"status {answer.returncode}").splitlines()[-1]
            raise OpticalError(
                f"{self.name}: Apertium failed ({reason}); what it translated before is kept, run it again"
            )
        return answer.stdout or answer.stderr


def _data_version(program: str, pair: str) -> str:
    """Give the fingerprint of a pair's data, which have no version of their own, if they lie where Debian has them."""
    mode = Path(program).resolve().parents[1] / "share" / "apertium" / "modes" / f"{pair}.mode"
    try:
        files = re.findall(r"'(/[^']+)'", mode.read_text(encoding="utf-8"))
        return " " + fingerprint_texts(fingerprint(file) for file in files)[:16]
    except (OSError, ValueError, InputError):
        return ""


def _package(pair: str) -> str:
    return f"apertium-{'-'.join(sorted(pair.split('-')))}"
