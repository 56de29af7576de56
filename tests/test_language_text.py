"""Text to symbols and back: vocabularies, corpora, and the counts that networks must beat."""

import gzip
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carousel.errors import DataError, RunError
from carousel.tasks import vocabulary as vocabularies
from carousel.tasks.language import corpus, ngram_baseline
from carousel.tasks.vocabulary import (
    ByteVocabulary,
    CharVocabulary,
    Vocabulary,
    WordVocabulary,
    from_json,
    whole_words,
)

SHAKESPEARE = Path(__file__).parents[2] / "shared" / "data" / "tiny-shakespeare" / "input.txt"
needs_shakespeare = pytest.mark.skipif(not SHAKESPEARE.exists(), reason=f"needs {SHAKESPEARE.name} of tiny-shakespeare")

texts = st.text(st.characters(codec="utf-8"), max_size=200)


def vocabulary_of(level: str, text: str) -> Vocabulary:
    if level == "char":
        return CharVocabulary.survey([text])[0]
    if level == "byte":
        return ByteVocabulary()
    return WordVocabulary(sorted(set(WordVocabulary.PATTERN.findall(text))), alphabet=len(set(text)))


@given(text=texts, level=st.sampled_from(["char", "byte", "word"]))
def test_decoding_undoes_encoding(text: str, level: str) -> None:
    vocabulary = vocabulary_of(level, text)
    ids, lengths = vocabulary.encode(text)
    assert vocabulary.decode(ids) == text
    assert lengths.sum() == len(text)
    assert ids.max(initial=0) < vocabulary.size
    decoder = vocabulary.decoder()
    assert "".join(map(decoder.push, ids.tolist())) + decoder.flush() == text
    assert vocabulary.unknown is None or vocabulary.unknown not in ids
    again = from_json(vocabulary.to_json())
    assert np.array_equal(again.encode(text).ids, ids)


def test_bytes_are_never_shown_as_half_characters() -> None:
    decoder = ByteVocabulary().decoder()
    assert [decoder.push(byte) for byte in "né€".encode()] == ["n", "", "é", "", "", "€"]
    assert decoder.push(0xE2) == ""
    assert decoder.flush() == "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize("level", ["char", "word"])
def test_the_unknown_is_counted_and_pays_for_its_spelling(level: str) -> None:
    vocabulary = vocabulary_of(level, "the sky the sea")
    ids, lengths = vocabulary.encode("the öç")
    unknown = ids == vocabulary.unknown
    cost = vocabulary.unknown_nats(int(unknown.sum()), int(lengths[unknown].sum()))
    if level == "char":
        assert vocabulary.unknown_parts("the öç") == ["ö", "ç"]
        assert cost == pytest.approx(2 * math.log(0x110000))
    else:  # " öç": three characters and an end, each one of eight letters, the space and the end
        assert vocabulary.unknown_parts("the öç") == [" öç"]
        assert cost == pytest.approx(4 * math.log(len(set("the sky the sea")) + 1))


def test_rare_words_are_unknown_even_where_there_is_room() -> None:
    vocabulary, tokens = WordVocabulary.survey(["a a b c c c b d"], limit=2)
    assert vocabulary.words == [" c", " b"], "the most frequent two; ' a' and ' d' were met once"
    assert tokens == 8


def test_words_of_the_validation_text_alone_are_unknown() -> None:
    vocabulary, _ = WordVocabulary.survey([" sea sea sea sky sky sky"], limit=10, training_bytes=16)
    assert vocabulary.words == [" sea"]


@given(text=texts, sizes=st.lists(st.integers(1, 20), min_size=1))
def test_chunks_are_encoded_as_the_whole(text: str, sizes: list[int]) -> None:
    chunks, rest = [], text
    for size in sizes:
        chunks.append(rest[:size])
        rest = rest[size:]
    words = WordVocabulary.PATTERN.findall
    assert [word for chunk in whole_words([*chunks, rest]) for word in words(chunk)] == words(text)


words_and_marks = st.lists(
    st.tuples(st.text("a中é", max_size=4), st.sampled_from("'’.。，\t\n\u3000 ")).map("".join), max_size=40
).map("".join)


@given(text=words_and_marks, sizes=st.lists(st.integers(1, 9), max_size=20))
def test_a_text_without_spaces_is_cut_where_tokens_begin(text: str, sizes: list[int]) -> None:
    """Other white space, and marks alone; tokens of up to `LONGEST` characters."""
    words = WordVocabulary.PATTERN.findall
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vocabularies, "LONGEST", max(map(len, words(text)), default=0) + 1)
        chunks, rest = [], text
        for size in sizes:
            chunks.append(rest[:size])
            rest = rest[size:]
        assert [word for chunk in whole_words([*chunks, rest]) for word in words(chunk)] == words(text)


@pytest.mark.parametrize("unit", ["中", "中文。", "a'", "a\t", "\u3000中", "'"])
def test_what_waits_for_more_text_does_not_grow_with_it(unit: str) -> None:
    taken = given_out = most = 0

    def chunks():
        nonlocal taken, most
        for _ in range(40):
            yield unit * (10_000 // len(unit))
            taken += 10_000 // len(unit) * len(unit)
            most = max(most, taken - given_out)

    cut = []
    for chunk in whole_words(chunks()):
        given_out += len(chunk)
        cut.append(chunk)
    assert "".join(cut) == unit * (10_000 // len(unit) * 40)
    assert most <= vocabularies.LONGEST + 20_000


# -- corpora ----------------------------------------------------------------------------------------------------


def build(paths: list[Path], folder: Path, level: str = "char", share: float = 0.1) -> tuple[corpus.Corpus, Vocabulary]:
    sources = corpus.find(paths, any_bytes=level == "byte")
    vocabulary, tokens = corpus.survey(sources, level, words=1000, training_share=1 - share)
    return corpus.write(sources, vocabulary, tokens, folder, validation_share=share), vocabulary


@settings(deadline=None, max_examples=30)
@given(text=texts.filter(lambda text: len(text) > 3), level=st.sampled_from(["char", "byte", "word"]))
def test_a_corpus_is_its_text_split_by_position(tmp_path_factory, text: str, level: str) -> None:
    folder = tmp_path_factory.mktemp("corpus")
    file = folder / "text.txt"
    file.write_text(text, encoding="utf-8", newline="")
    built, vocabulary = build([file], folder, level)
    text = text.removeprefix("\N{BYTE ORDER MARK}") if level != "byte" else text
    ids = vocabulary.encode(text).ids
    assert np.array_equal(np.concatenate([built.training, built.validation]), ids)
    assert len(built.training) == int(0.9 * len(ids))
    assert built.training_tally.characters + built.validation_tally.characters == len(text)
    assert corpus.Corpus.from_json(folder, built.to_json()) == built


def test_small_chunks_make_the_same_corpus(tmp_path: Path, monkeypatch) -> None:
    file = tmp_path / "text.txt"
    file.write_text("Où sont les neiges d'antan? 雪はどこ。\n" * 50, encoding="utf-8")
    for level in ("char", "byte", "word"):
        whole, _ = build([file], tmp_path, level)
        expected = np.array(whole.training)
        with monkeypatch.context() as patch:
            patch.setattr(corpus, "CHUNK", 7)
            chunked, _ = build([file], tmp_path, level)
        assert np.array_equal(chunked.training, expected)
        assert chunked.validation_tally == whole.validation_tally


def test_a_folder_gives_its_texts_in_order_and_names_what_it_passes_over(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("second")
    (tmp_path / "a.txt").write_text("first")
    (tmp_path / ".hidden").write_text("secret")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\0\0")
    (tmp_path / "README.md").write_text("what these are")
    (tmp_path / "noise.bin").write_bytes(b"\0\xff")
    sources = corpus.find([tmp_path])
    assert [file.name for file in sources.files] == ["a.txt", "b.txt"]
    assert [file.name for file in sources.skipped] == ["noise.bin"]
    assert [file.name for file in sources.companions] == ["README.md", "picture.png"]
    assert "".join(corpus.read(sources.files)) == "first\nsecond"


def test_byte_level_takes_what_is_no_text(tmp_path: Path) -> None:
    file = tmp_path / "noise.bin"
    file.write_bytes(bytes(range(256)) * 4)
    built, _ = build([file], tmp_path, "byte")
    assert bytes(np.concatenate([built.training, built.validation])) == file.read_bytes()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"empty.txt is empty: there is nothing to read"),
        (b"caf\xe9 noir", r"not UTF-8 text: byte 0xE9 at position 3 .*iconv.*--level byte"),
        (b"caf\xc3", r"not UTF-8 text: byte 0xC3 at position 3"),
        ("née".encode("utf-16"), r"UTF-16 text.*iconv -f UTF-16 -t UTF-8"),
        (gzip.compress(b"A text. " * 99, mtime=0), r"packed by gzip. Unpack it: gunzip -k empty.txt.*--level byte"),
        (b"PK\x03\x04\x14", r"a zip archive .*\.docx.*save its text as \.txt"),
        (b"\x7fELF\0\0\0", r"not text: it holds zero bytes.*--level byte"),
    ],
)
def test_what_cannot_be_read_is_said_with_a_way_out(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "empty.txt"
    file.write_bytes(content)
    with pytest.raises(DataError, match=message):
        build([file], tmp_path)


def test_the_position_of_a_wrong_byte_is_right_beyond_the_first_chunk(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(corpus, "CHUNK", 4)
    file = tmp_path / "text.txt"
    file.write_bytes("éééé".encode() + b"abc\xff")
    with pytest.raises(DataError, match="byte 0xFF at position 11 "):
        list(corpus.read([file]))


def test_names_that_lead_nowhere(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"There is no file .*gone.txt"):
        corpus.find([tmp_path / "gone.txt"])
    with pytest.raises(DataError, match=r"holds no text file \(0 files were looked at\)"):
        corpus.find([tmp_path])


def test_a_token_file_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "text.txt"
    file.write_text("abc" * 100)
    built, _ = build([file], tmp_path)
    built.path.write_bytes(built.path.read_bytes()[:-1])
    with pytest.raises(RunError, match=r"should hold the training text in 300 bytes, and has 299"):
        _ = built.training


# -- the naive baseline --------------------------------------------------------------------------------------------


def test_counts_match_witten_bell_by_hand() -> None:
    training, validation = np.array([1, 2, 1, 2, 1, 0]), np.array([1, 2])
    counted = ngram_baseline.count(training, validation, 3, orders=2)
    # Order 1: counts 1, 3, 2 of N = 6, T = 3 kinds. P1 = (3 + 3/3) / 9 = 4/9 for symbol 1, (2 + 1) / 9 for symbol 2.
    assert counted.nats[0] == pytest.approx(-(math.log(4 / 9) + math.log(3 / 9)) / 2)
    # Order 2: nothing ever followed 0 (it was last), so P2(1 | 0) = P1(1); after 1 came 2 twice and 0 once, T = 2.
    assert counted.nats[1] == pytest.approx(-(math.log(4 / 9) + math.log((2 + 2 * 3 / 9) / (3 + 2))) / 2)


@needs_shakespeare
def test_counts_on_tiny_shakespeare(tmp_path: Path) -> None:
    built, vocabulary = build([SHAKESPEARE], tmp_path)
    assert (len(built.training), len(built.validation), vocabulary.size) == (1_003_854, 111_540, 66)
    counted = ngram_baseline.count(built.training, built.validation, vocabulary.size)
    assert [round(nats, 3) for nats in counted.nats] == [3.347, 2.486, 2.049, 1.774, 1.669, 1.698]
    assert counted.name == "5-gram counts"
