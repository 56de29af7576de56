"""Small trees in brackets for tests: the sign of a tree is that of its words, and "not" turns what stands beside it."""

import random
from pathlib import Path

WORDS = {"good": 2, "fine": 2, "bad": 0, "dull": 0, "film": 1, "the": 1}


def tree(chance: random.Random, depth: int = 0) -> tuple[str, int]:
    """A tree and its label, 0 to 2."""
    if depth > 3 or chance.random() < 0.3:
        word = chance.choice(list(WORDS))
        return f"({WORDS[word]} {word})", WORDS[word]
    inside, label = tree(chance, depth + 1)
    if chance.random() < 0.3:
        return f"({2 - label} (1 not) {inside})", 2 - label
    beside, other = tree(chance, depth + 1)
    label = max(0, min(2, label + other - 1))
    return f"({label} {inside} {beside})", label


def lines(count: int, seed: int) -> list[str]:
    chance = random.Random(seed)
    return [tree(chance)[0] for _ in range(count)]


def write(path: Path, count: int, seed: int) -> Path:
    path.write_text("\n".join(lines(count, seed)) + "\n")
    return path
