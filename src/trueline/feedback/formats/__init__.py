"""Files that people have, read as they are: one short module a format, all in one dict."""

from trueline.feedback.formats import (
    argilla,
    diasafety,
    helpdesk,
    helpsteer,
    hh_harmless,
    label_studio,
    own,
    pku_saferlhf,
    trl,
    ultrafeedback,
)
from trueline.feedback.formats.base import Format, Item, RowError

FORMATS: dict[str, Format] = {
    "hh_harmless": hh_harmless.read,
    "pku_saferlhf": pku_saferlhf.read,
    "helpdesk": helpdesk.read,
    "diasafety": diasafety.read,
    "ultrafeedback": ultrafeedback.read,
    "trl": trl.read,
    "helpsteer": helpsteer.read,
    "argilla": argilla.read,
    "label_studio": label_studio.read,
    "jsonl": own.read_jsonl,
    "csv": own.read_csv,
    "parquet": own.read_parquet,
}

__all__ = ["FORMATS", "Format", "Item", "RowError"]
