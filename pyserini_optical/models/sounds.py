"""How English words sound, by a pronouncing dictionary in the format of CMU's, one sign a sound.

References
----------
.. [1] The CMU Pronouncing Dictionary. Carnegie Mellon University, 1993-2014. (Sounds in ARPAbet, with stress.)
"""

from __future__ import annotations

from pyserini_optical.data import Pathish, read_lines
from pyserini_optical.errors import InputError

# 36 signs for the 39 sounds of ARPAbet, those that units have for letters: ZH has J's, DH TH's, OY two. Stress is left
# out.
_SIGNS = {sign.upper(): sign for sign in "bdfgklmnprstvwyz"}
_SIGNS |= {"AA": "a", "EH": "e", "IH": "i", "AO": "o", "UH": "u", "CH": "c", "HH": "h", "JH": "j", "SH": "x", "TH": "q"}
_SIGNS |= dict(zip(("AE", "AH", "AW", "AY", "ER", "EY", "IY", "NG", "OW", "UW"), "0123456789", strict=True))
_SIGNS |= {"ZH": _SIGNS["JH"], "DH": _SIGNS["TH"], "OY": _SIGNS["AO"] + _SIGNS["IY"]}


def read_pronunciations(path: Pathish) -> dict[str, list[str]]:
    """Read a pronouncing dictionary: lines ``word  S OW1 N D Z``, of further pronunciations ``word(2)  …``.

    What follows ``#`` is a remark, as are lines that start with ``;;;``.

    Parameters
    ----------
    path : path-like
        The file, plain, ``.gz`` or ``.xz``.

    Returns
    -------
    dict of str to list of str
        Pronunciations by word in small letters, each with one sign a sound, of those that units have for letters.

    Raises
    ------
    InputError
        A line without sounds or with one that ARPAbet has not, or no word at all.
    """
    found: dict[str, list[str]] = {}
    for number, line in read_lines(path):
        word, *sounds = line.partition(" #")[0].split() or [";;;"]
        if word.startswith(";;;"):
            continue
        signs = [_SIGNS.get(sound.rstrip("012")) for sound in sounds]
        if not signs or None in signs:
            what = f"{sounds[signs.index(None)]} is no sound of ARPAbet" if signs else f"{word} has no sounds"
            remedy = "write `word  S OW1 N D Z`, as the CMU Pronouncing Dictionary does"
            raise InputError(what, path=path, line=number, remedy=remedy)
        said = found.setdefault(word.partition("(")[0].lower(), [])
        if (pronunciation := "".join(filter(None, signs))) not in said:
            said.append(pronunciation)
    if not found:
        raise InputError("holds no pronunciations", path=path, remedy="check that it is the right file")
    return found
