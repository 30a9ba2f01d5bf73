"""The data usability report as one HTML file that needs nothing else."""

from pathlib import Path
from typing import Any

from features import __version__
from features.finding import SEVERITIES
from features.page import templates, write_whole
from features.population import POPULATIONS
from features.usability.report import STEPS, Usability
from features.usability.sufficiency import VERDICTS
from features.usability.timing import Volume

CHART_WIDTH, CHART_HEIGHT = 1000.0, 60.0
FILTERS: dict[str, Any] = {"whole": "{:,}".format, "share": "{:.1%}".format, "days": "{:,.1f}".format}


def write_page(report: Usability, file: Path) -> Path:
    """Write the report.

    Parameters
    ----------
    report : Usability
        Of a profile, valid or not.
    file : Path
        The HTML file; made whole or not at all.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    OutputUnwritable
        If the file cannot be written.
    """
    text = (
        templates(Path(__file__).with_name("templates"), **FILTERS)
        .get_template("usability.html.j2")
        .render(
            report=report,
            steps=STEPS,
            by_step=report.by_step(),
            tallies={s: sum(finding.severity == s for finding in report.findings) for s in SEVERITIES},
            left_out=any(count.read > count.used for count in report.counts.values()),
            verdicts=VERDICTS,
            populations=POPULATIONS,
            charts=[(volume, _bars(volume)) for volume in report.volumes],
            chart_width=CHART_WIDTH,
            chart_height=CHART_HEIGHT,
            package_version=__version__,
        )
    )
    return write_whole(file, text)


def _bars(volume: Volume) -> list[dict[str, float]]:
    """One bar a week, the busiest as high as the chart."""
    width, top = CHART_WIDTH / len(volume.weeks), max(volume.weeks)
    heights = [CHART_HEIGHT * rows / top for rows in volume.weeks]
    return [
        {
            "x": round(i * width, 2),
            "y": round(CHART_HEIGHT - height, 2),
            "width": round(width * 0.85, 2),
            "height": round(height, 2),
        }
        for i, height in enumerate(heights)
    ]
