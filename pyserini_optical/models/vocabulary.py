"""Extending a WordPiece vocabulary by pieces learnt from the foreign side of a bitext.

The student must read what its teacher cannot: an uncased English BERT strips every combining mark, which deletes Hindi
vowel signs and turns Arabic letters into others. The student's tokeniser therefore lower-cases and strips the marks of
Latin letters as the teacher does, so that names keep their pieces, and leaves the marks of all other scripts alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from tokenizers import Regex, Tokenizer, models, normalizers, trainers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from pyserini_optical.errors import RecipeError

# Scripts without spaces make "words" of whole clauses; the usual limit of 100 would turn those into [UNK].
_MAX_WORD_LENGTH = 1000


def _student_normalizer(teacher: dict[str, Any] | None) -> normalizers.Normalizer | None:
    if teacher is None or teacher["type"] != "BertNormalizer":
        return None
    parts: list[normalizers.Normalizer] = [
        normalizers.BertNormalizer(
            clean_text=teacher["clean_text"],
            handle_chinese_chars=teacher["handle_chinese_chars"],
            strip_accents=False,
            lowercase=teacher["lowercase"],
        )
    ]
    strips = teacher["strip_accents"] if teacher["strip_accents"] is not None else teacher["lowercase"]
    if strips:
        parts += [normalizers.NFD(), normalizers.Replace(Regex(r"(?<=\p{Latin})\p{Mn}+"), "")]
    return normalizers.Sequence([*parts, normalizers.NFC()])


def _backend(tokenizer: PreTrainedTokenizerBase) -> Tokenizer:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or json.loads(backend.to_str())["model"]["type"] != "WordPiece":
        raise RecipeError(
            f"the vocabulary of {tokenizer.name_or_path!r} cannot be extended: only WordPiece tokenisers can; "
            "choose a WordPiece (BERT-like) student, or set `vocabulary: null` for a multilingual one"
        )
    return Tokenizer.from_str(backend.to_str())


def learn_pieces(
    texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, *, size: int, min_frequency: int = 2
) -> list[str]:
    """Learn WordPiece pieces from text, under the student's normaliser and the teacher's splitting into words.

    Parameters
    ----------
    texts : sequence of str
        The foreign side of the bitext.
    tokenizer : PreTrainedTokenizerBase
        The teacher's tokeniser; it must be a WordPiece one.
    size : int
        How many pieces to learn, single characters included.
    min_frequency : int
        How often two pieces must occur side by side to be merged.

    Returns
    -------
    list of str
        The pieces, continuing ones with the teacher's prefix (``##``), in the order in which they were learnt; the same
        for the same texts.

    Raises
    ------
    RecipeError
        The tokeniser is not a WordPiece one.
    """
    source = _backend(tokenizer)
    teacher = json.loads(source.to_str())
    prefix = teacher["model"]["continuing_subword_prefix"]
    learner = Tokenizer(models.WordPiece(unk_token=teacher["model"]["unk_token"]))
    learner.normalizer = _student_normalizer(teacher["normalizer"]) or source.normalizer
    learner.pre_tokenizer = source.pre_tokenizer
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        min_frequency=min_frequency,
        continuing_subword_prefix=prefix,
        # Given beforehand: a letter without a continuing piece makes any word with it inside unknown. And the trainer
        # itself numbers them in the order of a hash table, another one in each process, and chooses between merges of
        # the same frequency by those numbers.
        special_tokens=[prefix + letter for letter in _letters_in_words(texts, learner)],
        show_progress=False,
    )
    learner.train_from_iterator(iter(texts), trainer)
    vocabulary = learner.get_vocab()
    return sorted(vocabulary, key=lambda piece: vocabulary[piece])


def _letters_in_words(texts: Sequence[str], learner: Tokenizer) -> list[str]:
    """The letters of all words of two or more: any of them may follow another one in a word that is yet to come."""
    letters: set[str] = set()
    for chunk in {chunk for text in texts for chunk in text.split()}:
        clean = learner.normalizer.normalize_str(chunk) if learner.normalizer else chunk
        words = learner.pre_tokenizer.pre_tokenize_str(clean) if learner.pre_tokenizer else [(clean, (0, 0))]
        letters.update(letter for word, _ in words if len(word) > 1 for letter in word)
    return sorted(letters)


def extend_tokenizer(tokenizer: PreTrainedTokenizerBase, pieces: Iterable[str]) -> PreTrainedTokenizerFast:
    """Give the student's tokeniser: the teacher's vocabulary, its ids unchanged, followed by the new pieces.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerBase
        The teacher's tokeniser; it must be a WordPiece one.
    pieces : iterable of str
        What :func:`learn_pieces` gave; pieces that the teacher has are passed over.

    Raises
    ------
    RecipeError
        The tokeniser is not a WordPiece one.
    """
    state = json.loads(_backend(tokenizer).to_str())
    vocabulary: dict[str, int] = state["model"]["vocab"]
    following = max(max(vocabulary.values()), *(token["id"] for token in state["added_tokens"]), 0) + 1
    for piece in pieces:
        if piece not in vocabulary:
            vocabulary[piece] = following
            following += 1
    state["model"]["max_input_chars_per_word"] = _MAX_WORD_LENGTH
    # The teacher's file may fix padding and truncation; both are the caller's business.
    state["padding"] = state["truncation"] = None
    extended = Tokenizer.from_str(json.dumps(state))
    normalizer = _student_normalizer(state["normalizer"])
    if normalizer is not None:
        extended.normalizer = normalizer
    special = {name: str(token) for name, token in tokenizer.special_tokens_map.items() if isinstance(token, str)}
    # Not the teacher's own class: on loading, BertTokenizer puts its English normaliser back.
    made = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=extended,
        model_max_length=tokenizer.model_max_length,
        model_input_names=tokenizer.model_input_names,
        **special,
    )
    # ColBERT's markers are special too, without a name of their own.
    if markers := [token for token in tokenizer.all_special_tokens if token not in made.all_special_tokens]:
        made.add_special_tokens({"additional_special_tokens": markers})
    return made
