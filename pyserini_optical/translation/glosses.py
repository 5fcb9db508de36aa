"""Translation as a student with glosses reads."""

from __future__ import annotations

from collections.abc import Sequence

from pyserini_optical.translation.counting import load_glosses
from pyserini_optical.translation.translator import Spec, choose


class Glosses:
    """``glosses:CHECKPOINT``: the English words that a student with glosses reads, made by ``encoders/glosses.yaml``.

    Unlike ``learned:`` it knows affixes, takes compounds apart and spells names in other scripts.
    """

    batch_size = 1000
    slow = False

    def __init__(self, spec: Spec) -> None:
        from pyserini_optical.models.transformer import weights_fingerprint

        choose(spec, {})
        self.name, self.languages = spec.name, ""
        self._student = load_glosses(spec.what)
        self.version = f"glosses {weights_fingerprint(spec.what)}"

    def translate(self, texts: Sequence[str], ids: Sequence[str]) -> list[str]:
        """Translate word by word; a text without words stays as it is."""
        return [self._student.gloss(text) for text in texts]
