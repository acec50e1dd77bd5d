"""List feeds: what is taken from a real web server or a folder, and for which reasons nothing is."""

import asyncio
import gzip
import hashlib
import json

import msgspec
import pytest
import zstandard
from click.testing import CliRunner
from yarl import URL

from detectors.lists import ListKind
from detectors.lists import file as snapshot_file
from detectors.rollout import Cap
from stream.cli import main
from stream.cli.feeds import rows, table
from stream.settings import Settings
from stream.topics import LISTS
from stream.updates.feed_files import DOMAIN, FeedRefused
from stream.updates.feed_sources import may_follow
from stream.updates.feeds import Fetched, Unchanged, fetch, next_record
from stream.updates.keys import Author, make_key
from stream.updates.publisher import approve
from stream.updates.records import Change, CheckRecord, Content, FeedRecord, Written, encode
from stream.updates.state import State
from stream.updates.trust import FeedTrust
from tests.support.web import self_signed, serving

NOW = 1_795_000_000_000
ROWS = "number,list\n13800001234,block\n13800001235,grey\n170*,grey\ndomain:bad.example,\n"


@pytest.fixture(scope="module")
def author(tmp_path_factory):
    path = tmp_path_factory.mktemp("keys") / "b.key"
    make_key(path)
    return Author.read("operator-b", path)


@pytest.fixture
async def web(tmp_path):
    (tmp_path / "served").mkdir()
    async with serving(tmp_path / "served") as served:
        yield served


class Feed:
    """A feed in a folder, and what was accepted of it."""

    def __init__(self, folder, author, source=None):
        self.folder, self.author, self.last, self.etag = folder, author, None, None
        self.source = source or str(folder / "manifest.json")
        self.limits = {}

    def offer(self, text=ROWS, serial=1, name="list.csv", **changed):
        """Write file, manifest and signature; ``changed`` fields of the manifest are signed as they are."""
        data = text if isinstance(text, bytes) else text.encode()
        (self.folder / name).parent.mkdir(exist_ok=True)
        (self.folder / name).write_bytes(data)
        made = {"made": "2026-11-18T08:00:00Z"}
        said = {"format": "lanjie-feed/1", "feed": "operator-b", "serial": serial, "file": name, "size": len(data),
                "sha256": hashlib.sha256(data).hexdigest(), "entries": 4, "list": "block"} | made | changed  # fmt: skip
        self.sign(json.dumps(said).encode())
        return self

    def sign(self, manifest):
        (self.folder / "manifest.json").write_bytes(manifest)
        (self.folder / "manifest.json.sig").write_text(self.author.sign(DOMAIN + manifest) + "\n")

    async def fetch(self, name="operator-b"):
        trust = FeedTrust(self.author.public, self.source, **self.limits)
        work = self.folder.parent / "work"
        try:
            found = await fetch(name, trust, last=self.last, etag=self.etag, now_ms=NOW, folder=work)
        finally:
            assert not list(work.iterdir())
        return found

    async def take(self):
        """Fetch and accept."""
        found = await self.fetch()
        assert isinstance(found, Fetched)
        self.last = Content(found.digest, 0, 1, len(found.data), found.entries, str(found.serial), found.made)
        self.etag = found.etag
        return snapshot_file.read(found.data, "fetched")

    async def refused(self, code, says=""):
        with pytest.raises(FeedRefused) as error:
            await self.fetch()
        assert (error.value.code, says in str(error.value)) == (code, True), error.value
        return str(error.value)


@pytest.fixture
def feed(tmp_path, author):
    (tmp_path / "feed").mkdir()
    return Feed(tmp_path / "feed", author)


@pytest.fixture
def served(web, author):
    return Feed(web.folder, author, f"{web.url}/manifest.json?token=hidden")


def patterns(found):
    return {(e.pattern, e.provenance.kind.name.lower(), e.provenance.source) for e in found.entries()}


@pytest.mark.parametrize(
    ("name", "pack"),
    [("list.csv", bytes), ("list.csv.gz", gzip.compress), ("sub/list.csv.zst", zstandard.compress)],
)
async def test_a_feed_comes_over_the_web(served, web, name, pack):
    found = await served.offer(pack(ROWS.encode()), name=name).take()
    assert patterns(found) == {
        ("+8613800001234", "block", "operator-b"), ("+8613800001235", "grey", "operator-b"),
        ("+86170*", "grey", "operator-b"), ("domain:bad.example", "block", "operator-b"),
    }  # fmt: skip
    assert (served.last.count, served.last.serial, served.last.made) == (4, "1", 1_794_988_800_000)
    assert [path for path, _ in web.asked] == ["/manifest.json", "/manifest.json.sig", f"/{name}"]


@pytest.mark.parametrize("etags", [True, False])
async def test_what_has_not_changed_is_not_read_again(served, web, etags):
    web.etags = etags
    await served.offer().take()
    web.asked.clear()
    assert await served.fetch() == Unchanged(served.etag)
    assert web.asked == [("/manifest.json", 304 if etags else 200)]


async def test_what_has_not_changed_on_disk(feed):
    await feed.offer().take()
    (feed.folder / "list.csv").unlink()
    assert await feed.fetch() == Unchanged(feed.etag)


async def test_the_same_content_without_an_etag_is_unchanged_and_other_content_is_outdated(served):
    await served.offer(serial=7).take()
    served.etag = None
    assert isinstance(await served.fetch(), Unchanged)
    served.offer(ROWS.replace("1235", "1236"), serial=7)
    await served.refused("outdated", "$.serial: 7, with other content; expected more than 7")
    await served.offer(serial=8).take()
    served.offer(serial=7)
    await served.refused("outdated", "$.serial: 7; expected more than 8, which is in force")


async def test_made_in_the_future(feed):
    await feed.offer(made="2026-11-18T11:11:41Z").refused("outdated", "$.made: 301 s from now")
    await feed.offer(made="2026-11-18T19:11:40+08:00").take()


async def test_nobody_answers(served, web, author, tmp_path):
    served.source = "http://127.0.0.1:1/manifest.json"
    await served.refused("unreachable", "http://127.0.0.1:1/manifest.json: cannot connect: Connect")
    served.source = str(tmp_path / "none.json")
    await served.refused("unreachable", "none.json: not there; expected a file")


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [("/manifest.json", 404, "unreachable"), ("/manifest.json", 503, "unreachable"),
     ("/manifest.json", 304, "unreachable"), ("/manifest.json.sig", 404, "unsigned"),
     ("/manifest.json.sig", 500, "unreachable"), ("/list.csv", 404, "unreachable"), ("/list.csv", 206, "unreachable")],
)  # fmt: skip
async def test_the_server_has_it_not(served, web, path, status, code):
    web.statuses[path] = status
    said = await served.offer().refused(code, f"{path}: the server answers {status}; expected 200")
    assert "hidden" not in said


@pytest.mark.parametrize("path", ["/manifest.json", "/manifest.json.sig", "/list.csv"])
async def test_the_connection_breaks_off(served, web, path):
    web.cut.add(path)
    await served.offer().refused("unreachable", f"{path}: the connection broke off")
    web.cut.clear()
    await served.take()


async def test_redirects(served, web):
    (web.folder / "real.json").write_bytes(b"")
    served.offer()
    (web.folder / "manifest.json").rename(web.folder / "real.json")
    web.redirects["/manifest.json"] = "/second"
    web.redirects["/second"] = f"{web.url}/real.json"
    await served.take()
    served.etag = None
    web.redirects["/second"] = "/manifest.json"
    await served.refused("unreachable", "more than 5 redirects")
    for away in ("http://b.example/manifest.json?secret", "ftp://b.example/", "//[", "file:///etc/passwd"):
        web.redirects["/manifest.json"] = away
        assert "secret" not in await served.refused("unreachable", "expected https")


@pytest.mark.parametrize(
    ("source", "target", "follows"),
    [("https://b.example/m", "https://c.example/m", True), ("https://b.example/m", "http://127.0.0.1/m", False),
     ("http://127.0.0.1/m", "http://127.0.0.1:81/m", True), ("http://127.0.0.1/m", "http://c.example/m", False)],
)  # fmt: skip
def test_which_redirects_are_followed(source, target, follows):
    assert may_follow(URL(source), URL(target)) is follows


async def test_a_certificate_that_nobody_vouches_for(tmp_path, author):
    async with serving(tmp_path, self_signed(tmp_path)) as web:
        (tmp_path / "feed").mkdir()
        feed = Feed(tmp_path / "feed", author, f"{web.url}/manifest.json")
        await feed.refused("unreachable", "its certificate is not one that this machine trusts")
        assert not web.asked


async def test_not_signed_by_whom_we_know(feed, tmp_path):
    feed.offer()
    (feed.folder / "manifest.json.sig").unlink()
    await feed.refused("unsigned", "manifest.json.sig: not there")
    for signature in (b"", b"\xff\xfe", b"AAAA"):
        (feed.folder / "manifest.json.sig").write_bytes(signature)
        await feed.refused("bad_signature")
    make_key(tmp_path / "c.key")
    other = Author.read("operator-b", tmp_path / "c.key")
    (feed.folder / "manifest.json.sig").write_text(other.sign(DOMAIN + (feed.folder / "manifest.json").read_bytes()))
    await feed.refused("bad_signature")
    # Not even by its key, if it was meant for something else.
    (feed.folder / "manifest.json.sig").write_text(feed.author.sign((feed.folder / "manifest.json").read_bytes()))
    await feed.refused("bad_signature")


@pytest.mark.parametrize(
    ("changed", "code", "says"),
    [
        ({"feed": "operator-c"}, "wrong_feed", "$.feed: operator-c; expected operator-b"),
        ({"size": 5}, "corrupt", "list.csv: more than 5 bytes"),
        ({"size": 500}, "corrupt", "bytes; expected 500 as in the manifest"),
        ({"sha256": "0" * 64}, "corrupt", "SHA-256"),
        ({"entries": 3}, "count", "4 different entries and 0 unusable rows; expected 3 entries"),
        ({"entries": 5}, "count", "expected 5 entries"),
        ({"entries": 3_000_001}, "quota", "$.entries: 3,000,001; expected at most 3,000,000"),
        ({"size": 1 << 40}, "quota", "$.size: 1,099,511,627,776 bytes"),
        ({"list": "protected"}, "kind", "an entry is on the protected list; expected block, grey"),
        ({"list": "red"}, "unusable", "$.list"),
        ({"format": "lanjie-feed/2"}, "unusable", "expected a manifest of format lanjie-feed/1"),
        ({"more": 1}, "unusable", "unknown field `more`"),
        ({"made": "2026-11-18T08:00:00"}, "unusable", "$.made"),
        ({"serial": 0}, "unusable", "$.serial"),
        *[({"file": name}, "unusable", "$.file") for name in ("../x", "/x", "https://x/x", "a/../x", ".x", "", "x\n")],
    ],
)  # fmt: skip
async def test_what_the_manifest_must_not_say(served, changed, code, says):
    await served.offer(**changed).refused(code, says)


@pytest.mark.parametrize("manifest", [b"", b"[]", b"{", b"\xff", b"[" * 60_000, b" " * 70_000])
async def test_a_manifest_that_is_none(feed, manifest):
    feed.sign(manifest)
    await feed.refused("corrupt" if len(manifest) > 65_536 else "unusable")


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("", "corrupt", ""),  # a manifest of 0 bytes is not signed by our tools, and none is taken
        ("\n", "unusable", "list.csv: empty"),
        ("abc\n13800001234x13800001234\n", "unusable", "0 of 2 lines usable"),
        ("number,op\n13800001234,remove\n", "unusable", "has op=remove"),
        ("number,list\n13800001234,allow\n", "kind", "on the allow list"),
        (b"LANJIE-NUMBERS 1\n" + bytes(100), "unusable", "cut short or damaged"),
    ],
)  # fmt: skip
async def test_a_file_that_is_no_list(feed, text, code, says):
    await feed.offer(text, size=max(1, len(text))).refused(code, says)


async def test_a_file_that_is_cut_at_its_source(feed):
    for name, data in (
        ("list.csv.gz", gzip.compress(ROWS.encode())),
        ("list.csv.zst", zstandard.compress(ROWS.encode())),
    ):
        await feed.offer(data[:-3], name=name).refused("unusable", "damaged or cut short")
        await feed.offer(ROWS, name=name).refused("unusable", "is not what its name says")


@pytest.mark.parametrize(("name", "pack"), [("list.csv.gz", gzip.compress), ("list.csv.zst", zstandard.compress)])
async def test_a_small_file_that_unpacks_to_a_large_one(feed, name, pack):
    feed.limits = {"max_entries": 10}
    await feed.offer(pack(bytes(2 << 20)), name=name).refused("quota", "unpacks to more than 1,052,576 bytes")


async def test_unusable_rows_up_to_a_share(feed):
    good = "".join(f"138000{n:05}\n" for n in range(99))
    await feed.offer(good + "bad\n", entries=99).take()
    feed.last = None
    said = await feed.offer(good + "bad\nbad\n", serial=2, entries=99).refused(
        "unusable", "2 of 101 rows unusable; expected at most 1.00% of them"
    )
    assert "list.csv:100: $.number" in said
    feed.limits = {"max_refused": 0.0}
    await feed.offer(good + "110\n", serial=2, entries=99).refused("unusable", "1 of 100 rows")


async def test_messages_hide_numbers(feed):
    said = await feed.offer("number\n+861381234567890123*\n").refused("unusable")
    assert "81234567890" not in said
    assert "list.csv:2: $.number: prefix '+86138" in said


async def test_quota(feed):
    feed.limits = {"max_entries": 4}
    await feed.offer().take()
    feed.limits = {"max_entries": 3}
    await feed.offer(serial=2, entries=3).refused("quota", "more than 3 rows")
    await feed.offer("bad\n" * 5, serial=2, entries=3).refused("quota", "more than 3 rows")


async def test_shrunken_and_grown(feed):
    def numbers(count):
        return "".join(f"138000{n:05}\n" for n in range(count))

    feed.limits = {"max_shrink": 0.29, "max_growth": 0.1}
    await feed.offer(numbers(100), entries=100).take()
    said = "serial 2: 70 entries after 100; expected to have lost at most 29.00% of them"
    await feed.offer(numbers(70), serial=2, entries=70).refused("shrunken", said)
    await feed.offer(numbers(111), serial=2, entries=111).refused("grown", "expected to have grown by at most 10.00%")
    await feed.offer(numbers(110), serial=2, entries=110).take()
    await feed.offer(numbers(79), serial=3, entries=79).take()


async def test_a_snapshot_is_a_feed_file_too(feed, tmp_path):
    (tmp_path / "list.csv").write_text(ROWS)
    built = CliRunner().invoke(main, ["lists", "build", "-o", str(tmp_path / "n.lanjie"), str(tmp_path / "list.csv")])
    assert built.exit_code == 0, built.output
    feed.offer((tmp_path / "n.lanjie").read_bytes(), name="n.lanjie")
    assert patterns(await feed.take()) == {
        ("+8613800001234", "block", "list.csv"), ("+8613800001235", "grey", "list.csv"),
        ("+86170*", "grey", "list.csv"), ("domain:bad.example", "block", "list.csv"),
    }  # fmt: skip
    feed.last, feed.etag, feed.limits = None, None, {"kinds": ("grey",)}
    await feed.refused("kind", "on the block list")


def content(serial, count=4):
    return Content("0" * 64, 0, 1, 100, count, str(serial), NOW - 1000)


def test_the_record_of_new_content():
    trust = FeedTrust("", "", stage="canary:0.05", cap_share=0.02)
    first = next_record(None, content(1), trust)
    assert first == FeedRecord(content(1), "canary", 0.05, cap=Cap(share=0.02), stale_after=26 * 3600)
    staged = msgspec.structs.replace(first, live=content(0), share=0.2, cap=Cap(7))
    assert next_record(staged, content(2), trust) == msgspec.structs.replace(staged, content=content(2))
    enforced = FeedRecord(content(1), "enforce")
    assert next_record(enforced, content(2), trust) == FeedRecord(
        content(2), "enforce", cap=Cap(share=0.02), stale_after=26 * 3600
    )
    demoted = FeedRecord(content(1), "shadow", live=content(0))
    kept = next_record(demoted, content(2), FeedTrust("", "", stage="enforce"))
    assert (kept.stage, kept.live) == ("shadow", content(0))


def lanjie(*args):
    return CliRunner().invoke(main, ["feeds", *map(str, args)])


async def test_a_feed_is_signed_by_its_command(feed, tmp_path):
    key = tmp_path / "b.key"
    feed.author = Author("operator-b", None)
    public = make_key(key)
    (feed.folder / "list.csv.gz").write_bytes(gzip.compress((ROWS + "bad\n").encode()))
    signed = await asyncio.to_thread(
        lanjie,
        "sign",
        feed.folder / "list.csv.gz",
        "--feed",
        "operator-b",
        "--serial",
        3,
        "--key",
        key,
        "--list",
        "grey",
    )
    assert signed.exit_code == 0, signed.output
    assert "feed operator-b, serial 3, 4 entries, 1 rows refused" in signed.output
    made = json.loads((feed.folder / "manifest.json").read_bytes())["made"]
    trust = FeedTrust(public, feed.source, max_refused=0.2)
    later = int(1000 * (await asyncio.to_thread(key.stat)).st_mtime) + 60_000
    found = await fetch("operator-b", trust, last=None, etag=None, now_ms=later, folder=tmp_path / "work")
    assert (found.entries, found.refused, found.serial) == (4, 1, 3)
    assert made.endswith("Z")
    assert snapshot_file.read(found.data, "").sizes[ListKind.GREY] == 3


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [("list.csv", "bad\n", "0 of 1 lines usable"), ("list.csv", "number,op\n13800001234,remove\n", "op=remove"),
     ("my list.csv", "13800001234\n", "expected a name of letters"), ("../list.csv", "1\n", "expected beside"),
     ("list.xls", "13800001234\n", "expected .csv"), ("none.csv", None, "No such file")],
)  # fmt: skip
def test_what_is_not_signed(feed, tmp_path, name, text, says):
    make_key(tmp_path / "b.key")
    if text is not None:
        (feed.folder / name).write_text(text)
    signed = lanjie(
        "sign", feed.folder / name, "--feed", "b", "--serial", 1, "--key", tmp_path / "b.key",
        "-o", feed.folder / "manifest.json",
    )  # fmt: skip
    assert signed.exit_code == 1, signed.output
    assert says in signed.output
    assert not (feed.folder / "manifest.json").exists()


def test_pull_wants_to_know_whose_feeds(tmp_path):
    assert "Name the trust file with --trust" in lanjie("pull").output
    (tmp_path / "trust.toml").write_text("")
    assert "c: not in" in lanjie("pull", "c", "--trust", tmp_path / "trust.toml").output


def test_status_shows_what_is_in_force_and_what_could_not_be_taken():
    state = State()
    for key, value in {
        "feed/operator-b": FeedRecord(content(17, 528_000), "canary", 0.05, stale_after=3600),
        "check/operator-b": CheckRecord(NOW, ""),
        "check/operator-c": CheckRecord(NOW, "unsigned: no signature"),
    }.items():
        state.apply(Written(LISTS.name, key, encode(value), Change(1, "zhang", "import", key, "", NOW)))
    found = rows(state, NOW)
    assert [line.split() for line in table(found)[1:]] == [
        ["operator-b", "canary:0.05", "528,000", "17", "2026-11-18T11:06:39Z", "2026-11-18T11:06:40Z", "zhang",
         "2026-11-18T11:06:40Z", "none"],
        ["operator-c", "-", "-", "-", "-", "-", "-", "2026-11-18T11:06:40Z", "unsigned:", "no", "signature"],
    ]  # fmt: skip
    assert [row["stale"] for row in found] == [False, False]
    assert "older than it should be" in table(rows(state, NOW + 3_600_001))[1]


class Operator:
    """The command line of somebody who takes feeds, with a real Kafka behind it."""

    def __init__(self, folder, kafka, approvals=1):
        self.folder, self.trust = folder, folder / "trust.toml"
        self.env = {
            "LANJIE_BOOTSTRAP": kafka,
            "LANJIE_TOPIC_PREFIX": f"{folder.name}.",
            "LANJIE_TRUST": str(self.trust),
            "LANJIE_AUTHOR": "zhang",
            "LANJIE_KEY": str(folder / "zhang.key"),
            "LANJIE_DATA_DIR": str(folder / "data"),
        }
        people = "".join(f'[people.{name}]\nkey = "{make_key(folder / f"{name}.key")}"\n' for name in ("zhang", "li"))
        self.text = f"approvals = {approvals}\n{people}"

    def trusts(self, name, key, source, more=""):
        self.text += f'[feeds.{name}]\nkey = "{key}"\nsource = "{source}"\n{more}\n'
        self.trust.write_text(self.text)

    def run(self, *args, code=0):
        result = CliRunner().invoke(main, [str(arg) for arg in args], env=self.env)
        assert result.exit_code == code, result.output
        return result.output

    def status(self):
        return {row["feed"]: row for row in json.loads(self.run("feeds", "status", "--json"))["feeds"]}


@pytest.fixture
def offered(tmp_path):
    """A feed that grows with each serial, made by its own command."""
    (tmp_path / "served").mkdir()
    key = tmp_path / "b.key"
    public = make_key(key)

    def offer(serial, rows=ROWS):
        (tmp_path / "served" / "list.csv").write_text(rows + f"139000012{serial:02}\n")
        signed = lanjie(
            "sign", tmp_path / "served" / "list.csv", "--feed", "operator-b", "--serial", serial, "--key", key
        )
        assert signed.exit_code == 0, signed.output

    return public, tmp_path / "served" / "manifest.json", offer


def test_pull_takes_what_is_new_and_keeps_what_is_in_force(kafka, tmp_path, offered):
    public, manifest, offer = offered
    operator = Operator(tmp_path, kafka)
    operator.trusts("operator-b", public, manifest, 'stage = "enforce"\ncap_share = 0.02')
    operator.trusts("operator-c", public, tmp_path / "none.json")
    assert "no feed is in force" in operator.run("feeds", "status")
    offer(1)
    output = operator.run("feeds", "pull", code=1)
    assert "operator-b: serial 1, 5 entries: change" in output
    assert "1 of 2 feeds refused: operator-c (unreachable)" in output
    b, c = operator.status().values()
    assert (b["stage"], b["serial"], b["by"], b["problem"]) == ("enforce", "1", "zhang", "")
    assert c["problem"].startswith("unreachable: ")
    assert operator.run("feeds", "pull", "operator-b") == "operator-b: nothing new\n"
    manifest.write_bytes(manifest.read_bytes().replace(b'"serial":1', b'"serial":2'))
    assert "bad_signature" in operator.run("feeds", "pull", "operator-b", code=1)
    row = operator.status()["operator-b"]
    assert (row["serial"], row["problem"][:13]) == ("1", "bad_signature")
    offer(3)
    assert "operator-b: serial 3, 5 entries" in operator.run("feeds", "pull", "operator-b")
    b = operator.status()["operator-b"]
    assert (b["serial"], b["problem"]) == ("3", "")


def test_a_pull_that_waits_for_another_person_is_not_made_twice(kafka, tmp_path, offered):
    public, manifest, offer = offered
    operator = Operator(tmp_path, kafka, approvals=2)
    operator.trusts("operator-b", public, manifest)
    offer(1)
    output = operator.run("feeds", "pull")
    assert "waits for another person: lanjie changes approve 1" in output
    assert operator.run("feeds", "pull") == "operator-b: nothing new\n"
    assert "operator-b" not in operator.status() or operator.status()["operator-b"]["serial"] is None
    li = Author.read("li", tmp_path / "li.key")
    asyncio.run(approve(Settings.from_env(operator.env), li, 1))
    assert operator.run("feeds", "pull") == "operator-b: nothing new\n"
    assert operator.status()["operator-b"]["serial"] == "1"
