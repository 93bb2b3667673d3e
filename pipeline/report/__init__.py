"""The report: pure functions from the records of the other stages to words, figures and one page."""
