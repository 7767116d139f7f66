"""What the fuzzer cannot know from the document: who is there, and what no schema can say.

Makes people, keys, jobs and tenants for the routes to act on, through the service's own front
door, and names them where the document asks for an id: a random one is nobody's, and answered
404 however deep the route goes. Keeps a valid request to the rules that OpenAPI has no words
for. What breaks the schema is sent exactly as it was made.
"""

import atexit
import json
import os
import re
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter, defaultdict
from datetime import datetime, timedelta, timezone
from functools import cached_property
from itertools import count
from pathlib import Path
from zlib import crc32

import schemathesis
from schemathesis.core.failures import AcceptedNegativeData
from schemathesis.core.parameters import ParameterLocation as Part
from schemathesis.generation.meta import TestPhase

DEMO = json.loads(Path(os.environ["LETHE_DEMO"]).read_text())
KEYS = DEMO["keys"]
NUMBERS = count(1)


def call(method, path, key, body=None):
    """Sends a request of the run's own. It must succeed, or the run would stand on nothing."""
    request = urllib.request.Request(DEMO["url"] + path, method=method)
    request.add_header("Authorization", f"Bearer {key}")
    if body is not None:
        request.add_header("Content-Type", "application/json")
        request.data = json.dumps(body).encode()
    with urllib.request.urlopen(request) as answer:
        text = answer.read()
    return json.loads(text) if text else None


class Person:
    """Somebody who has written; with no user id, so that nobody is erased as related to them."""

    def __init__(self, messages=1):
        self.visitor = f"fuzz-{next(NUMBERS)}"
        self.email = f"{self.visitor}@example.com"
        self.phone = f"+49151{next(NUMBERS):08}"
        of = {"visitor_id": self.visitor}
        events = [{
            "type": "identify", **of, "email": self.email, "phone": self.phone,
            "consent": {"basis": "consent"},
        }]
        for n in range(messages):
            events.append({
                "type": "message", **of, "conversation_id": "c-1", "author": "end_user",
                "body": f"{n}: write to {self.email}",
            })
        for first in range(0, len(events), 100):
            results = call("POST", "/v1/events", KEYS["ingest"], {"events": events[first:first + 100]})
        self.subject = results["results"][-1]["subject"]

    @cached_property
    def message(self):
        path = f"/v1/subjects/{self.subject}/records?type=message"
        return call("GET", path, KEYS["owner"])["data"][0]

    @cached_property
    def attachment(self):
        body = {
            "visitor_id": self.visitor, "filename": "a.txt", "content_type": "text/plain",
            "size": 1, "sha256": "0" * 64,
        }
        return call("POST", "/v1/attachments", KEYS["ingest"], body)["attachment"]

    def erased(self):
        return call("DELETE", f"/v1/subjects/{self.subject}", KEYS["owner"])["id"]

    def held(self):
        call("PUT", f"/v1/subjects/{self.subject}/hold", KEYS["owner"], {"reason": "litigation"})
        return self


def tenant():
    return call("POST", "/v1/tenants", DEMO["operator"], {})


def key():
    return call("POST", "/v1/keys", KEYS["owner"], {"scopes": ["read"]})["id"]


def redaction():
    """Of so many records that it becomes a job."""
    body = {"subject": Person(101).subject, "targets": [{"conversation": "c-1"}]}
    return call("POST", "/v1/redactions", KEYS["owner"], body)["id"]


ADA = Person()
# Everything may be asked to be done with this one, and not undone.
GOVERNED = Person()
# Settings decide what becomes of everybody: they are changed where nobody is.
EMPTY = tenant()["keys"]["owner"]
# The run itself stands on these: nothing ends them.
OURS = {ADA.subject, ADA.visitor, GOVERNED.subject, GOVERNED.visitor, DEMO["tenant"], DEMO["other"]["tenant"]} | {
    f"key_{text.split('_')[2]}" for of in (DEMO, DEMO["other"]) for text in of["keys"].values()
}
# What a path names: always the same thing, since nothing that a route does to it ends it ...
KEPT = {
    **{f"/v1/subjects/{{subject}}/{rule}": GOVERNED.subject
       for rule in ("restriction", "objection", "hold", "suppression")},
    "subject": ADA.subject,
    "attachment": ADA.attachment,
    "/v1/redactions/{id}": redaction(),
    "/v1/erasures/{id}": Person().erased(),
    "/v1/erasures/{id}/receipt": Person().erased(),
    "/v1/exports/{id}": call("POST", "/v1/exports", KEYS["owner"], {"subject": ADA.subject})["id"],
}
# ... or a new one each time.
NEW = {
    "PATCH /v1/subjects/{subject}": lambda: Person().subject,
    "DELETE /v1/subjects/{subject}": lambda: Person().subject,
    "DELETE /v1/subjects/{subject}/consent": lambda: Person().subject,
    "POST /v1/erasures/{id}/cancel": lambda: Person().held().erased(),
    "DELETE /v1/keys/{id}": key,
    "DELETE /v1/tenants/{tenant}": lambda: tenant()["tenant"],
    "POST /v1/tenants/{tenant}/keys": lambda: tenant()["tenant"],
}


def one_in(n, value):
    """Chance by what was generated, so that the same case is always sent the same way."""
    return crc32(repr(value).encode()) % n == 0


def name_in_path(case):
    """Puts ids into a path. One in eight stays as it was made, an id of nothing."""
    label = case.operation.label
    linked = case.meta.phase.name == TestPhase.STATEFUL
    for name, value in (case.path_parameters or {}).items():
        if value not in OURS and (linked or value.endswith(("e", "f"))):
            continue
        if linked and label not in NEW:
            continue
        if label in NEW:
            case.path_parameters[name] = NEW[label]()
        else:
            case.path_parameters[name] = KEPT.get(case.path) or KEPT[name]


def moment(text, first, last):
    """A moment between two that are hours away from now, chosen by the one that was generated."""
    share = crc32(text.encode()) / 2**32
    at = datetime.now(timezone.utc) + timedelta(hours=first + (last - first) * share)
    return at.isoformat().replace("+00:00", "Z")


def name_in_lookup(lookup, who, always=False):
    known = {"visitor_id": who.visitor, "email": who.email, "phone": who.phone}
    for name, value in known.items():
        if name in lookup and (always or not one_in(4, lookup)):
            lookup[name] = value


def complete(case):
    """Names people in a body, and keeps it to what a schema cannot say."""
    body = case.body
    match case.operation.label:
        case "POST /v1/events":
            for event in body["events"]:
                if (event.get("at") or "").strip():
                    event["at"] = moment(event["at"], -23, 0)
        case "PUT /v1/subjects/{subject}/hold":
            if "until" in body:
                body["until"] = moment(body["until"], 1, 10 * 365 * 24)
        case "POST /v1/lookup":
            name_in_lookup(body, ADA)
        case "POST /v1/exports":
            if "subject" in body and not one_in(4, body):
                body["subject"] = ADA.subject
            name_in_lookup(body.get("lookup", {}), ADA)
        case "POST /v1/erasures":
            erase(case, body)
        case "POST /v1/redactions":
            for span in (span for target in body["targets"] for span in target.get("spans", [])):
                span["end"] = max(span.values())
                span["start"] = min(span["start"], span["end"] - 1)
            if not one_in(4, body):
                redact(body)


def erase(case, body):
    who = Person()
    for name, new in (("subjects", who.subject), ("visitors", who.visitor)):
        if name in body:
            body[name] = [new, *(it for it in body[name][1:] if it not in OURS)]
    name_in_lookup(body.get("lookup", {}), who, always=True)
    if body.get("tenant") and case.headers.get("Authorization") == f"Bearer {KEYS['owner']}":
        gone = tenant()
        body["confirm"] = gone["tenant"]
        if "not_before" in body:
            body["not_before"] = moment(body["not_before"], 0, 30 * 24)
        case.headers["Authorization"] = f"Bearer {gone['keys']['owner']}"


def redact(body):
    who = Person()
    if "subject" in body:
        body["subject"] = who.subject
    for target in body["targets"]:
        if "subject" in target:
            target["subject"] = who.subject
        if "message" in target:
            target["message"] = who.message["message"]
            if "content_hash" in target:
                target["content_hash"] = who.message["content_hash"]
        if "attachment" in target:
            target["attachment"] = who.attachment
        if "conversation" in target:
            target["conversation"] = "c-1"


def turn_page(case):
    """A cursor is where the page before ended: that page is asked for first."""
    del case.query["cursor"]
    first = {**case.query, "limit": 1}
    text = urllib.parse.urlencode({
        name: str(value).lower() if isinstance(value, bool) else value for name, value in first.items()
    })
    bearer = case.headers["Authorization"].removeprefix("Bearer ")
    try:
        cursor = call("GET", f"{case.formatted_path}?{text}", bearer)["next_cursor"]
    except urllib.error.HTTPError:
        # There is no such list, and the case will be told so.
        return
    if cursor is not None:
        case.query["cursor"] = cursor


def use_key(case):
    """The key that the route asks for, in place of the owner's: now and then the least that will do."""
    if case.headers.get("Authorization") != f"Bearer {KEYS['owner']}":
        return
    schemes = [name for way in case.operation.definition.raw.get("security", []) for name in way]
    scopes = [name for name in schemes if name != "operator"]
    sent = crc32(repr((case.path_parameters, case.query, case.body)).encode())
    if case.path.startswith("/v1/tenants"):
        key = DEMO["operator"]
    elif case.operation.label == "PUT /v1/settings":
        key = EMPTY
    elif scopes == ["collect"] or scopes and sent % 3 == 0:
        key = KEYS.get(scopes[sent % len(scopes)], KEYS["owner"])
    else:
        return
    case.headers["Authorization"] = f"Bearer {key}"


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.meta is None or case.method.upper() != case.operation.method.upper():
        return
    valid = {part for part, info in case.meta.components.items() if info.mode.is_positive}
    whole = case.meta.generation.mode.is_positive
    use_key(case)
    # An id that a link took from an earlier answer is no part that was generated.
    if Part.PATH in valid or Part.PATH not in case.meta.components:
        name_in_path(case)
    if Part.HEADER in valid and "Idempotency-Key" in case.headers:
        # One key is for one request: another body under it is refused, as it should be.
        case.headers["Idempotency-Key"] = f"{case.headers['Idempotency-Key'][:200]}-{next(NUMBERS)}"
    if Part.BODY in valid and isinstance(case.body, dict):
        complete(case)
    if whole and "cursor" in case.query and "Authorization" in case.headers:
        turn_page(case)


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """One odd event never costs the others, nor one odd field its event: both are named in the
    event's own result. A page is not told of a field that was left out. People write telephone
    numbers in more ways than the pattern has words for."""
    if not isinstance(failure, AcceptedNegativeData):
        return True
    if case.operation.label != "POST /v1/events":
        return not re.search("`pattern` at /.*phone", failure.message)
    results = json.loads(response.content).get("results", [])
    return all(result["status"] != "accepted" and "errors" not in result for result in results)


TALLY = defaultdict(Counter)


@schemathesis.hook
def after_call(context, case, response):
    if case.method.upper() == case.operation.method.upper():
        TALLY[case.operation.label][f"{response.status_code // 100}xx"] += 1


@atexit.register
def tell():
    Path(os.environ["LETHE_TALLY"]).write_text(json.dumps(TALLY))


@schemathesis.deserializer("application/jose", "text/html")
def as_text(context, response):
    return response.content.decode()
