"""How tests of what a page says keep it from drawing all figures."""

from collections.abc import Sequence

import pytest

from benchmarks.report.figures import PLANS, FigurePlan


def draw_only(monkeypatch: pytest.MonkeyPatch, plans: Sequence[FigurePlan] = PLANS[:1]) -> None:
    """Draw these figures on a page, since all take seconds and say nothing that is asked for."""
    monkeypatch.setattr("benchmarks.report.page.PLANS", plans)
