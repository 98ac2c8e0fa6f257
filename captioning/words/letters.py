"""The letters, digits and signs of the lexer, which knows Unicode 6 and no character above the basic plane."""

import re
import unicodedata

# One character represents each class in the patterns.
LETTER, MARK, DIGIT, SIGN, NOTHING = "é\u0300٠©\1"

# Characters that the patterns name, and so stay themselves.
_NAMED = (
    "80 85 91-94 96-97 a0 a2-a4 ab ad b2-b3 b9 bb-be 58a 66b-66c 2000-200a 2010-2011 2013-2015 2018-201f 2026 "
    "2039-203a 2044 2070 2074-207b 2080-208b 20a0 20ac 2153-2154 3000-3001"
)
# Letters and digits that came later are dropped like any other unknown character; two letters became marks.
_LATER = (
    "37f 528-52f 560 588 5ef 860-89f 8a1 8ad-8ff 978 980 9fc af9 c34 c5a-c5d c80 cdc-cdd d04 d54-d56 d5f de6-def e86 "
    "e89 e8c e8e-e93 e98 ea0 ea8-ea9 eac 13f5-13fd 16f1-16f8 170d 171f 1878 191d-191e 19b0-19c0 19c8-19c9 1b4c "
    "1c80-1cbf 1cf2-1cf3 1cfa 2c2f 2c5f 312e-312f 31bb-31bf 4db6-4dbf 9fcd-9fff a698-a69d a78f a794-a79f a7ab-a7f7 "
    "a8fd-a8fe a9e0-a9fe aa7e-aa7f ab30-abbf"
)
_LATER_MARKS = "1885-1886"
# Not letters by themselves, but a word may hold them.
_MARKS = (
    "2c2-2c5 2d2-2df 2e5-2eb 2ed 2ef-36f 375 378-379 384-385 3f6 483-487 55a-55f 591-5bd 5bf 5c1-5c2 5c4-5c5 5c7 "
    "615-61a 64b-65e 670 6d6-6e4 6e7-6ed 6fd-6fe 70f 711 730-74c 7a6-7b0 7eb-7f3 900-903 93c 93e-94e 951-955 962-963 "
    "981-983 9bc 9be-9c4 9c7-9c8 9cb-9cd 9d7 9e2-9e3 a01-a03 a3c a3e-a4f a81-a83 abc abe-acf b82 bbe-bc2 bc6-bc8 "
    "bca-bcd c01-c03 c3e-c56 d3e-d44 d46-d48 e31 e34-e3a e47-e4e eb1 eb4-ebc ec8-ecd"
)
_SIGNS = (
    "a1 a5-a9 ac ae-b1 b4 b6-b8 bf d7 f7 37e 387 589 5be 5c0 5c3 5c6 5f3-5f4 600-603 606-60c 614 61b 61e-61f 66a 66d "
    "6d4 700-70d 7f6-7f8 964-965 e3f e4f 1fbd 2016-2017 2020-2023 2030-2038 203b 203e-2042 207c-207e 208c-208e 20a4 "
    "2100-214f 2155-215e 2190-2bff 3002 3012 30fb ff01-ff0f ff1a-ff20 ff3b-ff40 ff5b-ff65 ffe0-ffe1 ffe5-ffe6"
)


def _one_of(ranges: str) -> re.Pattern:
    """Return the pattern of one character of the ranges, which are hexadecimal."""
    return re.compile("[" + re.sub("([0-9a-f]+) ?", lambda code: rf"\u{code[1]:0>4}", ranges) + "]")


_ORDER = ((_NAMED, None), (_LATER, NOTHING), (_LATER_MARKS, LETTER), (_MARKS, MARK))
_KNOWN = tuple((_one_of(ranges), kind) for ranges, kind in _ORDER)
_IS_SIGN = _one_of(_SIGNS)


class Classes(dict):
    """Table for `str.translate`: each character becomes the one that represents its class; ASCII stays."""

    def __missing__(self, code: int) -> str:
        self[code] = kind = chr(code) if code < 0x80 else class_of(chr(code))
        return kind


def class_of(character: str) -> str:
    """Return the character that represents the class of a character in the patterns."""
    if character > "\uffff":
        return NOTHING
    for pattern, kind in _KNOWN:
        if pattern.match(character):
            return kind or character
    category = unicodedata.category(character)
    if category.startswith("L"):
        return LETTER
    if category == "Nd":
        return DIGIT
    return SIGN if _IS_SIGN.match(character) else NOTHING
