"""Files that people have, read as they are: one short module a format, all in one dict."""

from trueline.feedback.formats import diasafety, helpdesk, hh_harmless, own, pku_saferlhf
from trueline.feedback.formats.base import Format, Item, RowError

FORMATS: dict[str, Format] = {
    "hh_harmless": hh_harmless.read,
    "pku_saferlhf": pku_saferlhf.read,
    "helpdesk": helpdesk.read,
    "diasafety": diasafety.read,
    "jsonl": own.read_jsonl,
    "csv": own.read_csv,
}

__all__ = ["FORMATS", "Format", "Item", "RowError"]
