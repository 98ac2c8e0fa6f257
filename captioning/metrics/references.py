"""The reference captions of a set of images: checked, tokenized and counted once, for all metrics."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import chain

from captioning.metrics.ngrams import ReferenceNgrams
from captioning.words import tokenize, units

ImageId = int | str


class References:
    """Reference captions per image, in a fixed order of the images."""

    def __init__(self, captions: Mapping[ImageId, Sequence[str]], end: str | None = None):
        """Tokenize the captions.

        Args:
            captions: image id -> its reference captions (raw text, one or more).
            end: a token to append to each; a tokenized candidate then has to carry it, too. A score that knows the
                end of a caption does not reward one that stops early (Rennie et al. 2017 on self-critical training).

        Raises:
            ValueError: no image, an image without a caption, captions that are not a list of texts, or an end that
                is not one word.
        """
        if not captions:
            raise ValueError("There is no image to score: the references are empty.")
        for image, texts in captions.items():
            # A bare string would pass for a list of captions of one letter each.
            if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
                raise ValueError(f"The references of image {image!r} are not a list of texts: {texts!r}")
        if without := [image for image, texts in captions.items() if not texts]:
            raise ValueError(f"Images without a reference caption: {some_images(without)}. Leave them out.")
        if end is not None and end.split() != [end]:
            raise ValueError(f"The end of a caption must be one token without white space, not {end!r}.")
        self.ids = tuple(captions)
        self.marked = units.are_marked(chain.from_iterable(captions.values()))
        last = [] if end is None else [end]
        self.tokens = [[tokenize(text) + last for text in texts] for texts in captions.values()]

    @cached_property
    def ngrams(self) -> ReferenceNgrams:
        """The n-gram counts, made when the first metric asks for them."""
        return ReferenceNgrams([[words_of(tokens) for tokens in image] for image in self.tokens])

    def tokens_of(self, results: Mapping[ImageId, str]) -> list[list[str]]:
        """Tokenize one caption per image, in the order of `ids`.

        Args:
            results: image id -> generated caption (raw text; may be empty); "7" counts as 7 where all match so. Where
                the references are marked, see `captioning.words.units`, results are marked too.

        Raises:
            ValueError: an image has no result, a result has no references, or a caption is not a text.
        """
        results = with_ids_of(self.ids, results)
        if missing := [image for image in self.ids if image not in results]:
            hint = "Every image with references needs one."
            if results and (ours := _type_names(self.ids)) != (theirs := _type_names(results)):
                hint = f"The ids of the references are {ours}, those of the results {theirs}."
            raise ValueError(f"No result for {some_images(missing)}. {hint}")
        known = set(self.ids)
        if unknown := [image for image in results if image not in known]:
            raise ValueError(f"Results for images without references: {some_images(unknown)}.")
        if wrong := [image for image in self.ids if not isinstance(results[image], str)]:
            raise ValueError(f"Results that are not a text: {some_images(wrong)}. Give one caption per image.")
        return [tokenize(units.mark(results[image]) if self.marked else results[image]) for image in self.ids]


def words_of(tokens: Sequence[str]) -> list[str]:
    """Return the words that BLEU and CIDEr count: a token with a no-break space inside ("1 1/2") is two."""
    return " ".join(tokens).split()


def with_ids_of(ids: Collection[ImageId], results: Mapping[ImageId, str]) -> Mapping[ImageId, str]:
    """Return the results under the references' ids where the two are the same as texts: 7 and "7"."""
    by_text = {str(image): image for image in ids}
    same = {by_text[str(image)]: caption for image, caption in results.items() if str(image) in by_text}
    return same if len(ids) == len(by_text) == len(same) == len(results) else results


def _type_names(ids: Iterable[ImageId]) -> str:
    return " and ".join(sorted({type(image).__name__ for image in ids}))


def some_images(images: Sequence[ImageId]) -> str:
    """Name the first ten images and the count."""
    names = ", ".join(map(repr, images[:10]))
    return f"{len(images)} image{'s' * (len(images) != 1)} ({names}{', ...' * (len(images) > 10)})"
