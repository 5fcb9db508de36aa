"""Topics or a corpus in, the same in another language out; what is translated is kept, so a second call goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import islice
from pathlib import Path

from pyserini_optical.data import Pathish, check_output, one_process, read_corpus, read_topics, write_text, write_topics
from pyserini_optical.data.fields import one_line, shown
from pyserini_optical.data.settings import nearest
from pyserini_optical.errors import InputError
from pyserini_optical.progress import progress
from pyserini_optical.translation.apertium import Apertium
from pyserini_optical.translation.cache import TranslationCache
from pyserini_optical.translation.dictionary import Dictionary
from pyserini_optical.translation.glosses import Glosses
from pyserini_optical.translation.learned import Learned
from pyserini_optical.translation.marian import Marian
from pyserini_optical.translation.quality import Quality, translation_quality
from pyserini_optical.translation.table import Table
from pyserini_optical.translation.translator import Spec, Translator, parse_spec

TRANSLATORS: dict[str, Callable[[Spec, Path], Translator]] = {
    "marian": Marian,
    "apertium": lambda spec, work: Apertium(spec),
    "dictionary": lambda spec, work: Dictionary(spec),
    "table": lambda spec, work: Table(spec),
    "learned": Learned,
    "glosses": lambda spec, work: Glosses(spec),
}

# Passages that are held in memory at a time.
_PASSAGES = 1000


def load_translator(name: str, work: Pathish = "work") -> Translator:
    """Load a translator by name: ``KIND:WHAT`` or ``KIND:WHAT?option=value``.

    Parameters
    ----------
    name : str
        ``marian:MODEL``, ``apertium:PAIR``, ``dictionary:FILE``, ``table:FILE``, ``learned:BITEXT`` or
        ``glosses:CHECKPOINT``.
    work : path-like
        Folder for what is learnt.

    Raises
    ------
    InputError
        The name is not of that form, or a file or option cannot be used.
    CheckpointError, SetupError
        A model is broken, or something must be installed first.
    """
    spec = parse_spec(name)
    if spec.kind not in TRANSLATORS:
        raise InputError(f"translator {name!r}: unknown kind {spec.kind!r}{nearest(spec.kind, TRANSLATORS)}")
    return TRANSLATORS[spec.kind](spec, Path(work))


def translate_texts(translator: Translator, texts: Mapping[str, str], work: Pathish = "work") -> dict[str, str]:
    """Translate texts by their ids; those that a slow translator finished are kept below ``work``.

    Raises
    ------
    InputError
        A translation is empty.
    OpticalError
        The translator failed; what it finished is kept.
    """
    cache = TranslationCache(Path(work) / "translations.sqlite") if translator.slow else None
    lines = {name: one_line(text) for name, text in texts.items()}
    found = cache.known(translator.version, list(set(lines.values()))) if cache else {}
    done = {name: found[text] for name, text in lines.items() if text in found}
    open_ones = iter([name for name in lines if name not in done])
    with progress(f"translating by {translator.name}", len(lines), done=len(done)) as advance:
        while names := list(islice(open_ones, translator.batch_size)):
            sources = [lines[name] for name in names]
            made = [one_line(text) for text in translator.translate(sources, names)]
            for name, text in zip(names, made, strict=True):
                if not text:
                    problem = f"{translator.name}: the translation of {shown(name)} is empty"
                    raise InputError(problem, remedy="remove it, or translate it by another translator")
            if cache:
                cache.add(translator.version, dict(zip(sources, made, strict=True)))
            done.update(zip(names, made, strict=True))
            advance(len(names))
    return {name: done[name] for name in lines}


@one_process("output")
def translate(
    translator: Translator | str,
    source: Pathish,
    output: Pathish,
    *,
    reference: Pathish | None = None,
    work: Pathish = "work",
) -> Quality | None:
    """Translate topics, or the titles and texts of a corpus.

    Parameters
    ----------
    translator : Translator or str
        The translator, or its name as :func:`load_translator` takes it.
    source : path-like
        Topics, ``id⇥text`` a line; or a corpus: a directory, or a file that ends in ``.jsonl``, ``.jsonl.gz`` or
        ``.jsonl.xz``.
    output : path-like
        Topics or JSONL file; it appears when it is complete.
    reference : path-like, optional
        Topics in the target language, with which the translated ones are compared.
    work : path-like
        Folder for finished translations and for what is learnt, shared with studies.

    Returns
    -------
    Quality or None
        BLEU and chrF, where there is a reference.

    Raises
    ------
    OpticalError
        A file, the translator or a translation cannot be used; the output is not written then.
    """
    check_output(output)
    if isinstance(translator, str):
        translator = load_translator(translator, work)
    if _is_corpus(source):
        if reference is not None:
            raise InputError("a corpus has no reference", path=source, remedy="leave the reference out")
        _translate_corpus(translator, source, output, work)
        return None
    topics, references = read_topics(source), read_topics(reference) if reference is not None else None
    translated = translate_texts(translator, topics, work)
    quality = None if references is None else translation_quality(translated, references)
    write_topics(output, translated)
    return quality


def _is_corpus(path: Pathish) -> bool:
    return Path(path).is_dir() or str(path).endswith((".jsonl", ".jsonl.gz", ".jsonl.xz"))


def _translate_corpus(translator: Translator, source: Pathish, output: Pathish, work: Pathish) -> None:
    with write_text(output) as file:
        passages = read_corpus(source)
        while part := list(islice(passages, _PASSAGES)):
            # Titles and texts are texts alike; ids hold no white space, so these differ from one another.
            texts = {f"{passage.id} text": passage.text for passage in part}
            texts |= {f"{passage.id} title": passage.title for passage in part if passage.title}
            translated = translate_texts(translator, texts, work)
            for passage in part:
                title = {"title": translated[f"{passage.id} title"]} if passage.title else {}
                record = {"id": passage.id, **title, "text": translated[f"{passage.id} text"]}
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
