"""Text to ids and back; special ids that no text can produce."""

import json
import unicodedata
from collections import Counter

import numpy as np
import pytest

from captioning.files import DamagedError
from captioning.metrics import score
from captioning.provenance import StaleError
from captioning.tokenizer import END, PAD, SPECIAL, START, UNK, Tokenizer
from captioning.words import SPLITTING, tokenize, units
from tests.test_words_letters import SENTENCES

CAPTIONS = ["A man rides a red bike.", "a man, a dog - a ball", "The dogs ball is red!"]


def test_one_splitting_for_training_and_scoring():
    tokenizer = Tokenizer.fit(["A man's T-shirt isn't $5.", "<unk> (a) 1 1/2"])
    words = {"a", "man", "'s", "t-shirt", "is", "n't", "$", "5", "-lrb-", "-rrb-", "1\u00a01/2"}
    assert set(tokenizer.vocabulary) == words
    assert tokenizer.decode(tokenizer.encode("a man's t-shirt isn't $5")) == "a man's t-shirt isn't $5"


def test_the_vocabulary_of_scenes_is_plain():
    """Where captions are plain English, tokens are the words between the spaces."""
    captions = ["A red boat sails on the calm blue lake.", "Two small houses, and a tree, at the beach ."]
    plain = {word.strip(".,").lower() for caption in captions for word in caption.split()} - {""}
    assert set(Tokenizer.fit(captions).vocabulary) == plain


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_the_perfect_answer_scores_perfectly(form):
    """What was encoded, decoded and scored against itself: in every language, in both Unicode forms."""
    texts = [unicodedata.normalize(form, sentence) for sentence, *_ in SENTENCES]
    tokenizer = Tokenizer.fit(texts)
    said = {place: tokenizer.decode(tokenizer.encode(text)) for place, text in enumerate(texts)}
    for place, text in enumerate(texts):
        assert tokenize(said[place]) == tokenize(text)
    long = {place: [text] for place, text in enumerate(texts) if len(tokenize(text)) >= 4}
    scores = score(long, {place: said[place] for place in long})
    assert scores["Bleu_4"] == pytest.approx(1) and scores["CIDEr"] == pytest.approx(10)


INVISIBLE = (
    "\u00ad\u034f\u115f\u1160\u180e\u200b\u200c\u200d\u200e\u200f"
    "\u202a\u2060\u2800\u3164\ufe00\ufe0f\ufeff\uffa0\U000e0100"
)


@pytest.mark.parametrize("mark", INVISIBLE, ids=[f"{ord(mark):x}" for mark in INVISIBLE])
def test_what_leaves_no_ink_is_no_word(mark):
    assert Tokenizer.fit([f"a {mark} dog {mark}{mark} {mark}"]).vocabulary == ("a", "dog")


def test_the_most_frequent_words_come_first_and_ties_are_alphabetical():
    counts = Counter(word for caption in CAPTIONS for word in tokenize(caption))
    tokenizer = Tokenizer.fit(CAPTIONS)
    assert tokenizer.vocabulary[:2] == ("a", "ball") and set(tokenizer.vocabulary) == set(counts)
    keys = [(-counts[word], word) for word in tokenizer.vocabulary]
    assert keys == sorted(keys)


def test_the_order_of_the_captions_does_not_matter():
    assert Tokenizer.fit(CAPTIONS) == Tokenizer.fit(CAPTIONS[::-1]) == Tokenizer.fit(iter(CAPTIONS))


def test_rare_words_are_unknown():
    tokenizer = Tokenizer.fit(CAPTIONS, minimum_count=2)
    assert tokenizer.vocabulary == ("a", "ball", "man", "red")
    assert tokenizer.encode("a red dog") == [START, 4, 7, UNK, END]


def test_the_largest_vocabulary():
    assert Tokenizer.fit(CAPTIONS, maximum_size=3).vocabulary == Tokenizer.fit(CAPTIONS).vocabulary[:3]
    assert len(Tokenizer.fit(CAPTIONS, maximum_size=3)) == 7


def test_no_word_left_is_an_error():
    for captions, count in ((CAPTIONS, 6), ([], 1), (["..."], 1)):
        with pytest.raises(ValueError, match=f"occurs {count} times or more: lower minimum_count"):
            Tokenizer.fit(captions, minimum_count=count)


@pytest.mark.parametrize("size", [0, -1])
def test_a_vocabulary_needs_a_size(size):
    with pytest.raises(ValueError, match=f"maximum_size={size}: give 1 or more"):
        Tokenizer.fit(CAPTIONS, maximum_size=size)


def test_ids_come_back():
    tokenizer = Tokenizer.fit(CAPTIONS)
    assert [tokenizer.word(token) for token in range(4)] == list(SPECIAL) == ["<pad>", "<unk>", "<start>", "<end>"]
    for token in range(4, len(tokenizer)):
        assert tokenizer.encode(tokenizer.word(token)) == [START, token, END]


def test_an_unknown_word_is_shown_as_such():
    tokenizer = Tokenizer.fit(CAPTIONS)
    assert tokenizer.decode(tokenizer.encode("a zebra rides")) == "a <unk> rides"


@pytest.mark.parametrize("caption", ["<start> <pad>", "<end>a<end>", "<unk> <START> < pad >", "a <end> man"])
def test_no_text_makes_a_special_id(caption):
    """A marker in a text is an unknown word, however often it occurs."""
    tokenizer = Tokenizer.fit([*CAPTIONS, "start end pad unk <start> <end> <pad> <unk>"])
    ids = tokenizer.encode(caption)
    assert ids[0] == START and ids[-1] == END and ids[1:-1] and set(ids[1:-1]).isdisjoint({PAD, START, END})
    assert set(tokenizer.vocabulary).isdisjoint(SPECIAL) and tokenizer.encode("<unk>") == [START, UNK, END]


def test_a_caption_without_words():
    tokenizer = Tokenizer.fit(CAPTIONS)
    assert tokenizer.encode("!") == [START, END] and tokenizer.decode([START, END]) == ""


def test_decoding_stops_at_the_first_end_and_skips_padding():
    tokenizer = Tokenizer.fit(CAPTIONS)
    a, ball = 4, 5
    assert tokenizer.decode([START, a, PAD, ball, END, a, END]) == "a ball"
    assert tokenizer.decode(np.array([a, ball, a], np.int64)) == "a ball a"
    assert tokenizer.decode([]) == ""


@pytest.mark.parametrize("token", [-1, 14])
def test_an_id_outside_the_vocabulary_is_an_error(token):
    tokenizer = Tokenizer.fit(CAPTIONS)
    assert len(tokenizer) == 14
    with pytest.raises(ValueError, match=f"Token id {token} is outside the vocabulary of 14 ids"):
        tokenizer.decode([START, token, END])


def test_a_batch_is_padded_to_its_longest():
    tokenizer = Tokenizer.fit(CAPTIONS)
    tokens = tokenizer.encode_batch(["a", "a ball a", ""])
    assert tokens.dtype == np.int32
    assert tokens.tolist() == [[START, 4, END, PAD, PAD], [START, 4, 5, 4, END], [START, END, PAD, PAD, PAD]]
    assert tokenizer.encode_batch([]).shape == (0, 0)


def test_the_file_gives_the_same_tokenizer_and_tells_what_it_was_fitted_on(tmp_path):
    captions, file = [*CAPTIONS, *2 * ["Café हिन्दी İstanbul"]], tmp_path / "tokenizer.json"
    tokenizer = Tokenizer.fit(captions, minimum_count=2, maximum_size=50)
    tokenizer.save(file)
    loaded = Tokenizer.load(file, iter(captions))
    assert loaded == tokenizer and loaded.encode("Café हिन्दी man") == tokenizer.encode("Café हिन्दी man")
    content = json.loads(file.read_text(encoding="utf-8"))
    assert "café" in content["vocabulary"] and content["fitted_on"] == Tokenizer.fit(captions).fitted_on
    for name, value in {"fitted_on": tokenizer.fitted_on, "minimum_count": 2, "maximum_size": 50}.items():
        assert content[name] == getattr(loaded, name) == value


@pytest.mark.parametrize("other", [[], CAPTIONS[1:], [*CAPTIONS[:-1], "another"]])
def test_a_tokenizer_of_other_captions_is_refused(other, tmp_path):
    Tokenizer.fit(CAPTIONS).save(tmp_path / "tokenizer.json")
    with pytest.raises(StaleError, match=r"tokenizer\.json is out of date: .*Run notebooks/02_explore\.ipynb again"):
        Tokenizer.load(tmp_path / "tokenizer.json", other)
    Tokenizer.load(tmp_path / "tokenizer.json")  # the copy of a trained model: nothing to compare with


def test_a_tokenizer_of_unknown_captions_is_refused_where_they_matter(tmp_path):
    (tmp_path / "tokenizer.json").write_bytes(content())  # of words of one's own
    assert Tokenizer.load(tmp_path / "tokenizer.json") == Tokenizer(["a"])
    with pytest.raises(StaleError, match="02_explore"):
        Tokenizer.load(tmp_path / "tokenizer.json", CAPTIONS)


def test_other_words_or_another_order_is_another_tokenizer():
    assert Tokenizer(["a", "b"]) == Tokenizer(("a", "b"))
    assert Tokenizer(["a", "b"]) != Tokenizer(["b", "a"]) and Tokenizer(["a"]) != ["a"]


@pytest.mark.parametrize("splitting", [None, "by spaces"])
def test_a_tokenizer_of_another_splitting_is_refused(splitting, tmp_path):
    """An earlier version wrote none."""
    (tmp_path / "tokenizer.json").write_bytes(content(vocabulary=["mans", "tshirt"], splitting=splitting))
    with pytest.raises(StaleError, match=r"tokenizer\.json.*in another way\. Run notebooks/02_explore\.ipynb again"):
        Tokenizer.load(tmp_path / "tokenizer.json")


def content(special=SPECIAL, vocabulary=("a",), splitting=SPLITTING):
    return json.dumps({"special": special, "vocabulary": vocabulary, "splitting": splitting}).encode()


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (b"{", r"tokenizer\.json is damaged.*02_explore"),
        (b"\xff\xfe", r"tokenizer\.json is damaged"),
        (b"[1, 2]", "is not a tokenizer file"),
        (b'{"vocabulary": []}', "is not a tokenizer file.*special"),
        (content(vocabulary=None), "is not a tokenizer file"),
        (content(vocabulary=[5]), "is not a tokenizer file"),
        (content(special=None), "is not a tokenizer file"),
        (content(special=["<pad>", "<start>", "<end>", "<unk>"]), "other special tokens"),
        (content(vocabulary=["a", "a"]), "same word twice"),
        *(
            (content(vocabulary=[word]), "Not words")
            for word in ("two words", "Two", "don't", "<end>", "", " ", "'", "\u2800")
        ),
    ],
)
def test_a_wrong_file_is_refused(written, message, tmp_path):
    (tmp_path / "tokenizer.json").write_bytes(written)
    with pytest.raises(DamagedError, match=message):
        Tokenizer.load(tmp_path / "tokenizer.json")


# Chinese, Japanese, Thai, Lao, Burmese, Khmer, each without and with spaces between the words.
UNSPACED = {
    "zh": ["一个男人骑着红色的自行车。", "两只狗在沙滩上奔跑，很开心", "一只猫坐在桌子上", "街上有一辆红色的公共汽车"],
    "ja": [
        "男の人が赤い自転車に乗っています。",
        "犬が二匹、砂浜で遊んでいる",
        "スケートボードをする少年",
        "机の上に猫がいる",
    ],
    "th": ["ผู้ชายขี่จักรยานสีแดงบนถนน", "สุนัขสองตัววิ่งเล่น ที่ชายหาดในตอนเช้า", "แมวนั่งอยู่บนโต๊ะ"],
    "lo": ["ຜູ້ຊາຍຂີ່ລົດຖີບສີແດງ", "ໝາສອງໂຕແລ່ນຢູ່ຫາດຊາຍ"],
    "my": ["အမျိုးသားတစ်ယောက်စက်ဘီးစီးနေသည်", "ခွေးနှစ်ကောင်ကမ်းခြေမှာပြေးနေသည်"],
    "km": ["បុរសម្នាក់ជិះកង់ពណ៌ក្រហម", "ឆ្កែពីរក្បាលរត់លើឆ្នេរ"],
}
SPACED = {
    "zh": ["一个 男人 骑 着 红色 的 自行车", "两 只 狗 在 沙滩 上 奔跑"],
    "ja": ["男 の 人 が 赤い 自転車 に 乗って いる", "スケートボード を する 少年"],
    "th": ["ผู้ชาย ขี่ จักรยาน สี แดง", "สุนัข สอง ตัว วิ่ง ที่ ชายหาด"],
    "en with foreign words": ["a sign that says 欢迎光临我们的商店", "a dog", "a red kite", "一只狗"],
    "en, one word": ["dog", "cat", "boat", "kite"],
    "ko": ["한 남자가 자전거를 타고 있다", "개 두 마리가 뛰어논다"],
    "hi": ["एक आदमी साइकिल चला रहा है", "दो कुत्ते खेलते हैं"],
}


@pytest.mark.parametrize("captions", UNSPACED.values(), ids=UNSPACED)
def test_captions_without_spaces_are_refused_until_their_characters_are_marked(captions, tmp_path, capsys):
    with pytest.raises(ValueError, match=r"without spaces between the words.*units\.mark.*word segmenter"):
        Tokenizer.fit(captions)
    marked = [units.mark(caption) for caption in captions]
    tokenizer = Tokenizer.fit(marked)
    assert tokenizer.splitting == units.CHARACTERS and capsys.readouterr().out == ""
    for caption, text in zip(marked, captions, strict=True):
        assert 1 not in tokenizer.encode(caption)
        said = tokenizer.decode(tokenizer.encode(caption))
        assert tokenize(said) == tokenize(caption)
        assert units.plain(said) == "".join(letter for letter in text if letter not in " 。，、")
    tokenizer.save(tmp_path / "tokenizer.json")
    read = Tokenizer.load(tmp_path / "tokenizer.json", marked)
    assert read == tokenizer and read.splitting == units.CHARACTERS
    with pytest.raises(StaleError, match="fitted on other captions"):
        Tokenizer.load(tmp_path / "tokenizer.json", captions)


@pytest.mark.parametrize("captions", SPACED.values(), ids=SPACED)
def test_captions_with_spaces_are_words(captions, capsys):
    Tokenizer.fit(captions)
    assert capsys.readouterr().out == ""
    with pytest.raises(ValueError, match="lower minimum_count"):
        Tokenizer.fit(captions, minimum_count=100)


def test_letters_that_the_scores_do_not_know_are_told(capsys):
    """Vowel signs of Kannada and Sinhala are no letters for coco-caption: words fall into pieces there."""
    Tokenizer.fit(["ಒಬ್ಬ ಮನುಷ್ಯ ಕೆಂಪು ಸೈಕಲ್"])
    assert "unknown to coco-caption's tokenizer" in capsys.readouterr().out
