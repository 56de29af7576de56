"""Transcription: how often digits are wrong in strings of spoken digits, for all speakers and for one that is held out.

    python benchmarks/transcription.py --data FOLDER [--runs FOLDER] [--seeds 0] [--held-out george]
                                       [--epochs N] [--hidden N] [--layers N]

FOLDER has `recordings` of the Free Spoken Digit Dataset, {digit}_{speaker}_{take}.wav. Strings of 1 to 5 digits are
made of recordings of one speaker, with up to 0.2 s of faint noise after each: 900 to learn from, of takes 5 and above,
and 300 to test on, of takes 0 to 4. They are written beside the runs as sounds with a table, so that `carousel train`
reads them. Then `Transcriber` is trained, with its defaults where nothing else is said: once with all speakers, and
once without each that --held-out names, who is then tested alone. A run that was stopped is resumed, one that has ended
is only judged. The figures stand beside those of the nearest sound's text, and of greedy search along the best path.
Times are of CPU.
"""

import argparse
import re
import time
import wave
from pathlib import Path

import numpy as np

from carousel import Transcriber
from carousel.models.ctc_model import best_path
from carousel.tasks.pairs.scoring import error_rate
from carousel.tasks.pairs.written import padded

RATE, PAUSE, NOISE = 8000, 1600, 3.0  # samples a second, of a pause at most, and the deviation of its noise
TRAINING, TEST = (900, range(5, 20)), (300, range(5))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=Path, default=Path("runs/transcription"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--held-out", nargs="*", default=["george"])
    parser.add_argument("--epochs", type=float)
    parser.add_argument("--hidden", type=int)
    parser.add_argument("--layers", type=int)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    takes = recordings(given.data / "recordings")
    speakers = sorted({speaker for _, speaker, _ in takes})
    for held in (None, *given.held_out):
        learnt = [speaker for speaker in speakers if speaker != held]
        tested = speakers if held is None else [held]
        for seed in given.seeds:
            folder = given.runs / f"{held or 'all'}-{seed}"
            for part, (count, of), whose in (("train", TRAINING, learnt), ("test", TEST, tested)):
                write_strings(folder / part, takes, whose, count, of, [seed, part == "test"])
            what = "takes 0 to 4 of all speakers" if held is None else f"{held}, whom the network never heard"
            row(f"{what}, seed {seed}", folder, given, seed)


def row(name: str, folder: Path, given: argparse.Namespace, seed: int) -> None:
    """Trains or resumes the run of this folder, and prints its figures."""
    started, run = time.process_time(), folder / "run"
    if (run / "config.json").exists():
        model = Transcriber.resume(run)
    else:
        size = {"hidden": given.hidden, "layers": given.layers}
        model = Transcriber(seed=seed, epochs=given.epochs, threads=given.threads, **size)
        model.fit(folder / "train", out=run)
    trained = time.process_time() - started
    result = model.evaluate(folder / "test")
    digits, texts = sum(map(len, result.targets)), len(result.targets)
    print(f"{name}: digit error rate {result.scores.character_errors:.2%} of {digits:,} digits, whole strings right "
          f"{result.scores.exact:.1%} of {texts}")  # fmt: skip
    print(f"  along the best path: {greedy(model, folder / 'test', result.targets):.2%}")
    if result.baseline is not None:
        print(f"  nearest sound's text: {result.baseline.character_errors:.2%}")
    print(f"  {trained:.0f} s of CPU time for what was trained now", flush=True)


def greedy(model: Transcriber, folder: Path, targets: list[str]) -> float:
    trained, wrong = model.trained, []
    for item in model.read([folder]).sources:
        x, lengths = padded([trained.source.keep(item)], 0)
        log_p, _ = trained.network(x, lengths)
        wrong.append(trained.target.decode(one.symbol for one in best_path(log_p[:, 0].detach().numpy())))
    return error_rate(wrong, targets)


def recordings(folder: Path) -> dict[tuple[int, str, int], np.ndarray]:
    """The samples of each recording, by digit, speaker and take."""
    found = {}
    for file in sorted(folder.glob("*.wav")):
        digit, speaker, take = re.fullmatch(r"(\d)_(\w+)_(\d+)", file.stem).groups()
        with wave.open(str(file)) as sound:
            found[int(digit), speaker, int(take)] = np.frombuffer(sound.readframes(sound.getnframes()), np.int16)
    return found


def write_strings(folder: Path, takes: dict, speakers: list[str], count: int, of: range, seed: list[int]) -> None:
    """Writes strings of digits as sounds, with a table of them, unless they are there."""
    table = folder / "strings.csv"
    if table.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    rng, rows = np.random.default_rng(seed), ["file,speaker,text"]
    for number in range(count):
        speaker, digits, pieces = str(rng.choice(speakers)), rng.integers(0, 10, rng.integers(1, 6)), []
        for digit in digits:
            pause = rng.normal(size=rng.integers(0, PAUSE)) * NOISE
            pieces += [takes[int(digit), speaker, int(rng.choice(of))], pause.astype(np.int16)]
        with wave.open(str(folder / f"{number:04d}.wav"), "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(RATE)
            sound.writeframes(np.concatenate(pieces).tobytes())
        rows.append(f"{number:04d}.wav,{speaker},{''.join(map(str, digits))}")
    table.write_text("\n".join(rows) + "\n")


if __name__ == "__main__":
    main()
