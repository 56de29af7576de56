"""What each op of the alphabet is in C: one row each, beside `program.ops.TABLE`. A test holds the two together."""

from __future__ import annotations

import re
from collections.abc import Sequence

# {0}, {1}, {2}: the arguments. {s}: the suffix of C's functions and numbers of the precision, "f" for float and nothing
# for double.
EXPRESSIONS = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "div": "{0} / {1}",
    "neg": "-{0}",
    "abs": "fabs{s}({0})",
    "sign": "sign({0})",
    "maximum": "larger({0}, {1})",
    "minimum": "smaller({0}, {1})",
    "exp": "exp{s}({0})",
    "log": "log{s}({0})",
    "sqrt": "sqrt{s}({0})",
    "rsqrt": "1.0{s} / sqrt{s}({0})",
    "sin": "sin{s}({0})",
    "cos": "cos{s}({0})",
    "atan": "atan{s}({0})",
    "log1p": "log1p{s}({0})",
    "expm1": "expm1{s}({0})",
    "erf": "erf{s}({0})",
    "floor": "floor{s}({0})",
    "remainder": "remainder_of({0}, {1})",
    "detach": "{0}",
    "sigmoid": "sigmoid({0})",
    "tanh": "tanh{s}({0})",
    "relu": "larger({0}, 0.0{s})",
    "softplus": "softplus({0})",
    "logsigmoid": "log_of_sigmoid({0})",
    "sigmoid_grad": "{0} * {1} * (1.0{s} - {1})",
    "tanh_grad": "{0} * (1.0{s} - {1} * {1})",
    "relu_grad": "{1} > 0.0{s} ? {0} : 0.0{s}",
    "gt": "{0} > {1}",
    "ge": "{0} >= {1}",
    "lt": "{0} < {1}",
    "le": "{0} <= {1}",
    "eq": "{0} == {1}",
    "ne": "{0} != {1}",
    "where": "{0} != 0 ? {1} : {2}",
    "broadcast": "{0}",
}

# Functions that C99 does not have. A NaN is passed on, as in torch.
HELPERS = {
    "sign": "static real sign(real a)\n{{\n    return (real)((a > 0) - (a < 0));\n}}",
    "larger": "static real larger(real a, real b)\n{{\n    return a > b || a != a ? a : b;\n}}",
    "smaller": "static real smaller(real a, real b)\n{{\n    return a < b || a != a ? a : b;\n}}",
    "sigmoid": "static real sigmoid(real a)\n{{\n    return 1.0{s} / (1.0{s} + exp{s}(-a));\n}}",
    "softplus": (
        "static real softplus(real a)\n{{\n    return a > 20.0{s} ? a : log1p{s}(exp{s}(a));  /* as torch has it */\n}}"
    ),
    "log_of_sigmoid": (
        "static real log_of_sigmoid(real a)\n{{\n"
        "    return fmin{s}(a, 0.0{s}) - log1p{s}(exp{s}(-fabs{s}(a)));  /* exp never overflows */\n}}"
    ),
    "remainder_of": (
        "static real remainder_of(real a, real b)\n{{\n"
        "    const real rest = fmod{s}(a, b);  /* has the sign of a; torch's remainder has that of b */\n"
        "    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;\n}}"
    ),
}


def expression(op: str, arguments: Sequence[str], suffix: str) -> str:
    """The C expression of an op that takes rows number by number; arguments may be expressions themselves."""
    form = EXPRESSIONS[op]
    return form.format(*(_argument(form, k, text) for k, text in enumerate(arguments)), s=suffix)


ALONE = re.compile(r"[\w.]+|[\d.]+e-\d+f?|[\w>-]+\[[^\]]*\]|\w+\([^()]*\)")  # a name, a number, an element or a call


def _argument(form: str, k: int, text: str) -> str:
    """The text of argument k, in parentheses where an operator of the form could otherwise divide it.

    No parentheses: an argument of a C function, and a single name, number, array element or call.
    """
    all_of_function = form.count(f"{{{k}}}") == len(re.findall(rf"[(,] ?\{{{k}\}}(?=[,)])", form))
    return text if all_of_function or form == "{0}" or ALONE.fullmatch(text) else f"({text})"


def helpers(source: str, suffix: str) -> list[str]:
    """The functions of `HELPERS` that a C text calls."""
    return [text.format(s=suffix) for name, text in HELPERS.items() if f"{name}(" in source]
