"""report: everything that was recorded, as one page that opens without a network."""

from __future__ import annotations

from pathlib import Path

from pipeline.artifacts import make_dir, published_dir, stage_dir, write_bytes
from pipeline.schema.evaluate import EvaluateConfig
from pipeline.schema.report import ReportConfig
from pipeline.stages.entry import read_params, run_stage, section


def run() -> None:
    """Write index.html and figures/*.png."""
    from pipeline.report.page import rendered

    params = read_params()
    config, evaluate = section(params, "report", ReportConfig), section(params, "evaluate", EvaluateConfig)
    place = stage_dir("report")
    print(f"report: draws the figures and writes {place}/index.html", flush=True)
    html, figures = rendered(Path(), config, evaluate.calibration_bins)
    with published_dir(place) as folder:
        write_bytes(folder / "index.html", html.encode())
        make_dir(folder / "figures")
        for name, png in figures.items():
            write_bytes(folder / "figures" / f"{name}.png", png)


if __name__ == "__main__":
    run_stage("report", run)
