"""The bundled collection, written for this project, and the whole way on it.

168 English passages (``passages.jsonl``), 68 questions in English, Spanish and Swahili (``topics.*.tsv``,
``qrels.txt``) and sentence pairs in Spanish and Swahili (``bitext.*-en.tsv``), with the recipe and the study that use
them.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyserini_optical.data import Pathish

HOME = Path(__file__).parent
LANGUAGES = {"es": "Spanish", "sw": "Swahili"}


def quickstart(work: Pathish = "work/quickstart") -> None:
    """Distil, encode, search, run BM25 and compare on the bundled collection, and print what to try next.

    Parameters
    ----------
    work : path-like
        Folder for encoders, indexes, runs and reports; a second call finds what the first has made.

    Raises
    ------
    OpticalError
        Something is missing, such as the extra ``quickstart``.
    """
    from pyserini_optical.evaluate import to_terminal
    from pyserini_optical.progress import results, say
    from pyserini_optical.study import run_study

    work = Path(work)
    compared = {}
    for number, (code, language) in enumerate(LANGUAGES.items(), 1):
        say(f"[{number}/{len(LANGUAGES)}] {language} questions, English passages")
        compared[language] = run_study(HOME / "study.yaml", work / code, settings=[f"language={code}"], work=work)
    console = results()
    for language, comparison in compared.items():
        console.print(f"\n{language} questions against English passages", style="bold")
        console.print(to_terminal(comparison))
    console.print(_next_steps(work), markup=False, soft_wrap=True)


def _next_steps(work: Path) -> str:
    record = json.loads((work / "sw" / "runs" / "optical.json").read_text(encoding="utf-8"))
    encoder, index = shlex.quote(record["searcher"]), shlex.quote(record["index"])
    return f"""
Reports: {work}/es/report.md and {work}/sw/report.md

What to try next:
  ask it something yourself, through Pyserini's own command:
    printf 'q1\\tKwa nini maji ya bahari yana chumvi?\\n' > my-topics.tsv
    pyserini-optical pyserini search.faiss --encoder {encoder} --index {index} \\
      --topics my-topics.tsv --output my-run.txt --hits 3
  your own language: put sentence pairs (foreign<TAB>English) into pairs.tsv, then
    pyserini-optical distill encoders/optical.yaml --set name=mine --set bitext=pairs.tsv \\
      --set development=null --output encoders/mine
    pyserini-optical encode encoders/mine corpus.jsonl indexes/mine
    pyserini-optical search encoders/mine indexes/mine topics.tsv run.txt
    pyserini-optical compare qrels.txt run.txt other-run.txt"""
