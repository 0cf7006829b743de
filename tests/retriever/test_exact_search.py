"""Exact matches through every stage of a search: identifiers, codes and quoted phrases that one passage holds are in the first three.

The corpus speaks of printers, as the questions do; each string stands once, in a passage about gardens that nothing else would find.
"""

import pytest

from quarry.app.wiring import choose_model
from quarry.indexer.build import index_documents
from quarry.indexer.build.plan import BuildOptions
from quarry.indexer.language import language_of
from quarry.indexer.models import offline_bundle
from quarry.indexer.records import Document
from quarry.retriever.searcher import Searcher, SearchOptions
from tests.fakes import WordEmbedder

# what a passage holds, and the question
VARIANTS = [
    ("PRN-4711", "what does PRN-4711 mean for the printer handbook"),
    ("prn_drum_worn", "why prn_drum_worn printers"),
    ("config.prod.yaml", "where is config.prod.yaml for printers"),
    ("v2.13.4", "what changed in v2.13.4 of the printer"),
    ("2.13.5", "printers version 2.13.5"),
    ("0x8007045D", "printer 0x8007045D"),
    ("0xC0000005", "0xc0000005 printers"),
    ("ORA-00942", "ORA-00942 printer page"),
    ("HTTP/1.1", "printers over HTTP/1.1"),
    ("/etc/hosts.allow", "what is /etc/hosts.allow on printers"),
    ("C:\\Windows\\System32", "printers C:\\Windows\\System32"),
    ("src/main/App.java", "src/main/App.java printers"),
    ("std::vector", "std::vector and printers"),
    ("NullPointerException", "NullPointerException in printers"),
    ("getUserById", "getUserById printers"),
    ("BGE-M3", "BGE-M3 printers"),
    ("SKU-6678-B", "printers SKU-6678-B"),
    ("RFC 2119", "printers rfc 2119"),
    ("ISO/IEC 27001", "iso/iec 27001 printers"),
    ("GB/T 7714-2015", "打印机 GB/T 7714-2015"),
    ("华为P40", "打印机 华为P40"),
    ("小米13Pro", "打印机 小米13Pro 价格"),
    ("型号：HX-200A", "打印机 HX-200A 说明"),
    ("错误代码 1045", "打印机 错误代码 1045"),
    ("错误 80070005", "打印机错误80070005"),
    ("编号20231188", "打印机 编号20231188"),
    ("KB5034441", "KB5034441 printer"),
    ("CVE-2024-3094", "printers CVE-2024-3094"),
    ("3.5mm", "printers with 3.5mm"),
    ("AC1200", "AC1200 printers"),
    ("e4d909c290d0fb1c", "printers e4d909c290d0fb1c"),
    ("192.168.0.254", "printers 192.168.0.254"),
    ("user@example.org", "printers user@example.org"),
    ("ＡＢＣ－４７１２", "printers ABC-4712"),
    ("ABD-4713", "打印机 ＡＢＤ－４７１３"),
    ("版本３．２．１", "打印机 版本3.2.1"),
    ("#FF8800", "printers #FF8800"),
    ("$HOME", "printers $HOME"),
    ("--no-cache-dir", "printers --no-cache-dir"),
    ("a1b2c3d", "commit a1b2c3d printers"),
    ("E-1207", "printer shows E-1207"),
    ("E1208", "printer shows E1208"),
    ("err.disk.full", "printers err.disk.full"),
    ("ERR_DISK_28", "printers ERR_DISK_28"),
    ("C++17", "printers C++17"),
    ("C#", "printers in C#"),
    ("no space left on device", 'printers "no space left on device"'),
    ("out of paper tray", "printers “out of paper tray”"),
    ("low toner state", "printers ‘low toner state’"),
    ("worn drum unit", "printers „worn drum unit“"),
    ("fuser is cold", "printers «fuser is cold»"),
    ("量子纠缠态", "打印机 “量子纠缠态”"),
    ("墨粉不足警告", "打印机 「墨粉不足警告」"),
    ("硒鼓寿命已尽", "打印机 『硒鼓寿命已尽』"),
    ("纸盒未插入", "打印机 《纸盒未插入》"),
    ("卡纸检测器", '打印机 "卡纸检测器"'),
    ("it's jammed", 'printers "it\'s jammed"'),
    ("定影器过热", "打印机 ＂定影器过热＂"),
    ("Xq7", "Xq7 printers"),
    ("T-800", "T-800 printers"),
    ("x86_64", "x86_64 printers"),
    ("π-calculus", 'printers "π-calculus"'),
    ("node.js", "printers node.js"),
    (".gitignore", "printers .gitignore"),
    ("Ctrl+Alt+Del", "printers Ctrl+Alt+Del"),
    ("A/B-42", "printers A/B-42"),
    ("978-7-04-012345-6", "图书 978-7-04-012345-6 打印机"),
    ("粤B·12345", "车牌 粤B·12345 打印机"),
    ("TX－９０", "打印机 TX-90"),
    ("第G7-x号", "打印机 G7-x"),
    ("5G-A", "5G-A 打印机"),
    ("Ⅳ-22", "printers IV-22"),
]
OFFLINE = pytest.param(
    "offline",
    marks=[
        pytest.mark.model,
        pytest.mark.skipif(not offline_bundle.is_installed(), reason="needs the offline model"),
    ],
)


def _documents(languages: str) -> list[Document]:
    english = [
        Document(
            f"p{n}.md",
            f"printers and printer pages of the handbook, part {n}: printers print, a printer needs paper and a version of commit "
            "mean shows changed.",
            f"Printers {n}",
        )
        for n in range(60)
    ]
    chinese = [
        Document(
            f"z{n}.md", f"打印机说明书第{n}页：打印机需要纸张，打印机的价格、图书、车牌与编号说明。", f"打印机 {n}"
        )
        for n in range(60)
    ]
    gardens = [
        Document(
            f"v{n}.md",
            f"关于花园与浇水的另一篇文章，其中出现 {string} 一次，其余内容讨论番茄、黄瓜、土壤和季节的变化以及怎样施肥。"
            if languages == "both" and (language_of(string) == "zh" or n % 3 == 0)
            else f"An article on gardens and watering, where {string} occurs once; all else is tomatoes, soil, seasons and how to "
            "prune roses in a cold climate.",
            f"Garden {n}",
        )
        for n, (string, _) in enumerate(VARIANTS)
    ]
    return [*english, *gardens, *(chinese if languages == "both" else [])]


@pytest.fixture(scope="module", params=["one", "both", OFFLINE])
def searcher(request, tmp_path_factory):
    """Indexes of one and of two languages with vectors of words, and one of two with titles, token states and the offline model."""
    offline = request.param == "offline"
    embedder = choose_model("auto", device="cpu").embedder if offline else WordEmbedder(dim=128)
    root = tmp_path_factory.mktemp("exact") / "index"
    documents = _documents("one" if request.param == "one" else "both")
    index_documents(root, documents, embedder, BuildOptions(rerank_vectors=offline))
    return Searcher.open(root, embedder=embedder)


@pytest.mark.parametrize(("string", "question"), VARIANTS)
def test_the_passage_that_holds_it_is_among_the_first_three(searcher, string, question):
    options = SearchOptions(dense_budget_ms=1e7, rerank_budget_ms=1e7)
    first = searcher.search(question, 3, options).results
    place = [held for held, _ in VARIANTS].index(string)
    assert f"v{place}.md" in [result.doc_id for result in first]


@pytest.mark.parametrize("searcher", [OFFLINE], indirect=True)
def test_the_offline_index_has_every_stage(searcher):
    assert searcher.pipeline.late is not None
    assert searcher.pipeline.languages is not None
    assert searcher.index.names is not None
