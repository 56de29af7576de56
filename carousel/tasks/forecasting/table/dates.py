"""The forms in which people write a time: which forms fit a column of texts, how each is read, and how it is written.

A form is a text in the letters of C's strftime, with four additions: `%q` is the quarter of the year, `%-m` is a number
without a zero before it, `%^b` is a name in capitals, and `%P` is am or pm. A form may lack a part: a month without a
day stands for its first day, a week for its Monday, an hour for its first minute.
"""

import re
from collections.abc import Iterable
from functools import cache

import polars as pl

_ORDERS = (
    ("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y", "%m-%d-%Y"),
    ("%y-%m-%d", "%y/%m/%d", "%d.%m.%y", "%m/%d/%y", "%d/%m/%y", "%d-%m-%y", "%m-%d-%y"),
    ("%d %b %Y", "%d-%b-%Y", "%d/%b/%Y", "%d%b%Y", "%b %d, %Y", "%b %d %Y", "%Y %b %d", "%Y-%b-%d"),
    ("%d %b %y", "%d-%b-%y", "%d/%b/%y", "%d%b%y", "%b %d, %y", "%b %d %y"),
)
_SHORT = tuple(day for days in _ORDERS for day in days)
DAYS = (*_SHORT, *(day.replace("%b", "%B") for day in _SHORT if "%b" in day))
CLOCKS = (
    *("%H:%M", "%H:%M:%S", "%H:%M:%S%.f", "%H", "%H.%M", "%H.%M.%S"),
    *("%I:%M %p", "%I:%M:%S %p", "%I:%M%p", "%I:%M:%S%p", "%I %p", "%I-%p", "%I%p"),
)
_ZONES = ("", "Z", "%:z", "%z", " UTC", " GMT", " Z", " %:z", " %z")
_GAPS = (" ", "T", ", ", "-", "  ")
_COMPACT = ("%Y%m%d%H%M%S", "%Y%m%d%H%M", "%Y%m%d%H", "%Y%m%d", "%Y%m")
_COARSE = (
    *("%Y-%m", "%Y/%m", "%Y.%m", "%m/%Y", "%m-%Y", "%m.%Y", "%Y%m", "%YM%m", "%Y-M%m"),
    *("%b %Y", "%b-%Y", "%b-%y", "%b %y", "%Y-%b", "%Y %b", "%y-%b", "%b%Y", "%b, %Y"),
    *("%B %Y", "%B-%Y", "%Y-%B", "%Y %B", "%B, %Y"),
    *("%YQ%q", "%Y-Q%q", "%Y Q%q", "Q%q %Y", "Q%q-%Y", "Q%q/%Y", "%q/%Y", "%Yq%q"),
    *("%G-W%V", "%GW%V", "%G W%V", "W%V %G", "W%V-%G", "%G-W%V-%u"),
)
# What a directive may stand for. A number of one or two digits has just two where no sign keeps it from the next.
_MEANS = {
    "Y": r"\d{4}",
    "G": r"\d{4}",
    "y": r"\d{2}",
    "b": r"[A-Za-z]{3}",
    "B": r"(?:January|February|March|April|May|June|July|August|September|October|November|December)",
    "p": r"[AaPp][Mm]",
    ".f": r"(?:\.\d{1,9})?",
    ":z": r"[+-]\d\d:\d\d",
    "z": r"[+-]\d{4}",
    "q": r"[1-4]",
    "u": r"[1-7]",
}
ISO_WEEK = "%G-W%V"
_DIRECTIVE = re.compile(r"%(\.f|:z|[A-Za-z])")
_QUARTER = {"%Y": r"(?P<year>\d{4})", "%q": r"(?P<quarter>[1-4])"}


def plain(form: str) -> str:
    """The form that reads what this one writes: without what only says how numbers and names look."""
    return re.sub(r"%\.\df", "%.f", form.replace("%-", "%").replace("%^", "%").replace("%P", "%p"))


@cache
def pattern(form: str) -> str:
    """The regular expression of all texts in a form."""
    form = plain(form)
    out, at, ends = "", 0, None
    found = list(_DIRECTIVE.finditer(form))
    for number, match in enumerate(found):
        out += re.escape(form[at : match.start()])
        touching = match.start() == ends or (number + 1 < len(found) and found[number + 1].start() == match.end())
        touching &= match[1] in "mdHMSIV" and not (number + 1 < len(found) and found[number + 1][1] in (".f", "p"))
        out += _MEANS.get(match[1], r"\d{2}" if touching else r"\d{1,2}")
        at = ends = match.end()
    return out + re.escape(form[at:])


def read(texts: pl.Series, form: str) -> pl.Series:
    """Moments (UTC where the form has an offset), null where a text is not in the form."""
    form = plain(form)
    texts = texts.set(~texts.str.contains(f"^(?i:{pattern(form)})$"), None)
    if "%q" in form:
        groups = "(?i)^" + re.sub(r"%[Yq]", lambda m: _QUARTER[m[0]], form) + "$"
        year, quarter = (texts.str.extract_groups(groups).struct.field(name) for name in ("year", "quarter"))
        month = (3 * quarter.cast(pl.Int64) - 2).cast(pl.String)
        texts, form = year + "-" + month + "-1", "%Y-%m-%d"
    for lacking, value, needs in (("%d", "1", "%m%b%B"), ("%u", "1", "%V"), ("%M", "00", "%H%I")):
        if lacking not in form and any(part in form for part in re.findall("%.", needs)):
            texts, form = texts + f" {value}", f"{form} {lacking}"
    if form.endswith("%z %M") or form.endswith("%:z %M"):
        return texts.clear(len(texts)).cast(pl.Datetime("us"))
    try:
        moments = texts.str.to_datetime(form, strict=False, time_unit="us")
    except pl.exceptions.PolarsError:
        return texts.clear(len(texts)).cast(pl.Datetime("us"))
    return moments


def write(moments: pl.Series, form: str) -> pl.Series:
    """These stamps as texts in a format."""
    if "%q" in form:
        quarter = ((moments.dt.month() + 2) // 3).cast(pl.String)
        parts = re.split("(%q)", form)
        texts = pl.Series([""] * len(moments), dtype=pl.String)
        for part in parts:
            texts = texts + (quarter if part == "%q" else moments.dt.strftime(part) if part else "")
        return texts
    texts = moments.dt.strftime(form.replace("%^", "%"))
    return texts.str.to_uppercase() if "%^" in form else texts


def forms_of(values: pl.Series, *, most: int = 1000) -> list[str]:
    """The forms in which all of these texts can be read, the usual ones first."""
    distinct = values.unique(maintain_order=True)
    few = distinct[:most]
    rest = distinct[most:]
    found = [form for form in _matching(str(few[0])) if not read(few, form).null_count()]
    return _without_twins(few, [form for form in found if not read(rest, form).null_count()])


def nearly(values: pl.Series) -> tuple[str, pl.Series] | None:
    """The form that most of these texts are in, where it is nine of ten or more, and the others."""
    few = values[:1000]
    for form in dict.fromkeys(form for text in few[:20].to_list() for form in _matching(str(text))):
        if read(few, form).count() >= 0.9 * len(few):
            moments = read(values, form)
            if moments.count() >= 0.9 * len(values):
                return form, values.filter(moments.is_null())
    return None


def clocks_of(values: pl.Series) -> list[str]:
    """The forms of a time of day in which all of these texts can be read."""
    distinct = values.unique(maintain_order=True)
    return [form for form in CLOCKS if form != "%H" and not read_clock(distinct, form).null_count()][:1]


def read_clock(texts: pl.Series, form: str) -> pl.Series:
    return read("2000-01-01 " + texts, f"%Y-%m-%d {form}")


def as_written(values: pl.Series, form: str) -> str:
    """The same form with the zeros, fractions and capitals that these texts have."""
    few = values.unique(maintain_order=True)[:1000]
    return next((variant for variant in _variants(form) if _writes(few, form, variant)), form)


def as_written_clock(values: pl.Series, form: str) -> str:
    """The same of a time of day."""
    return as_written("2000-01-01 " + values, f"%Y-%m-%d {form}").removeprefix("%Y-%m-%d ").removeprefix("%Y-%-m-%-d ")


def zone_of(texts: pl.Series, form: str) -> str | None:
    """The time zone of texts with an offset: the one that has just that offset, or UTC where they have several."""
    if form.endswith(("Z", "UTC", "GMT")):
        return "UTC"
    if not form.endswith("z"):
        return None
    offsets = texts.str.extract(r"([+-]\d\d):?00$").unique()
    if len(offsets) != 1 or offsets[0] is None or int(offsets[0]) == 0:
        return "UTC"
    return f"Etc/GMT{-int(offsets[0]):+d}"  # whose sign is turned around, as POSIX has it


# -- inside ---------------------------------------------------------------------------------------------------------


def _matching(text: str) -> Iterable[str]:
    for form in (*_COMPACT, *_COARSE) if text.isdigit() else _COARSE:
        if re.fullmatch(pattern(form), text, re.IGNORECASE):
            yield form
    for day in DAYS:
        match = re.match(pattern(day), text, re.IGNORECASE)
        if match is None:
            continue
        rest = text[match.end() :]
        if not rest:
            yield day
        for gap in _GAPS:
            if not rest.startswith(gap):
                continue
            for clock in CLOCKS:
                at = re.match(pattern(clock), rest[len(gap) :], re.IGNORECASE)
                if at is None:
                    continue
                after = rest[len(gap) + at.end() :]
                for zone in _ZONES:
                    if re.fullmatch(pattern(zone), after):
                        yield f"{day}{gap}{clock}{zone}"


def _without_twins(values: pl.Series, forms: list[str]) -> list[str]:
    """Without forms that read the same as one before them."""
    kept: list[tuple[str, pl.Series]] = []
    for form in dict.fromkeys(forms):
        moments = read(values, form)
        if not any(moments.equals(other) for _, other in kept if other.dtype == moments.dtype):
            kept.append((form, moments))
    return [form for form, _ in kept]


def _variants(form: str) -> Iterable[str]:
    date, hours = re.compile("%([md])"), re.compile("%([HI])")
    for named in (form, form.replace("%b", "%^b").replace("%B", "%^B"), form.replace("%p", "%P")):
        for days in (named, date.sub(r"%-\1", named), named.replace("%m", "%-m"), named.replace("%d", "%-d")):
            for clock in (days, hours.sub(r"%-\1", days)):
                for fraction in ("%.f", "%.3f", "%.6f"):
                    yield clock.replace("%.f", fraction)


def _writes(texts: pl.Series, form: str, variant: str) -> bool:
    moments = read(texts, form)
    zone = zone_of(texts, form)
    if zone is not None and moments.dtype == pl.Datetime("us", "UTC"):
        moments = moments.dt.convert_time_zone(zone)
    try:
        return bool((write(moments, variant) == texts).all())
    except pl.exceptions.PolarsError:
        return False
