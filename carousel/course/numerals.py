"""Numbers from 1 to 99 in words and in Roman numerals, for tasks that write and read them."""

ONES, TENS = (
    words.split()
    for words in (
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen",
        "_ _ twenty thirty forty fifty sixty seventy eighty ninety",
    )
)
LETTERS = " abcdefghijklmnopqrstuvwxyzIVXLC."  # the full stop ends a word that is written


def in_words(n: int) -> str:
    return ONES[n] if n < 20 else TENS[n // 10] + (f" {ONES[n % 10]}" if n % 10 else "")


def in_roman(n: int) -> str:
    return "".join(
        (digit == 9) * (one + ten) or (digit == 4) * (one + five) or five * (digit > 4) + one * (digit % 5)
        for digit, one, five, ten in ((n // 10, "X", "L", "C"), (n % 10, "I", "V", "X"))
    )
