import os

from pipeline.report.outdated import mark, marked, unmark

PAGE = "<html><body>\n<main>\n<header>A verdict</header></main></body></html>"


def test_a_page_is_marked_once():
    once = marked(PAGE, "It ended with exit code 3")
    assert "This page is of an earlier run" in once
    assert "It ended with exit code 3. Data" in once
    again = marked(once, "It ended with <b>")
    assert again.count("This page is of an earlier run") == 1
    assert "&lt;b&gt;" in again
    assert "exit code 3" not in again
    assert "<code>df -h</code> says" in marked(PAGE, "`df -h` says")


def test_a_page_is_given_back_as_it_was(tmp_path):
    page = tmp_path / "index.html"
    unmark(page)
    page.write_text(PAGE)
    mark(page, "It ended")
    unmark(page)
    unmark(page)
    assert page.read_text() == PAGE


def test_a_file_that_shares_its_bytes_is_left_alone(tmp_path):
    page, cached = tmp_path / "index.html", tmp_path / "cached"
    mark(page, "nothing there")
    assert not page.exists()
    cached.write_text(PAGE)
    os.link(cached, page)
    mark(page, "It ended")
    assert cached.read_text() == PAGE
    assert "It ended" in page.read_text()
