"""What the feature tests cannot ask of a deployment, since it takes time, a fault or a restore.

Time is not moved: a deployment goes by the machine's clock. Instead rows are aged, as thirty
days would have. Each check is a function named as a sentence; they run in the order below,
the restore drill last, for it takes the table away.
"""

import base64
import hashlib
import json
import os
import re
import ssl
import subprocess
import time
import urllib.error
import urllib.request

import botocore.auth
import botocore.awsrequest
import botocore.credentials

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from cloud import REGION
from deployment import REPOSITORY, STACK, allow, settled, user

DAY = 86_400


class Answer:
    def __init__(self, status, text):
        self.status, self.text = status, text

    def expect(self, status):
        expect(self.status == status, f"answered {self.status}, not {status}: {self.text}")
        return json.loads(self.text) if self.text[:1] in ("{", "[") else self.text


class Proof:
    """A deployment, and the tenant that the checks have there."""

    def __init__(self, deployment, operator, tell):
        self.deployment, self.cloud, self.tell = deployment, deployment.cloud, tell
        self.operator = operator
        self._trust = ssl.create_default_context(cafile=self.cloud.certificate)
        made = self.call("POST", "/v1/tenants", {}, signed_by=operator).expect(201)
        self.tenant, self.owner = made["tenant"], made["keys"]["owner"]
        self.records = deployment.outputs["RecordsTableName"]
        self.keyring = deployment.outputs["KeyringTableName"]
        self.bucket = deployment.outputs["BucketName"]

    def call(self, method, path, body=None, key="", signed_by=None):
        """Sends a request to the API: with a key, or with an IAM signature."""
        data = b"" if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        if signed_by:
            url = f"https://{self.deployment.host}{path}"
            request = botocore.awsrequest.AWSRequest(method, url, data=data, headers=headers)
            credentials = botocore.credentials.Credentials(*signed_by)
            botocore.auth.SigV4Auth(credentials, "execute-api", REGION).add_auth(request)
            headers = dict(request.headers.items())
        return self.send(method, self.cloud.endpoint + path, data, {**headers, "Host": self.deployment.host})

    def send(self, method, url, data, headers):
        request = urllib.request.Request(url, data=data or None, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, context=self._trust, timeout=60) as answer:
                return Answer(answer.status, answer.read().decode())
        except urllib.error.HTTPError as answer:
            return Answer(answer.code, answer.read().decode(errors="replace"))

    def ours(self, method, path, body=None):
        return self.call(method, path, body, key=self.owner)

    def acquaint(self, visitor):
        """Somebody of whom something is known: their subject."""
        events = [
            {"type": "visit", "visitor_id": visitor, "url": "https://shop.example/cart"},
            {"type": "identify", "visitor_id": visitor, "name": "Ada Lovelace", "email": f"{visitor}@example.com"},
            {"type": "message", "visitor_id": visitor, "conversation_id": "c-1", "author": "end_user", "body": "hello"},
        ]
        results = self.ours("POST", "/v1/events", {"events": events}).expect(200)["results"]
        expect(all(it["status"] == "stored" for it in results), results)
        return results[0]["subject"]

    def upload(self, visitor, body):
        """Sends a file by its link: its id."""
        announced = self.ours("POST", "/v1/attachments", {
            "visitor_id": visitor, "conversation_id": "c-1", "filename": "note.txt", "content_type": "text/plain",
            "size": len(body), "sha256": hashlib.sha256(body).hexdigest()}).expect(201)
        link = announced["upload"]
        headers = {name: value for name, value in link["headers"].items() if name != "content-length"}
        self.send(link["method"], link["url"], body, headers).expect(200)
        return announced["attachment"]

    def rows(self, subject, table=None):
        """What the table holds about somebody, past every function."""
        pages = self.cloud.client("dynamodb").get_paginator("scan")
        found = pages.paginate(TableName=table or self.records, ConsistentRead=True)
        return [row for page in found for row in page["Items"] if subject in json.dumps([row["PK"], row.get("SK")])]

    def row(self, subject, sort):
        return next(row for row in self.rows(subject) if row["SK"]["S"] == sort)

    def put(self, row, table=None):
        self.cloud.client("dynamodb").put_item(TableName=table or self.records, Item=row)

    def age(self, subject):
        """Makes it more than thirty days since somebody was seen."""
        door, clock = self.row(subject, "door"), self.row(subject, "expiry")
        yesterday = time.time() - DAY
        door["last_seen"] = {"N": str(int((yesterday - 30 * DAY) * 1000))}
        door["expires_at"] = {"N": str(int(yesterday))}
        day = time.strftime("%Y-%m-%d", time.gmtime(yesterday))
        clock["due_day"] = {"S": day}
        clock["due_sk"] = {"S": f"{day}#{clock['due_sk']['S'].partition('#')[2]}"}
        self.put(door)
        self.put(clock)

    def invoke(self, function, event):
        """Calls a function past every trigger, as an operator may: what it returns."""
        name = self.deployment.function(function)
        answer = self.cloud.client("lambda").invoke(FunctionName=name, Payload=json.dumps(event).encode())
        body = json.loads(answer["Payload"].read())
        expect("FunctionError" not in answer, f"{function} fails: {body}")
        return body

    def role(self, function):
        name = self.deployment.function(function)
        found = self.cloud.client("lambda").get_function(FunctionName=name)["Configuration"]["Role"]
        return found.rpartition("/")[2]

    def without(self, function, *actions):
        """A `with` block in which a function may not do these things."""
        return Denied(self.cloud.client("iam"), self.role(function), actions)

    def until(self, what, holds, seconds=60):
        """Waits until something holds, and returns it."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := holds():
                return found
            time.sleep(0.3)
        raise AssertionError(f"after {seconds} s not yet: {what}")


class Denied:
    def __init__(self, access, role, actions):
        self.access, self.role, self.actions = access, role, list(actions)

    def __enter__(self):
        statement = {"Effect": "Deny", "Action": self.actions, "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.access.put_role_policy(RoleName=self.role, PolicyName="denied", PolicyDocument=policy)

    def __exit__(self, *_):
        self.access.delete_role_policy(RoleName=self.role, PolicyName="denied")


def expect(holds, otherwise):
    if not holds:
        raise AssertionError(otherwise)


def a_function_may_do_what_its_role_says_and_no_more(proof):
    subject = proof.acquaint("ada")
    proof.ours("GET", f"/v1/subjects/{subject}").expect(200)
    with proof.without("access", "dynamodb:*"):
        answer = proof.ours("GET", f"/v1/subjects/{subject}")
        expect(answer.status in (500, 503), f"the role is not asked: {answer.status}")
    proof.ours("GET", f"/v1/subjects/{subject}").expect(200)


def the_operators_routes_ask_for_a_signature_of_somebody_who_may(proof):
    stranger = user(proof.cloud, "stranger", allow(["s3:ListBucket"], "*"))
    for method, path in [("POST", "/v1/tenants"), ("GET", "/v1/tenants"), ("POST", f"/v1/tenants/{proof.tenant}/keys"), ("DELETE", f"/v1/tenants/{proof.tenant}")]:
        proof.call(method, path).expect(403)
        proof.call(method, path, key=proof.owner).expect(403)
        proof.call(method, path, signed_by=stranger).expect(403)
        proof.call(method, path, signed_by=(proof.operator[0], "a wrong secret")).expect(403)
    proof.call("GET", "/v1/tenants", signed_by=proof.operator).expect(200)


def the_stream_hands_an_erasure_to_the_worker_and_its_receipt_verifies(proof):
    subject = proof.acquaint("bob")
    attachment = proof.upload("bob", b"hello")
    path = f"/v1/subjects/{subject}/attachments/{attachment}"
    proof.until("the file is found clean", lambda: proof.ours("GET", path).expect(200)["state"] == "clean")
    # As though the link to upload had run out: an erasure would look again after that.
    door = proof.row(subject, "door")
    door.pop("uploads")
    proof.put(door)
    request = {"subjects": [subject], "reason": "subject_request", "reference": "DSR-7"}
    job = proof.ours("POST", "/v1/erasures", request).expect(202)["id"]
    proof.ours("GET", f"/v1/subjects/{subject}").expect(404)
    path = f"/v1/erasures/{job}"
    done = proof.until("the erasure is complete", lambda: completed(proof, path))
    expect(done["stores"]["attachments"] == 1, done)
    expect(not proof.rows(subject), "nothing is left of them in the records")
    held = proof.cloud.client("s3").list_object_versions(Bucket=proof.bucket, Prefix=f"attachments/{proof.tenant}/")
    left = [it["Key"] for it in held.get("Versions", []) + held.get("DeleteMarkers", []) if subject in it["Key"]]
    expect(not left, f"the bucket still has {left}")
    receipt = proof.ours("GET", f"{path}/receipt").expect(200)
    claims = verified(proof, receipt)
    expect(claims["jti"] == job and claims["reference"] == "DSR-7", claims)
    expect(subject not in json.dumps(claims), "a receipt names lives, never subjects")
    kept = proof.cloud.client("s3").get_object(Bucket=proof.bucket, Key=f"receipts/{proof.tenant}/{job}.jws")
    expect(kept["Body"].read().decode() == receipt, "the bucket keeps the same receipt")


def completed(proof, path):
    job = proof.ours("GET", path).expect(200)
    return job if job["state"] == "completed" else None


def verified(proof, jws):
    """The claims of a receipt whose signature holds by the published keys."""
    def octets(text):
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

    head, claims, signature = jws.split(".")
    named = json.loads(octets(head))["kid"]
    keys = proof.call("GET", "/.well-known/jwks.json").expect(200)["keys"]
    key = next(it for it in keys if it["kid"] == named)
    point = [int.from_bytes(octets(key[axis]), "big") for axis in ("x", "y")]
    public = ec.EllipticCurvePublicNumbers(*point, ec.SECP256R1()).public_key()
    raw = octets(signature)
    encoded = utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    public.verify(encoded, f"{head}.{claims}".encode(), ec.ECDSA(hashes.SHA256()))
    return json.loads(octets(claims))


def the_schedule_wakes_cleanup_and_whoever_is_due_is_forgotten(proof):
    due, stays = proof.acquaint("due"), proof.acquaint("stays")
    proof.age(due)
    proof.ours("GET", f"/v1/subjects/{due}").expect(404)
    expect(proof.rows(due), "though nobody has swept")
    # The rule as it was deployed, with its target and its permission, only sooner.
    events = proof.cloud.client("events")
    name = rule(proof)
    known = events.describe_rule(Name=name)
    expect(known["ScheduleExpression"] == "rate(15 minutes)" and known["State"] == "ENABLED", known)
    events.put_rule(Name=name, ScheduleExpression="rate(1 minute)", State="ENABLED")
    proof.until("whoever is due is gone", lambda: not left_of(proof, due), 120)
    events.put_rule(Name=name, ScheduleExpression="rate(15 minutes)", State="ENABLED")
    proof.ours("GET", f"/v1/subjects/{stays}").expect(200)
    row = proof.rows(due, proof.keyring)[0]
    expect(row["state"]["S"] in ("erasing", "erased") and "data_key" not in row, row)


def an_upload_that_cannot_be_scanned_becomes_a_dead_letter(proof):
    queue = proof.cloud.client("sqs")
    url = queue.get_queue_url(QueueName=proof.deployment.outputs["DeadLettersUrl"].rpartition("/")[2])["QueueUrl"]
    subject = proof.acquaint("eve")
    with proof.without("scan", "s3:GetObject", "s3:GetObjectVersion"):
        attachment = proof.upload("eve", b"hello")
        letters = proof.until(
            "a dead letter", lambda: queue.receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages"))
    body = json.loads(letters[0]["Body"])
    expect(subject in body["requestPayload"]["Records"][0]["s3"]["object"]["key"], body)
    expect(body["requestContext"]["condition"] == "RetriesExhausted", body)
    # What happened can be done again: the letter holds the event.
    proof.invoke("scan", body["requestPayload"])
    queue.delete_message(QueueUrl=url, ReceiptHandle=letters[0]["ReceiptHandle"])
    state = proof.ours("GET", f"/v1/subjects/{subject}/attachments/{attachment}").expect(200)["state"]
    expect(state == "clean", state)


def a_restored_backup_brings_nobody_back_who_was_forgotten(proof):
    """infra/RESTORE.md, step by step, with a real backup of the records and its restore."""
    forgotten, stays = proof.acquaint("forgotten"), proof.acquaint("remembered")
    tables = proof.cloud.client("dynamodb")
    backup = tables.create_backup(TableName=proof.records, BackupName="daily")["BackupDetails"]["BackupArn"]
    records_at = moment()
    time.sleep(1)
    job = proof.ours("DELETE", f"/v1/subjects/{forgotten}").expect(202)["id"]
    proof.until("the erasure is complete", lambda: completed(proof, f"/v1/erasures/{job}"))
    expect(not proof.rows(forgotten), "they are gone")

    keyring_at = moment()
    deploy_with(proof, Restore="enabled")
    answer = proof.ours("GET", f"/v1/subjects/{stays}")
    expect(answer.status >= 429, f"answered {answer.status} while everything is paused")
    old, new = proof.records, f"{proof.records}-restored"
    tables.restore_table_from_backup(TargetTableName=new, BackupArn=backup)
    tables.get_waiter("table_exists").wait(TableName=new)
    expect(proof.rows(forgotten, new), "the backup brings them back, or this would prove nothing")
    tables.update_table(TableName=new, StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"})
    stream = tables.describe_table(TableName=new)["Table"]["LatestStreamArn"]
    restored = {"RestoredRecords": "-restored", "RestoredStream": stream}
    deploy_with(proof, Restore="enabled", **restored)
    expect(tables.describe_table(TableName=old), "the old table stays")
    proof.records = new

    order = {"restored": "records", "records_at": records_at, "keyring_at": keyring_at}
    dry = proof.invoke("restore", {**order, "dry_run": True, "max_share": 0.05})
    # Of those who went before the backup there are clocks, which wait for their last look.
    expect(dry["cursor"] is None and dry["found"]["orphans_removed"] >= 1 and dry["to_erase"] == 0, dry)
    expect(proof.rows(forgotten, new), "a dry replay changes nothing")
    replayer = user(proof.cloud, "replayer", *statements(proof, "restore"))
    first, again = replay(proof, replayer, order), replay(proof, replayer, order)
    orphans = str(dry["found"]["orphans_removed"])
    expect(("orphans removed", orphans, orphans) in first, first)
    expect(all(done in ("0", "") for name, _, done in again), again)

    switch_on(proof)
    deploy_with(proof, Restore="disabled", **restored)
    expect("RestoreFunction" not in proof.deployment.resources, "the function of the restore is gone")
    expect("RestoreRole" not in proof.deployment.resources, "and its role")
    proof.until("nothing is left of them in the restored table", lambda: not left_of(proof, forgotten))
    proof.ours("GET", f"/v1/subjects/{forgotten}").expect(404)
    person = proof.ours("GET", f"/v1/subjects/{stays}").expect(200)
    expect(person["identity"]["name"] == "Ada Lovelace", person)
    states = ("queued", "running", "verifying", "completed")
    found = [job for state in states for job in proof.ours("GET", f"/v1/erasures?state={state}").expect(200)["data"]]
    expect(len(found) >= 2, "what the replay handed over is listed with the tenant's erasures")

    tables.update_continuous_backups(
        TableName=old, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": False})
    tables.update_table(TableName=old, DeletionProtectionEnabled=False)
    tables.delete_table(TableName=old)


def moment():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def rule(proof):
    return next(name for logical, name in proof.deployment.resources.items() if logical == "CleanupFunctionEvery15Minutes")


def deploy_with(proof, **parameters):
    """`sam deploy --parameter-overrides`: the same template, with some parameters changed."""
    formation = proof.cloud.client("cloudformation")
    known = [it["ParameterKey"] for it in formation.describe_stacks(StackName=STACK)["Stacks"][0]["Parameters"]]
    same = [{"ParameterKey": name, "UsePreviousValue": True} for name in known if name not in parameters]
    changed = [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()]
    formation.update_stack(
        StackName=STACK, UsePreviousTemplate=True, Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        Parameters=same + changed)
    settled(formation)
    proof.deployment.list_resources()
    pause(proof, parameters["Restore"] == "enabled")


def pause(proof, paused):
    """What the template says of a restore and ministack passes over: see README.md."""
    lambdas, events = proof.cloud.client("lambda"), proof.cloud.client("events")
    for logical, name in proof.deployment.resources.items():
        if logical.endswith("Function") and logical != "RestoreFunction":
            if paused:
                lambdas.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
            else:
                lambdas.delete_function_concurrency(FunctionName=name)
            for mapping in lambdas.list_event_source_mappings(FunctionName=name)["EventSourceMappings"]:
                lambdas.update_event_source_mapping(UUID=mapping["UUID"], Enabled=not paused)
    state = events.disable_rule if paused else events.enable_rule
    state(Name=rule(proof))


def statements(proof, function):
    """All that a function's role allows."""
    access, role = proof.cloud.client("iam"), proof.role(function)
    documents = [
        access.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        for name in access.list_role_policies(RoleName=role)["PolicyNames"]
    ]
    return [statement for document in documents for statement in document["Statement"]]


def replay(proof, replayer, order):
    """The replay from the command line, with the function's policies: what it says it found and did."""
    known = proof.cloud.client("lambda").get_function_configuration(FunctionName=proof.deployment.function("restore"))
    environment = {**os.environ, **proof.cloud.variables(replayer), **known["Environment"]["Variables"]}
    command = ["cargo", "run", "--quiet", "--", "replay", "--aws", "--apply", "--restored", order["restored"],
               "--records-at", order["records_at"], "--keyring-at", order["keyring_at"]]
    run = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True)
    expect(run.returncode == 0, f"replay ends with {run.returncode}:\n{run.stdout}{run.stderr}")
    lines = [re.fullmatch(r"([a-z][a-z ]*[a-z])\s+(\d+)(?:\s+(\d+))?\s*", line) for line in run.stdout.splitlines()]
    return [(line[1], line[2], line[3] or "") for line in lines if line]


def switch_on(proof):
    """Configures the restored table, as the page says."""
    tables = proof.cloud.client("dynamodb")
    tables.update_continuous_backups(TableName=proof.records, PointInTimeRecoverySpecification={
        "PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": 30})
    tables.update_table(TableName=proof.records, DeletionProtectionEnabled=True)
    tables.update_time_to_live(TableName=proof.records, TimeToLiveSpecification={
        "Enabled": True, "AttributeName": "expires_at"})


def left_of(proof, subject):
    """Rows of what they said or are: the expiry index entry stays until the erasure is verified."""
    return [row for row in proof.rows(subject) if row["SK"]["S"] not in ("expiry", "restored")]


def run(proof):
    for check in CHECKS:
        proof.tell(check.__name__.replace("_", " "))
        check(proof)


CHECKS = [
    a_function_may_do_what_its_role_says_and_no_more,
    the_operators_routes_ask_for_a_signature_of_somebody_who_may,
    the_stream_hands_an_erasure_to_the_worker_and_its_receipt_verifies,
    an_upload_that_cannot_be_scanned_becomes_a_dead_letter,
    the_schedule_wakes_cleanup_and_whoever_is_due_is_forgotten,
    a_restored_backup_brings_nobody_back_who_was_forgotten,
]
