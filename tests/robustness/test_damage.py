"""One byte is flipped in whatever is kept on disk: it is found and named before it can produce a number."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pyserini_optical import distill, encode_corpus, rerank, search
from pyserini_optical.data import Manifest
from pyserini_optical.data.settings import read_settings
from pyserini_optical.distillation import Recipe, checkpoint
from pyserini_optical.distillation.recipe import StudentRecipe, TrainingRecipe
from pyserini_optical.errors import CheckpointError, InputError, OpticalError
from pyserini_optical.integration.lucene import bm25_record
from pyserini_optical.models import load_encoder
from pyserini_optical.retrieve import encode_tokens

TOPICS = {"1": "the old boat", "2": "a new house"}


def flip(path: Path, place: float = 0.9) -> None:
    """Flip a bit of the byte at a place, as a share of the file."""
    content = bytearray(path.read_bytes())
    content[int(len(content) * place)] ^= 1
    path.write_bytes(bytes(content))


def write_corpus(path: Path) -> Path:
    texts = [f"the old {noun} {n}" for n in range(20) for noun in ("boat", "house", "river")]
    path.write_text("".join(f'{{"id": "{n}", "text": "{text}"}}\n' for n, text in enumerate(texts)))
    return path


@pytest.fixture(scope="module")
def made(tiny: Path, toy_files: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an encoder, an index and stores of a corpus."""
    folder = tmp_path_factory.mktemp("made")
    recipe = folder / "recipe.yaml"
    recipe.write_text(f"name: toy\nteacher: {tiny}\nbitext: {toy_files[0]}\nobjectives: []\ntraining: {{epochs: 0}}\n")
    distill(read_settings(Recipe, recipe, ["student.vocabulary=null"]), folder / "encoder")
    corpus = write_corpus(folder / "corpus.jsonl")
    encode_corpus(str(folder / "encoder"), corpus, folder / "index")
    encode_tokens(str(folder / "encoder"), corpus, folder / "float16")
    encode_tokens(str(folder / "encoder"), corpus, folder / "2-bit", codes="2-bit")
    return folder


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "copy"))


def use(folder: Path, what: str) -> None:
    """Make numbers of an index or a store."""
    search(str(folder / "encoder"), folder / what, TOPICS)
    if what != "index":
        run = {topic: {"0": 1.0, "59": 0.5} for topic in TOPICS}
        rerank(str(folder / "encoder"), folder / what, TOPICS, run)


@pytest.mark.parametrize("what", ["index", "float16", "2-bit"])
def test_every_file_of_an_index_and_of_a_store(copy: Path, what: str) -> None:
    use(copy, what)
    for path in sorted((copy / what).iterdir()):
        if path.name == "manifest.json":  # part of it is information, such as versions
            continue
        whole = path.read_bytes()
        for place in (0.02, 0.5, 0.99):
            flip(path, place)
            with pytest.raises(OpticalError) as found:
                use(copy, what)
            assert str(path) in str(found.value)
            path.write_bytes(whole)
    use(copy, what)


@pytest.mark.parametrize("key", ["step", "encoder", "outputs", "index"])
def test_the_manifest_itself(copy: Path, key: str) -> None:
    path = copy / "index" / "manifest.json"
    content = path.read_text()
    place = content.index(f'"{key}": ') + len(key) + 5
    path.write_text(content[:place] + chr(ord(content[place]) ^ 1) + content[place + 1 :])
    with pytest.raises(OpticalError, match=str(copy / "index")):
        encode_or_use(copy)


def encode_or_use(folder: Path) -> None:
    """What is of another step is not replaced; what is not as its manifest says is not used."""
    use(folder, "index")
    encode_corpus(str(folder / "encoder"), folder / "corpus.jsonl", folder / "index")


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json", "1_Pooling/config.json"])
def test_an_encoder(copy: Path, name: str) -> None:
    flip(copy / "encoder" / name)
    with pytest.raises(CheckpointError, match=rf"{name}.* damaged.*; .*distil"):
        load_encoder(str(copy / "encoder")).encode_queries(["the old boat"])


def test_the_card_and_where_documents_are_encoded_may_be_changed(copy: Path) -> None:
    for name in ("README.md", "optical.json"):
        path = copy / "encoder" / name
        path.write_text(path.read_text() + "\n")
    load_encoder(str(copy / "encoder")).encode_queries(["the old boat"])


def test_what_is_damaged_is_made_again(
    copy: Path, tiny: Path, toy_files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = read_settings(Recipe, copy / "recipe.yaml", ["student.vocabulary=null"])
    makers: list[tuple[Path, Callable[[], object]]] = [
        (copy / "encoder" / "model.safetensors", lambda: distill(recipe, copy / "encoder")),
        (copy / "index" / "docid", lambda: encode_corpus(str(copy / "encoder"), copy / "corpus.jsonl", copy / "index")),
    ]
    for path, make in makers:
        whole = path.read_bytes()
        flip(path)
        make()
        assert f"{path}: damaged or truncated, its checksum" in capsys.readouterr().err
        assert path.read_bytes() == whole


def test_only_the_passages_that_are_read_are_checked(copy: Path) -> None:
    flip(copy / "float16" / "tokens.npy", 0.999)  # of the last passage
    encoder = str(copy / "encoder")
    assert rerank(encoder, copy / "float16", TOPICS, {topic: {"0": 1.0, "1": 0.5} for topic in TOPICS})
    with pytest.raises(CheckpointError, match=r"tokens\.npy: the token vectors of passage '59' are damaged; remove"):
        rerank(encoder, copy / "float16", TOPICS, {topic: {"0": 1.0, "59": 0.5} for topic in TOPICS})


def test_ids_of_a_shard_that_is_gone_on_with(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pyserini_optical.retrieve import encoding, sharding

    monkeypatch.setattr(sharding, "_SHARD", 16)
    corpus = write_corpus(tmp_path / "corpus.jsonl")
    whole = encode_corpus(str(tiny), corpus, tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(encoding, "write_index", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            encode_corpus(str(tiny), corpus, tmp_path / "index")
    flip(tmp_path / ".index.work" / "000" / "000001.docid", 0.5)
    encode_corpus(str(tiny), corpus, tmp_path / "index")
    assert (tmp_path / "index" / "docid").read_bytes() == (whole / "docid").read_bytes()


def test_manifests_from_before_there_were_checksums(copy: Path) -> None:
    path = copy / "index" / "manifest.json"
    old = Manifest.load(path)
    path.write_text(
        path.read_text().replace('"outputs"', '"outputs_"').replace('"machine"', '"machine_"')  # unknown names
    )
    with pytest.raises(InputError, match="not a manifest"):
        Manifest.load(path)
    Manifest(old.step, old.inputs, old.parameters, old.versions).save(path)
    use(copy, "index")


def test_a_manifest_names_no_file_outside_its_folder(tmp_path: Path) -> None:
    for name in ("../x", "/etc/passwd", "a/../../x"):
        Manifest("encode", outputs={name: "0"}).save(tmp_path / "manifest.json")
        with pytest.raises(InputError, match="not a manifest"):
            Manifest.load(tmp_path / "manifest.json")


def _recipe(tiny: Path, toy_files: tuple[Path, Path], learning_rate: float) -> Recipe:
    return Recipe(
        name="toy",
        teacher=str(tiny),
        bitext=[str(toy_files[0])],
        development=str(toy_files[1]),
        objectives=[{"name": "contrastive"}],
        student=StudentRecipe(vocabulary=150, start="pieces"),
        training=TrainingRecipe(epochs=2, batch_size=40, checkpoint_steps=2, learning_rate=learning_rate, patience=99),
    )


def _interrupt(recipe: Recipe, output: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Distil until the checkpoint would be written; give the work folder."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint.Checkpoint, "save", stop)
        with pytest.raises(KeyboardInterrupt):
            distill(recipe, output)
    return output.with_name(f".{output.name}.work")


def test_without_the_best_checkpoint_training_goes_back(
    tiny: Path, toy_files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = _recipe(tiny, toy_files, learning_rate=0.3)  # so much that the best comes early
    whole = distill(recipe, tmp_path / "whole")
    work = _interrupt(recipe, tmp_path / "again", monkeypatch)
    states = {int(path.parent.name.split("-")[1]): path for path in work.glob("trainer/*/trainer_state.json")}
    best = Path(json.loads(states[max(states)].read_text())["best_model_checkpoint"])
    assert best.name != f"checkpoint-{max(states)}"
    flip(best / "model.safetensors")
    again = distill(recipe, tmp_path / "again")
    assert (again / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_a_damaged_start_is_said_with_what_helps(
    tiny: Path, toy_files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = _recipe(tiny, toy_files, learning_rate=1e-3)
    work = _interrupt(recipe, tmp_path / "again", monkeypatch)
    [start] = (work / "starts").glob("[!.]*")
    flip(start / "model.safetensors")
    with pytest.raises(CheckpointError, match=f"remove {start} and distil again"):
        distill(recipe, tmp_path / "again")


@pytest.mark.parametrize("name", ["a\0b", "", ".", "../x", "/x"])
def test_a_manifest_names_files_inside_alone(copy: Path, name: str) -> None:
    path = copy / "index" / "manifest.json"
    content = json.loads(path.read_text())
    content["outputs"] = {name: "x"}
    path.write_text(json.dumps(content))
    with pytest.raises(OpticalError, match=r"manifest\.json: not a manifest"):
        use(copy, "index")


@pytest.mark.parametrize("files", [["x"], {"a\0b": "x"}, {"../x": "x"}])
def test_the_record_of_a_lucene_index_too(tmp_path: Path, files: object) -> None:
    record = {"language": "en", "analyzer": "x", "fields": ["text"], "files": files}
    (tmp_path / "bm25.json").write_text(json.dumps(record))
    with pytest.raises(CheckpointError, match=r"bm25\.json: missing or damaged"):
        bm25_record(tmp_path)
