LAYOUT: tuple[tuple[str, str], ...]
