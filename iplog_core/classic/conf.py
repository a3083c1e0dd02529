"""The grammar of iplog.conf: what each line says.

    set KEYWORD [true|false]
    interface IF[,IF...]     promisc NET[,NET...]     user U     group G     pid-file F     logfile F     facility F     priority P
    (log|ignore) ...         a rule, see iplog_core.rule_grammar

Blanks and tabs separate, and words other than values may be in any case. `#` begins a comment; `/* */` is one that may span lines: what stands before and
behind it is one line then.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from iplog_core.classic.words import DIRECTIVES, KEYWORDS, Directive, Flag
from iplog_core.errors import did_you_mean
from iplog_core.rule_grammar import parse_rule, quoted
from iplog_core.toml import is_text

_DIRECTIVES = {directive.keyword: directive for directive in DIRECTIVES}
_FIRST_WORDS = ("set", *_DIRECTIVES, "log", "ignore")
_TRUTH = {"true": True, "false": False}
_BESIDE_COMMA = re.compile(" ?, ?")
_PIECE = re.compile(r"/\*.*?(?:\*/|\Z)|#[^\n]*|\n|[^#\n/]+|/", re.DOTALL)


@dataclass(frozen=True)
class Line:
    """A line that says something: its words, without comments, and its number, counted from 1: where the first word stands."""

    number: int
    text: str


@dataclass(frozen=True)
class Statement:
    """What a line says: a word of the vocabulary and its value; without a word, the value is the text of a rule."""

    word: Flag | Directive | None
    value: Any


def lines(text: str) -> Iterator[Line]:
    """Return the lines that say something; an opening `/*` that nothing closes is a line of its own."""
    number = start = 1
    said = ""
    for piece in _PIECE.findall(f"{text}\n"):
        comment = piece.startswith(("/*", "#"))
        if not said.strip():
            start = number
        if piece == "\n" or (comment and not _is_closed(piece)):
            if said.strip():
                yield Line(start, " ".join(said.split()))
            said = ""
        if comment and not _is_closed(piece):
            yield Line(number, "/*")
        elif piece != "\n":
            said += " " if comment else piece
        number += piece.count("\n")


def parse(line: str) -> Statement:
    """Return what a line says. Raise ValueError with what would be right."""
    if line == "/*":
        raise ValueError("the comment that begins here does not end, so that all behind it is left out; expected */.")
    if not is_text(line):
        raise ValueError("this is not UTF-8 text.")
    first, _, rest = line.partition(" ")
    keyword = first.lower()
    if keyword in ("log", "ignore"):
        parse_rule(line)
        return Statement(None, line)
    if keyword == "set":
        return _flag(rest.split(" ") if rest else [])
    if keyword in _DIRECTIVES:
        value = _BESIDE_COMMA.sub(",", rest)
        if " " in value:
            raise ValueError(f"{quoted(rest)} is more than one value; expected {keyword} {_DIRECTIVES[keyword].metavar}.")
        return Statement(_DIRECTIVES[keyword], _DIRECTIVES[keyword].parse(value))
    if keyword in KEYWORDS:
        raise ValueError(f"{quoted(first)} is no directive; expected set {keyword}.")
    raise ValueError(f"{quoted(first)} is no directive; expected {', '.join(_FIRST_WORDS[:-1])} or {_FIRST_WORDS[-1]}.{did_you_mean(keyword, _FIRST_WORDS)}")


def _flag(words: list[str]) -> Statement:
    if not words:
        raise ValueError(f"the keyword is missing; expected one of {', '.join(KEYWORDS)}.")
    keyword, *values = words
    if keyword.lower() in _DIRECTIVES:
        raise ValueError(f"{quoted(keyword)} stands without set; expected {keyword.lower()} and its value.")
    if keyword.lower() not in KEYWORDS:
        raise ValueError(f"{quoted(keyword)} is no keyword of set; expected one of {', '.join(KEYWORDS)}.{did_you_mean(keyword.lower(), KEYWORDS)}")
    value = " ".join(values)
    if value.lower() not in ("", *_TRUTH):
        raise ValueError(f"{quoted(value)} is neither true nor false.")
    return Statement(KEYWORDS[keyword.lower()], _TRUTH.get(value.lower(), True))


def _is_closed(comment: str) -> bool:
    return comment.startswith("#") or (comment.endswith("*/") and len(comment) > 3)
