"""ministack, served over TLS on one loopback port: what `run.py` starts as a process of its own.

Over TLS since the bucket's policy refuses everything else, in AWS as here. The policies of the
template ask for more of a request than ministack tells them, so this tells them the rest: see
"What ministack is taught" in README.md. It makes ministack stricter, never more lenient, but for
an operation that it does not have.
"""

import asyncio
import json
import re
import sys
import urllib.parse

from hypercorn.asyncio import serve
from hypercorn.config import Config
from ministack import app
from ministack.core import iam_actions, iam_evaluator
from ministack.services import dynamodb, s3


def teach_the_keys_of_s3():
    """`s3:x-amz-server-side-encryption-aws-kms-key-id` of a put, `s3:authType` of every request."""
    known = iam_actions.s3_service_context

    def context(action, query, path="", headers=None):
        query, headers = query or {}, headers or {}
        keys = known(action, query, path, headers)
        signed_by_query = any(name.lower() == "x-amz-signature" for name in query)
        keys["s3:authType"] = "REST-QUERY-STRING" if signed_by_query else "REST-HEADER"
        if action == "s3:PutObject" and (key := encryption_key(query, headers)):
            keys["s3:x-amz-server-side-encryption-aws-kms-key-id"] = key
        return keys

    iam_actions.s3_service_context = context


def encryption_key(query, headers):
    """The KMS key that a put names. A part of an upload names none: the upload has done so."""
    upload = s3._multipart_uploads.get(iam_actions._query_param(query, "uploadId"))
    said = upload["preserved_headers"] if upload else headers
    return said.get("x-amz-server-side-encryption-aws-kms-key-id")


class Resource(str):
    """The ARN of a table, and which of its partitions a request names."""

    partitions = ()


def teach_the_keys_of_dynamodb():
    """`dynamodb:LeadingKeys`: the partitions that a request names, item by item where it is a
    transaction and table by table where it is a batch, as each of these is authorized."""
    transaction, tables = iam_actions.dynamodb_transaction_checks, iam_actions.dynamodb_resource_arns
    service_context, enforce = iam_actions.dynamodb_service_context, iam_evaluator.enforce

    def of(arn, part):
        resource = Resource(arn)
        resource.partitions = sorted(set(partitions(part)))
        return resource

    def transaction_checks(action, body, region, account):
        checks = transaction(action, body, region, account)
        items = [part for item in json.loads(body)["TransactItems"] for part in item.values()] if checks else []
        return [(action, of(arn, part)) for (action, arn), part in zip(checks, items, strict=True)]

    def resource_arns(body, region, account):
        batch = json.loads(body or b"{}").get("RequestItems", {})
        found = tables(body, region, account)
        return [of(arn, batch.get(arn.rpartition("/")[2], {})) if batch else arn for arn in found]

    def context(body):
        keys = sorted(set(partitions(json.loads(body or b"{}"))))
        return {**service_context(body), **({"dynamodb:LeadingKeys": keys} if keys else {})}

    def enforce_each(*about, resource_arn="*", service_context=None):
        if isinstance(resource_arn, Resource):
            service_context = {**(service_context or {}), "dynamodb:LeadingKeys": resource_arn.partitions}
        return enforce(*about, resource_arn=resource_arn, service_context=service_context)

    iam_actions.dynamodb_transaction_checks, iam_actions.dynamodb_resource_arns = transaction_checks, resource_arns
    iam_actions.dynamodb_service_context, iam_evaluator.enforce = context, enforce_each


def partitions(request):
    """The values of `PK` in keys and items, and of what a query says it equals."""
    if isinstance(request, list):
        for part in request:
            yield from partitions(part)
        return
    if not isinstance(request, dict):
        return
    condition = request.get("KeyConditionExpression", "")
    if named := re.match(r"\s*\S+\s*=\s*(:\w+)", condition):
        yield from request["ExpressionAttributeValues"][named[1]].values()
    for name, part in request.items():
        if name in ("Key", "Item") and isinstance(part, dict):
            yield from part.get("PK", {}).values()
        elif name == "Keys" and isinstance(part, list):
            for key in part:
                yield from key.get("PK", {}).values()
        elif name not in ("ExpressionAttributeValues", "ExpressionAttributeNames"):
            yield from partitions(part)


def teach_the_keys_of_kms():
    """`kms:EncryptionContext:…` of a request."""
    known = iam_actions.request_tag_context

    def context(service, action, body, parameters):
        keys = known(service, action, body, parameters)
        said = json.loads(body or b"{}").get("EncryptionContext", {}) if service == "kms" else {}
        return {**keys, **{f"kms:EncryptionContext:{name}": value for name, value in said.items()}}

    iam_actions.request_tag_context = context


def teach_the_gateway():
    """A route that asks for a signature refuses whatever else a caller sends instead of one."""
    known = app._enforce_execute_api

    def enforce(api, stage, method, path, headers, query, **more):
        asked = app._execute_api_authorization_type(api, stage, method, path)
        sent = headers.get("authorization", "")
        if asked == "AWS_IAM" and sent and not sent.startswith("AWS4-HMAC-SHA256"):
            return 403, {"Content-Type": "application/json"}, b'{"message":"Forbidden"}'
        return known(api, stage, method, path, headers, query, **more)

    app._enforce_execute_api = enforce


def teach_exports():
    """`ListExports`, which cleanup asks for once a day: there are none, for nothing here makes any."""
    known = dynamodb.handle_request

    async def handle(method, path, headers, body, query_params):
        if headers.get("x-amz-target", "").endswith(".ListExports"):
            return 200, {"Content-Type": "application/x-amz-json-1.0"}, b'{"ExportSummaries": []}'
        return await known(method, path, headers, body, query_params)

    dynamodb.handle_request = handle


def refusing_what_is_not_signed(serve_request):
    """By a link nothing of S3's own can be sent that was not signed with it."""

    async def refuse_or_serve(scope, receive, send):
        if scope["type"] == "http":
            query = urllib.parse.parse_qs(scope["query_string"].decode())
            if signed := query.get("X-Amz-SignedHeaders"):
                sent = [name.decode().lower() for name, _ in scope["headers"]]
                if any(name.startswith("x-amz-") and name not in signed[0].split(";") for name in sent):
                    headers = [(b"content-type", b"application/xml"), (b"connection", b"close")]
                    await send({"type": "http.response.start", "status": 403, "headers": headers})
                    message = b"There were headers present in the request which were not signed"
                    body = b"<Error><Code>AccessDenied</Code><Message>%s</Message></Error>" % message
                    await send({"type": "http.response.body", "body": body})
                    return
        await serve_request(scope, receive, send)

    return refuse_or_serve


def main():
    port, certificate, key = sys.argv[1:]
    teach_the_keys_of_s3()
    teach_the_keys_of_dynamodb()
    teach_the_keys_of_kms()
    teach_the_gateway()
    teach_exports()
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.certfile, config.keyfile = certificate, key
    config.keep_alive_timeout = 75
    # By HTTP/2 this server accepts one request after a connection's thousandth, closes the
    # connection to answers too, and lets the caller wait for ever.
    config.alpn_protocols = ["http/1.1"]
    asyncio.run(serve(refusing_what_is_not_signed(app.app), config))


main()
