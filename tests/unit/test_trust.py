"""Whom to believe: keys, the trust file, and what signatures it takes."""

from itertools import combinations

import msgspec
import pytest
from click.testing import CliRunner

from detectors.rollout import Cap
from stream.cli import main
from stream.topics import LISTS, RULES
from stream.updates.feed_sources import may_fetch
from stream.updates.keys import Author, TrustError, fits, make_key
from stream.updates.records import BRAKE, Change, RecordError, Written, signed_bytes
from stream.updates.trust import Trust

KEY = "ed25519:" + "A" * 43 + "="
SOURCE = "https://b.example/manifest.json"


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """Authors by name, each with a key."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("zhang", "li", "wang", "nobody"):
        make_key(folder / f"{name}.key")
    return {name: Author.read(name, folder / f"{name}.key") for name in ("zhang", "li", "wang", "nobody")}


def trust_of(people, names, approvals=1):
    text = "".join(f'[people.{name}]\nkey = "{people[name].public}"\n' for name in names)
    return Trust.parse(f"approvals = {approvals}\n{text}", "trust.toml")


def signed(author, *signers, topic=RULES.name, key="stage/TEXT_LOAN/-", value=b"{}"):
    change = Change(7, author, "stage", key, "tried", 1_000)
    said = signed_bytes(topic, key, value, change)
    signatures = {signer.name: signer.sign(said) for signer in signers}
    return Written(topic, key, value, msgspec.structs.replace(change, signatures=signatures))


def refused(trust, written):
    with pytest.raises(RecordError) as error:
        trust.verify(written)
    assert error.value.code == "untrusted"
    return str(error.value)


def test_all_that_a_feed_may_say():
    trust = Trust.parse(
        f'''
        [feeds.operator-b]
        key = "{KEY}"
        source = "{SOURCE}"
        kinds = ["grey"]
        max_entries = 600000
        max_shrink = 0.1
        max_growth = 2
        max_refused = 0
        stale_after = "90m"
        stage = "canary:0.05"
        cap_per_minute = 5000
        cap_share = 0.02
        ''',
        "trust.toml",
    )
    feed = trust.feeds["operator-b"]
    assert (feed.kinds, feed.max_entries, feed.stale_seconds) == (("grey",), 600_000, 5400)
    assert (feed.first_stage, feed.cap) == (("canary", 0.05), Cap(5000, 0.02))


def test_defaults():
    trust = Trust.parse(f'[feeds.b]\nkey = "{KEY}"\nsource = "/var/feeds/manifest.json"\n', "trust.toml")
    feed = trust.feeds["b"]
    assert (trust.approvals, trust.people) == (1, {})
    assert (feed.kinds, feed.stale_seconds, feed.first_stage, feed.cap) == (
        ("block", "grey"), 26 * 3600, ("shadow", 0.0), None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("\napprovals = x\n", "trust.toml:2: Invalid value"),
        ("\napprovals = 0", "trust.toml:2: Expected `int` >= 1"),
        ("approval = 1", "unknown field `approval`"),
        ("approvals = 2", "trust.toml:1: $.approvals: 2; expected no more than there are people (0)"),
        ('[people.Zhang]\nkey = ""', "Expected `str` matching regex"),
        (f'[people.brake]\nkey = "{KEY}"', "trust.toml:2: $.people.brake.key: that name is the brake's own"),
        ('[people.zhang]\n\nkey = "rsa:AAAA"', "trust.toml:3: $.people.zhang.key: begins otherwise; expected ed25519:"),
        ('[people.zhang]\nkey = "ed25519:AAAA"', "trust.toml:2: $.people.zhang.key: no public key; expected base64"),
        ('[people.zhang]\nkey = 1', "trust.toml:2: $.people.zhang.key: Expected `str`, got `int`"),
        ("[people.zhang]", "trust.toml:1: $.people.zhang.key: Object missing required field `key`"),
        (f'[people.zhang]\nkey = "{KEY}"\n[people.li]\nkey = "{KEY}"', "trust.toml:4: $.people.li.key: is zhang's"),
        (f'[people."l.i"]\nkey = "{KEY}"\nmail = ""', "trust.toml:3: $.people.l.i.mail: Object contains unknown field"),
        (f'[feeds.b-c]\nkey = "{KEY}"\nsource = "/m"\n[feeds.b]\nkey = "{KEY}"\nsource = "/m"\nkinds = ["red"]',
         "trust.toml:7: $.feeds.b.kinds[0]: Invalid enum value 'red'"),
        (f'[feeds.b]\nkey = "{KEY}"\nsource = "{SOURCE}"\nstage = "canary:0.0"', "trust.toml:4: $.feeds.b.stage"),
        (f'[feeds.b]\nkey = "{KEY}"\nsource = "{SOURCE}"\nstale_after = "26"', "trust.toml:4: $.feeds.b.stale_after"),
        (f'[feeds.b]\nkey = "{KEY}"\nsource = "http://b.example/m"', "trust.toml:3: $.feeds.b.source: cannot be used"),
        (f'[feeds.b]\nkey = "{KEY}"\nsource = "m.json"', "trust.toml:3: $.feeds.b.source: cannot be used"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_line(toml, says):
    with pytest.raises(TrustError) as error:
        Trust.parse(toml, "trust.toml")
    assert str(error.value).startswith("trust.toml")
    assert says in str(error.value)


def test_a_file_that_is_none(tmp_path):
    with pytest.raises(TrustError, match="No such file"):
        Trust.read(tmp_path / "trust.toml")
    (tmp_path / "trust.toml").write_bytes(b"\xff")
    with pytest.raises(TrustError, match="not UTF-8"):
        Trust.read(tmp_path / "trust.toml")


@pytest.mark.parametrize(
    ("url", "may"),
    [("https://b.example/m", True), ("http://127.0.0.1:80/m", True), ("http://[::1]/m", True),
     ("http://localhost/m", True), ("http://127.0.0.1.b.example/m", False), ("http://b.example/m", False),
     ("https://user:secret@b.example/m", False), ("ftp://b.example/m", False), ("/srv/m", False), ("https://", False),
     ("http://[", False)],
)  # fmt: skip
def test_where_we_go(url, may):
    assert may_fetch(url) is may


def test_enough_different_people_with_the_author_among_them(people):
    known = [people[name] for name in ("zhang", "li", "wang")]
    trust = trust_of(people, ["zhang", "li", "wang"], approvals=2)
    for count in range(4):
        for signers in combinations(known, count):
            written = signed("zhang", *signers)
            if count >= 2 and people["zhang"] in signers:
                trust.verify(written)
            else:
                refused(trust, written)


def test_a_signature_of_a_stranger_does_not_count(people):
    trust = trust_of(people, ["zhang", "li"], approvals=2)
    assert "1 fit; expected 2" in refused(trust, signed("zhang", people["zhang"], people["nobody"]))
    refused(trust, signed("nobody", people["nobody"], people["zhang"]))


def test_a_signature_under_another_name_does_not_count(people):
    trust = trust_of(people, ["zhang", "li"], approvals=2)
    written = signed("zhang", people["zhang"])
    twice = written.change.signatures | {"li": written.change.signatures["zhang"]}
    refused(trust, msgspec.structs.replace(written, change=msgspec.structs.replace(written.change, signatures=twice)))


@pytest.mark.parametrize(
    "changed",
    [{"topic": LISTS.name}, {"key": "stage/TEXT_LOAN/2"}, {"value": b'{"stage":"enforce"}'}, {"value": None},
     {"author": "li"}, {"action": "x"}, {"target": "x"}, {"reason": "x"}, {"time": 1_001}, {"records": 9}],
)  # fmt: skip
def test_what_is_changed_after_signing_is_not_believed(people, changed):
    trust, written = trust_of(people, ["zhang", "li"]), signed("zhang", people["zhang"])
    trust.verify(written)
    inside = {name: value for name, value in changed.items() if name in Change.__struct_fields__}
    outside = {name: value for name, value in changed.items() if name not in inside}
    refused(
        trust, msgspec.structs.replace(written, change=msgspec.structs.replace(written.change, **inside), **outside)
    )


def test_the_serial_is_given_after_signing(people):
    written = signed("zhang", people["zhang"])
    trust_of(people, ["zhang"]).verify(
        msgspec.structs.replace(written, change=msgspec.structs.replace(written.change, serial=9))
    )


def test_what_needs_no_signature(people):
    trust = trust_of(people, ["zhang"])
    trust.verify(signed(BRAKE))
    trust.verify(signed("machine", topic=LISTS.name, key="check/operator-b"))
    refused(trust, signed("machine", topic=RULES.name, key="check/operator-b"))
    refused(trust, signed("machine", topic=LISTS.name, key="feed/operator-b"))
    Trust.parse("", "trust.toml").verify(signed("anybody"))


@pytest.mark.parametrize(
    ("name", "key", "says"),
    [("wang", "wang", "$.people: wang is not among them (zhang, li)"),
     ("zhang", None, "name zhang's key file with --key"),
     ("zhang", "li", "$.people.zhang.key: the key file is not that of zhang")],
)  # fmt: skip
def test_who_cannot_sign_is_told_before_anything_is_written(people, name, key, says):
    trust = trust_of(people, ["zhang", "li"])
    trust.may_sign(people["zhang"])
    author = Author(name, people[key]._private) if key else Author(name)
    with pytest.raises(TrustError) as error:
        trust.may_sign(author)
    assert says in str(error.value)
    Trust.parse("", "trust.toml").may_sign(author)


def test_a_key_file_is_for_its_owner_only_and_never_overwritten(tmp_path):
    path = tmp_path / "zhang.key"
    public = make_key(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert Author.read("zhang", path).public == public
    with pytest.raises(TrustError, match="never overwritten"):
        make_key(path)
    path.chmod(0o640)
    with pytest.raises(TrustError, match="mode 0640: others can use this key; chmod 600"):
        Author.read("zhang", path)


@pytest.mark.parametrize("content", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_file_that_is_no_key(tmp_path, content):
    path = tmp_path / "zhang.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(TrustError, match="no Ed25519 private key"):
        Author.read("zhang", path)
    with pytest.raises(TrustError, match="No such file"):
        Author.read("zhang", tmp_path / "li.key")


def test_an_author_without_a_key():
    author = Author.read("zhang", None)
    assert author.public is None
    with pytest.raises(TrustError, match="no key to sign with"):
        author.sign(b"")


def test_a_signature_has_one_form(people):
    signature = people["zhang"].sign(b"said")
    assert fits(people["zhang"].public, signature, b"said")
    for other in (
        signature[:-3] + chr(ord(signature[-3]) + 1) + "==",
        signature + "\n",
        signature.rstrip("="),
        "",
        "é",
    ):
        assert not fits(people["zhang"].public, other, b"said")


def lanjie(*args):
    return CliRunner().invoke(main, ["keys", *map(str, args)])


def test_keys_are_made_and_shown(tmp_path):
    made = lanjie("make", "zhang", "-o", tmp_path / "zhang.key")
    assert made.exit_code == 0, made.output
    assert Trust.parse(made.output, "trust.toml").people["zhang"].key == Author.read("", tmp_path / "zhang.key").public
    assert lanjie("show", tmp_path / "zhang.key").output == made.output.splitlines(keepends=True)[1]
    assert lanjie("make", "zhang", "-o", tmp_path / "zhang.key").exit_code == 1
    assert lanjie("make", "li.2", "-o", tmp_path / "li.key").output.startswith('[people."li.2"]\n')
    assert lanjie("make", "Zhang!", "-o", tmp_path / "x.key").exit_code == 2
