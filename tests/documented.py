"""The commands that a page of the documentation tells people to type."""

import re
import shlex


def commands(page):
    """The trueline commands in a page's blocks of code, without comments."""
    for line in page.read_text("utf-8").splitlines():
        found = re.match(r"(?:    |\$ |)(?:\$ )?(?:\w+=\S+ )*trueline (.*)", line)
        if found and (line.startswith((" ", "$")) or "`" not in line):
            words = shlex.split(found[1].split(" # ")[0].split(" | ")[0], comments=True)
            yield from split(words)


def split(words):
    """Those joined with && or ; and those without what the shell does."""
    one = []
    for word in [*words, "&&"]:
        if word in ("&&", ";", ">", "|", "&", "<"):
            if one and (one[0] != "trueline" or len(one) > 1):
                yield [w for w in one if w != "trueline"] if one[0] == "trueline" else one
            one = []
        else:
            one.append(word)
