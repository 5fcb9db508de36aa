from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from pyserini_optical.errors import CheckpointError, InputError
from pyserini_optical.translation import load_translator, translate_texts

pytest.importorskip("sentencepiece", reason="the extra `translate` brings it")

PAIRS = {
    "mto kale": "the old river",
    "nyumba mpya": "a new house",
    "mwalimu anaona soko.": "the teacher sees the market.",
    "kamwe!": "never!",
}


@pytest.fixture(scope="module")
def marian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A MarianMT model of some thousand weights that has learnt four sentences by heart."""
    import sentencepiece
    import torch
    from transformers import MarianConfig, MarianMTModel, MarianTokenizer

    folder = tmp_path_factory.mktemp("marian") / "model"
    folder.mkdir()
    text = folder.parent / "text.txt"
    text.write_text("\n".join([*PAIRS, *PAIRS.values()] * 5))
    sentencepiece.SentencePieceTrainer.train(
        input=str(text),
        model_prefix=str(folder.parent / "pieces"),
        vocab_size=48,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder.parent / "pieces.model"))
    vocabulary = ["</s>", "<unk>", *(pieces.id_to_piece(n) for n in range(3, pieces.get_piece_size())), "<pad>"]
    (folder / "vocab.json").write_text(json.dumps({piece: n for n, piece in enumerate(vocabulary)}))
    for side in ("source.spm", "target.spm"):
        (folder / side).write_bytes((folder.parent / "pieces.model").read_bytes())
    source, target, numbers = (str(folder / name) for name in ("source.spm", "target.spm", "vocab.json"))
    tokenizer = MarianTokenizer(source, target, numbers)
    torch.manual_seed(0)
    pad = len(vocabulary) - 1
    model = MarianMTModel(
        MarianConfig(
            vocab_size=len(vocabulary),
            d_model=32,
            encoder_layers=1,
            decoder_layers=1,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=64,
            decoder_ffn_dim=64,
            max_position_embeddings=64,
            pad_token_id=pad,
            eos_token_id=0,
            decoder_start_token_id=pad,
            forced_eos_token_id=0,
            dropout=0.0,
        )
    )
    batch = tokenizer(list(PAIRS), text_target=list(PAIRS.values()), return_tensors="pt", padding=True)
    batch["labels"][batch["labels"] == pad] = -100
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(100):
        loss = model(**batch).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        # Marian's own models start from a vector of zeros, which CTranslate2 takes for granted.
        with torch.no_grad():
            model.get_parameter("model.shared.weight")[pad] = 0
    model.generation_config.max_length = 32
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_it_translates_sentence_by_sentence(marian: Path, tmp_path: Path) -> None:
    translator = load_translator(f"marian:{marian}")
    assert translator.slow
    texts = dict(enumerate([*PAIRS, "mwalimu anaona soko. kamwe! mto kale"]))
    found = translate_texts(translator, {str(n): text for n, text in texts.items()}, tmp_path)
    assert list(found.values()) == [*PAIRS.values(), "the teacher sees the market. never! the old river"]


@pytest.mark.parametrize("engine", ["ctranslate2", "ctranslate2-int8"])
def test_ctranslate2_says_the_same(marian: Path, tmp_path: Path, engine: str) -> None:
    pytest.importorskip("ctranslate2", reason="the extra `translate` brings it")
    translator = load_translator(f"marian:{marian}?engine={engine}", tmp_path)
    assert engine in translator.version
    texts = ["mwalimu anaona soko. kamwe! mto kale", "nyumba mpya"]
    assert translator.translate(texts, ["1", "2"]) == [
        "the teacher sees the market. never! the old river",
        "a new house",
    ]
    # Converted once.
    [converted] = (tmp_path / "models").iterdir()
    made = (converted / "model.bin").stat().st_mtime_ns
    again = load_translator(f"marian:{marian}?engine={engine}", tmp_path)
    assert again.version == translator.version
    assert (converted / "model.bin").stat().st_mtime_ns == made
    (converted / "model.bin").write_bytes(b"x")
    with pytest.raises(CheckpointError, match="remove it to convert the model again"):
        load_translator(f"marian:{marian}?engine={engine}", tmp_path)


def test_what_is_translated_is_not_translated_again(
    marian: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    translator = load_translator(f"marian:{marian}")
    monkeypatch.setattr(translator, "batch_size", 2)
    translate, batches = translator.translate, []

    def dies_in_the_second_batch(texts: Sequence[str], ids: Sequence[str]) -> list[str]:
        batches.append(list(ids))
        if len(batches) == 2:
            raise KeyboardInterrupt
        return translate(texts, ids)

    monkeypatch.setattr(translator, "translate", dies_in_the_second_batch)
    topics = {f"q{n}": text for n, text in enumerate(PAIRS)}
    with pytest.raises(KeyboardInterrupt):
        translate_texts(translator, topics, tmp_path)
    found = translate_texts(translator, topics, tmp_path)
    assert list(found.values()) == list(PAIRS.values())
    assert batches == [["q0", "q1"], ["q2", "q3"], ["q2", "q3"]]
    # Kept by text and not by id, for another instance of the same model too.
    again = load_translator(f"marian:{marian}")
    assert again.version == translator.version
    monkeypatch.setattr(again, "translate", None)
    assert translate_texts(again, {"other": "mto kale"}, tmp_path) == {"other": "the old river"}


def test_broken_models_are_said(marian: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not know the language code 'eng_Latn'"):
        load_translator(f"marian:{marian}?target=eng_Latn")
    copy = Path(shutil.copytree(marian, tmp_path / "copy"))
    (copy / "source.spm").write_bytes(b"x")
    with pytest.raises(CheckpointError, match="the model cannot be loaded"):
        load_translator(f"marian:{copy}")
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"no model\.safetensors in the model"):
        load_translator(f"marian:{copy}")
