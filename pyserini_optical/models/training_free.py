r"""Training-free maps: sentence vectors of a foreign language are moved to where the English ones lie.

A map is a linear layer over the sentence vectors, fixed once it is fitted, so that the result is an ordinary
sentence-transformers folder. Only the two clouds of vectors count, not which sentence translates which.

References
----------
.. [1] Libovický, Rosa, Fraser. On the Language Neutrality of Pre-trained Multilingual Representations. Findings of
   EMNLP 2020. arXiv:2004.05160.
.. [2] Knott, Smith. On the optimal mapping of distributions. Journal of Optimization Theory and Applications 43, 1984.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from pyserini_optical.data import Pair
from pyserini_optical.errors import RecipeError
from pyserini_optical.models.teacher import encode_texts
from pyserini_optical.models.transformer import quiet
from pyserini_optical.progress import progress

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Map: TypeAlias = Literal["mean-offset", "bures"]
Array: TypeAlias = NDArray[np.float64]

# Added to the diagonals of the covariances; those of unit vectors are about 1/d.
_REGULARISATION = 1e-5
_BLOCK = 1024


def map_vectors(
    student: SentenceTransformer, teacher: SentenceTransformer, pairs: Sequence[Pair], kind: Map
) -> SentenceTransformer:
    r"""Give the student with a map after its pooling; it shares the student's transformer.

    With :math:`x` the unit vectors of the foreign sides by the student and :math:`y` those of the English sides by the
    teacher, ``mean-offset`` is :math:`x \mapsto x - \bar x + \bar y` [1]_. ``bures`` is the optimal transport map
    between the Gaussians with their means and covariances :math:`\Sigma_x, \Sigma_y` [2]_,

    .. math::
        x \mapsto \bar y + \Sigma_x^{-1/2} (\Sigma_x^{1/2} \Sigma_y \Sigma_x^{1/2})^{1/2} \Sigma_x^{-1/2} (x - \bar x)

    with :math:`10^{-5}` added to the variances. What comes out is normalised.

    Parameters
    ----------
    student, teacher : SentenceTransformer
        With sentence vectors of the same length d; the student may be the teacher.
    pairs : sequence of Pair
        The bitext; for ``bures`` more than d pairs.
    kind : {"mean-offset", "bures"}
        Which map.

    Raises
    ------
    RecipeError
        Too few pairs for ``bures``.
    """
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Dense, Normalize

    size = int(teacher.get_embedding_dimension() or 0)
    if kind == "bures" and len(pairs) <= size:
        raise RecipeError(
            f"student.map: bures estimates covariances of {size} dimensions, for which {len(pairs)} pairs are too few; "
            "give more bitext, or take mean-offset"
        )
    foreign = _encode(student, "foreign", [pair.foreign for pair in pairs])
    english = _encode(teacher, "English", [pair.english for pair in pairs])
    weight, bias = (mean_offset if kind == "mean-offset" else bures)(foreign, english)
    dense = Dense(
        in_features=size,
        out_features=size,
        activation_function=torch.nn.Identity(),
        init_weight=torch.from_numpy(weight).float(),
        init_bias=torch.from_numpy(bias).float(),
    )
    with quiet():
        return SentenceTransformer(
            modules=[*student.children(), Normalize(), dense, Normalize()],
            device=str(student.device),
            prompts=dict(student.prompts),
        )


def mean_offset(source: Array, target: Array) -> tuple[Array, Array]:
    """Give the map that moves the mean of one cloud to that of another: weight (d, d) and bias (d,).

    Parameters
    ----------
    source, target : ndarray, shapes (n, d) and (m, d)
        The clouds.
    """
    return np.eye(source.shape[1]), target.mean(axis=0) - source.mean(axis=0)


def bures(source: Array, target: Array) -> tuple[Array, Array]:
    """Give the optimal transport map between Gaussians fitted to two clouds, as :func:`mean_offset` does."""
    from ot.gaussian import empirical_bures_wasserstein_mapping

    matrix, bias = empirical_bures_wasserstein_mapping(source, target, reg=_REGULARISATION)
    # POT multiplies rows from the left, x @ matrix + bias; a linear layer multiplies by the transposed weight.
    return np.ascontiguousarray(matrix.T), np.ravel(bias)


def _encode(model: SentenceTransformer, side: str, texts: Sequence[str]) -> Array:
    blocks = []
    with progress(f"vectors of the {side} side, sentences", len(texts)) as advance:
        for start in range(0, len(texts), _BLOCK):
            found = encode_texts(model, texts[start : start + _BLOCK], "query")
            assert isinstance(found, torch.Tensor)
            blocks.append(found.double().cpu().numpy())
            advance(len(found))
    return np.concatenate(blocks)
