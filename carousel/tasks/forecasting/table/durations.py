"""Durations, in microseconds, and how messages name them."""

SECOND = 1_000_000
DAY = 86_400 * SECOND
WEEK = 7 * DAY


def lasting(time: float) -> str:
    """Microseconds in words: 7 days, 1.5 hours, 0.25 seconds."""
    for name, length in (("days", DAY), ("hours", 3600 * SECOND), ("minutes", 60 * SECOND)):
        if time >= length and (time % length == 0 or time >= 2 * length):
            return (
                f"{round(time / length, 2):,g} {name}".replace("1 days", "1 day")
                if time != length
                else f"1 {name[:-1]}"
            )
    return f"{round(time / SECOND, 6):g} seconds"


def clock_words(time: int) -> str:
    return f"{time // (3600 * SECOND):02}:{time // (60 * SECOND) % 60:02}"
