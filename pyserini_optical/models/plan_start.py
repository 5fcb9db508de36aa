r"""Where a student's embeddings start, by transport: a translation table summed from the plans of its bitext.

Counted without looking at context, a table (:mod:`~pyserini_optical.models.table`) takes companions for translations.
A student that starts from one already reads well enough for its token vectors to be matched with the teacher's, in
context; the plans :math:`T^{(s)}` of all sentence pairs, each foreign token weighing one, then give a better table,

.. math::
    p(e \mid f) \propto \sum_s \sum_{i: e_i = e} \sum_{j: f_j = f} n_s\, T^{(s)}_{ij},

and each piece f starts anew from it. This is ours; OPTICAL's paper trains only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix
from torch.nn import functional

from pyserini_optical.couplings import IPOT, Coupling, uniform_mass
from pyserini_optical.models.device import autocast
from pyserini_optical.models.student import Counts, set_rows
from pyserini_optical.models.table import rows_to_one
from pyserini_optical.models.teacher import TeacherVectors, query_features
from pyserini_optical.objectives import represent
from pyserini_optical.progress import Advance

if TYPE_CHECKING:
    from sentence_transformers import MultiVectorEncoder, SentenceTransformer

_BATCH = 128

# So many entries are added up at a time: adding each batch's to all before would be quadratic.
_ENTRIES = 2_000_000

# Of a plan, what moves less of a token than this is left out: most of it is noise, and it fills the table.
_LEAST = 0.05


def start_from_plans(
    student: SentenceTransformer | MultiVectorEncoder,
    teacher: TeacherVectors,
    foreign: Sequence[str],
    *,
    max_length: int = 128,
    coupling: Coupling | None = None,
    advance: Advance | None = None,
) -> None:
    """Replace the embeddings of a student that has its foreign vocabulary already, in place.

    Pieces that were seen fewer than twice, and those that no plan says anything about, keep their embedding; so do
    all other weights.

    Parameters
    ----------
    student : SentenceTransformer or MultiVectorEncoder
        Started from a table; otherwise a copy of its teacher.
    teacher : TeacherVectors
        Of the English side.
    foreign : sequence of str
        The foreign side, in the same order.
    max_length : int
        Sentences are cut after so many pieces.
    coupling : Coupling, optional
        IPOT by default.
    advance : callable, optional
        Called with the number of sentence pairs that are done.
    """
    english: Any = teacher.teacher[0]
    old = english.auto_model.get_input_embeddings().weight.detach().cpu().float().numpy()
    transformer: Any = student[0]
    embeddings = transformer.auto_model.get_input_embeddings().weight
    shape = (len(embeddings), len(old))
    counts = _count(student, teacher, foreign, shape, max_length, coupling or IPOT(), advance)
    new = embeddings.detach().cpu().float().numpy().copy()
    set_rows(new, old, rows_to_one(counts.matrix), counts)
    with torch.no_grad():
        embeddings.copy_(torch.from_numpy(new))


def _count(
    student: SentenceTransformer | MultiVectorEncoder,
    teacher: TeacherVectors,
    foreign: Sequence[str],
    shape: tuple[int, int],
    max_length: int,
    coupling: Coupling,
    advance: Advance | None,
) -> Counts:
    special = torch.tensor(list(student.tokenizer.all_special_ids), dtype=torch.long)
    english_special = torch.tensor(list(teacher.teacher.tokenizer.all_special_ids), dtype=torch.long)
    # Both sides begin with the same words then, which translate nothing.
    prompts = [_prompt_length(model) for model in (student, teacher.teacher)]
    total, parts = csr_matrix(shape), _Entries([], [], [])
    seen = np.zeros(shape[0], dtype=np.int64)
    met = np.zeros(shape[1], dtype=bool)
    order = np.argsort([len(sentence) for sentence in foreign], kind="stable")
    student.eval()
    for start in range(0, len(order), _BATCH):
        numbers = order[start : start + _BATCH].tolist()
        features = query_features(student, [foreign[number] for number in numbers], max_length)
        features = {name: value.to(student.device) for name, value in features.items()}
        foreign_ids, english_ids = features["input_ids"].cpu(), teacher.input_ids(numbers)
        with torch.inference_mode():
            with autocast(str(student.device)):
                ours = represent(student, features)
            theirs = teacher.rows(numbers, student.device)
            # What a late-interaction model adds to a query, its markers and [MASK]s, translates nothing.
            foreign_mask = ours.mask & ~torch.isin(foreign_ids, special).to(ours.mask.device)
            english_mask = theirs.mask & ~torch.isin(english_ids, english_special).to(theirs.mask.device)
            for mask, length in zip((foreign_mask, english_mask), prompts, strict=True):
                mask[:, :length] = False
            source, target = (functional.normalize(side.tokens.float(), dim=-1) for side in (theirs, ours))
            plan = coupling.plan(
                1.0 - source @ target.transpose(1, 2), uniform_mass(english_mask), uniform_mass(foreign_mask)
            ).matrix
            share = (plan * foreign_mask.sum(dim=1)[:, None, None]).cpu()
        row, i, j = (share > _LEAST).nonzero(as_tuple=True)
        for part, found in zip(
            parts, (share[row, i, j].double(), foreign_ids[row, j], english_ids[row, i]), strict=True
        ):
            part.append(found.numpy())
        if sum(map(len, parts.shares)) > _ENTRIES:
            total, parts = total + _added(parts, shape), _Entries([], [], [])
        seen += np.bincount(foreign_ids[foreign_mask.cpu()].numpy(), minlength=shape[0])
        met[english_ids[english_mask.cpu()].numpy()] = True
        if advance is not None:
            advance(len(numbers))
    return Counts(total + _added(parts, shape) if parts.shares else total, seen, met)


def _prompt_length(model: SentenceTransformer | MultiVectorEncoder) -> int:
    """Tokens at the beginning of every query that are a prompt's, with the special one before them."""
    prompt = model.prompts.get("query")
    return len(model.tokenizer(prompt)["input_ids"]) - 1 if prompt else 0


class _Entries(NamedTuple):
    """Entries of a table that are not added up yet: how much, of which foreign piece, to which English one."""

    shares: list[NDArray[Any]]
    foreign: list[NDArray[Any]]
    english: list[NDArray[Any]]


def _added(entries: _Entries, shape: tuple[int, int]) -> csr_matrix:
    shares, foreign, english = map(np.concatenate, entries)
    return coo_matrix((shares, (foreign, english)), shape=shape).tocsr()
