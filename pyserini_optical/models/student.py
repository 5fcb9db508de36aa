"""Making a student from its teacher: the foreign language's word pieces, and where their embeddings start."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from pyserini_optical.data import Pair
from pyserini_optical.models.table import symmetric_table
from pyserini_optical.models.vocabulary import extend_tokenizer, learn_pieces

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder, SentenceTransformer
    from transformers import PreTrainedTokenizerBase

Start = Literal["table", "pieces"]

# The table is counted on this many pairs at most: more hardly change it and memory grows with them.
_TABLE_PAIRS = 200_000


def extend_student(
    student: SentenceTransformer | MultiVectorEncoder,
    pairs: Sequence[Pair],
    *,
    vocabulary: int,
    start: Start = "table",
    rounds: int = 4,
    max_length: int = 128,
) -> None:
    r"""Give a student, which is a copy of its teacher so far, the vocabulary of the bitext's foreign side, in place.

    With ``start="pieces"`` a new piece f starts as the mean of the embeddings of the teacher's own pieces for its
    letters. With ``start="table"`` every piece that was seen at least twice, new or the teacher's own, starts as

    .. math::
        E_f = \bar n \frac{x_f}{\lVert x_f \rVert}, \qquad x_f = \sum_e p(e \mid f)\, E_e

    with the translation table of the bitext (:func:`~pyserini_optical.models.table.symmetric_table`), the teacher's
    embeddings :math:`E_e` and the mean norm :math:`\bar n` of those in the bitext; pieces that the table does not know
    start from pieces.

    Parameters
    ----------
    student : SentenceTransformer or MultiVectorEncoder
        A copy of the teacher; tokeniser and embedding matrix are replaced.
    pairs : sequence of Pair
        The bitext.
    vocabulary : int
        How many pieces to learn on the foreign side; those that the teacher has already are shared.
    start : {"table", "pieces"}
        How embeddings start.
    rounds : int
        Rounds of expectation maximisation of the counted table. More sharpen it for frequent pieces and spoil it for
        rare ones.
    max_length : int
        Sentences are cut after so many pieces when the table is counted.

    Raises
    ------
    RecipeError
        The teacher's tokeniser is not a WordPiece one.
    """
    teacher = student.tokenizer
    tokenizer = extend_tokenizer(teacher, learn_pieces([pair.foreign for pair in pairs], teacher, size=vocabulary))
    transformer: Any = student[0]
    transformer.processor = tokenizer
    model = transformer.auto_model
    old = model.get_input_embeddings().weight.detach().cpu().numpy().copy()
    new = _piece_means(tokenizer, teacher, old)
    if start == "table":
        _table_start(new, old, tokenizer, teacher, pairs, rounds, max_length)
    model.resize_token_embeddings(len(new), mean_resizing=False)
    with torch.no_grad():
        model.get_input_embeddings().weight.copy_(torch.from_numpy(new))


def _ids(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], max_length: int) -> list[list[int]]:
    if not texts:  # where no piece is new; transformers takes no empty list
        return []
    encoded: Any = tokenizer(
        list(texts), add_special_tokens=False, truncation=True, max_length=max_length, padding=False
    )
    return list(encoded["input_ids"])


def _piece_means(
    tokenizer: PreTrainedTokenizerBase, teacher: PreTrainedTokenizerBase, old: NDArray[np.float32]
) -> NDArray[np.float32]:
    size = max(len(old), max(tokenizer.get_vocab().values()) + 1)
    new = np.empty((size, old.shape[1]), dtype=np.float32)
    new[: len(old)] = old
    known_before = teacher.get_vocab()
    added = {piece: number for piece, number in tokenizer.get_vocab().items() if piece not in known_before}
    parts = _ids(teacher, [piece.removeprefix("##") for piece in added], 64)
    unknown = teacher.unk_token_id
    middle = old[sorted(known_before.values())].mean(axis=0)
    for number, ids in zip(added.values(), parts, strict=True):
        known = [i for i in ids if i != unknown]
        new[number] = old[known].mean(axis=0) if known else middle
    return new


def _table_start(
    new: NDArray[np.float32],
    old: NDArray[np.float32],
    tokenizer: PreTrainedTokenizerBase,
    teacher: PreTrainedTokenizerBase,
    pairs: Sequence[Pair],
    rounds: int,
    max_length: int,
) -> None:
    counted = pairs[:: -(-len(pairs) // _TABLE_PAIRS)]
    foreign = _ids(tokenizer, [pair.foreign for pair in counted], max_length)
    english = _ids(teacher, [pair.english for pair in counted], max_length)
    table = symmetric_table(foreign, english, foreign_size=len(new), english_size=len(old), rounds=rounds)
    met = np.zeros(len(old), dtype=bool)
    met[_joined(english)] = True
    set_rows(new, old, table, Counts(table, np.bincount(_joined(foreign), minlength=len(new)), met))


class Counts(NamedTuple):
    """What was counted in a bitext: foreign with English pieces, foreign pieces, and which English ones there are."""

    matrix: csr_matrix
    seen: NDArray[np.int64]
    met: NDArray[np.bool_]


def set_rows(new: NDArray[np.float32], old: NDArray[np.float32], table: csr_matrix, counts: Counts) -> None:
    """Set the embeddings of the pieces that were seen twice or more, as :func:`extend_student` says, in place.

    Parameters
    ----------
    new, old : ndarray of float32, shapes (foreign pieces, d) and (English pieces, d)
        The student's embeddings and the teacher's.
    table : csr_matrix, shape (foreign pieces, English pieces)
        p(e | f); of a piece whose row is empty the embedding stays.
    counts : Counts
        What was seen.
    """
    vectors = np.asarray(table @ old, dtype=np.float32)
    norms = np.linalg.norm(vectors, axis=1)
    rows = (counts.seen >= 2) & (norms > 0)
    usual = np.linalg.norm(old[counts.met], axis=1).mean()
    new[rows] = vectors[rows] / norms[rows, None] * usual


def _joined(sentences: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    return np.fromiter(chain.from_iterable(sentences), dtype=np.int64)
