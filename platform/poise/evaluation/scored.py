"""Errors of single sequences, with whose they are: written, read back, and pooled by person."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

from poise.evaluation.evaluate import Evaluation
from poise.evaluation.metrics import PoseErrors, pool


@dataclass(frozen=True)
class Scored:
    """Errors of one sequence; ``subject`` is empty where nobody told."""

    name: str
    subject: str
    errors: PoseErrors


def scored(evaluation: Evaluation) -> list[Scored]:
    """Return the sequences of an evaluation."""
    subjects = evaluation.subjects or [""] * len(evaluation.sequences)
    rows = zip(evaluation.sequences, subjects, strict=True)
    return [Scored(name, subject, errors) for (name, errors), subject in rows]


def by_person(sequences: Sequence[Scored]) -> dict[str, PoseErrors]:
    """Pool sequences by person; who was not scored in any frame is left out."""
    people: dict[str, list[PoseErrors]] = {}
    for one in sequences:
        if one.subject and one.errors.frames:
            people.setdefault(one.subject, []).append(one.errors)
    return {subject: pool(errors) for subject, errors in people.items()}


def to_csv(sequences: Sequence[Scored]) -> str:
    """Return a line for each sequence."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["sequence", "subject", *_ERRORS])
    for one in sequences:
        writer.writerow([one.name, one.subject, *asdict(one.errors).values()])
    return out.getvalue()


def from_csv(text: str) -> list[Scored]:
    """Return what `to_csv` wrote, or an earlier version, which told no subjects."""
    read = []
    for row in csv.DictReader(io.StringIO(text)):
        numbers = {name: float(row[name]) for name in _ERRORS if name != "frames"}
        errors = PoseErrors(**numbers, frames=int(row["frames"]))
        read.append(Scored(row["sequence"], row.get("subject", ""), errors))
    return read


_ERRORS = [field.name for field in fields(PoseErrors)]
