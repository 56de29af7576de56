"""Pairs whose sources are images: how they are recognised, read, brought to one form, and captioned."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

from carousel import Captioner, Translator, inspect
from carousel.cli import app
from carousel.errors import CarouselError, DataError, RunError
from carousel.insight.image_alignment import seen
from carousel.models import EncoderDecoder
from carousel.models.source_readers import ImageReader, SymbolReader
from carousel.tasks import catalogue
from carousel.tasks.pairs import Settings, sources
from carousel.tasks.pairs.nearest import NearestArray
from carousel.tasks.pairs.scoring import edits, error_rate, scores
from carousel.tasks.pairs.sources.image import ImageSource
from carousel.tasks.pairs.sources.pictures import common, opened
from carousel.tasks.sequences.part_rows import learnt_rows

SMALL: dict = {"hidden": 8, "threads": 1, "channels": 4, "epochs": 1, "batch": 4}
COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "black": (0, 0, 0)}
CAPTIONS = [f"a {colour} {size} box" for colour, size in product(COLOURS, ("small", "wide", "high"))]


def box(caption: str, side: int = 16) -> Image.Image:
    """What a caption says, on white."""
    _, colour, size, _ = caption.split()
    image = Image.new("RGB", (side, side), "white")
    width, height = {"small": (4, 4), "wide": (12, 4), "high": (4, 12)}[size]
    image.paste(COLOURS[colour], (2, 2, 2 + width, 2 + height))
    return image


def folder_of(path: Path, *, table: str | None = "captions.csv") -> Path:
    path.mkdir(exist_ok=True)
    for number, caption in enumerate(CAPTIONS):
        box(caption).save(path / f"{number}.png")
    if table:
        names = [f"{number}.png" for number in range(len(CAPTIONS))]
        pl.DataFrame({"file": names, "caption": CAPTIONS}).write_csv(path / table)
    return path


def carousel(*words: object) -> None:
    app([str(word) for word in words], result_action="return_value")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of(tmp_path_factory.mktemp("captions") / "boxes")


@pytest.fixture(scope="module")
def run(data: Path) -> Path:
    Captioner(**SMALL).fit(data, out=data.parent / "run")
    return data.parent / "run"


# -- what is recognised and read ------------------------------------------------------------------------------------


def arrays(folder: Path, *, texts: bool = False) -> Path:
    folder.mkdir(exist_ok=True)
    images = np.stack([np.asarray(box(one)) for one in CAPTIONS])
    if texts:
        np.savez(folder / "images.npz", images=images, captions=np.array(CAPTIONS))
    else:
        np.savez(folder / "images.npz", images=images)
    return folder


def beside(folder: Path) -> Path:
    folder_of(folder, table=None)
    for number, caption in enumerate(CAPTIONS):
        (folder / f"{number}.txt").write_text(caption + "\n")
    return folder


def labels(folder: Path) -> Path:
    folder_of(folder)
    names = [f"{number}.png" for number in range(len(CAPTIONS))]
    pl.DataFrame({"file": names, "label": [one.split()[1] for one in CAPTIONS]}).write_csv(folder / "captions.csv")
    return folder / "captions.csv"


def array_and_table(folder: Path) -> Path:
    arrays(folder)
    order = list(reversed(range(len(CAPTIONS))))
    pl.DataFrame({"index": order, "caption": [CAPTIONS[k] for k in order]}).write_csv(folder / "texts.csv")
    (folder / "LICENSE.images").write_text("Free to use.\n")
    return folder


FORMS: dict[str, Callable[[Path], Path]] = {
    "folder with a table": folder_of,
    "table": lambda folder: folder_of(folder) / "captions.csv",
    "text files": beside,
    "array and table": array_and_table,
    "arrays": lambda folder: arrays(folder, texts=True) / "images.npz",
    "labels": labels,
}


@pytest.mark.parametrize("form", FORMS)
def test_images_with_texts_are_recognised_and_read(tmp_path, form):
    path = FORMS[form](tmp_path / "data")
    task, why = catalogue.task_for([path], {})
    assert task == "pairs"
    assert "image" in why
    pairs = sources.read([path])
    assert pairs.kind == "image"
    written = {one.split()[1] for one in CAPTIONS} if form == "labels" else set(CAPTIONS)
    assert set(pairs.targets or ()) == written
    source = ImageSource(16, "RGB")
    order = list(range(11, -1, -1)) if form == "array and table" else list(range(12))
    if form == "text files":
        order = [int(file.stem) for file in pairs.sources]  # as their names are sorted
    for number in (0, 7):
        caption = CAPTIONS[order[number]]
        assert (pairs.targets or ())[number] in caption
        np.testing.assert_array_equal(source.keep(pairs.sources[number]), np.asarray(box(caption)))


def test_texts_are_still_pairs_of_texts(tmp_path):
    (tmp_path / "a.tsv").write_text("".join(f"see a{k}.png here\tvoir a{k}.png\n" for k in range(20)))
    assert sources.read([tmp_path / "a.tsv"]).kind == "text"
    assert catalogue.task_for([tmp_path / "a.tsv"], {})[1] == "a table with two columns of texts"


def test_series_in_a_file_of_arrays_are_no_images(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "series.npz", X=rng.standard_normal((8, 20, 3)), y=np.array(["one", "two"] * 4))
    assert catalogue.task_for([tmp_path / "series.npz"], {})[0] == "classification"


def test_a_folder_of_many_tables_is_not_read_whole(tmp_path, monkeypatch):
    for number in range(60):
        (tmp_path / f"{number}.csv").write_text("file,caption\na.png,a text\n")
    monkeypatch.setattr("carousel.tasks.table.read", None)
    assert ImageSource.recognize([tmp_path], {}) is None


def test_a_table_that_names_parts_is_read_by_them(tmp_path):
    folder = folder_of(tmp_path / "data")
    frame = pl.read_csv(folder / "captions.csv")
    parts = ["train"] * 8 + ["val"] * 2 + ["test"] * 2
    frame.with_columns(split=pl.Series(parts)).write_csv(folder / "captions.csv")
    pairs = sources.read([folder])
    assert list(pairs.targets or ()) == CAPTIONS[:10]
    assert list(pairs.held or ()) == [False] * 8 + [True] * 2
    assert "2 rows of the test part are left" in pairs.said[1]
    without = learnt_rows(pl.read_csv(folder / "captions.csv"), validate=False)
    assert without.rows == list(range(8))
    assert without.held is None
    assert "2 rows of the test part are left; 2 rows of the validation part are left" in without.said[0]
    assert list(sources.read([folder], asked=True).targets or ()) == CAPTIONS[10:]


def write(frame: dict, folder: Path) -> Path:
    pl.DataFrame(frame).write_csv(folder / "captions.csv")
    return folder


NAMES = [f"{number}.png" for number in range(len(CAPTIONS))]
REFUSED = {
    "two texts": (
        lambda f: write({"file": NAMES, "english": CAPTIONS, "french": CAPTIONS}, f),
        r"Each of the columns english, french .* may be the text to write: say which \(--target\)",
    ),
    "two images": (
        lambda f: write({"left": NAMES, "right": NAMES, "caption": CAPTIONS}, f),
        r"Each of the columns left, right names image files.* say which \(--source\)",
    ),
    "no text": (
        lambda f: write({"file": NAMES, "size": [1] * 12}, f),
        "has texts to write; its columns are",
    ),
    "a file that is missing": (
        lambda f: write({"file": [*NAMES[:-2], "x.png", "y.png"], "caption": CAPTIONS}, f),
        r"row 11 below the names: there is no file 'x.png', and so it is with 1 more of the 12",
    ),
    "no table": (lambda f: folder_of(f / "in", table=None), "holds 12 images, and nothing says what to write for each"),
    "two tables": (
        lambda f: [write({"file": NAMES, "caption": CAPTIONS}, f), (f / "b.csv").write_text("file,c\n0.png,x y\n")][0],
        "has several tables that list images, b.csv, captions.csv: name one",
    ),
    "a text is missing": (
        lambda f: [beside(f), (f / "captions.csv").unlink(), (f / "3.txt").unlink()][0],
        "1 of the 12 have none: 3.png",
    ),
    "too few texts": (
        lambda f: [arrays(f / "a"), write({"caption": CAPTIONS[:5]}, f / "a")][1],
        "belongs to image n of .*, so that both must be equally many, and they are 5 and 12",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_images_that_cannot_be_read_so_are_refused(tmp_path, name):
    make, said = REFUSED[name]
    path = make(folder_of(tmp_path / "data"))
    path = tmp_path / "data" / ("in" if name == "no table" else "") if path is None else path
    with pytest.raises(DataError, match=said):
        sources.read([path])


def test_images_that_are_damaged_are_named(tmp_path):
    folder = folder_of(tmp_path / "data")
    content = (folder / "3.png").read_bytes()
    (folder / "3.png").write_bytes(content[:60])
    (folder / "7.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"captions.csv, row 4: .*3.png cannot be read .* 1 more of the 12"):
        Captioner(**SMALL).fit(folder)
    (folder / "3.png").write_bytes(content)
    with pytest.raises(DataError, match=r"row 8: .*7.png is no image that can be read"):
        Captioner(**SMALL).fit(folder)


# -- one size and mode ----------------------------------------------------------------------------------------------

RED = (255, 0, 0)


def transparent(mode: str) -> Image.Image:
    """Red, whose lower half cannot be seen, and is black where it could."""
    image = Image.new("RGBA", (8, 8), (*RED, 255))
    image.paste((0, 0, 0, 0), (0, 4, 8, 8))
    if mode == "P":
        flat = Image.new("P", (8, 8), 0)
        flat.putpalette([*RED, 0, 0, 0])
        flat.paste(1, (0, 4, 8, 8))
        flat.info["transparency"] = 1
        return flat
    return image.convert(mode)


SEEN = {
    "RGB": (Image.new("RGB", (8, 8), RED), "RGB", RED),
    "CMYK": (Image.new("RGB", (8, 8), RED).convert("CMYK"), "RGB", RED),
    "YCbCr": (Image.new("RGB", (8, 8), RED).convert("YCbCr"), "RGB", (254, 0, 0)),
    "1": (Image.new("1", (8, 8), 1), "L", (255,)),
    "L as RGB": (Image.new("L", (8, 8), 100), "RGB", (100, 100, 100)),
    "16 bits": (Image.fromarray(np.full((8, 8), 0x6464, np.uint16)), "L", (100,)),
    "floats": (Image.fromarray(np.full((8, 8), 0.2, np.float32)), "L", (51,)),
    "array of floats": (np.full((8, 8, 3), 0.2), "RGB", (51, 51, 51)),
    "array of bits": (np.ones((8, 8), bool), "L", (255,)),
}


@pytest.mark.parametrize("name", SEEN)
def test_an_image_of_any_mode_is_brought_to_one(name):
    item, mode, colour = SEEN[name]
    with opened(item) as image:
        found = common(image, 4, mode)
    assert found.shape == (4, 4, len(colour))
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - colour).max() <= 1  # conversions of colours round


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_cannot_be_seen_is_white(mode):
    found = common(transparent(mode), 8, "RGB")
    assert (found[4:] == 255).all()
    assert (found[:4] != 255).any()


@pytest.mark.parametrize("size", [(8, 8), (100, 50), (3, 9), (1, 1), (500, 1)])
def test_an_image_of_any_size_keeps_its_form_on_white(size):
    found = common(Image.new("RGB", size, RED), 8, "RGB")
    seen = (found == RED).all(2)
    longer = max(size)
    assert seen.any(0).sum() == max(1, round(size[0] * 8 / longer))
    assert seen.any(1).sum() == max(1, round(size[1] * 8 / longer))
    assert (found[~seen] == 255).all()


def test_an_image_is_turned_as_its_camera_held_it(tmp_path):
    upright = Image.new("RGB", (8, 8), "white")
    upright.paste(RED, (0, 0, 8, 4))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    upright.rotate(90).save(tmp_path / "a.png", exif=exif)
    with opened(tmp_path / "a.png") as image:
        np.testing.assert_array_equal(common(image, 8, "RGB"), np.asarray(upright))


def test_the_first_frame_of_a_moving_image_is_read_and_said(tmp_path):
    folder = folder_of(tmp_path / "data")
    first, second = box(CAPTIONS[0]), box(CAPTIONS[5])
    first.save(folder / "0.gif", save_all=True, append_images=[second])
    frame = pl.read_csv(folder / "captions.csv").with_columns(file=pl.Series(["0.gif", *NAMES[1:]]))
    frame.write_csv(folder / "captions.csv")
    pairs = sources.read([folder])
    source = ImageSource.shaped(pairs.sources, Settings(**SMALL))
    assert "1 of them move or have pages: their first frame is read" in source.said[0]
    np.testing.assert_array_equal(source.keep(folder / "0.gif"), np.asarray(first))


@pytest.mark.parametrize(
    ("item", "said"),
    [
        (np.zeros((4, 4, 2)), r"an array \(rows, columns\) or .*, and this is ndarray of the shape \(4, 4, 2\)"),
        (np.full((4, 4), 16.0), "are bytes from 0 to 255, uint8, or floats from 0 to 1; these are float64"),
        (3, "and this is int of the shape"),
        ("nowhere.png", "There is no image nowhere.png"),
    ],
)
def test_what_is_no_image_is_refused(item, said):
    with pytest.raises(DataError, match=said):
        ImageSource(8, "RGB").keep(item)


def test_an_image_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch):
    box(CAPTIONS[0]).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)
    with pytest.raises(DataError, match="says that it has more than 200 pixels"):
        ImageSource(8, "RGB").keep(tmp_path / "a.png")


# -- the network ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("side", "places"), [(8, 4), (32, 4), (32, 8), (1, 1), (20, 5)])
def test_an_image_has_the_same_steps_alone_and_in_any_batch(side, places):
    torch.manual_seed(0)
    reader = ImageReader(side, 3, 6, places=4 if places != 8 else 8).double().eval()
    x = torch.randint(256, (side, 5, side, 3), dtype=torch.uint8)
    steps, lengths = reader(x, torch.tensor([side, side, 0, side, side]))
    assert steps.shape == (places**2, 5, 6)
    assert lengths.tolist() == [places**2, places**2, 0, places**2, places**2]
    for row in range(5):
        alone, _ = reader(x[:, row : row + 1], torch.tensor([side]))
        torch.testing.assert_close(alone[:, 0], steps[:, row], rtol=1e-12, atol=1e-12)


def test_images_are_moved_in_training_alone():
    torch.manual_seed(0)
    reader = ImageReader(32, 1, 4)
    x = torch.full((2, 1, 32, 32), 1.0)
    x[:, :, 10, 12] = 0
    moved = [reader._moved(x) for _ in range(20)]
    at = {tuple((one[row, 0] == 0).nonzero()[0].tolist()) for one in moved for row in range(2)}
    assert len(at) == 9
    assert all(abs(r - 10) <= 1 and abs(c - 12) <= 1 for r, c in at), "by one pixel at most, of 32"
    assert all((one == 0).sum() == 2 for one in moved), "the rest is white"


@pytest.mark.parametrize(("reader", "dropped"), [(ImageReader(8, 1, 4), False), (SymbolReader(9, 4), True)])
def test_dropout_zeroes_no_places_of_images(reader, dropped):
    """They are moved in training, and with both at once a network learns what images show too slowly."""
    torch.manual_seed(0)
    network = EncoderDecoder(reader, 5, hidden=6, embedding=4, dropout=0.5)
    x = torch.randint(9, (8, 3) if isinstance(reader, SymbolReader) else (8, 3, 8, 1))
    memories = [network.encode(x, torch.tensor([8, 8, 8])) for _ in range(2)]
    assert reader.dropped == dropped == (not torch.equal(memories[0].steps, memories[1].steps))
    before = torch.zeros(2, 3, dtype=torch.int64)
    once, again = (network.decode(memories[0], before, network.first_states(memories[0]))[0] for _ in range(2))
    assert not torch.equal(once, again), "the decoder has dropout for every source"


# -- baseline and scores --------------------------------------------------------------------------------------------


def test_the_nearest_image_is_that_of_least_distance():
    rng = np.random.default_rng(0)
    learnt, asked = rng.integers(0, 256, (2, 20, 5, 5, 3), dtype=np.uint8)
    memory = NearestArray(list(learnt), [str(k) for k in range(20)])
    for one in asked:
        distances = ((learnt.astype(int) - one.astype(int)) ** 2).sum((1, 2, 3))
        assert memory.answer(one) == str(distances.argmin())


def fewest(one: str, other: str) -> int:
    """The distance by its definition."""
    if not one or not other:
        return len(one) + len(other)
    return min(
        fewest(one[1:], other) + 1, fewest(one, other[1:]) + 1, fewest(one[1:], other[1:]) + (one[0] != other[0])
    )


def test_the_error_rate_counts_the_fewest_edits():
    words = ["", "a", "ab", "ba", "aab", "abca", "cabb"]
    for one, other in product(words, words):
        assert edits(one, other) == fewest(one, other)
    assert error_rate([["a", "b"], ["c"]], [["a"], ["c", "d", "e"]]) == pytest.approx(3 / 4)
    assert scores(["a red box"], ["a blue box"]).word_errors == pytest.approx(1 / 3)


def test_bleu_is_not_measured_of_texts_without_a_group_of_four_words():
    pytest.importorskip("sacrebleu")
    assert "BLEU" not in scores(["seven", "one"], ["seven", "two"]).words
    assert "BLEU" not in scores(["a red box", "a blue box"], ["a red box", "a box"]).words
    assert "BLEU 100.0" in scores(["a red box", "a red box there"], ["a red box", "a red box there"]).words


# -- a trained model ------------------------------------------------------------------------------------------------


def test_a_caption_is_the_same_alone_and_in_any_batch(run, data):
    model = Captioner.load(run)
    files = [data / name for name in NAMES]
    together = model.caption(files, best=2)
    for file, mine in list(zip(files, together, strict=True))[::5]:
        (alone,) = model.caption(file, best=2)
        assert [one.text for one in alone] == [one.text for one in mine]
        assert [one.score for one in alone] == pytest.approx([one.score for one in mine], abs=1e-9)
    objects = [files[0], Image.open(files[1]), np.asarray(Image.open(files[2]))]
    assert model.predict(objects).tolist() == [mine[0].text for mine in together[:3]]
    one = together[0][0]
    assert one.alignment.shape == (len(one.pieces), 16)
    np.testing.assert_allclose(one.alignment.sum(1), 1)
    assert one.read[5] == "row 2, column 2"


def test_a_model_is_judged_on_the_test_part(run, tmp_path):
    folder = folder_of(tmp_path / "data")
    parts = ["train"] * 8 + ["val"] * 2 + ["test"] * 2
    pl.read_csv(folder / "captions.csv").with_columns(split=pl.Series(parts)).write_csv(folder / "captions.csv")
    result = Captioner.load(run).evaluate(folder)
    assert result.targets == CAPTIONS[10:]
    assert "only the 2 rows whose 'split' is test are read" in result.lines


def test_the_commands(run, data, tmp_path, capsys):
    carousel("caption", run, data / "0.png", "--alignment", tmp_path / "a.png")
    one = capsys.readouterr().out
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.width > 400
    carousel("caption", run, data / "0.png", data / "1.png", "--n-best", "2", "--beam", "3")
    assert len(capsys.readouterr().out.splitlines()) == 4
    assert one.count("\n") == 1
    carousel("caption", run, data / "captions.csv")  # the images that a table lists
    assert capsys.readouterr().out.splitlines()[0] == one.strip()
    carousel("evaluate", run, data, "--out", tmp_path / "out")
    said = capsys.readouterr().out
    for words in ("12 images", "this model: ", "word error rate", "nearest image's caption: ", "every answer"):
        assert words in said
    assert str(data / "3.png") in (tmp_path / "out" / "answers.csv").read_text()
    for typed, message in (
        ([data / "0.png", data / "1.png", "--alignment", "x.png"], "of one image, and 2 are given"),
        ([], "The files to caption must be named"),
        ([Path(__file__)], "test_captions.py is no image that can be read"),
    ):
        with pytest.raises(CarouselError, match=message):
            carousel("caption", run, *typed)
    with pytest.raises(RunError, match="reads images, and Translator is for runs that read texts"):
        Translator.load(run)


@pytest.mark.parametrize("colour", [0, 90, 255])
def test_the_picture_of_attention_is_clear_where_it_looked(colour):
    image = np.full((8, 8, 1), colour, np.uint8)
    weights = np.zeros((4, 4))
    weights[1, 2], weights[3, 3] = 0.6, 0.3
    found = seen(image, weights)
    distance = np.abs(found[:, :, 0].astype(int) - colour)
    assert (distance[2:4, 4:6] == 0).all()
    assert (distance[6:, 6:] > 0).all()
    assert (distance[:2] > distance[6:, 6:].max()).all()


def test_a_page_shows_the_image_beside_the_attention(run, data, tmp_path):
    page = inspect(run, out=tmp_path / "held")
    assert "of those held out" in page.read_text(encoding="utf-8")
    assert list((tmp_path / "held").rglob("*alignment.png"))
    assert "0.png" in inspect(run, data / "0.png", out=tmp_path / "given").read_text("utf-8")


def test_it_learns_to_say_what_it_sees():
    """Four colours and three forms, with captions of seven words."""
    model = Captioner(hidden=32, channels=16, epochs=40, batch=6, dropout=0.0, learning_rate=1e-2, threads=1)
    images = [np.asarray(box(caption)) for caption in CAPTIONS]
    model.fit(images * 2, CAPTIONS * 2)
    assert model.score(images, CAPTIONS) >= 0.75
