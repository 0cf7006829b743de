"""What readers leave out of documents is shown by the command, its JSON, the doctor and the app, in both languages."""

import json

import pytest
from typer.testing import CliRunner

from quarry.app.cli import cli
from quarry.app.doctor import examine
from quarry.app.ui.index.presenter import check_rows
from quarry.app.ui.search.presenter import filter_menus
from tests.app.ui.languages import chinese, english
from tests.field.test_pdf_files import DRAWN, PICTURE, pdf, words


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("scans")
    pages = [(words("The winch is oiled every spring and again before the first frost of the year."), ""), (DRAWN, "")]
    (made / "winch.pdf").write_bytes(pdf(pages, [PICTURE]))
    return made


@pytest.fixture(scope="module")
def index(folder, tmp_path_factory):
    target = tmp_path_factory.mktemp("index") / "ix"
    done = CliRunner().invoke(cli, ["index", str(folder), "--into", str(target), "--model", "none", "-q"])
    assert done.exit_code == 0, done.output
    assert "left out of what was read: 1 page that is a picture" in done.output
    assert "1 partly read" in done.output
    return target


def test_the_report_as_json_counts_what_was_left_out_also_when_nothing_has_changed(folder, index):
    done = CliRunner().invoke(cli, ["index", str(folder), "--into", str(index), "-q", "--json"])
    report = json.loads(done.stdout)
    assert not report["switched"]
    assert report["left_out"] == {"scanned_pages": 1}


def test_the_doctor_warns_of_a_loss_and_names_the_command(index):
    (check,) = [one for one in examine(index) if one.name == "left out"]
    assert check.severity == "warning"
    assert check.remedy == f"quarry index PATH --into {index} --ocr"


@pytest.mark.parametrize(
    ("say", "name", "found"),
    [(english, "left out", "1 page that is a picture"), (chinese, "未读取的部分", "1 页是图片")],
)
def test_the_page_of_the_index_shows_it_in_its_language(index, say, name, found):
    rows = check_rows([one for one in examine(index) if one.name == "left out"], say)
    assert name in rows[0].values()
    assert any(found in value for value in rows[0].values())


def test_counts_and_times_are_nothing_to_choose_by():
    values = [("1 pictures", 3), ("2 pictures", 1)]
    assert filter_menus({"left_out": values, "times": values, "sender": values}) == {"sender": dict(values)}
