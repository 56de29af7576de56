"""Layouts of labelled sequences as people have them: each is read as its owner means it, or refused in words that name
what is wrong and what to type. No layout is read as something else."""

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from test_classification_readers import write_wav

from carousel.errors import DataError
from carousel.tasks.catalogue import task_for
from carousel.tasks.classification.sources import read_examples
from carousel.tasks.sequences.examples import Columns

Files = dict[str, str | bytes | None]  # by path; None: a sound of 100 samples


@dataclass(frozen=True)
class Read:
    """counts: of each class; lengths: of all sequences (of series); first and last: the values of the first step of the
    first sequence and the last of the last; said: regular expressions."""

    counts: dict | None
    lengths: list[int] | None = None
    channels: tuple[str, ...] = ()
    first: list[float] | None = None
    last: list[float] | None = None
    groups: dict | None = None
    said: tuple[str, ...] = ()


def lines(*rows: str) -> str:
    return "\n".join(rows) + "\n"


def sounds(*names: str) -> Files:
    return dict.fromkeys(names)


STEPS = lines("t,x,y", "0,1,10", "1,2,20", "2,3,30")
OTHER = lines("t,x,y", "0,4,40", "1,5,50")
TWO = {"a": 1, "b": 1}
PAIR = Read(TWO, [3, 2], ("x", "y"), [1, 10], [5, 50])
UCR = [f"{k % 2 + 1} " + " ".join(f"{k}.{t}" for t in range(9)) for k in range(6)]
UCR_READ = Read({1: 3, 2: 3}, [9] * 6, ("value",), [0.0], [5.8])
TRIALS = lines(
    "subject,trial,t,x,label",
    *(f"{s},{k},{t},{t + 10 * k},{'ab'[k - 1]}" for s in ("ann", "bob") for k in (1, 2) for t in range(3)),
)

CASES: dict[str, tuple[Files, str, dict, Read | str]] = {
    # -- .ts ---------------------------------------------------------------------------------------------------------
    "ts with comments of both kinds, headers in another order": (
        {
            "a.ts": lines(
                "%# as the archive", "@classLabel true a b", "# x", "@univariate true", "@data", "% y", "1,2:a", "3:b"
            )
        },
        "a.ts",
        {},
        Read(TWO, [2, 1], ("value",), [1], [3]),
    ),
    "ts with stamps": (
        {"a.ts": lines("@timeStamps true", "@classLabel true a b", "@data", "(0,1),(2,2):a", "(0,3):b")},
        "a.ts",
        {},
        Read(TWO, [2, 1], ("value",), [1], [3], said=("without their stamps",)),
    ),
    "ts that does not say whether there are classes": (
        {"a.ts": lines("@problemName x", "@data", "1,2,3:1", "4,5,6:2")},
        "a.ts",
        {},
        r"line 3: '1' after the last colon may be a class, or a channel.*@classLabel true",
    ),
    # -- .arff -------------------------------------------------------------------------------------------------------
    "arff of one channel, quoted classes, missing values": (
        {
            "a.arff": lines(
                "% c",
                "@RELATION 'a b'",
                "",
                "@attribute att1 numeric",
                "@attribute 'att2' REAL",
                "@ATTRIBUTE att3 integer",
                "@attribute target {'Standing still', \"it's\"}",
                "@DATA",
                "1,?,3,'Standing still'",
                "% d",
                '4,5,?,"it\'s"',
            )
        },
        "a.arff",
        {},
        Read(
            {"Standing still": 1, "it's": 1},
            [3, 2],
            ("value",),
            [1],
            [5],
            said=("an attribute a step; classes from 'target'",),
        ),
    ),
    "arff of several channels": (
        {
            "a.arff": lines(
                "@relation r",
                "@attribute m relational",
                "@attribute t1 numeric",
                "@attribute t2 numeric",
                "@end m",
                "@attribute activity {a,b}",
                "@data",
                r"'1,2\n10,20',a",
                r'"3,?\n30,40",b',
            )
        },
        "a.arff",
        {},
        Read(TWO, [2, 2], ("dim_0", "dim_1"), [1, 10], [np.nan, 40]),
    ),
    "arff of features that are no steps": (
        {
            "iris.arff": lines(
                "@relation iris",
                "@attribute sepal numeric",
                "@attribute petal numeric",
                "@attribute class {a,b}",
                "@data",
                "1,2,a",
            )
        },
        "iris.arff",
        {},
        r"the attributes of a sequence are its steps.*sepal, petal, which are not the steps",
    ),
    "arff with a strange class": (
        {
            "a.arff": lines(
                "@attribute a1 numeric",
                "@attribute a2 numeric",
                "@attribute a3 numeric",
                "@attribute c {x}",
                "@data",
                "1,2,3,y",
            )
        },
        "a.arff",
        {},
        r"line 6: the class 'y' is none of those that the header names for 'c': x",
    ),
    "arff in braces": (
        {
            "a.arff": lines(
                "@attribute a1 numeric",
                "@attribute a2 numeric",
                "@attribute a3 numeric",
                "@attribute c {x}",
                "@data",
                "{0 1, 3 x}",
            )
        },
        "a.arff",
        {},
        "line 6: a sparse case, in braces, is not read",
    ),
    "arff with a field too many": (
        {
            "a.arff": lines(
                "@attribute a1 numeric",
                "@attribute a2 numeric",
                "@attribute a3 numeric",
                "@attribute c {x}",
                "@data",
                "1,2,3,4,x",
            )
        },
        "a.arff",
        {},
        "line 6: the header has 4 attributes, and this case 5 values",
    ),
    # -- the archive's text files ------------------------------------------------------------------------------------
    "ucr text, spaces": ({"a.txt": lines(*UCR)}, "a.txt", {}, UCR_READ),
    "ucr text, old notation": (
        {"a.txt": lines(*("  " + "  ".join(f"{float(f):.7e}" for f in line.split()) for line in UCR))},
        "a.txt",
        {},
        UCR_READ,
    ),
    "ucr text, tabs": ({"a.tsv": lines(*(line.replace(" ", "\t") for line in UCR))}, "a.tsv", {}, UCR_READ),
    "ucr text, commas": ({"a.csv": lines(*(line.replace(" ", ",") for line in UCR))}, "a.csv", {}, UCR_READ),
    "ucr text, padded with NaN": (
        {"a.tsv": lines(*(line.replace(" ", "\t") + ("\tNaN" if k else "\t7.5") for k, line in enumerate(UCR)))},
        "a.tsv",
        {},
        Read({1: 3, 2: 3}, [10, 9, 9, 9, 9, 9], ("value",), [0.0], [5.8]),
    ),
    "ucr text with a line too short": (
        {"a.txt": lines(*UCR * 10, "1 2.5 3.5")},
        "a.txt",
        {},
        r"line 61: every line must have a class and 9 values.*this one has 3",
    ),
    "ucr folder": (
        {
            "G/G_TRAIN.tsv": lines(*(s.replace(" ", "\t") for s in UCR)),
            "G/G_TEST.tsv": lines(*UCR).replace(" ", "\t"),
            "G/README.md": "x",
        },
        "G",
        {},
        Read(
            {1: 3, 2: 3},
            [9] * 6,
            ("value",),
            [0.0],
            [5.8],
            said=("learnt from G_TRAIN.tsv; left to judge the model by: G_TEST.tsv",),
        ),
    ),
    "folder of several data sets": (
        {"U/A_TRAIN.ts": "@data\n1\n", "U/B_TRAIN.ts": "@data\n1\n"},
        "U",
        {},
        r"holds several data sets \(A_TRAIN.ts, B_TRAIN.ts\). Name the one",
    ),
    # -- tables ------------------------------------------------------------------------------------------------------
    "long table": (
        {"a.csv": lines("id,t,x,y,label", "0,0,1,10,a", "0,1,2,20,a", "1,0,3,30,b", "1,1,4,40,b")},
        "a.csv",
        {},
        Read(TWO, [2, 2], ("x", "y"), [1, 10], [4, 40]),
    ),
    "subject and trial": (
        {"a.csv": TRIALS},
        "a.csv",
        {"id": "subject,trial"},
        Read({"a": 2, "b": 2}, [3] * 4, ("x",), [10], [22], groups={"ann": 2, "bob": 2}),
    ),
    "trial without its subject": (
        {"a.csv": TRIALS},
        "a.csv",
        {},
        r"sequence 1 has two rows of the same time, 0; 6 of its 6 rows repeat.*with 'subject' no.*--id trial,subject",
    ),
    "subject without the trial": (
        {"a.csv": TRIALS},
        "a.csv",
        {"id": "subject"},
        r"two rows of the same time.*Together with 'trial'.*--id subject,trial",
    ),
    "date and hour are the time together": (
        {
            "a.csv": lines(
                "id,date,hour,x,label",
                *(f"{s},2020-01-0{d},{h},{d * h},{'ab'[s]}" for s in (0, 1) for d in (2, 1) for h in (3, 1)),
            )
        },
        "a.csv",
        {"time": "date,hour"},
        Read(TWO, [4, 4], ("x",), [1], [6]),
    ),
    "date without the hour": (
        {
            "a.csv": lines(
                "id,date,hour,x,label",
                *(f"{s},2020-01-0{d},{h},{d * h},{'ab'[s]}" for s in (0, 1) for d in (2, 1) for h in (3, 1)),
            )
        },
        "a.csv",
        {},
        r"two rows of the same time, 2020-01-0\d",
    ),
    "times as texts that do not sort": (
        {"a.csv": lines("id,time,x,label", "0,9:50,1,a", "0,10:10,2,a", "1,9:50,3,b", "1,10:10,4,b")},
        "a.csv",
        {},
        Read(TWO, [2, 2], ("x",), [1], [4], said=("in the order of the file, as the texts in 'time'",)),
    ),
    "a row a sequence": (
        {
            "a.csv": lines(
                "label," + ",".join(f"t{k}" for k in range(9)), "a," + ",".join(map(str, range(9))), "b," + "5," * 8
            )
        },
        "a.csv",
        {},
        Read(TWO, [9, 8], ("value",), [0], [5], said=("every row is a sequence of 9 steps, 1 channel",)),
    ),
    "a row a sequence, two channels, an id": (
        {"a.csv": lines("id,x_1,x_2,x_3,y_1,y_2,y_3,class", "7,1,2,3,10,20,30,a", "8,4,5,6,40,50,60,b")},
        "a.csv",
        {},
        Read(TWO, [3, 3], ("x", "y"), [1, 10], [6, 60]),
    ),
    "columns that count and may be channels": (
        {"a.csv": lines("label," + ",".join(f"ch{k}" for k in range(9)), "a" + ",1" * 9, "b" + ",2" * 9)},
        "a.csv",
        {"label": "label"},
        r"not clear what a sequence is.*names of its columns count: t0, t1, t2",
    ),
    "ids that occur once": (
        {"a.csv": lines("id,height,weight,label", "1,2,3,a", "2,3,4,b")},
        "a.csv",
        {},
        r"no two rows have the same 'id'.*every sequence would be one step",
    ),
    "infinite value": (
        {"a.csv": lines("id,t,x,label", "0,0,1,a", "0,1,inf,a", "1,0,3,b", "1,1,4,b")},
        "a.csv",
        {},
        r"sequence 0 has an infinite value, inf, at step 1 of 'x'",
    ),
    # -- folders -----------------------------------------------------------------------------------------------------
    "class folders of tables": ({"d/a/1.csv": STEPS, "d/b/2.csv": OTHER}, "d", {}, PAIR),
    "class folders of tables that hold their class too": (
        {
            "d/a/1.csv": lines("x,y,label", "1,10,5", "2,20,5", "3,30,5"),
            "d/b/2.csv": lines("x,y,label", "4,40,6", "5,50,6"),
        },
        "d",
        {},
        PAIR,
    ),
    "tables with their class in a column": (
        {
            "d/1.csv": lines("x,y,label", "1,10,a", "2,20,a", "3,30,a"),
            "d/2.csv": lines("x,y,label", "4,40,b", "5,50,b"),
        },
        "d",
        {},
        PAIR,
    ),
    "tables and a listing": (
        {"d/1.csv": STEPS, "d/2.csv": OTHER, "d/labels.csv": lines("file,label", "1.csv,a", "2.csv,b")},
        "d",
        {},
        PAIR,
    ),
    "tables and a listing without endings": (
        {"d/data/r1.csv": STEPS, "d/data/r2.csv": OTHER, "d/labels.csv": lines("recording,label", "r1,a", "r2,b")},
        "d",
        {"file": "recording"},
        PAIR,
    ),
    "tables and a listing by number": (
        {"d/s_1.csv": STEPS, "d/s_2.csv": OTHER, "d/target.csv": lines("#sequence_ID, class_label", "1,a", "2,b")},
        "d",
        {},
        PAIR,
    ),
    "train and test are no classes": (
        {"d/train/a/1.csv": STEPS, "d/train/b/2.csv": OTHER, "d/test/a/3.csv": STEPS, "d/valid/b/4.csv": STEPS},
        "d",
        {},
        Read(
            TWO,
            [3, 2],
            ("x", "y"),
            [1, 10],
            [5, 50],
            said=("learnt from train; left to judge the model by: test, valid",),
        ),
    ),
    "train and test beside other folders": (
        {"d/train/a/1.csv": STEPS, "d/test/a/3.csv": STEPS, "d/more/x/4.csv": STEPS},
        "d",
        {},
        r"parts of a data set \(test, train\) beside other folders \(more\).*d/train",
    ),
    "a class that is called train": (
        sounds("d/car/1.wav", "d/train/2.wav", "d/bus/3.wav"),
        "d",
        {},
        Read({"bus": 1, "car": 1, "train": 1}),
    ),
    "only train": ({"d/train/a/1.csv": STEPS, "d/train/b/2.csv": OTHER}, "d", {}, PAIR),
    "20 newsgroups": (
        {
            f"n/20news-bydate-{part}/{group}/{k}": f"From: x\n{group}\xe9".encode("latin-1")
            for part in ("train", "test")
            for group in ("alt.x", "sci.y")
            for k in (101, 102)
        },
        "n",
        {},
        Read(
            {"alt.x": 2, "sci.y": 2},
            said=("learnt from 20news-bydate-train", "not UTF-8, and read as Windows-1252.*101 and 3 more"),
        ),
    ),
    "film reviews with lists beside": (  # type: ignore[dict-item]
        {f"i/train/{c}/{k}.txt": f"{c} {k}" for c in ("neg", "pos", "unsup") for k in range(12)}
        | {"i/train/urls_pos.txt": "http", "i/test/neg/1.txt": "x", "i/test/pos/1.txt": "x", "i/README": "x"},
        "i",
        {},
        Read({"neg": 12, "pos": 12}, said=("left, as they are none of the sequences: urls_pos.txt",)),
    ),
    "urban sounds": (
        {
            **sounds("U/audio/fold1/1-0.wav", "U/audio/fold2/2-1.wav", "U/audio/fold2/3-0.wav"),
            "U/FREESOUNDCREDITS.txt": "c",
            "U/UrbanSound8K_README.txt": "r",
            "U/metadata/UrbanSound8K.csv": lines(
                "slice_file_name,fsID,fold,classID,class",
                "1-0.wav,1,1,0,horn",
                "2-1.wav,2,2,1,siren",
                "3-0.wav,3,2,0,horn",
            ),
        },
        "U",
        {},
        Read({"horn": 2, "siren": 1}, groups={1: 1, 2: 2}),
    ),
    "folds without a listing": (
        sounds("U/fold1/1.wav", "U/fold2/2.wav"),
        "U",
        {},
        r"\(fold1, fold2\) are parts of the data by their names, and no classes.*--names",
    ),
    "environmental sounds": (
        {
            **sounds("E/audio/1-100-A-0.wav", "E/audio/2-200-A-1.wav"),
            "E/meta/esc50.csv": lines(
                "filename,fold,target,category", "1-100-A-0.wav,1,0,dog", "2-200-A-1.wav,2,1,cat"
            ),
            "E/LICENSE": "l",
        },
        "E",
        {},
        Read({0: 1, 1: 1}, groups={1: 1, 2: 1}),
    ),
    "a listing without its files": (
        {
            **sounds("E/audio/a.wav"),
            "E/meta/esc50.csv": lines("filename,fold,target", "a.wav,1,0", "b.wav,1,1", "c.wav,2,1"),
        },
        "E",
        {},
        r"row 2 below the names: .*'b.wav'.* 1 more of the 3. Looked in .*E and its folders \(audio, meta\)",
    ),
    "a listing all of whose files are gone": (
        {"E/esc50.csv": lines("filename,target", "a.wav,0", "b.wav,1")},
        "E/esc50.csv",
        {},
        r"there is no file 'a.wav', and so it is with 1 more of the 2",
    ),
    "a listing with parts": (
        {
            **sounds("s/a.wav", "s/b.wav", "s/c.wav"),
            "s/list.csv": lines("file,label,split", "a.wav,x,train", "b.wav,y,train", "c.wav,x,test"),
        },
        "s",
        {},
        Read(
            {"x": 1, "y": 1},
            said=("the rows whose 'split' is train are learnt from; 1 rows of the test",),
        ),
    ),
    "actors, with the class in the names": (
        sounds("R/Actor_01/03-01-05.wav", "R/Actor_01/03-01-06.wav", "R/Actor_02/03-02-05.wav"),
        "R",
        {"names": "*-{group}-{label}"},
        Read(
            {"05": 2, "06": 1},
            groups={"01": 2, "02": 1},
            said=(r"2 folders, with group and label from their names \(--names\)",),
        ),
    ),
    "folders a level deeper": (sounds("R/audio/a/1.wav", "R/audio/b/2.wav"), "R", {}, Read(TWO)),
    "texts that are numbers": (
        {f"d/{c}/{k}.txt": lines("1.5,2", "3,4") for c in "ab" for k in (1, 2)},
        "d",
        {},
        r"1.txt and the other text files hold numbers alone.*line of column names above them, and call them .csv",
    ),
    "a table that is called .txt": (
        {
            "a.txt": lines(
                "id\tt\tx\tlabel", *(f"{i}\t{t}\t{t + i / 2}\t{'ab'[i % 2]}" for i in range(4) for t in range(3))
            )
        },
        "a.txt",
        {"label": "label"},
        Read({"a": 2, "b": 2}, [3] * 4, ("x",), [0], [3.5]),
    ),
    "licences and pictures beside": (
        {"d/a/1.txt": "x", "d/a/LICENSE.txt": "l", "d/a/p.png": b"\x89PNG", "d/b/2.txt": "y", "d/README.txt": "r"},
        "d",
        {},
        Read(TWO, said=("left, as they are none of the sequences: README.txt, LICENSE.txt, p.png",)),
    ),
    "sounds in a form that is not read": (
        {"d/a/1.m4a": b"x", "d/b/2.m4a": b"x"},
        "d",
        {},
        r"1.m4a \(and 1 more\) is a sound in a form that is not read \(.m4a\).*ffmpeg",
    ),
    # -- a file a sequence, without names -----------------------------------------------------------------------------
    "tables without names in class folders": (
        {"d/a/1.csv": lines("1.5,10", "2,20", "3,30"), "d/b/1.csv": lines("4,40", "5,50")},
        "d",
        {},
        Read(
            TWO, [3, 2], ("dim_0", "dim_1"), [1.5, 10], [5, 50], said=("no line of names: every line is a step of 2",)
        ),
    ),
    "tables without names, of one channel and a listing": (
        {"1.csv": lines("7", "8", "9"), "2.csv": lines("5", "6"), "l.csv": lines("file,label", "1.csv,a", "2.csv,b")},
        "l.csv",
        {},
        Read(TWO, [3, 2], ("value",), [7], [6]),
    ),
    "tables without names, with semicolons": (
        {"d/a/1.csv": lines("7;8", "9;1"), "d/b/1.csv": lines("5;6", "3;4")},
        "d",
        {},
        Read(TWO, [2, 2], ("dim_0", "dim_1"), [7, 8], [3, 4]),
    ),
    "lines of numbers that differ in number": (
        {"d/a/1.csv": lines("1.5,10", "2"), "d/b/1.csv": lines("4,40", "5,50")},
        "d",
        {},
        "1.csv",
    ),
    "an array without classes": (
        {
            "a.npy": b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': False, 'shape': (2, 1), }".ljust(127)
            + b"\n"
            + bytes(16)
        },
        "a.npy",
        {},
        r"a.npy holds one array, \(2, 1\), and says no classes.*np.savez\('a.npz', X=X, y=y\)",
    ),
    # -- columns that count, and may be steps or channels --------------------------------------------------------------
    "channels or steps, under an id": (
        {"a.csv": lines("id,ch1,ch2,ch3,label", "1,1,2,3,a", "2,4,5,6,b")},
        "a.csv",
        {},
        r"columns ch1, ch2, ch3 count, and may be steps.*or channels.*--axes NCT.*--id NAME",
    ),
    "channels or steps, without an id": (
        {"a.csv": lines("ch1,ch2,ch3,label", "1,2,3,a", "4,5,6,b")},
        "a.csv",
        {"label": "label"},
        r"columns ch1, ch2, ch3 count.*--axes NCT.*--id NAME",
    ),
    "steps, as told": (
        {"a.csv": lines("id,ch1,ch2,ch3,label", "1,1,2,3,a", "2,4,5,6,b")},
        "a.csv",
        {"axes": "NCT"},
        Read(TWO, [3, 3], ("value",), [1], [6]),
    ),
    "channels, as told": (
        {"a.csv": lines("take,ch1,ch2,ch3,label", "1,1,2,3,a", "1,7,8,9,a", "2,4,5,6,b")},
        "a.csv",
        {"id": "take"},
        Read(TWO, [2, 1], ("ch1", "ch2", "ch3"), [1, 2, 3], [4, 5, 6]),
    ),
    # -- folders within folders --------------------------------------------------------------------------------------
    "classes within speakers": (
        sounds(*(f"d/speaker{s}/{c}/{k}.wav" for s in (1, 2, 3) for c in ("no", "yes") for k in (1, 2))),
        "d",
        {},
        Read(
            {"no": 6, "yes": 6},
            groups={"speaker1": 4, "speaker2": 4, "speaker3": 4},
            said=(r"12 sound files, 2 classes from the inner folders \(no, yes\), groups from the outer",),
        ),
    ),
    "speakers within classes": (
        sounds(*(f"d/{c}/spk_{s}/{k}.wav" for s in (1, 2) for c in ("no", "yes") for k in (1, 2))),
        "d",
        {},
        Read({"no": 4, "yes": 4}, groups={"spk_1": 4, "spk_2": 4}, said=("2 classes from the outer folders",)),
    ),
    "folders of the same names in each, and no names that tell": (
        sounds(*(f"d/{s}/{c}/1.wav" for s in ("ann", "bob") for c in ("no", "yes"))),
        "d",
        {},
        r"\(ann, bob\) hold folders of the same names \(no, yes\), and either may be the cl.*--label.*--group.*--names",
    ),
    "the same, with classes from the names of files": (
        sounds(*(f"d/{s}/{c}/{c}_1.wav" for s in ("ann", "bob") for c in ("no", "yes"))),
        "d",
        {"names": "{label}_*"},
        Read({"no": 2, "yes": 2}),
    ),
    "other folders within each class": (
        sounds("d/a/x/1.wav", "d/a/y/1.wav", "d/b/z/1.wav", "d/b/w/1.wav"),
        "d",
        {},
        Read({"a": 2, "b": 2}),
    ),
    # -- classes that are written as numbers --------------------------------------------------------------------------
    "01 is not 1": (
        {"a.csv": lines("text,label", "so good,01", "so bad,1", "so fine,01", "so so,10")},
        "a.csv",
        {},
        Read({"01": 2, "1": 1, "10": 1}),
    ),
    "01 is not 1, in a named column that first has it late": (
        {"a.csv": lines("text,code", *(["so good,1"] * 60), "so bad,01")},
        "a.csv",
        {"label": "code"},
        Read({"1": 60, "01": 1}),
    ),
    "01 is not 1, in a list of files": (
        {**sounds("1.wav", "2.wav", "3.wav"), "l.csv": lines("file,label", "1.wav,01", "2.wav,1", "3.wav,01")},
        "l.csv",
        {},
        Read({"01": 2, "1": 1}),
    ),
    "numbers without zeros before them are numbers": (
        {"a.csv": lines("text,label", "so good,1", "so bad,0", "so fine,10")},
        "a.csv",
        {},
        Read({0: 1, 1: 1, 10: 1}),
    ),
}


def write(folder: Path, files: Files) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            write_wav(path, np.zeros(100))
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.mark.parametrize("case", CASES)
def test_a_layout_is_read_as_it_is_meant_or_refused(tmp_path: Path, case: str) -> None:
    files, name, options, expected = CASES[case]
    write(tmp_path, files)
    if isinstance(expected, str):
        with pytest.raises(DataError, match=f"(?s){expected}"):
            read_examples([tmp_path / name], Columns(**options))
        return
    examples = read_examples([tmp_path / name], Columns(**options))
    assert examples.labels is not None
    assert dict(Counter(examples.labels)) == expected.counts
    assert (None if examples.groups is None else dict(Counter(examples.groups))) == expected.groups
    if expected.lengths is not None:
        assert [len(item) for item in examples.items] == expected.lengths
        assert examples.channels == expected.channels
        np.testing.assert_allclose(examples.items[0][0], expected.first, rtol=1e-6)  # type: ignore[arg-type]
        np.testing.assert_allclose(examples.items[-1][-1], expected.last, rtol=1e-6)  # type: ignore[arg-type]
    for words in expected.said:
        assert any(re.search(words, line) for line in examples.said), examples.said
    assert task_for([tmp_path / name], options)[0] == "classification"


@pytest.mark.parametrize(("word", "axes"), [("x", None), ("ch", "NCT")])
def test_a_model_of_rows_under_an_id_reads_such_rows_again(tmp_path: Path, word: str, axes: str | None) -> None:
    """The columns that training found are asked for by name then, and the id must not make steps of the rows."""
    names = ",".join(f"{word}{k}" for k in (1, 2, 3))
    file = tmp_path / "a.csv"
    file.write_text(lines(f"id,{names},label", "1,1,2,3,a", "2,4,5,6,b"))
    learnt = read_examples([file], Columns(axes=axes))
    again = read_examples([file], learnt.columns, channels=learnt.channels, asked=True)
    np.testing.assert_array_equal(np.array(again.items), np.array(learnt.items))
    assert np.shape(again.items) == (2, 3, 1)
    assert again.names == ["1", "2"]
