"""The report: what the runs left behind, as tables, figures and one self-contained page."""
