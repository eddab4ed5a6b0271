"""What a check of one track found."""

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Level = Literal["error", "warning", "note"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """Something that is not as it should be.

    Attributes:
        level: error: do not use the track; warning: look at it first; note: good to know.
        check: the check's name, for machines.
        where: split, file, sequence.
        problem: what is wrong.
        advice: what to do.
    """

    level: Level
    check: str
    where: str
    problem: str
    advice: str


@dataclass
class Report:
    """All findings of one track, and what passed."""

    track: str
    passed: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether there is an error."""
        return any(finding.level == "error" for finding in self.findings)

    def count(self, level: Level) -> int:
        """How many findings of a level there are."""
        return sum(finding.level == level for finding in self.findings)

    def add(self, level: Level, check: str, where: str, problem: str, advice: str) -> None:
        """Note a finding."""
        self.findings.append(Finding(level, check, where, problem, advice))

    def to_json(self) -> dict[str, Any]:
        """Plain values, as ``poise check --json`` prints them."""
        return {"failed": self.failed, **asdict(self)}

    def text(self) -> str:
        """Readable lines, the worst findings first."""
        lines = [self.track, *(f"  ✓ {line}" for line in self.passed)]
        signs = {"error": "✗", "warning": "!", "note": "·"}
        for level in LEVELS:
            for finding in self.findings:
                if finding.level == level:
                    lines.append(f"  {signs[level]} {level}: {finding.where}: {finding.problem}")
                    if finding.advice:
                        lines.append(f"      {finding.advice}")
        return "\n".join(lines)
