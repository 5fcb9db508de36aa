"""The model card of a checkpoint: what it is, what made it, how it is used; nothing is asked of the network."""

from __future__ import annotations

from pyserini_optical.distillation.recipe import Recipe


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
