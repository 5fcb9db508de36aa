"""Running a study: its runs one after the other, then the comparison and its report."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from pyserini_optical.data import (
    Manifest,
    Pathish,
    fingerprint,
    fingerprint_bitext,
    only_process,
    read_qrels,
    read_run,
    waiting,
)
from pyserini_optical.data.settings import read_settings
from pyserini_optical.errors import InputError, RecipeError
from pyserini_optical.evaluate import (
    Comparison,
    Context,
    best_and_worst,
    compare,
    read_passages,
    relevant_passages,
    shown_passages,
    word_matches,
    write_report,
)
from pyserini_optical.progress import say
from pyserini_optical.study.collection import corpora, qualities, read_all_topics
from pyserini_optical.study.cost import distillation_cost
from pyserini_optical.study.making import Making, RunRecord, run_file
from pyserini_optical.study.run_settings import StudyRun
from pyserini_optical.study.settings import Study
from pyserini_optical.translation import Quality

if TYPE_CHECKING:
    from pyserini_optical.distillation import FineTuningRecipe, Recipe
    from pyserini_optical.models import CrossEncoder, Encoder

    Source: TypeAlias = Recipe | FineTuningRecipe | Encoder | CrossEncoder | None

MANIFEST = "manifest.json"

Qrels: TypeAlias = dict[str, dict[str, int]]
Hits: TypeAlias = Path | dict[str, dict[str, float]]


def run_study(
    path: Pathish, output: Pathish | None = None, *, settings: Sequence[str] = (), work: Pathish = "work"
) -> Comparison:
    """Run a study; a second call goes on where the first was cut off, and skips what is done.

    Parameters
    ----------
    path : path-like
        The study's YAML file; variables and ``settings`` as in recipes.
    output : path-like, optional
        Folder for runs, report and manifest; the file's own folder by default.
    settings : sequence of str
        ``key=value`` over what the file says.
    work : path-like
        Folder for encoders, indexes and translations, which several studies share.

    Returns
    -------
    Comparison
        Also written as ``report.html``, ``.md``, ``.tex``, ``.csv`` and ``.json``, with the runs under ``runs/``.

    Raises
    ------
    OpticalError
        Of any of its parts, or it has no qrels; mistakes in files, recipes and names of models before the first run.
    """
    study = read_settings(Study, path, settings)
    if study.qrels is None:
        raise RecipeError(f"{path}: has no qrels to compare its runs by; set them, or call make_study")
    _, comparison = _run(study, path, output, work)
    assert comparison is not None
    return comparison


def make_study(
    path: Pathish, output: Pathish | None = None, *, settings: Sequence[str] = (), work: Pathish = "work"
) -> tuple[dict[str, Path], Comparison | None]:
    """Make the runs of a study, and compare them as :func:`run_study` does if it has qrels.

    Parameters
    ----------
    path, output, settings, work
        As in :func:`run_study`.

    Returns
    -------
    runs : dict of str to Path
        File by run.
    comparison : Comparison or None

    Raises
    ------
    OpticalError
        As :func:`run_study`; or it has no qrels, and the folder has a report, which new runs might not fit.
    """
    return _run(read_settings(Study, path, settings), path, output, work)


def _run(
    study: Study, path: Pathish, output: Pathish | None, work: Pathish
) -> tuple[dict[str, Path], Comparison | None]:
    folder = Path(output) if output is not None else Path(path).parent
    if study.qrels is None and (folder / MANIFEST).exists():
        remedy = "give qrels, or another --output"
        raise InputError("has a report, which runs made without qrels might not fit", path=folder, remedy=remedy)
    with only_process(folder), waiting():  # what several studies share, another one may be making
        comparison = _make(study, folder, Path(work))
    return {name: run_file(folder / "runs", name) for name in study.each_run()}, comparison


def _make(study: Study, folder: Path, work: Path) -> Comparison | None:
    qrels = read_qrels(study.qrels) if study.qrels is not None else None
    runs = study.each_run()
    sources = {name: _source(name, run) for name, run in runs.items()}
    mark = fingerprint(study.corpus)
    topics, translators = read_all_topics(study, qrels, work)
    if qrels is not None:
        qrels = _asked(qrels, [topics[run.topics] for run in runs.values()], str(study.qrels))
    quality = qualities(study, topics)
    searched = corpora(study, mark, work)
    _say_cost(sources.values(), work)
    records: dict[str, RunRecord] = {}
    searchers: dict[str, str] = {}
    found: dict[str, Hits] = {}
    for name, run in runs.items():
        say(f"run {name}: {run.search} on {run.topics} topics")
        # Popped, so that its model is let go with it.
        model = _made(sources.pop(name), work)
        searchers[name] = model.name if model is not None else ""
        corpus, texts = searched[run.corpus], topics[run.topics]
        making = Making(study, corpus, name, run, texts, model, records, folder / "runs", work)
        records[name] = making.kept() or making.make()
        if qrels is not None:
            found[name] = _judged(making.found(records[name].without_hits), texts, qrels)
    if qrels is None:
        return None
    systems = {name: [found[each] for each in study.runs_of(name)] for name in study.runs}
    comparison = compare(qrels, systems, baseline=study.baseline)
    context = _context(study, mark, records, quality, translators)
    if study.texts:
        passages = read_passages(study.corpus, shown_passages(comparison, qrels))
        context = replace(context, topics=topics, relevant=relevant_passages(qrels), passages=passages)
        context = replace(context, matches=_matches(study, searchers, comparison, context))
    write_report(comparison, folder, context)
    assert context.manifest is not None
    context.manifest.save(folder / MANIFEST)
    return comparison


def _asked(qrels: Qrels, topics: Sequence[Mapping[str, str]], path: str) -> Qrels:
    """Give what is judged of the topics that all sets have: what was not asked of every system is not compared."""
    asked = {topic: judged for topic, judged in qrels.items() if all(topic in texts for texts in topics)}
    if not asked:
        raise InputError("the sets of topics share no judged topic", path=path, remedy="check that ids are the same")
    if len(asked) < len(qrels):
        say(f"{len(asked)} of {len(qrels)} judged topics are in all sets of topics; the others are left out")
    return asked


def _judged(hits: Hits, texts: Mapping[str, str], qrels: Qrels) -> Hits:
    """Give the hits of judged topics alone."""
    if not texts.keys() - qrels.keys():
        return hits
    made = read_run(hits) if isinstance(hits, Path) else hits
    return {topic: made.get(topic, {}) for topic in qrels}


def _source(name: str, run: StudyRun) -> Source:
    from pyserini_optical.distillation import FineTuningRecipe, load_recipe
    from pyserini_optical.distillation.lessons import check_models
    from pyserini_optical.models import load_cross_encoder, load_encoder
    from pyserini_optical.retrieve import Fusion
    from pyserini_optical.translation.counting import load_glosses

    # What is missing or of another kind is said now.
    if run.file:
        read_run(run.file)
    if run.tuned:
        Fusion.load(run.fusion).check(len(run.runs))
    if run.table is not None:
        for file in run.table.bitext:
            fingerprint_bitext(file)
    if not run.source:
        return None
    if run.by == "cross-encoder":
        if not run.distils:
            return load_cross_encoder(run.source)
        recipe = read_settings(FineTuningRecipe, run.source, run.set)
        if not recipe.cross_encoder:
            raise RecipeError(f"{run.source}: makes no cross-encoder; set cross_encoder to true, or name another")
        return recipe
    glosses = run.table is not None and run.table.kind == "glosses"
    if not run.distils:
        encoder = load_encoder(run.source)
        if glosses:
            load_glosses(encoder.name)
        return encoder
    try:
        made = load_recipe(run.source, run.set)
    except RecipeError as error:
        raise RecipeError(f"run {name}: {error}") from None
    if glosses and made.student.start != "glosses":
        raise RecipeError(f"{run.source}: makes no glosses; name encoders/glosses.yaml")
    for file in made.files:
        if not Path(file).exists():
            raise InputError("no such file", path=file, remedy=f"check the path, by {run.source} or a setting over it")
    check_models(made)
    return made


def _made(source: Source, work: Path) -> Encoder | CrossEncoder | None:
    """Distil or fine-tune what is a recipe."""
    from pyserini_optical.distillation import FineTuningRecipe, Recipe, distill, fine_tune
    from pyserini_optical.models import load_cross_encoder, load_encoder

    if not isinstance(source, Recipe | FineTuningRecipe):
        return source
    folder = _folder(source, work)
    if isinstance(source, FineTuningRecipe):
        return load_cross_encoder(str(fine_tune(source, folder)))
    distill(source, folder, work=work)
    return load_encoder(str(folder))


def _folder(recipe: Recipe | FineTuningRecipe, work: Path) -> Path:
    """Where its model lies, named by its settings too: two runs of one recipe are two models."""
    mark = hashlib.sha256(json.dumps(recipe.as_dict(), sort_keys=True).encode()).hexdigest()[:8]
    return work / "encoders" / f"{recipe.name}.{mark}"


def _say_cost(sources: Iterable[Source], work: Path) -> None:
    """Say what is to be distilled, if anything is."""
    from pyserini_optical.distillation import Recipe

    recipes = {_folder(source, work): source for source in sources if isinstance(source, Recipe)}
    missing = [recipe for folder, recipe in recipes.items() if not folder.is_dir()]
    if missing:
        say(str(distillation_cost(missing)))


def _context(
    study: Study,
    corpus: str,
    records: Mapping[str, RunRecord],
    quality: Mapping[str, Quality],
    translators: Mapping[str, str],
) -> Context:
    """Say what ran, and what everything was made from."""
    details = []
    versions: dict[str, list[str]] = {}
    for name, run in study.each_run().items():
        record = records[name]
        scores = quality.get(run.topics)
        translation = {"BLEU": f"{scores.bleu:.1f}" if scores else "", "chrF": f"{scores.chrf:.1f}" if scores else ""}
        without = f" ({record.without_hits} topics without a hit)" if record.without_hits else ""
        details.append(
            {
                "run": name,
                "topics": run.topics,
                **(translation if quality else {}),
                "search": _how(run, record) + without,
                "documents": record.documents or run.corpus,
                "seconds": f"{record.seconds}",
            }
        )
        for package, version in record.manifest.versions.items():
            versions.setdefault(package, []).append(version)
    assert study.qrels is not None
    manifest = Manifest(
        "study",
        inputs={"corpus": corpus, "qrels": fingerprint(study.qrels)},
        parameters={
            "study": asdict(study),
            "runs": {name: record.sha256 for name, record in records.items()},
            **({"translators": dict(translators)} if translators else {}),
            **({"translations": {name: each._asdict() for name, each in quality.items()}} if quality else {}),
        },
        # Runs of an earlier call may have had others; sorted, as those that were read from disk are.
        versions={package: " and ".join(dict.fromkeys(each)) for package, each in sorted(versions.items())},
    )
    return Context(title=study.name, lead=study.title, details=details, manifest=manifest)


def _matches(
    study: Study, searchers: Mapping[str, str], comparison: Comparison, context: Context
) -> dict[str, dict[str, list[tuple[str, str, float]]]]:
    """Say for each run by late interaction which words met, on the topics where it gains and loses most."""
    from pyserini_optical.models import load_encoder

    made: dict[str, dict[str, list[tuple[str, str, float]]]] = {}
    for name, run in study.each_system().items():
        if run.lexical or run.runs or run.file or run.corpus:
            continue
        encoder = load_encoder(searchers[study.runs_of(name)[0]])
        if encoder.late_interaction:
            chosen = [topic for topic in best_and_worst(comparison, name) if context.relevant[topic]]
            relevant = {topic: context.passages.get(context.relevant[topic][0]) for topic in chosen}
            texts = context.topics[run.topics]
            made[name] = {
                topic: word_matches(encoder, texts[topic], passage[1])
                for topic, passage in relevant.items()
                if passage is not None and topic in texts
            }
    return made


def _how(run: StudyRun, record: RunRecord) -> str:
    """Say how a run searched, in a line."""
    if run.search == "rerank":
        return " ".join([f"the first {run.depth} of {run.runs[0]} by {run.by}, {run.model}", *run.set])
    if run.search == "hybrid":
        return f"{run.runs[0]} + {run.alpha:g} {run.runs[1]}"
    if run.runs:
        return f"{record.searcher} of {', '.join(run.runs)}"
    if run.file:
        return f"read from {run.file}"
    if not run.lexical:
        return " ".join([run.search, *run.set])
    bm25 = f"BM25 (k1 {run.bm25.k1:g}, b {run.bm25.b:g}), {record.searcher}"
    if run.table is None:
        return bm25
    table = run.table
    counted = {"plans": f"{table.coupling} plans of {table.encoder}", "glosses": f"glosses of {table.encoder}"}
    return f"PSQ ({counted.get(table.kind, 'IBM model 1 with positions')}), {bm25}"
