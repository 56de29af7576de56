"""carousel evaluate"""

from pathlib import Path


def evaluate(run: Path, /, *files: Path) -> None:
    """Measure how well a trained model predicts a text.

    For example:

    ```
    carousel evaluate runs/shakespeare sonnets.txt
    ```

    Parameters
    ----------
    run
        A run folder that `carousel train` wrote.
    files
        UTF-8 text files, or folders of them.
    """
    from carousel.cli.terminal import show
    from carousel.errors import DataError
    from carousel.tasks.language.language_model import LanguageModel

    if not files:
        raise DataError(f"A text to evaluate on must be named: carousel evaluate {run} FILE")
    model = LanguageModel.load(run)
    result = model.evaluate(files)
    show(f"{result.characters:,} characters in {result.tokens:,} symbols\n")
    show(f"{result.nats_per_character:.4f} nats/char\n{result.bits_per_character:.4f} bits/char\n")
    show(f"perplexity {result.perplexity:.3f} per {model.vocabulary.level}\n")
    if result.unknown:
        share = result.unknown / result.tokens
        show(f"{result.unknown:,} symbols ({share:.2%}) unknown to the model, counted with their spelling\n")
