"""Candidates of a question: its passage and hard negatives, found anew by the student as it learns."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pyserini_optical.data import order_hits, write_run, write_text
from pyserini_optical.data.relevance import Question
from pyserini_optical.distillation.negatives import bm25_hits
from pyserini_optical.distillation.quick_recipe import QuickRecipe
from pyserini_optical.generation.filters import Generated
from pyserini_optical.progress import say

if TYPE_CHECKING:
    from pyserini_optical.distillation.training import Model


class Candidates:
    """Finds the passages that are compared for each question.

    Parameters
    ----------
    questions : sequence of Generated
        With the ids of their passages.
    runs : sequence of sequences of sequences of str
        For each run what it found for each question, best first.
    passages : mapping of str to str
        All passages' texts by id.
    setting : QuickRecipe
        How many, and from where.
    documents : str
        The model whose index the student searches.
    seed : int
        Of the passages that fill up where too few are found.
    index : Path
        Where the document encoder's index of the corpus lies, or will.
    work : Path
        Keeps BM25's index and lists.
    """

    def __init__(
        self,
        questions: Sequence[Generated],
        runs: Sequence[Sequence[Sequence[str]]],
        passages: Mapping[str, str],
        setting: QuickRecipe,
        *,
        documents: str,
        seed: int,
        index: Path,
        work: Path,
    ) -> None:
        self._questions, self._runs, self._passages, self._setting = questions, runs, passages, setting
        self._documents, self._seed, self._index, self._work = documents, seed, index, work
        self._bm25: list[list[str]] | None = None

    def __call__(self, student: Model, folder: Path) -> list[list[str]]:
        """Give for each question its passage and then as many others, by the student as it is.

        Parameters
        ----------
        student : SentenceTransformer or MultiVectorEncoder
            It searches the index of the document encoder.
        folder : Path
            Of this round; what is found is kept there, and found again there by a second call.
        """
        kept = folder / "candidates.json"
        if kept.is_file():
            found: list[list[str]] = json.loads(kept.read_text(encoding="utf-8"))
            return found
        if self._setting.bm25 and self._bm25 is None:
            asked = [Question(question.text, question.passage, ()) for question in self._questions]
            self._work.mkdir(parents=True, exist_ok=True)
            self._bm25 = list(bm25_hits(asked, self._setting.corpus, self._depth, self._work))
        lists = [self._search(student, folder), *([self._bm25] if self._bm25 is not None else []), *self._runs]
        random = np.random.default_rng(self._seed)
        ids = list(self._passages)
        found = [
            self._choose(question, [each[row] for each in lists], ids, random)
            for row, question in enumerate(self._questions)
        ]
        with write_text(kept) as stream:
            json.dump(found, stream)
        return found

    @property
    def _depth(self) -> int:
        return self._setting.candidates + 1

    def _choose(
        self, question: Generated, lists: Sequence[Sequence[str]], ids: Sequence[str], random: np.random.Generator
    ) -> list[str]:
        in_turn = (passage for rank in zip_longest(*lists) for passage in rank if passage is not None)
        chosen = dict.fromkeys([question.passage])
        for passage in chain(in_turn, _drawn(ids, random)):
            if len(chosen) == self._depth:
                break
            if passage not in question.others:
                chosen[passage] = None
        return list(chosen)

    def _search(self, student: Model, folder: Path) -> list[list[str]]:
        """Let the student search the document encoder's index; its run stays for whoever wants to look."""
        from pyserini_optical.models import load_encoder
        from pyserini_optical.models.provenance import Provenance
        from pyserini_optical.models.transformer import save_transformer, weights_fingerprint
        from pyserini_optical.retrieve import encode_corpus, encode_tokens, search

        late = student.model_type == "MultiVectorEncoder"
        say("candidates: the student searches")
        index = (encode_tokens if late else encode_corpus)(
            load_encoder(self._documents), self._setting.corpus, self._index
        )
        saved, beside = folder / "student", folder / ".student"
        shutil.rmtree(beside, ignore_errors=True)
        shutil.rmtree(saved, ignore_errors=True)
        save_transformer(student, beside)
        Provenance(documents=self._documents, documents_fingerprint=weights_fingerprint(self._documents)).save(beside)
        os.replace(beside, saved)
        texts = {str(row): question.text for row, question in enumerate(self._questions)}
        run = search(load_encoder(str(saved)), index, texts, hits=self._depth)
        write_run(folder / "student.txt.gz", run, "student")
        return [[passage for passage, _ in order_hits(run[row])] for row in texts]


def _drawn(ids: Sequence[str], random: np.random.Generator) -> Iterator[str]:
    while True:
        yield ids[int(random.integers(len(ids)))]
