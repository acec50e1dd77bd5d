"""`lanjie train sms` as a user calls it, on a small invented set, and what its model then does in the engine."""

import csv
import gzip
import json
import lzma
import random
import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest
from click.testing import CliRunner

from detectors.engine import Engine, Snapshot
from detectors.lists import NumberIndex
from detectors.model.decision import Action, Evidence
from detectors.model.events import SmsEvent
from detectors.policy import Policy
from detectors.rulepack import load_rules
from detectors.score import Parameters, ScoreModel
from detectors.score.clusters import folds
from stream import training
from stream.cli import main
from stream.labelled import Labelled
from stream.model_files import read_model
from stream.training_report import wilson

T0 = 1_790_000_000_000
LURES = ("转账到指定账户解冻资金", "点击链接领取补贴款项", "缴纳保证金即可放款", "账户异常速联系客服处理")
CHAT = ("晚上一起去公园散步吧", "明天开会记得带上材料", "妈妈让你周末回家吃饭", "快递放在门口的柜子里")
#: A lure in words that no shipped rule looks for.
NOVEL = "同学群里发的花海照片缴纳保证金即可放款真好看啊"

#: Without the one ham, there is none to learn from.
LONELY = '{"text":"贷款办理请加微信","label":"fraud"}\n' * 9 + '{"text":"今天天气不错啊朋友","label":"ham"}\n'


def made(count, seed, lures):
    """Positive and negative texts with chance characters around, so that no two are near-duplicates."""
    rng = random.Random(seed)
    noise = [chr(c) for c in range(0x4E00, 0x4E00 + 2000)]
    return ["".join([*rng.choices(noise, k=12), rng.choice(lures), *rng.choices(noise, k=12)]) for _ in range(count)]


def row(text, label, kind):
    return json.dumps({"text": text, "label": label, "class": kind}, ensure_ascii=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder with the data, the model and the report."""
    folder = tmp_path_factory.mktemp("trained")
    lures, chat = made(240, 1, LURES), made(480, 2, CHAT)
    lines = [row(text, "fraud", "loan") for text in lures[:200]] + [row(text, "ham", "chat") for text in chat[:300]]
    lines += ["no json", row("x" * 20, "nonsense", ""), row(" ", "ham", ""), '{"text": 7, "label": "ham"}']
    (folder / "one.jsonl.xz").write_bytes(lzma.compress("\n".join(lines).encode()))
    with gzip.open(folder / "two.csv.gz", "wt", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["label", "text"])
        writer.writerows(["illegal", text] for text in lures[200:])
        writer.writerows(["ad", f"{text},\n{text}"] for text in chat[300:])
        writer.writerow(["ad"])
    done = lanjie("train", "sms", folder / "one.jsonl.xz", folder / "two.csv.gz", "--out", folder / "m", "--json",
                  "--licence", "CC0, invented", "--seed", 3)  # fmt: skip
    assert done.exit_code == 0, done.output
    return folder, json.loads(done.stdout), done.stderr


def lanjie(*args):
    return CliRunner().invoke(main, [str(arg) for arg in args])


def test_bad_rows_are_named_counted_and_left_out(trained):
    folder, report, errors = trained
    assert (report["rows"], report["positive"], report["refused"]) == (720, 240, 5)
    for place in (":501: ", ":502: $.label: 'nonsense'; expected ad, fraud, ham", ":503: $.text: empty", ":504: "):
        assert f"{folder}/one.jsonl.xz{place}" in errors
    assert f"{folder}/two.csv.gz:402: 1 cells; expected 2" in errors
    assert "xxxx" not in errors


def test_the_report_is_by_split_source_and_class(trained):
    _, report, _ = trained
    assert set(report["splits"]) == {"row", "cluster", "source"}
    cluster = report["splits"]["cluster"]
    share, low, high = cluster["all"]["recall"]
    assert 0.9 < low <= share <= high <= 1
    assert cluster["all"]["false_alarms"][0] <= 0.001
    assert {name: found["n"] for name, found in cluster["sources"].items()} == {"one": 500, "two": 220}
    assert {name: found["n"] for name, found in cluster["sources"]["one"]["classes"].items()} == {
        "loan": 200,
        "chat": 300,
    }
    assert sum(tenth["n"] for tenth in cluster["calibration"]) == 720
    assert 0 <= cluster["brier"] < 0.05
    assert 0.5 <= report["threshold"] <= 1


def test_the_model_file_says_where_it_comes_from(trained):
    folder, report, _ = trained
    model = read_model(folder / "m")
    assert model.version == report["model"]
    assert model.made.licence == "CC0, invented"
    assert model.made.sources == {"one": {"fraud": 200, "ham": 300}, "two": {"ad": 180, "illegal": 40}}
    assert model.made.report["splits"] == report["splits"]
    assert model.parameters.threshold == report["threshold"]


def test_the_same_rows_and_seed_give_the_same_model(trained):
    folder, report, _ = trained
    again = lanjie("train", "sms", folder / "one.jsonl.xz", folder / "two.csv.gz", "--out", folder / "n", "--seed", 3)
    assert again.exit_code == 0, again.output
    assert report["model"] in again.stdout
    assert "near-duplicates together" in again.stdout
    assert "licence of the data: not stated" in again.stderr


@pytest.mark.parametrize(
    ("content", "options", "problem"),
    [
        ('{"text":"a","label":"ham"}\n', (), "0 of 1 rows are positive"),
        ("{}\n", (), "no usable row"),
        ('{"text":"a","label":"fraud"}\n' * 9, ("--positive", "ham,spam"), "0 of 9 rows are positive"),
        (LONELY, (), "one class is empty"),
    ],
)  # fmt: skip
def test_rows_that_do_not_suffice_are_refused(tmp_path, content, options, problem):
    (tmp_path / "d.jsonl").write_text(content)
    done = lanjie("train", "sms", tmp_path / "d.jsonl", "--out", tmp_path / "m", *options)
    assert done.exit_code == 1
    assert problem in done.stderr
    assert not (tmp_path / "m").exists()


def test_a_csv_without_its_columns_is_refused(tmp_path):
    (tmp_path / "d.csv").write_text("message,label\nhello,ham\n")
    done = lanjie("train", "sms", tmp_path / "d.csv", "--out", tmp_path / "m")
    assert "d.csv:1: header ['message', 'label']; expected the columns text and label" in done.stderr


def test_without_scikit_learn_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.linear_model", None)
    with pytest.raises(training.TrainingError, match=r"pip install lanjie\[train\]"):
        training.fit([Labelled("s", "fraud", "", "text")])


def sms(text, **kwargs):
    return SmsEvent(id="s", time=T0, a_number="13800000000", b_number="13900000000", text=text, **kwargs)


def test_replay_and_explain_use_it(trained, tmp_path):
    folder, report, _ = trained
    event = {"kind": "sms", "id": "s", "time": T0, "a_number": "13800000000", "b_number": "13900000000", "text": NOVEL}
    (tmp_path / "log").write_text(json.dumps(event))
    assert lanjie("replay", tmp_path / "log", "-o", tmp_path / "without").exit_code == 0
    done = lanjie("replay", tmp_path / "log", "-o", tmp_path / "with", "--model", folder / "m")
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "without").read_bytes())["action"] == "allow"
    decision = json.loads((tmp_path / "with").read_bytes())
    (reason,) = decision["reasons"]
    assert (decision["action"], decision["score"]) == ("warn", 40)
    assert (reason["code"], reason["version"], reason["detail"][:2]) == ("MESSAGE_SCORE", report["model"], "p=")
    page = lanjie("explain", tmp_path / "log", "--model", folder / "m")
    assert "MESSAGE_SCORE" in page.output
    damaged = lanjie("replay", tmp_path / "log", "--model", tmp_path / "log")
    assert (damaged.exit_code, "expected b'LANJIE-MODEL" in damaged.stderr) == (1, True)


def test_scoring_needs_no_scikit_learn(trained):
    folder, _, _ = trained
    code = (
        "import sys; from pathlib import Path; from stream.model_files import read_model;"
        "from detectors.engine import Snapshot, Engine; from detectors.lists import NumberIndex;"
        "from detectors.rulepack import load_rules; from stream.wire import decode_event;"
        f"model = read_model(Path({str(folder / 'm')!r}));"
        "engine = Engine(Snapshot.build(load_rules(), NumberIndex(), model));"
        f"print(engine.decide([decode_event({json.dumps(event_of(NOVEL)).encode()!r})])[0].action);"
        "print(sorted(name for name in sys.modules if name.partition('.')[0] in ('sklearn', 'scipy')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["warn", "[]"]


def event_of(text):
    return {"kind": "sms", "id": "s", "time": T0, "a_number": "13800000000", "b_number": "13900000000", "text": text}


def always():
    """A model that is certain of every message."""
    return ScoreModel(np.zeros(1 << 12, np.int16), Parameters(scale=1.0, bias=9.0, bits=12))


def test_alone_it_warns_and_never_more():
    policy = Policy(load_rules())
    for count in (1, 2, 50):
        verdict = policy.judge([Evidence("MESSAGE_SCORE", "message-score", "1")] * count, protected=False)
        assert verdict.action is Action.WARN
    engine = Engine(Snapshot.build(load_rules(), NumberIndex(), always()))
    (decision,) = engine.decide([sms("明天开会记得带上材料哦谢谢")])
    assert (decision.action, [reason.code for reason in decision.reasons]) == ("warn", ["MESSAGE_SCORE"])
    (decision,) = engine.decide([sms("好的")])
    assert decision.action == "allow", "too short to say anything"


def test_with_other_signs_it_adds_up_and_never_makes_a_block():
    rules = load_rules()
    policy = Policy(rules)
    specs = rules.policy.symbols
    others = [code for code, spec in specs.items() if code != "MESSAGE_SCORE" and spec.group != "list"]
    for pair in combinations(others[:60], 2):
        signs = [Evidence(code, code, "1") for code in ("MESSAGE_SCORE", *pair)]
        assert policy.judge(signs, protected=False).action < Action.BLOCK, "that takes a list"
    both = [Evidence(c, c, "1") for c in ("MESSAGE_SCORE", "TEXT_EVASION")]
    assert policy.judge(both, protected=False).action is Action.CHALLENGE


def test_near_misses_of_the_model_are_explained():
    shy = ScoreModel(np.zeros(1 << 12, np.int16), Parameters(scale=1.0, bias=0.0, bits=12, threshold=0.7))
    seen = Engine(Snapshot.build(load_rules(), NumberIndex(), shy)).examine(sms("明天开会记得带上材料哦谢谢"))
    assert [(n.code, n.lacks) for n in seen.near if n.code == "MESSAGE_SCORE"] == [
        ("MESSAGE_SCORE", "p=0.500, expected 0.700")
    ]


def test_near_duplicates_are_never_on_both_sides_of_a_fold():
    bases = [text for both in zip(made(30, 5, LURES), made(30, 6, CHAT), strict=True) for text in both]
    texts = [f"{base}{digits}" for base in bases for digits in range(4)]
    rows = [Labelled("s", "fraud" if i % 8 < 4 else "ham", "", text) for i, text in enumerate(texts)]
    fitted = training.fit(rows, folds=3)
    assert all(len(set(fitted.clusters[i : i + 4].tolist())) == 1 for i in range(0, len(texts), 4))
    fold_of = folds(fitted.clusters, 3, 0)
    assert all(len(set(fold_of[i : i + 4].tolist())) == 1 for i in range(0, len(texts), 4))


def test_masks_are_read_as_a_phone_would_show_them():
    assert training.stand_in("尾号DIGIT请登录URL或致电CELLPHONE，NAME") == "尾号0请登录http0或致电0，"
    assert training.stand_in("DIGITAL xxxx元") == "DIGITAL 0元"


def test_wilson_s_interval():
    assert wilson(0, 0) is None
    assert wilson(8, 10) == pytest.approx([0.8, 0.49016, 0.94331], abs=1e-4)
    assert wilson(0, 10)[:2] == [0, 0]


def test_the_model_does_not_take_the_place_of_its_data(tmp_path):
    data = tmp_path / "data.jsonl"
    data.write_text('{"text": "你好", "label": "ham"}\n')
    for out, says in ((data, "it would be overwritten"), (tmp_path / "no" / "m", "there is no folder")):
        result = CliRunner().invoke(main, ["train", "sms", str(data), "--out", str(out)])
        assert result.exit_code == 2
        assert says in result.output
    assert data.read_text().startswith('{"text"')
