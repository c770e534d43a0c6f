"""What the pages serve: a store, its settings, and the folder with the guidelines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from trueline.config import Config
from trueline.feedback.accounts.accounts import Accounts
from trueline.feedback.labelling.measuring import Measured
from trueline.feedback.labelling.queue import Queue
from trueline.feedback.store import FeedbackStore
from trueline.records import content_id
from trueline.web import translate

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Guidelines:
    """Markdown; the version is a hash of the text, noted with every judgement."""

    text: str

    @property
    def version(self) -> str:
        return content_id("guidelines", self.text)[:8]

    @property
    def html(self) -> str:
        """Safe: what is HTML in the text is shown as text."""
        from markdown_it import MarkdownIt

        return str(MarkdownIt("js-default", {"html": False}).disable(["image", "link", "autolink"]).render(self.text))


@dataclass(frozen=True)
class Site:
    """local: only this machine reaches it, and whoever started it signs in by a link; hosts: by which names it goes."""

    store: FeedbackStore
    config: Config
    folder: Path
    local: bool = True
    hosts: tuple[str, ...] = ("localhost", "127.0.0.1", "[::1]")

    @property
    def dimensions(self) -> tuple[str, ...]:
        return self.config.project.dimensions

    @cached_property
    def queue(self) -> Queue:
        return Queue(self.store, self.config.labelling)

    @cached_property
    def measured(self) -> Measured:
        return Measured(self.store, self.dimensions)

    @cached_property
    def accounts(self) -> Accounts:
        return Accounts(self.store)

    @cached_property
    def strings(self) -> Mapping[str, Mapping[str, str]]:
        """By language, translations of the English texts."""
        return translate.load()

    def guidelines(self, language: str) -> Guidelines:
        """The project's guidelines.LANGUAGE.md, else its guidelines.md, else ours."""
        for path in (
            self.folder / f"guidelines.{language}.md",
            self.folder / "guidelines.md",
            HERE / "guidelines" / f"{language}.md",
            HERE / "guidelines" / "en.md",
        ):
            if path.is_file():
                return Guidelines(path.read_text("utf-8", errors="replace"))
        raise FileNotFoundError("guidelines/en.md of the package")
