"""carousel generate"""

from pathlib import Path


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
) -> None:
    """Let a trained model write, shown as it is written.

    For example:

    ```
    carousel generate runs/shakespeare --prompt "ROMEO:" --length 300 --temperature 0.7
    ```

    Parameters
    ----------
    run
        A run folder that `carousel train` wrote.
    prompt
        What the text begins with.
    length
        Symbols to write: characters, bytes or words, as the model was trained.
    temperature
        Below 1: more careful; above 1: more adventurous; 0: always the likeliest symbol.
    top_k
        Choose among the k likeliest symbols only.
    top_p
        Choose among the likeliest symbols that together have this probability.
    seed
        The same seed writes the same text. Without it: another text each time.
    """
    import itertools
    import random

    from carousel.cli.terminal import remark, show_exactly
    from carousel.tasks.language.language_model import LanguageModel

    model = LanguageModel.load(run)
    if seed is None:
        seed = random.SystemRandom().randrange(2**31)
    pieces = model.stream(prompt, length=length, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed)
    first = next(pieces)  # a prompt that cannot be read is an error before anything is shown
    for piece in itertools.chain([prompt + first], pieces, ["\n"]):
        show_exactly(piece)
    if model.vocabulary.level == "word" and (strange := model.vocabulary.unknown_parts(prompt)):
        names = ", ".join(word.strip() for word in strange)
        remark(f"words of the prompt that the model does not know: {names}")
