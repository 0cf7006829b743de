"""Long tables: rows far below still know their column heads, in every format."""

import pytest

from quarry.indexer.build.cutting.chunking import ChunkSpec, split
from quarry.indexer.build.cutting.table_heads import TableHeads
from quarry.indexer.models.token_spans import ScriptTokens
from quarry.indexer.records import passage_text
from tests.field.reading import document

HEADS = ("站点", "流域面积", "硝酸盐 mg/l")
ROWS = [(f"Alder {n}", str(n * 3), str(n + 40)) for n in range(120)]


def write_csv(path):
    path.write_text("\n".join(",".join(row) for row in (HEADS, *ROWS)) + "\n", encoding="utf-8")


def write_semicolons(path):
    path.write_text("\n".join(";".join(row) for row in (HEADS, *ROWS)) + "\n", encoding="utf-8")


def write_markdown(path):
    rows = [HEADS, ("---",) * 3, *ROWS]
    path.write_text("# 测站\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n\n完。\n", encoding="utf-8")


def write_html(path):
    rows = ["".join(f"<td>{cell}</td>" for cell in row) for row in (HEADS, *ROWS)]
    path.write_text(f"<table>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>", encoding="utf-8")


def write_word(path):
    from docx import Document

    word = Document()
    word.add_heading("测站", 1)
    table = word.add_table(0, 3)
    for row in (HEADS, *ROWS):
        for cell, text in zip(table.add_row().cells, row, strict=True):
            cell.text = text
    word.save(path)


def write_excel(path):
    from openpyxl import Workbook

    book = Workbook()
    for row in (("2024 年测站一览", None, None), HEADS, *ROWS):
        book.active.append(row)
    book.active.merge_cells("A1:C1")
    book.save(path)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.csv", write_csv),
        ("b.csv", write_semicolons),
        ("a.md", write_markdown),
        ("a.html", write_html),
        ("a.docx", write_word),
        ("a.xlsx", write_excel),
    ],
)
def test_every_passage_of_a_long_table_has_the_column_heads(tmp_path, name, write):
    write(tmp_path / name)
    table = document(tmp_path / name)
    chunks = split(table, ChunkSpec(160, 32), ScriptTokens())
    rows = [chunk for chunk in chunks if "Alder" in chunk.text]
    assert len(rows) > 3
    for chunk in rows:
        shown = passage_text(table.title, chunk.heading, chunk.text)
        assert all(head in shown for head in HEADS), shown[:200]
        assert chunk.text == table.text[chunk.start : chunk.end]


def heads(text, place):
    return TableHeads(text, "docx").above(text.index(place), "")


def test_groups_of_columns_and_their_names_are_both_heads():
    text = "Zone | Price | Price\nZone | 2 kg | 5 kg\n" + "".join(f"North {n} | {n} | {n + 5}\n" for n in range(9))
    assert heads(text, "North 5") == "Zone | Price | Price / Zone | 2 kg | 5 kg"


def test_rows_of_numbers_are_no_heads_and_years_are():
    assert heads("1 | 2\n" * 3 + "7 | 8\n9 | 9\n", "7 |") == ""
    assert (
        heads("Region | 2023 | 2024\n" + "North | 1 | 2\n" * 3 + "South | 3 | 4\n", "South") == "Region | 2023 | 2024"
    )


def test_text_below_a_table_has_no_column_heads():
    text = "Berth | Depth\n" + "Seven | 4 m\n" * 6 + "\nThe quay is closed."
    assert heads(text, "The quay") == ""
    assert TableHeads(text, "docx").above(text.index("The quay"), "Harbour") == "Harbour"


def test_the_heads_of_a_very_wide_table_are_cut_at_a_column():
    names = [f"column number {n}" for n in range(200)]
    text = " | ".join(names) + "\n" + "x | y\n" * 6 + "far | away\n"
    head = heads(text, "far |")
    assert len(head) <= 400
    assert head.split(" | ")[-1] in names


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "2024 年测站一览,,\n\n站点,流域面积,硝酸盐\n" + "\n".join(f"Alder {n},{n},{n}" for n in range(90))),
        ("a.tsv", "站点\t流域面积\t硝酸盐\n" + "\n".join(f"Alder {n}\t{n}\t{n}" for n in range(90))),
        ("a.md", "站点|流域面积|硝酸盐\n---|:--:|---\n" + "\n".join(f"Alder {n}|{n}|{n}" for n in range(90))),
        (
            "b.md",
            "站点 | 流域面积 | 硝酸盐\n--- | --- | ---\n" + "\n".join(f"Alder {n} | {n} | {n}" for n in range(90)),
        ),
    ],
)
def test_heads_are_found_below_a_title_and_without_bars_at_the_edges(tmp_path, name, text):
    (tmp_path / name).write_text(text + "\n", encoding="utf-8")
    table = document(tmp_path / name)
    last = split(table, ChunkSpec(160, 32), ScriptTokens())[-1]
    assert "Alder 89" in last.text
    assert last.heading.endswith("站点 | 流域面积 | 硝酸盐")


def test_two_bars_in_prose_make_no_table():
    text = "a|b\nc|d\ne|f\ng|h\ni|j\n"
    assert TableHeads(text, "markdown").above(len(text) - 4, "") == ""
