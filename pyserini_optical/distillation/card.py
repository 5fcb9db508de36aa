"""What a checkpoint says of itself, how it is used and what made it: its model card and its ``optical.json``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pyserini_optical.data import Manifest
from pyserini_optical.distillation.recipe import Recipe

if TYPE_CHECKING:
    from pyserini_optical.models.provenance import Provenance


def model_card(recipe: Recipe) -> str:
    """Give the text of a checkpoint's ``README.md``, with the few fields that the hub reads at its head."""
    learnt = ", ".join(str(entry["name"]) for entry in recipe.objectives)
    how = f"distilled by {learnt}" if recipe.training.epochs else "not trained on sentence pairs"
    if recipe.student.map != "none":
        how += f", its vectors moved by {recipe.student.map}"
    if recipe.relevance is not None:
        how += f", then by {', '.join(str(entry['name']) for entry in recipe.relevance.objectives)}"
    if recipe.quick is not None:
        teacher = recipe.quick.cross_encoder or recipe.quick.generator
        how += f", then by the scores of `{teacher}`" if recipe.quick.needs_teacher else ", then on questions"
    documents = "It encodes queries; documents are encoded by the teacher, in English."
    if recipe.documents == "self":
        documents = "It encodes queries and documents."
    return f"""---
library_name: sentence-transformers
pipeline_tag: sentence-similarity
tags: [sentence-transformers, cross-lingual-retrieval, pyserini-optical]
---

# {recipe.name}

A student of `{recipe.teacher}`, {how}, with pyserini-optical. {documents}

```python
from pyserini_optical import load_encoder

encoder = load_encoder("PATH")
scores = encoder.encode_queries(["…"]) @ encoder.encode_passages(["…"]).T
```

`optical.json` holds the recipe, the fingerprints of the bitext and the teacher, and the versions that made it;
`training.json` holds the training log.
"""


def provenance(recipe: Recipe, manifest: Manifest) -> Provenance:
    """Give a checkpoint's ``optical.json``."""
    from pyserini_optical.models.fixed_dimensional import FixedDimensional
    from pyserini_optical.models.names import resolve_model
    from pyserini_optical.models.provenance import Provenance

    teaches = recipe.documents == "teacher"
    # A folder by its full path: the checkpoint is used from other working directories than it was made in.
    teacher = str(Path(recipe.teacher).absolute()) if Path(recipe.teacher).exists() else recipe.teacher
    shape = None
    if recipe.late_interaction:
        theirs = Provenance.load(resolve_model(recipe.teacher)).fixed_dimensional
        shape = recipe.fixed_dimensional or theirs or FixedDimensional()
    return Provenance(
        documents=teacher if teaches else "self",
        documents_fingerprint=manifest.inputs["teacher"] if teaches else None,
        recipe=recipe.as_dict(),
        inputs=manifest.inputs,
        versions=manifest.versions,
        fixed_dimensional=shape,
    )
