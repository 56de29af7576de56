"""carousel generate"""

from pathlib import Path

from carousel.cli.own_cell import NOT_ASKED, OwnCell


def generate(
    run: Path,
    /,
    *,
    prompt: str = "",
    length: int = 500,
    temperature: float = 0.8,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int | None = None,
    own: OwnCell = NOT_ASKED,
) -> None:
    """Let a trained model write a text. Each symbol is shown at once.

    For example:

    ```
    carousel generate runs/shakespeare --prompt "ROMEO:" --length 300 --temperature 0.7
    ```

    Parameters
    ----------
    run
        A run folder that `carousel train` wrote.
    prompt
        The beginning of the text.
    length
        The number of symbols to write: characters, bytes or words, depending on the model.
    temperature
        Below 1, likely symbols are chosen more often; above 1, unlikely ones; with 0, always the likeliest.
    top_k
        Choose only among the k likeliest symbols.
    top_p
        Choose only among the likeliest symbols that together have this probability.
    seed
        The same seed writes the same text. Without it: another text each time.
    """
    import itertools
    import random

    from carousel.cli.terminal import remark, show_exactly
    from carousel.tasks.language.language_model import LanguageModel
    from carousel.tasks.language.settings import WORDS

    model = LanguageModel.load(run, **own.allowed)
    if seed is None:
        seed = random.SystemRandom().randrange(2**31)
    pieces = model.stream(prompt, length=length, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)
    first = next(pieces)  # an error about the prompt must come before any output
    for piece in itertools.chain([prompt + first], pieces, ["\n"]):
        show_exactly(piece)
    if model.vocabulary.level in WORDS and (strange := model.vocabulary.unknown_parts(prompt)):
        names = ", ".join(word.strip() for word in strange)
        remark(f"words of the prompt that the model does not know: {names}")
