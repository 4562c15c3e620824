"""The names of numbers in English and German: pairs of sentences that need no download.

The languages part where it is not word for word: German has the units before the tens. The parts
of a name are written apart, as in neither language, so that a sentence has several words.
"""

import random

_BELOW_20 = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen",
    "ein zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn "
    "sechzehn siebzehn achtzehn neunzehn",
)
_TENS = (
    "twenty thirty forty fifty sixty seventy eighty ninety",
    "zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig",
)
MILLION = 1_000_000


def numerals(count: int = 5000) -> list[tuple[str, str]]:
    """Names of so many different numbers from 1 to 999,999, English and German, at random."""
    drawn = random.Random(0).sample(range(1, MILLION), count)
    return [(english(number), german(number)) for number in drawn]


def english(number: int) -> str:
    """The name of a number from 1 to 999,999: "four hundred thirty two"."""
    return " ".join(_english(number))


def german(number: int) -> str:
    """The name of a number from 1 to 999,999: "vier hundert zwei und dreißig"."""
    words = _german(number)
    return " ".join([*words[:-1], "eins"] if words[-1] == "ein" else words)


def _english(number: int) -> list[str]:
    return _grouped(number, 0, ("hundred", "thousand"))


def _german(number: int) -> list[str]:
    return _grouped(number, 1, ("hundert", "tausend"))


def _grouped(number: int, language: int, units: tuple[str, str]) -> list[str]:
    """Thousands, hundreds, and what is below, each with its unit."""
    thousands, rest = divmod(number, 1000)
    above = [*_grouped(thousands, language, units), units[1]] if thousands else []
    hundreds, rest = divmod(rest, 100)
    middle = [*_below_100(hundreds, language), units[0]] if hundreds else []
    return [*above, *middle, *_below_100(rest, language)]


def _below_100(number: int, language: int) -> list[str]:
    below_20 = _BELOW_20[language].split()
    if number < 20:
        return below_20[number - 1 : number] if number else []
    tens, ones = divmod(number, 10)
    name = _TENS[language].split()[tens - 2]
    if not ones:
        return [name]
    return [name, below_20[ones - 1]] if language == 0 else [below_20[ones - 1], "und", name]
