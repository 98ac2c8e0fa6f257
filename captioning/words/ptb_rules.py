"""The token patterns of the Penn Treebank lexer that coco-caption uses, as Python regular expressions.

coco-caption splits captions with Stanford's PTBTokenizer 3.4.1. The patterns were written from what that
tokenizer does, and compared with it on every caption of COCO val2014 and Flickr8k. As there, the pattern that
matches the longest text *including what must follow the token* wins; of equals, the first one.
"""

import re

from captioning.words import letters

# The patterns are for text in which every character stands for its class (see `letters.Classes`).
DIGIT = f"[0-9{letters.DIGIT}]"
PLAIN_LETTER = f"[a-z{letters.LETTER}]"
LETTER = rf"(?:[a-z\u00ad{letters.LETTER}{letters.MARK}]|&[aeiou](?:acute|grave|uml);)"
ALNUM = f"[a-z0-9{letters.LETTER}{letters.DIGIT}]"
SPACE = r"[ \t\n\u00a0\u2000-\u200a\u3000]"
APOSTROPHE = r"(?:['\u0092’]|&apos;)"
INNER_APOSTROPHE = r"(?:['`\u0091\u0092‘’‛]|&apos;)"
PAUSE = r"[,;:、]"

WORD = rf"{LETTER}(?:{LETTER}|{DIGIT})*(?:[.!?]{LETTER}(?:{LETTER}|{DIGIT})*)*"
REDUCED = rf"{APOSTROPHE}(?:[msd]|re|ve|ll)"
NEGATION = rf"n{INNER_APOSTROPHE}t"
NUMBER = rf"[-+]?(?:{DIGIT}*(?:[.:,\u00ad٫٬]{DIGIT}+)+|{DIGIT}+)"
FRACTION = rf"(?:{DIGIT}{{1,4}}[- \u00a0])?{DIGIT}{{1,4}}(?:\\?/|⁄){DIGIT}{{1,4}}"
PHONE = (
    r"(?:\([0-9]{2,3}\)[ \u00a0]?|(?:\+\+?)?(?:[0-9]{2,4}[- \u00a0])?[0-9]{2,4}[- \u00a0])"
    r"[0-9]{3,4}[- \u00a0]?[0-9]{3,5}|(?:(?:\+\+?)?[0-9]{2,4}\.)?[0-9]{2,4}\.[0-9]{3,4}\.[0-9]{3,5}"
)
ACRONYM = r"[a-z](?:\.[a-z])+"
HYPHENATED = rf"[a-z0-9][a-z0-9.,\u00ad]*(?:-(?:{ACRONYM}\.|[a-z0-9\u00ad]+))+"
ELISION = rf"(?:[dol]{INNER_APOSTROPHE}{ALNUM})?"
COMPOUND = rf"{ELISION}{ALNUM}+(?:[-_\u058a‐‑]{ELISION}{ALNUM}+)*"
SLASHED = r"[a-z0-9]+(?:-[a-z]+){0,2}(?:\\?/[a-z0-9]+(?:-[a-z]+){0,2}){1,2}"
CAPITALS = r"(?-i:[A-Z]+(?:(?:[+&]|&amp;)[A-Z]+)+)"
_NAME = "[a-z][a-z0-9_:.-]*"
TAG = rf"<(?:[!?][a-z-][^>]*|{_NAME}(?: +{_NAME}(?: *= *(?:'[^']*'|\"[^\"]*\"|{_NAME}))?)* */?|/{_NAME}) *>"
LINK_PATH = r"(?:/[^ \t\n\f\r\"<>|()]+[^ \t\n\f\r\"<>|.!?(){},-])?"
_AT_HOME = r"[^ \t\n\f\r\"<>|(){}.\u00a0]+"
EMAIL = rf"(?:&lt;|<)?[a-z0-9][^ \t\n\f\r\"<>|(){{}}\u00a0]*@(?:{_AT_HOME}\.)*{_AT_HOME}(?:&gt;|>)?"
EXTENSION = (
    "3gp|avi|bat|bmp|bz2|class|cgi|cpp|c|dll|docx|doc|exe|flv|gif|gz|html|htm|h|jar|java|jpeg|jpg|mov|mp[34g]|"
    "pdf|php|pl|png|ppt|ps|py|sql|tar|txt|wav|wm[av]|xml|x|zip"
)
QUOTES = rf"(?:[`‘-‟\u0091-\u0094‹›«»]{{1,2}}|''|{APOSTROPHE})"
SYMBOLS = rf"[-+%&~^|\\⁄⁺⁻₊₋{letters.SIGN}]"

# Abbreviations whose period belongs to the token: those that may end a sentence, and titles, which do not; ...
SENTENCE_ABBREVIATIONS = (
    "al ala apr ariz assn aug bancorp bhd bldg blvd bros calif co colo conn corp cos ct dak dec esq est etc ext "
    "feb fla fri ga inc ind intl jan jr jul jun kan kans ky ltd mar md mich minn mo mon mont neb nev nov oct okla "
    "penn plc ppte ppty pte ptes pty ptys rd rt sep sept seq sq sr sys tel tenn thu thurs tue tues univ va vt wed "
    "wis wisc wyo"
)
TITLES = (
    "adj adm adv alex assoc asst atty attys ave brig capt cf cie cmdr col comdr cpl dept det dr drs elec ens ft "
    "gen gov govs hon insp invt jos lieut lt maj messrs mfg mlle mme mr mrs ms msgr mt mtg natl pfc ph pres prof "
    "profs pvt rep reps rev sen sens sfc sgt spc st ste supt supts treas vs wm"
)
# ... those that need a capital ("Miss.", where "miss." ends a sentence), or a number after it ("no. 5").
CAPITALISED = "Ark Az Del Ill La Mass Miss Ore Pa Tex Wash"
NUMBERED = "art ca fig figs no nos op pp prop"
# The period after a single letter ends a sentence when one of these words comes next ("vitamin C. The ...").
SENTENCE_STARTS = (
    "A About According Additionally After An As At But Earlier He Her Here However If In It Last Many More Mr. "
    "Ms. Now Once One Other Our She Since So Some Such That The Their Then There These They This We What When "
    "While Yet You"
)


def _any_of(names: str) -> str:
    return "|".join(re.escape(name) for name in names.split())


_CAPITALISED = "|".join(f"(?-i:{name[0]}){name[1:]}" for name in CAPITALISED.split())
_SENTENCE_ABBREVIATION = rf"(?:(?:ed|ph)\.d|{_any_of(SENTENCE_ABBREVIATIONS)}|{_CAPITALISED})\."

# (how the token is normalized, the token, what must follow it); letter case is ignored except in (?-i:...).
PATTERNS = (
    ("word", r"c\+\+|[cf]\#", ""),
    ("word", "can", "not"),
    ("word", "'t", "was"),
    ("word", f"{APOSTROPHE}t", "is"),
    ("word", "gon|wan", "na"),
    ("word", "got", "ta"),
    ("word", "lem|gim", "me"),
    ("spaces", TAG, ""),
    ("dash", r"&(?:MD|mdash|ndash);|[\u0096\u0097–—―]", ""),
    ("word", r"&(?:HT|TL|UR|LR|QC|QL|QR|odq|cdq|\#[0-9]+);", ""),
    ("word", WORD, REDUCED),
    ("word", r"[a-z\u00ad]*[a-mo-z]\u00ad*", NEGATION),
    ("word", WORD, ""),
    ("word", rf"{APOSTROPHE}n{APOSTROPHE}?|(?:[ldj]|dunkin|somethin|ol){APOSTROPHE}", ""),
    ("word", rf"{APOSTROPHE}(?:em|cause|till?|[2-9]0s)", ""),
    ("word", rf"(?:(?-i:[A-HJ-XZ])|(?-i:n)){INNER_APOSTROPHE}{PLAIN_LETTER}{{2,}}", ""),
    ("word", rf"{PLAIN_LETTER}+[aeiouy]{INNER_APOSTROPHE}(?-i:[aeiouA-Z]){PLAIN_LETTER}*", ""),
    ("word", rf"cont'd\.?|nor'easter|c'mon|e'er|s'mores|ev'ry|li'l|nat'l|o{INNER_APOSTROPHE}o", ""),
    ("word", f"y{APOSTROPHE}", PLAIN_LETTER),
    ("same", r"(?:https?|ftp)://[^ \t\n\f\r\"<>|()]+[^ \t\n\f\r\"<>|.!?(){},-]", ""),
    ("same", rf"www\.(?:[^ \t\n\f\r\"<>|.!?(){{}},]+\.)+[a-z]{{2,4}}{LINK_PATH}", ""),
    ("same", rf"(?-i:(?:[^ \t\n\f\r\"`'<>|.!?(){{}},-_$]+\.)+)(?:com|net|org|edu){LINK_PATH}", ""),
    ("same", EMAIL, ""),
    ("same", rf"@[a-z_][a-z_0-9]*|\#{LETTER}+", ""),
    ("quotes", f"{REDUCED}|{NEGATION}", "[^a-z]"),
    ("word", NUMBER, ""),
    ("word", r"[⁺⁻₊₋]?(?:[⁰¹²³⁴-⁹]+|[₀-₉]+)", ""),
    ("spaces", FRACTION, ""),
    ("symbol", "[¼-¾⅓⅔]", ""),
    ("quotes", rf"-[lr][rcs]b-|C\.D\.s|pro-|anti-|S&P-500|S&Ls|Cap{APOSTROPHE}n|c{APOSTROPHE}est", ""),
    ("word", SLASHED, ""),
    ("word", r"(?-i:[A-Z]*\$)|\#", ""),
    ("symbol", "[¢-¤\u0080₠€]", ""),
    ("word", "[a-z]", rf"\.{SPACE}+(?-i:{_any_of(SENTENCE_STARTS)}){SPACE}"),
    ("word", rf"(?:{_any_of(NUMBERED)})\.", f"{SPACE}?{DIGIT}"),
    ("word", _SENTENCE_ABBREVIATION, r"[\s\S]{2}"),
    ("word", rf"(?:{_any_of(TITLES)}|{ACRONYM}|[a-z])\.", ""),
    ("word", rf"{APOSTROPHE}[0-9][0-9]", SPACE),
    ("word", rf"(?:{LETTER}|{DIGIT})+(?:\.(?:{LETTER}|{DIGIT})+)*\.(?:{EXTENSION})", rf"(?:{SPACE}|[.?!,])"),
    ("word", rf"{WORD}\.", PAUSE),
    ("spaces", PHONE, ""),
    ("quotes", '"|&quot;', ""),
    ("entity", "&lt;|&gt;|&amp;|<<|>>|[<>]", ""),
    ("brackets", r"(?-i:[<>]?[:;=][-o*']?[()DPdpO\\{@|\[\]])", "[^a-z0-9]"),
    ("brackets", r"[-^x=~<>']_[-^x=~<>']|\([-^x=~<>'][_.]?[-^x=~<>']\)", ""),
    ("brackets", r"[()\[\]{}]", ""),
    ("hyphens", "-+", ""),
    ("dots", r"\.{3,5}|(?:\.[ \u00a0]){2,4}\.|[\u0085…]", ""),
    ("word", r"@+|\#+|_+|\*+|(?:\\\*){1,3}", ""),
    ("word", rf"[?!]+|{PAUSE}|[.;=/]", ""),
    ("word", HYPHENATED, ""),
    ("word", rf"{HYPHENATED}\.", PAUSE),
    ("word", rf"{COMPOUND}\.", PAUSE),
    ("word", COMPOUND, ""),
    ("entity", CAPITALS, ""),
    ("entity", rf"{CAPITALS}\.", PAUSE),
    ("quotes", "'", r"[a-z][^ \t\n\r\u00a0]"),
    ("quotes", f"{REDUCED}|{NEGATION}", ""),
    ("quotes", QUOTES, ""),
    ("word", SYMBOLS, ""),
)
