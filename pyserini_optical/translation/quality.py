"""How near translations come to a person's: BLEU and chrF, by sacrebleu."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pyserini_optical.errors import InputError, SetupError


class Quality(NamedTuple):
    """Corpus BLEU and chrF, from 0 to 100, over so many texts, with sacrebleu's signatures of both.

    References
    ----------
    .. [1] Papineni, Roukos, Ward, Zhu. BLEU: a Method for Automatic Evaluation of Machine Translation. ACL 2002.
    .. [2] Popović. chrF: character n-gram F-score for automatic MT evaluation. WMT 2015.
    .. [3] Post. A Call for Clarity in Reporting BLEU Scores. WMT 2018.
    """

    bleu: float
    chrf: float
    texts: int
    signatures: tuple[str, str]

    def __str__(self) -> str:
        """Say it in one line."""
        return f"BLEU {self.bleu:.1f}, chrF {self.chrf:.1f} over {self.texts:,} texts ({'; '.join(self.signatures)})"


def translation_quality(translations: Mapping[str, str], references: Mapping[str, str]) -> Quality:
    """Hold translations against references of the same ids, without regard to case.

    Word-by-word translation gives lower case and no punctuation, and retrieval asks for neither; so case does not
    count, while punctuation does as sacrebleu has it.

    Raises
    ------
    InputError
        They share no id.
    SetupError
        sacrebleu is not installed.
    """
    try:
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF
    except ImportError:
        message = "BLEU and chrF need sacrebleu; run `pip install 'pyserini-optical[translate]'`"
        raise SetupError(message) from None
    shared = [name for name in translations if name in references]
    if not shared:
        raise InputError("the translations share no id with the reference", remedy="check that both have the same ids")
    found, wanted = [translations[name] for name in shared], [[references[name] for name in shared]]
    bleu, chrf = BLEU(lowercase=True), CHRF(lowercase=True)
    scores = bleu.corpus_score(found, wanted).score, chrf.corpus_score(found, wanted).score
    return Quality(*scores, len(shared), (str(bleu.get_signature()), str(chrf.get_signature())))
