# ruff: noqa - each line after "ruleid" is as wrong as it looks, and each after "ok" is to be left alone
"""Examples for semgrep.yml: `semgrep scan --test` wants a finding after "ruleid", and none after "ok" or elsewhere."""

import asyncio
import logging
import os
import pickle
import ssl
import subprocess

import yaml

log = logging.getLogger(__name__)


def numbers_in_logs(self, event, decision, metrics, span, records):
    # ruleid: lanjie-number-in-log
    log.info("call from %s", event.a_number)
    # ruleid: lanjie-number-in-log
    self._log.warning(f"{decision.subject} is blocked")
    text = event.text.strip()
    # ruleid: lanjie-number-in-log
    log.error("cannot read %r", text)
    # ruleid: lanjie-number-in-log
    metrics.reasons.labels(event.b_number).inc()
    # ruleid: lanjie-number-in-log
    span.set_attribute("called", event.b_number)
    # ok: lanjie-number-in-log
    log.info("call from %s", mask(event.a_number))
    # ok: lanjie-number-in-log
    log.info("a message of %d characters", len(event.text))
    # ok: lanjie-number-in-log
    log.info("%d events of %s, trace %s", len(records), event.kind, event.id)
    # ok: lanjie-number-in-log
    metrics.reasons.labels(decision.reasons[0].code).inc()
    # ok: lanjie-number-in-log
    self.send(event.a_number)


def tls(requests, session, aiohttp, context, client):
    # ruleid: lanjie-tls-unverified
    requests.get("https://operator-b.example", verify=False)
    # ruleid: lanjie-tls-unverified
    session.get("https://operator-b.example", ssl=False)
    # ruleid: lanjie-tls-unverified
    aiohttp.TCPConnector(ssl=False)
    # ruleid: lanjie-tls-unverified
    context = ssl._create_unverified_context()
    # ruleid: lanjie-tls-unverified
    context.check_hostname = False
    # ruleid: lanjie-tls-unverified
    context.verify_mode = ssl.CERT_NONE
    # ok: lanjie-tls-unverified
    context.verify_mode = ssl.CERT_REQUIRED
    # ok: lanjie-tls-unverified
    session.get("https://operator-b.example", ssl=context)
    # ok: lanjie-tls-unverified
    client.check(signature, verify=True)


async def shells(path, script):
    # ruleid: lanjie-shell
    subprocess.run(f"zstd {path}", shell=True)
    # ruleid: lanjie-shell
    os.system("zstd " + path)
    # ruleid: lanjie-shell
    await asyncio.create_subprocess_shell(script)
    # ruleid: lanjie-shell
    subprocess.Popen(["/bin/sh", "-c", script], stdin=subprocess.PIPE)
    # ruleid: lanjie-shell
    subprocess.run(["bash", "-c", f"zstd {path}"])
    # ok: lanjie-shell
    subprocess.run(["zstd", path], check=True)
    # ok: lanjie-shell
    subprocess.run(["/bin/sh", "-c", "echo $PPID"], check=True)


def yaml_loads(text):
    # ruleid: lanjie-yaml-load
    yaml.load(text, Loader=yaml.Loader)
    # ruleid: lanjie-yaml-load
    yaml.load(text)
    # ruleid: lanjie-yaml-load
    yaml.unsafe_load_all(text)
    # ok: lanjie-yaml-load
    yaml.safe_load(text)
    # ok: lanjie-yaml-load
    yaml.load(text, Loader=yaml.CSafeLoader)


class Known(pickle.Unpickler):
    def find_class(self, module, name):
        raise pickle.UnpicklingError(name)


def pickles(record, stream, numpy, faust, app):
    # ruleid: lanjie-unpickle
    pickle.loads(record.value)
    # ruleid: lanjie-unpickle
    pickle.Unpickler(stream).load()
    # ruleid: lanjie-unpickle
    numpy.load(stream, allow_pickle=True)
    # ruleid: lanjie-unpickle
    app.topic("telecom.calls.v1", value_serializer="pickle")
    # ok: lanjie-unpickle
    pickle.dumps(record)
    # ok: lanjie-unpickle
    Known(stream).load()
    # ok: lanjie-unpickle
    app.topic("telecom.calls.v1", value_serializer="raw")


def sql(connection, number, name):
    # ruleid: lanjie-sql-by-text
    connection.execute(f"SELECT * FROM decisions WHERE subject = '{number}'")
    # ruleid: lanjie-sql-by-text
    connection.execute("SELECT * FROM decisions WHERE subject = '%s'" % number)
    statement = "SELECT * FROM {}".format(name)
    # ruleid: lanjie-sql-by-text
    connection.execute(statement)
    # ruleid: lanjie-sql-by-text
    connection.sql("SELECT * FROM " + name)
    # ok: lanjie-sql-by-text
    connection.execute("SELECT * FROM decisions WHERE subject = ?", [number])
    # ok: lanjie-sql-by-text
    connection.execute("SELECT * FROM decisions", [f"{number}"])
