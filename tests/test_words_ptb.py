"""Tokenization: every expectation was read off the Java tokenizer (PTBTokenizer 3.4.1, -lowerCase)."""

import pytest

from captioning.words import ptb, tokenize

RULES = {
    "lower case, final period": ("A Dog sits.", "a dog sits"),
    "line break": ("a dog\non a\nboat.", "a dog on a boat"),
    "line break in a fraction": ("1\n1/2 cups", "1\u00a01/2 cups"),
    "empty": ("", ""),
    "only punctuation": (" . , ; : - -- \"\" '' ` ... ! ? ", ""),
    "several marks are one token that stays": ("wow!! what?! -----", "wow !! what ?! -----"),
    "can't": ("I can't, won't or don’t", "i ca n't wo n't or do n't"),
    "a word on n keeps its n": ("isn't didn't", "is n't did n't"),
    "cannot": ("He cannot. Cannot", "he can not can not"),
    "gonna and wanna": ("gonna wanna gotta lemme gimme", "gon na wan na got ta lem me gim me"),
    "'twas, 'tis": ("'twas 'tis", "'t was 't is"),
    "no assimilation inside a word": ("gonnabe cannots dunno", "gonnabe cannots dunno"),
    "clitics": ("they're I'm he'd she'll we've it’s", "they 're i 'm he 'd she 'll we 've it 's"),
    "possessives": ("a man's dogs' children's", "a man 's dogs children 's"),
    "hyphens": ("a well-lit t-shirt jack-o-lantern 5-year-old", "a well-lit t-shirt jack-o-lantern 5-year-old"),
    "loose hyphens": ("a- -b c - d x--y", "a b c d x y"),
    "double quotes": ('says "Store" and “open”', "says store and open"),
    "single quotes": ("a 'big' dog ‘yes’", "a big dog yes"),
    "words with an apostrophe": ("ma'am o'clock O'Brien d'Avignon", "ma'am o'clock o'brien d'avignon"),
    "rock'n'roll": ("rock'n'roll 'n' 'em ol' y'all", "rock 'n' roll 'n' 'em ol' y' all"),
    "decades": ("the '90s 80's 1980s 1980's", "the '90s 80 's 1980s 1980 's"),
    "numbers": ("1,000 3.5 .5 12:30 -5 +5", "1,000 3.5 .5 12:30 -5 +5"),
    "number and unit": ("3.5mm 10am 7th 2nd 5:30pm", "3.5 mm 10am 7th 2nd 5:30 pm"),
    "dates": ("3/4/2014 9-1-1", "3/4/2014 9-1-1"),
    "fractions": ("1/2 1 1/2 ½ 1½ ⅓", "1/2 1\u00a01/2 1/2 1 1/2 1/3"),
    "phone": ("(555) 123-4567", "-lrb-555-rrb-\u00a0123-4567"),
    "feet and inches": ("5'10\" 6'", "5 10 6"),
    "acronyms": ("a U.S. flag in the U.S.A. at 5 p.m.", "a u.s. flag in the u.s.a. at 5 p.m."),
    "titles": ("Mr. Smith and Mrs. Jones", "mr. smith and mrs. jones"),
    "St. within and at the end": ("St. Louis is on Main St.", "st. louis is on main st."),
    "the period after other words goes": ("on Elm road. St", "on elm road st"),
    "etc.": ("cats, dogs, etc. etc.)", "cats dogs etc. etc. -rrb-"),
    "abbreviations that need a capital": ("Mass. mass. Miss. miss.", "mass. mass miss. miss"),
    "abbreviations that need a number": ("no. 5 and no.", "no. 5 and no"),
    "a letter at the end": ("vitamin C.", "vitamin c"),
    "a letter before a loose period": ("plan b. .", "plan b."),
    "a letter within": ("vitamin C. is", "vitamin c. is"),
    "a period before a comma": ("a bat., a ball", "a bat. a ball"),
    "no space after the period": ("a road.There are", "a road.there are"),
    "no space after a comma": ("eggs,doughnuts", "eggs doughnuts"),
    "commas before a hyphen": ("red,blue-green", "red,blue-green"),
    "brackets": ("(a) [b] {c}", "-lrb- a -rrb- -lsb- b -rsb- -lcb- c -rcb-"),
    "slashes": ("and/or a w/ b / c", "and/or a w / b / c"),
    "ampersand": ("black & white b&b AT&T &amp;", "black & white b & b at&t &"),
    "currency": ("$5 £5 €6 7¢", "$ 5 # 5 $ 6 7 cents"),
    "signs": ("50% #1 a*b a=b a_b 10°", "50 % # 1 a * b a = b a_b 10 °"),
    "hash tags and names": ("#dog @cat", "#dog @cat"),
    "ellipses": ("ab ... cd… ef.... gh. . . i....", "ab cd ef gh i."),
    "ellipsis before a number": ("wait ...5 dogs", "wait 5 dogs"),
    "dashes": ("a — b–c", "a b c"),
    "accents": ("Café naïve STRASSE É", "café naïve strasse é"),
    "superscripts": ("x² H₂O", "x ² h ₂ o"),
    "smileys": ("ok :) :D", "ok :-rrb- :d"),
    "web": ("www.a-b.co a.org/bar 1.x me@x.com http://x.y/z", "www.a-b.co a.org/bar 1.x me@x.com http://x.y/z"),
    "unknown characters go": ("a 😀 dog😀s 5😀s", "a dog s 5 s"),
    "programming languages": ("C++ C# a+ a#", "c++ c# a + a #"),
    "tags": ('<b> <a href="x">y</a> a <3 b', '<b> <a\u00a0href="x"> y </a> a < 3 b'),
    "entities": ("a &mdash; &#39; caf&eacute; &quot;x&quot; &lt; it&apos;s", "a &#39; caf&eacute; x < it 's"),
    "clitics go before other apostrophes": ("cont'd banana'S cont'd.", "cont 'd banana 's cont'd."),
    "clitics after what splits": ("gotta's gonna's", "gotta 's gonna 's"),
    "more words with an apostrophe": ("M'Benga don'ts nor'easter c'mon li'l", "m'benga do n'ts nor'easter c'mon li'l"),
    "bound prefixes": ("anti- pro- pre- S&P-500 Cap'n", "anti- pro- pre s&p-500 cap'n"),
    "years after an apostrophe": ("in '05 or '5", "in '05 or 5"),
    "a period before other pauses": (
        "AT&T., co-op., 7th., word.; T-shirt.: x.y-C.; end.Then.,",
        "at&t. co-op. 7th. word. t-shirt. x.y-c. end.then.",
    ),
    "abbreviations inside": ("Jr.x Jr.q't St.-x", "jr. x jr. q t st.-x"),
    "faces": ("^_^ (^_^)", "^_^ -lrb-^_^-rrb-"),
    "an apostrophe before a word": ("'sup 'The ’dog «a» „a‟ 's", "sup the 'd og a „ a ‟ 's"),
    "odd spaces": ("a\u00a0dog\t on\u2003it", "a dog on it"),
    "British spelling stays": ("grey colour theatre", "grey colour theatre"),
}


@pytest.mark.parametrize("caption, expected", RULES.values(), ids=RULES)
def test_rule(caption, expected):
    assert tokenize(caption) == [token for token in expected.split(" ") if token]


def test_quick_way_agrees_with_the_patterns():
    captions = ["A man, a dog and a boat .", "gonna sit on Main St.", "a b.", "a,b , c.", "the  end .. ", "Plan B."]
    for caption in captions:
        by_patterns, position = ptb._lex_chunk(caption + ptb._NEXT_CAPTION, 0, len(caption))
        assert position >= len(caption)
        assert tokenize(caption) == [token for token in by_patterns if token not in ptb.PUNCTUATION]


def test_every_plain_word_agrees_with_the_patterns():
    words = [*"abcdefghijklmnopqrstuvwxyz", *ptb._ABBREVIATIONS, *ptb._SPLIT, "gonnabe", "sting", "aver", "mrs"]
    for word in words:
        for caption in (f"{word}.", f"a {word} of", f"{word.title()}. x", f'"{word}". x', f"a {word}. The"):
            by_patterns, _ = ptb._lex_chunk(caption + ptb._NEXT_CAPTION, 0, len(caption))
            assert tokenize(caption) == [token for token in by_patterns if token not in ptb.PUNCTUATION], caption
