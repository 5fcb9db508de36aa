"""The texts of a study: its topics and corpora, those with them that it translates itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pyserini_optical.data import Manifest, fingerprint, fingerprint_texts, read_topics
from pyserini_optical.errors import InputError
from pyserini_optical.progress import say
from pyserini_optical.study.settings import Study
from pyserini_optical.translation import Quality, load_translator, translate, translate_texts, translation_quality


@dataclass(frozen=True)
class Corpus:
    """A corpus that runs search.

    Attributes
    ----------
    path : str
        Its file or directory.
    fingerprint : str
        Of that.
    language : str
        Two-letter code, for Lucene's analyzer.
    """

    path: str
    fingerprint: str
    language: str


def read_all_topics(
    study: Study, qrels: Mapping[str, object] | None, work: Path
) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """Read the sets of topics that the runs search or that are the reference, and translate those to be translated.

    Returns
    -------
    topics : dict of str to dict of str to str
        Text by topic by set, those with them that were translated from.
    translators : dict of str to str
        Version of the translator by set.

    Raises
    ------
    InputError
        A file cannot be read or shares no topic with the qrels.
    OpticalError
        A translator is broken, or failed; what it finished is kept.
    """
    entries = study.each_topics()
    used = {run.topics for run in study.each_run().values()} | ({study.reference} if study.reference else set())
    translated = {name: entry for name, entry in entries.items() if name in used and not isinstance(entry, str)}
    used |= {entry.topics for entry in translated.values()}
    topics = {name: _read(entry, qrels) for name, entry in entries.items() if name in used and isinstance(entry, str)}
    versions = {}
    for name, entry in translated.items():
        say(f"topics {name}: {entry.topics} by {entry.translate}")
        translator = load_translator(entry.translate, work)
        topics[name] = translate_texts(translator, topics[entry.topics], work)
        versions[name] = translator.version
    return topics, versions


def qualities(study: Study, topics: Mapping[str, Mapping[str, str]]) -> dict[str, Quality]:
    """Give BLEU and chrF of each set of topics against the reference; nothing if the study has none.

    Raises
    ------
    InputError
        A set shares no topic with the reference.
    """
    if study.reference is None:
        return {}
    reference = topics[study.reference]
    return {name: translation_quality(texts, reference) for name, texts in topics.items() if name != study.reference}


def corpora(study: Study, mark: str, work: Path) -> dict[str, Corpus]:
    """Give the study's corpus under an empty name, and those that its runs search, translated into ``work``.

    Parameters
    ----------
    study : Study
        Which names them.
    mark : str
        Fingerprint of its corpus.
    work : Path
        Folder for translated corpora.

    Raises
    ------
    OpticalError
        The corpus cannot be read, or a translator is broken, or failed; what it finished is kept.
    """
    found = {"": Corpus(study.corpus, mark, study.corpus_language)}
    entries = study.each_corpus()
    for name in sorted({run.corpus for run in study.each_run().values()} - {""}):
        say(f"corpus {name}: by {entries[name].translate}")
        translator = load_translator(entries[name].translate, work)
        path = work / "corpora" / f"{fingerprint_texts([mark, translator.version])[:16]}.jsonl"
        record = path.with_suffix(".json")
        if not path.exists() or not record.exists():
            translate(translator, study.corpus, path, work=work)
            outputs = {path.name: fingerprint(path)}
            Manifest("translate", {"corpus": mark}, {"translator": translator.version}, outputs=outputs).save(record)
        Manifest.load(record).check(path.parent, "remove it to have it translated again")
        found[name] = Corpus(str(path), fingerprint(path), entries[name].language)
    return found


def _read(path: str, qrels: Mapping[str, object] | None) -> dict[str, str]:
    topics = read_topics(path)
    if qrels is not None and not topics.keys() & qrels.keys():
        raise InputError("shares no topic with the qrels", path=path, remedy="check that the ids are written alike")
    return topics
