"""Settings: where they are given, which of two wins, what is refused and how, and that all docs are one."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from detectors.lists import ListKind
from stream.given import CONFIG, PREFIX, given, in_file
from stream.kafka import Security
from stream.settings import ListFile, Settings, SettingsError, known, variable
from stream.settings_shown import DEFAULT, as_toml, readme_table, rows

README = Path(__file__).parents[2] / "stream" / "README.md"


class Config:
    """A TOML file, and a variable that names it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "lanjie.toml"

    def __call__(self, text: str, **environ: str) -> Settings:
        self.path.write_text(text)
        return Settings.from_env({CONFIG: str(self.path), **environ})

    def refused(self, text: str, **environ: str) -> str:
        with pytest.raises(SettingsError) as refused:
            self(text, **environ)
        return str(refused.value).replace(str(self.path), "lanjie.toml")


def refused(name: str, text: str) -> str:
    """What is said of one value, given as a variable."""
    with pytest.raises(SettingsError) as raised:
        Settings.from_env({variable(name): text})
    return str(raised.value)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(tmp_path)


def test_the_environment_wins_over_the_file_and_the_file_over_defaults(config: Config):
    found = config('group = "file"\npartitions = 7\n', LANJIE_GROUP="environment")
    assert (found.group, found.partitions, found.replication) == ("environment", 7, 1)


def test_every_type_is_written_as_toml_has_it(config: Config, tmp_path: Path):
    (tmp_path / "ca.pem").touch()
    found = config(
        'bootstrap = ["a:1", "b:2"]\nlists = ["grey:/g.csv", "/b.csv"]\nupdates = false\nrecovery_seconds = 2\n'
        f'kafka_security = "ssl"\nkafka_ca = "{tmp_path}/ca.pem"\nshutdown_seconds = 7.5\n'
    )
    assert found.bootstrap == "a:1,b:2"
    assert found.lists == (ListFile(Path("/g.csv"), ListKind.GREY), ListFile(Path("/b.csv")))
    assert (found.updates, found.recovery_seconds, found.shutdown_seconds) == (False, 2.0, 7.5)
    assert found.kafka.ca == tmp_path / "ca.pem"


def test_an_empty_variable_undoes_the_file_where_nothing_is_the_default(config: Config):
    text = 'lists = ["/b.csv"]\ninstance = "one"\nmarket = "cn"\ngroup = "g"\n'
    found = config(text, LANJIE_LISTS="", LANJIE_INSTANCE="", LANJIE_MARKET="")
    assert (found.lists, found.instance, found.market) == ((), "", "")
    assert config.refused(text, LANJIE_GROUP="") == (
        "LANJIE_GROUP='': expected letters, digits, dots, dashes and underscores"
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "\ngruop = 'x'\n",
            "lanjie.toml:2: gruop: no such setting, perhaps group; `lanjie config --toml` shows them all",
        ),
        ("partitions = 70000", "lanjie.toml:1: partitions='70000': expected a whole number from 1 to 10000"),
        ("# hello\n\n'partitions' = 0", "lanjie.toml:3: partitions='0': expected a whole number from 1 to 10000"),
        ("partitions = true", "lanjie.toml:1: partitions='on': expected a whole number from 1 to 10000"),
        ("market = [1]", "lanjie.toml:1: market: expected the name of a market in responses.toml, such as generic, "),
        ("market = 2026-01-01", "lanjie.toml:1: market: expected the name of a market"),
        ("[kafka]\nuser = 'u'", "lanjie.toml:1: kafka: expected `name = value` lines without sections"),
        ("kafka.user = 'u'", "lanjie.toml:1: kafka: expected `name = value` lines without sections"),
        ("group = 'a'\ngroup = 'b'", "lanjie.toml:2: is no TOML: Cannot overwrite a value"),
        ("group = x\n#", "lanjie.toml:1: is no TOML: Invalid value"),
        ("group = ", "lanjie.toml:1: is no TOML: Invalid value"),
        (
            "kafka_user = 'u'",
            "LANJIE_KAFKA_USER=u: LANJIE_KAFKA_SECURITY=PLAINTEXT would not use it; expected SASL_SSL",
        ),
    ],
)
def test_what_cannot_be_used_is_told_with_its_place(config: Config, text: str, said: str):
    told = config.refused(text)
    assert told.startswith(said)
    assert "\n" not in told


def test_a_setting_that_does_not_fit_names_the_line_it_is_on(config: Config):
    told = config.refused("group = 'g'\nkafka_user = 'u'")
    assert told.endswith("(lanjie.toml:2: kafka_user)")


def test_a_line_inside_a_longer_text_is_not_taken_for_the_setting(config: Config):
    text = 'checkpoints = """\npartitions = 1\n"""\nlists = [\n"partitions = 2",\n]\npartitions = 0\n'
    assert config.refused(text).startswith("lanjie.toml:7: partitions='0'")


@pytest.mark.parametrize("secret", ["kafka_password_file", "kafka_key", "key"])
def test_a_secret_in_the_place_of_its_file_is_not_shown(config: Config, secret: str):
    told = config.refused(f"{secret} = 'swordfish'")
    assert told.startswith(f"lanjie.toml:1: {secret}=...: expected a file that is there")


def test_a_file_that_cannot_be_read(config: Config, tmp_path: Path):
    with pytest.raises(SettingsError, match=r"nowhere: No such file or directory; expected a TOML file of settings"):
        Settings.from_env({CONFIG: str(tmp_path / "nowhere")})
    config.path.write_bytes(b"group = '\xff'")
    with pytest.raises(SettingsError, match=r"lanjie.toml: is not UTF-8; expected a TOML file of settings"):
        Settings.from_env({CONFIG: str(config.path)})


@pytest.mark.parametrize(
    ("name", "nearest"), [("LANJIE_GROPU", "LANJIE_GROUP"), ("LANJIE_METRIC_PORT", "LANJIE_METRICS_PORT")]
)
def test_an_unknown_variable_is_refused_with_the_nearest_known(name: str, nearest: str):
    with pytest.raises(SettingsError) as refused:
        Settings.from_env({name: "9464"})
    assert str(refused.value) == f"{name}: no such setting, perhaps {nearest}; `lanjie config` lists them"


def test_variables_of_others_are_left_alone():
    links = {  # what Kubernetes puts into every container of a namespace with such services
        "LANJIE_SERVICE_HOST": "10.0.0.1",
        "LANJIE_SERVICE_PORT_METRICS": "9464",
        "LANJIE_PORT": "tcp://10.0.0.1:9464",
        "LANJIE_PORT_9464_TCP": "tcp://10.0.0.1:9464",
        "LANJIE_WORKER_SERVICE_PORT": "9464",
        "LANJIE_WORKER_PORT_9464_TCP_ADDR": "10.0.0.1",
    }
    others = {"LANJIE_DATA": "/data", "LANJIE_IMAGE": "lanjie:0.1.0", "PATH": "/bin", "OTHER_GROUP": "x"}
    assert Settings.from_env(links | others) == Settings()


@pytest.mark.parametrize(
    "endpoint",
    [
        "collector:4318",
        "http://",
        "http://svc:swordfish@c:4318",
        "ftp://c:4318",
        "http://c:4318?a=b",
        "http://c d:4318",
        "http://c:99999",
        "http://c:4318/v1/traces",  # the path is put to it
        "http://c:4318//",
    ],
)
def test_no_endpoint(endpoint: str):
    assert refused("otlp_endpoint", endpoint) == (
        "LANJIE_OTLP_ENDPOINT=...: expected http://host:port or https://host:port of a collector, "
        "without a path, user and password"
    )


@pytest.mark.parametrize("endpoint", ["https://c:4318", "https://c:4318/", "http://[::1]:4318"])
def test_an_endpoint(endpoint: str):
    assert Settings.of({"otlp_endpoint": endpoint}).otlp_endpoint == endpoint.removesuffix("/")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("metrics_host", "", "an address of this machine"),
        ("metrics_host", " ", "an address of this machine"),
        ("metrics_host", "a b", "an address of this machine"),
        ("data_dir", "", "a folder"),
        ("bootstrap", "", "host:port, several parted by commas"),
        ("bootstrap", "a:99999", "host:port, several parted by commas"),
        ("bootstrap", "a:0", "host:port, several parted by commas"),
        ("bootstrap", "a:1,", "host:port, several parted by commas"),
        *(("log_level", text, "DEBUG, INFO, WARNING, ERROR or CRITICAL") for text in ("NOTSET", "WARN", "FATAL", "10")),
    ],
)
def test_what_would_be_taken_for_something_else_is_refused(name: str, text: str, expected: str):
    assert refused(name, text) == f"{variable(name)}={text!r}: expected {expected}"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        *(("metrics_host", text, text) for text in ("0.0.0.0", "::", "fe80::1%eth0", "worker-1.example")),
        ("bootstrap", "a:1, [::1]:65535", "a:1,[::1]:65535"),
        ("log_level", "warning", "WARNING"),
        ("data_dir", ".", Path()),
    ],
)
def test_what_is_allowed(name: str, text: str, value: object):
    assert getattr(Settings.of({name: text}), name) == value


# -- what is told of them


def test_each_is_declared_once_with_all_that_is_told_of_it():
    assert list(known()) == [each.name for each in fields(Settings)]
    for name, setting in known().items():
        assert setting.expected, name
        assert setting.meaning.endswith("."), name


def test_rows_say_where_each_value_is_from(config: Config):
    config.path.write_text("# one\ngroup = 'g'\n")
    found = given({CONFIG: str(config.path), "LANJIE_UPDATES": "off", "LANJIE_KAFKA_USER": ""}, known())
    shown = {row.name: (row.value, row.origin) for row in rows(Settings.read(found), found)}
    assert shown["group"] == ("g", f"{config.path}:2")
    assert shown["updates"] == ("off", "LANJIE_UPDATES")
    assert shown["bootstrap"] == ("127.0.0.1:9092", DEFAULT)
    assert shown["kafka_ca"] == ("", DEFAULT)


def test_a_value_as_it_is_shown_is_read_as_the_same():
    settings = Settings(
        lists=(ListFile(Path("/g"), ListKind.GREY), ListFile(Path("/b"))), updates=False, data_dir=Path("d")
    )
    texts = {row.name: row.value for row in rows(settings, {})}
    assert Settings.of(texts) == settings


def test_all_lines_of_the_toml_that_are_commented_out_are_the_defaults(tmp_path: Path):
    lines = as_toml(Settings(), {}).splitlines()
    live = [line.removeprefix("#") if line.startswith("#") and not line.startswith("# ") else line for line in lines]
    (tmp_path / "all.toml").write_text("\n".join(live))
    found = in_file(tmp_path / "all.toml", known())
    assert list(found) == list(known())
    assert Settings.read(found) == Settings()


@for_all(
    group=st.from_regex(r"[a-zA-Z0-9._-]{1,20}", fullmatch=True),
    user=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1).filter(
        lambda text: text == text.strip()
    ),
    hosts=st.lists(
        st.builds("{}:{}".format, st.from_regex(r"[a-z]{1,5}", fullmatch=True), st.integers(1, 65_535)), min_size=1
    ),
    files=st.lists(st.from_regex(r"/[a-z\"'\\ #]{1,8}[a-z]", fullmatch=True)),
    waits=st.floats(1, 600),
    updates=st.booleans(),
)
def test_the_toml_of_any_settings_is_read_as_the_same(
    tmp_path_factory: pytest.TempPathFactory, *, group, user, hosts, files, waits, updates
):
    password = tmp_path_factory.getbasetemp() / "password"
    password.touch()
    settings = Settings(
        group=group,
        kafka_user=user,
        bootstrap=",".join(hosts),
        lists=tuple(ListFile(Path(each), ListKind.GREY) for each in files),
        recovery_seconds=waits,
        updates=updates,
        kafka_password_file=password,
        kafka_security=Security.SASL_SSL,
    )
    path = tmp_path_factory.getbasetemp() / "any.toml"
    every = dict.fromkeys(known(), given({}, {}))
    path.write_text(as_toml(settings, every), encoding="utf-8")
    assert Settings.from_env({CONFIG: str(path)}) == settings


def test_the_readme_has_the_table_that_is_made_of_them():
    told = README.read_text(encoding="utf-8").partition("<!-- made by stream/settings_shown.py")[2]
    table = told.partition("\n")[2].partition("\n<!-- end -->")[0]
    assert table.splitlines() == list(readme_table()), "make it again: stream/settings_shown.py, readme_table"


def test_names_are_those_of_variables():
    assert {variable(name) for name in known()} == {PREFIX + name.upper() for name in known()}


def test_what_may_hold_a_password_is_not_told():
    with pytest.raises(SettingsError) as refused:
        Settings.of({"bootstrap": "svc:s3cret@kafka:9092"})
    assert "s3cret" not in str(refused.value)
    assert "LANJIE_BOOTSTRAP" in str(refused.value)
