"""How numbers and lists stand in the sentences of the report: units, intervals, thousands."""

from collections.abc import Sequence

SPACE = "\N{NO-BREAK SPACE}"  # keeps a number and its unit on one line
MINUS = "\N{MINUS SIGN}"
SMALLEST = 0.0005  # shares below this would read as zero


def percent(share: float) -> str:
    """A share in [0, 1] as a percentage: whole numbers, with one digit more near 0 and 100 %."""
    if 0 < share < SMALLEST:
        return f"less than 0.1{SPACE}%"
    if 1 - SMALLEST < share < 1:
        return f"more than 99.9{SPACE}%"
    return f"{hundredths(share)}{SPACE}%"


def interval(low: float, high: float) -> str:
    """Two shares in [0, 1] as the ends of an interval in percent."""
    return f"{hundredths(low)} to {hundredths(high)}{SPACE}%"


def points(change: float) -> str:
    """A change of a probability, in [-1, 1], as signed percentage points."""
    number = hundredths(abs(change))
    sign = "" if number == "0" else "+" if change > 0 else MINUS
    return sign + number


def hundredths(share: float) -> str:
    """A share times 100, without unit."""
    size = abs(share)
    text = f"{100 * share:.{1 if size < 0.095 or size > 0.985 else 0}f}"
    return text.removesuffix(".0").replace("-", MINUS)


def decimal(value: float) -> str:
    """A number with two decimals, one more next to 0 and 1; it never reads as 0 or 1 where it is neither."""
    size = abs(value)
    if 0 < size < SMALLEST or 1 - SMALLEST < size < 1:
        nearest = "<0.001" if size < SMALLEST else ">0.999"
        return nearest if value > 0 else f"{MINUS}({nearest})"
    return f"{value:.{3 if 0.995 <= size < 1 or 0 < size < 0.005 else 2}f}".replace("-", MINUS)


def count(number: int, noun: str, plural: str | None = None) -> str:
    """A number of things, with thousands set apart and the noun in the right form."""
    return f"{number:,}{SPACE}{noun if number == 1 else plural or noun + 's'}"


def listing(words: Sequence[str], last: str = "and") -> str:
    """Words joined as in a sentence: `a, b and c`."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"
