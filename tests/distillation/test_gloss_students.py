"""Students that read through glosses, from recipe to checkpoint."""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path

import numpy as np
import pytest

from pyserini_optical.cli import main
from pyserini_optical.data import Pair, read_bitext
from pyserini_optical.distillation import Recipe, distill, glossing
from pyserini_optical.distillation.glossing import start_from_glosses
from pyserini_optical.distillation.recipe import StudentRecipe, TrainingRecipe
from pyserini_optical.errors import InputError, RecipeError, SetupError
from pyserini_optical.models import glosses, load_encoder
from pyserini_optical.models.cooccurrence import Cooccurrence
from pyserini_optical.models.transformer import load_transformer
from pyserini_optical.translation import count_words


def recipe(
    tiny: Path, bitext: Path, *, epochs: int, names: list[str] | None = None, sounds: str | None = None
) -> Recipe:
    return Recipe(
        name="glosses",
        teacher=str(tiny),
        bitext=[str(bitext)],
        objectives=[{"name": "token-alignment", "coupling": "ipot"}],
        student=StudentRecipe(vocabulary=None, start="glosses", names=names or [], sounds=sounds),
        training=TrainingRecipe(epochs=epochs, batch_size=40, learning_rate=1e-2),
    )


def test_untrained_it_is_the_teacher_on_glosses(tiny: Path, toy_files: tuple[Path, Path], tmp_path: Path) -> None:
    folder = distill(recipe(tiny, toy_files[0], epochs=0), tmp_path / "student")
    assert "mkulima\tfarmer\t" in (folder / "glosses.tsv").read_text(encoding="utf-8")
    student, teacher = load_encoder(str(folder)), load_encoder(str(tiny))
    assert np.allclose(
        student.encode_queries(["mkulima anajenga"]), teacher.encode_queries(["farmer builds"]), atol=1e-6
    )
    # Documents are the teacher's own.
    assert student.document_fingerprint == teacher.document_fingerprint


def test_glosses_of_an_earlier_kind_are_made_again(
    tiny: Path, toy_files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(glosses, "READING", "1")
    folder = distill(recipe(tiny, toy_files[0], epochs=0), tmp_path / "student")
    monkeypatch.undo()
    distill(recipe(tiny, toy_files[0], epochs=0), tmp_path / "student")
    assert json.loads((folder / "manifest.json").read_text())["inputs"]["reading"] == glosses.READING


@pytest.mark.parametrize("kind", ["auto", "tct_colbert"])
def test_another_class_of_pyserinis_is_refused(
    tiny: Path, toy_files: tuple[Path, Path], kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = distill(recipe(tiny, toy_files[0], epochs=0), tmp_path / "student")
    arguments = ["--encoder", str(folder), "--encoder-class", kind, "--index", "i", "--topics", "t", "--output", "o"]
    assert main(["pyserini", "search.faiss", *arguments]) == 1
    assert f"glosses, which --encoder-class {kind} would pass by; leave" in capsys.readouterr().err


def test_trained_it_is_saved_with_its_glosses(tiny: Path, toy_files: tuple[Path, Path], tmp_path: Path) -> None:
    folder = distill(recipe(tiny, toy_files[0], epochs=1), tmp_path / "student")
    student, teacher = load_encoder(str(folder)), load_encoder(str(tiny))
    found = student.encode_queries(["mkulima anajenga", "farmer builds"])
    assert np.allclose(found[0], found[1], atol=1e-6)
    assert not np.allclose(found[:1], teacher.encode_queries(["farmer builds"]), atol=1e-3)


def test_names_are_those_of_the_corpora_too(tiny: Path, toy_files: tuple[Path, Path], tmp_path: Path) -> None:
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text(json.dumps({"id": "1", "title": "Mombasa", "text": "Nairobi"}) + "\n", encoding="utf-8")
    folder = distill(recipe(tiny, toy_files[0], epochs=0, names=[str(corpus)]), tmp_path / "student")
    names = (folder / "names.txt").read_text(encoding="utf-8").split()
    assert {"nairobi", "mombasa", "farmer"} <= set(names)
    passages = Cooccurrence.load(folder / "passages.safetensors", "")
    assert (passages.words, passages.count) == (["mombasa", "nairobi"], 1)
    assert json.loads((folder / "manifest.json").read_text())["inputs"]["names"]
    corpus.write_text(json.dumps({"id": "1", "text": "Lagos, Lagos"}) + "\n", encoding="utf-8")
    distill(recipe(tiny, toy_files[0], epochs=0, names=[str(corpus)]), tmp_path / "student")
    assert "lagos" in (folder / "names.txt").read_text(encoding="utf-8").split()
    with pytest.raises(RecipeError, match="are for start: glosses"):
        StudentRecipe(names=[str(corpus)])


def test_names_have_their_sounds(tiny: Path, toy_files: tuple[Path, Path], tmp_path: Path) -> None:
    sounds = tmp_path / "sounds.dict"
    sounds.write_text("farmer F AA1 R M ER0\nfarmer(2) F AA1 M AH0\nnairobi N AY1 R OW2 B IY0\n", encoding="utf-8")
    made = recipe(tiny, toy_files[0], epochs=0, sounds=str(sounds))
    folder = distill(made, tmp_path / "student")
    lines = (folder / "names.txt").read_text(encoding="utf-8").splitlines()
    assert "farmer\tfarm4\tfam1" in lines
    assert not any(line.startswith("nairobi") for line in lines)
    student = load_transformer(str(folder), "cpu")
    assert student[0].spelling.sounds.forms == {"farmer": ["farm4", "fam1"]}
    assert sounds.name not in (folder / "manifest.json").read_text()
    before = json.loads((folder / "manifest.json").read_text())["inputs"]
    sounds.write_text("farmer F AA1 R M ER0\n", encoding="utf-8")
    distill(made, folder)
    after = json.loads((folder / "manifest.json").read_text())["inputs"]
    assert {name for name in before if before[name] != after[name]} == {"sounds"}
    assert "farmer\tfarm4" in (folder / "names.txt").read_text(encoding="utf-8").splitlines()
    with pytest.raises(RecipeError, match="are for start: glosses"):
        StudentRecipe(sounds=str(sounds))
    with pytest.raises(InputError, match="nowhere: no such file; name a pronouncing dictionary"):
        distill(recipe(tiny, toy_files[0], epochs=0, sounds="nowhere"), tmp_path / "other")
    with pytest.raises(SetupError, match="run `pip install no_such_package`"):
        distill(recipe(tiny, toy_files[0], epochs=0, sounds="package:no_such_package/a"), tmp_path / "other")


def test_the_corpora_may_be_folders_and_must_be_there(tiny: Path, toy_files: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus" / "one.jsonl").write_text('{"id": "1", "text": "Nairobi"}\n')
    folder = distill(recipe(tiny, toy_files[0], epochs=0, names=[str(tmp_path / "corpus")]), tmp_path / "student")
    assert "nairobi" in (folder / "names.txt").read_text(encoding="utf-8").split()
    with pytest.raises(InputError, match="nowhere: no such file; name the passages"):
        distill(recipe(tiny, toy_files[0], epochs=0, names=["nowhere"]), tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_of_many_passages_some_are_drawn_evenly(
    tiny: Path, toy_files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    for path, texts in zip(paths, (("one", "two"), ("three", "four", "five")), strict=True):
        path.write_text("".join(json.dumps({"id": text, "text": text}) + "\n" for text in texts), encoding="utf-8")
    found = {}
    for most in (2, 3, 5, 9):
        monkeypatch.setattr(glossing, "_PASSAGES", most)
        student = load_transformer(str(tiny), "cpu")
        glossing.start_from_glosses(student, read_bitext(toy_files[0]), paths)
        found[most] = student[0].cooccurrence.words
    everything = sorted(["one", "two", "three", "four", "five"])
    assert found == {2: ["five", "three"], 3: ["five", "four", "two"], 5: everything, 9: everything}


def test_of_rare_words_the_letters_say_which_is_which(tiny: Path) -> None:
    draw = random.Random(0)
    latin, greek = "abdeghiklmnoprstuvz", "αβδεγχικλμνοπρστυωζ"
    names = ["".join(draw.choices(latin, k=draw.randint(5, 9))) for _ in range(400)]
    pairs = []
    for number, (one, other) in enumerate(zip(names[::2], names[1::2], strict=True)):
        # Each pair of names is met once, among words that every sentence has; some in the other order in English.
        foreign = " ".join([one, "ωωωω", other]).translate(str.maketrans(latin, greek))
        pairs.append(Pair(foreign, f"{one} river {other}" if number % 4 else f"{other} river {one}"))
    counted = count_words(pairs)
    assert counted.best(pairs[0].foreign.split()[0]) == names[1]  # what is misled
    student = load_transformer(str(tiny), "cpu")
    start_from_glosses(student, pairs, [])
    read = [student[0].gloss(pair.foreign).split() for pair in pairs]
    assert [[first, last] for first, _, last in read] == [
        list(two) for two in zip(names[::2], names[1::2], strict=True)
    ]


def test_pieces_and_glosses_exclude_each_other() -> None:
    with pytest.raises(RecipeError, match=r"set student\.vocabulary to null"):
        StudentRecipe(start="glosses")


def test_passages_are_not_read_through_glosses(tiny: Path, toy_files: tuple[Path, Path]) -> None:
    with pytest.raises(RecipeError, match=r"glosses.* are for students of questions; set documents to teacher"):
        dataclasses.replace(recipe(tiny, toy_files[0], epochs=0), documents="self")


def test_a_bitext_without_words_is_said(tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "b.tsv").write_text("?!\t!!\n...\t?\n")
    with pytest.raises(RecipeError, match="no sentence pairs with words"):
        distill(recipe(tiny, tmp_path / "b.tsv", epochs=0), tmp_path / "student")
