"""The fenced blocks of a Markdown page, and which files they are."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"(?:^`(?P<file>[\w./-]+)`:\n\n)?^```(?P<language>[\w-]*)\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A block: its language, its text, the line where that begins, and the file that it is: the name alone in the paragraph before it, with a colon."""

    language: str
    text: str
    line: int
    file: str | None

    @property
    def commands(self) -> str:
        """What a reader types of a session: all of ```sh, of ```console the lines with a prompt."""
        if self.language == "sh":
            return self.text
        return "".join(f"{line[2:]}\n" for line in self.text.splitlines() if line.startswith("$ "))

    @property
    def shown(self) -> str:
        """What a session is said to print: nothing that is not shown."""
        return "" if self.language != "console" else "".join(f"{line}\n" for line in self.text.splitlines() if not line.startswith("$ "))


def blocks(page: Path) -> list[Block]:
    """Return the blocks of a page, in order."""
    text = page.read_text()
    return [Block(found["language"], found["text"], text.count("\n", 0, found.start("text")) + 1, found["file"]) for found in _BLOCK.finditer(text)]


def pasted(session: Iterable[Block], folder: Path, environment: dict[str, str]) -> list[str]:
    """Paste blocks into one shell, one after another; return what each prints. Those that are files are saved where the shell then stands."""
    saved = folder / "saved"
    saved.mkdir()
    lines = ["exec 2>&1"]
    for number, block in enumerate(session):
        lines.append(f"echo '@@ {number}'")
        if block.file:
            (saved / str(number)).write_text(block.text)
            lines.append(f"cp {saved / str(number)} {shlex.quote(block.file)}")
        else:
            lines.append(block.commands)
    script = saved / "session.sh"
    script.write_text("\n".join(lines))
    done = subprocess.run(["bash", str(script)], cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=250)
    return re.split(r"^@@ \d+\n", done.stdout, flags=re.MULTILINE)[1:]


def as_shown(shown: str, printed: str) -> bool:
    """Whether that is what was printed; `...` stands for any words in a line, alone in a line for any lines."""
    lines = [r"(?:.*\n)*" if line == "..." else ".*".join(map(re.escape, line.split("..."))) + r"\n" for line in shown.splitlines()]
    return re.fullmatch("".join(lines), printed) is not None
