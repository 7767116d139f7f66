"""The real template in a ministack: what `sam deploy` does, and what ministack leaves out."""

import io
import json
import pathlib
import re
import time
import zipfile

from cloud import REGION

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
TEMPLATE = REPOSITORY / "infra/template.yaml"
ACCOUNT = "000000000000"
STACK = "lethe"
STAGE = "proof"
ARTIFACTS = "artifacts-of-the-deployment"
CODE = re.compile(r"CodeUri: \.\./target/lambda/([a-z]+)/")
# What ministack refuses a whole template for: a type that it does not know, and an alarm that
# calculates with metrics.
RESOURCE = re.compile(r"^  (\w+):\n    Type: (\S+)\n((?:    .*\n|\n)*)", re.MULTILINE)


def functions():
    """The names of the functions that the template deploys: those of their packages."""
    return CODE.findall(TEMPLATE.read_text())


class Deployment:
    """A stack that has been made."""

    def __init__(self, cloud, outputs):
        self.cloud = cloud
        self.outputs = outputs
        self.list_resources()

    def list_resources(self):
        """Reads what exists: the parameters decide about some of it."""
        listed = self.cloud.client("cloudformation").describe_stack_resources(StackName=STACK)["StackResources"]
        self.resources = {it["LogicalResourceId"]: it["PhysicalResourceId"] for it in listed}

    @property
    def api(self):
        return self.resources["Api"]

    @property
    def host(self):
        """The `Host` at which the API answers."""
        return f"{self.api}.execute-api.localhost:{self.cloud.port}"

    def table_arn(self, logical):
        return f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{self.resources[logical]}"

    def function(self, name):
        return self.resources[f"{name.capitalize()}Function"]


def user(cloud, name, *statements):
    """A caller who may do what these statements say and nothing else: their access key."""
    access = cloud.client("iam")
    access.create_user(UserName=name)
    policy = {"Version": "2012-10-17", "Statement": list(statements)}
    access.put_user_policy(UserName=name, PolicyName=name, PolicyDocument=json.dumps(policy))
    key = access.create_access_key(UserName=name)["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]


def allow(actions, *resources):
    return {"Effect": "Allow", "Action": actions, "Resource": list(resources)}


def operator(deployment):
    """Whoever runs the service: calls the operator's routes, and looks into what is stored."""
    tables = [deployment.table_arn(name) for name in ("RecordsTable", "KeyringTable")]
    bucket = f"arn:aws:s3:::{deployment.outputs['BucketName']}"
    route = f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{deployment.api}/*/*/v1/tenants*"
    return user(
        deployment.cloud,
        "operator",
        allow(["execute-api:Invoke"], route),
        allow(["dynamodb:Scan", "dynamodb:Query", "dynamodb:GetItem", "dynamodb:PutItem"], *tables),
        allow(["s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketMultipartUploads"], bucket),
        allow(["s3:GetObjectTagging"], f"{bucket}/*"),
    )


def deploy(cloud, binaries, architecture, tell):
    package(cloud, binaries, tell)
    formation = cloud.client("cloudformation")
    tell("creating the stack")
    formation.create_stack(
        StackName=STACK,
        TemplateURL=f"{cloud.endpoint}/{ARTIFACTS}/template.yaml",
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        Parameters=[
            {"ParameterKey": "Stage", "ParameterValue": STAGE},
            {"ParameterKey": "Architecture", "ParameterValue": architecture},
        ],
    )
    stack = settled(formation)
    outputs = {it["OutputKey"]: it["OutputValue"] for it in stack["Outputs"]}
    deployment = Deployment(cloud, outputs)
    tell(f"{len(deployment.resources)} resources, {route(deployment)} routes")
    return deployment


def package(cloud, binaries, tell):
    """`sam package`: zips of the binaries in a bucket, and a template that names them."""
    objects = cloud.client("s3")
    objects.create_bucket(Bucket=ARTIFACTS, CreateBucketConfiguration={"LocationConstraint": REGION})

    def packed(found):
        name = found[1]
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as zipped:
            entry = zipfile.ZipInfo("bootstrap")
            entry.external_attr = 0o755 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            zipped.writestr(entry, (binaries / name / "bootstrap").read_bytes())
        objects.put_object(Bucket=ARTIFACTS, Key=f"{name}.zip", Body=archive.getvalue())
        return f"CodeUri: s3://{ARTIFACTS}/{name}.zip"

    text = CODE.sub(packed, TEMPLATE.read_text())
    # To CloudFormation what a mapping holds are strings; ministack would start functions with
    # numbers in their environment.
    head, found, rest = text.partition("\nMappings:\n")
    mappings, globals_, rest = rest.partition("\nGlobals:\n")
    text = head + found + re.sub(r": (\d+)$", r': "\1"', mappings, flags=re.MULTILINE) + globals_ + rest
    left_out = []

    def known(found):
        name, kind, properties = found.groups()
        calculates = kind == "AWS::CloudWatch::Alarm" and "\n      Metrics:\n" in properties
        if kind != "AWS::Backup::BackupSelection" and not calculates:
            return found[0]
        left_out.append(name)
        return ""

    text = RESOURCE.sub(known, text)
    tell(f"left out, since ministack cannot make it: {', '.join(left_out)}")
    objects.put_object(Bucket=ARTIFACTS, Key="template.yaml", Body=text.encode())


def settled(formation):
    """The stack once it is made, or made anew."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        stack = formation.describe_stacks(StackName=STACK)["Stacks"][0]
        if stack["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            return stack
        if not stack["StackStatus"].endswith("_IN_PROGRESS"):
            break
        time.sleep(0.5)
    pages = formation.get_paginator("describe_stack_events").paginate(StackName=STACK)
    events = [event for page in pages for event in page["StackEvents"]]
    causes = [f"  {it['LogicalResourceId']}: {it['ResourceStatusReason']}" for it in events if it.get("ResourceStatusReason")]
    causes.append(f"  {stack.get('StackStatusReason', 'it gives no reason')}")
    raise RuntimeError("\n".join([f"the stack is {stack['StackStatus']}", *causes]))


def route(deployment):
    """Makes the API's routes of the OpenAPI document that SAM has written into the stack.

    AWS does so by itself; ministack passes over `Body`. How many there are."""
    formation = deployment.cloud.client("cloudformation")
    gateway = deployment.cloud.client("apigatewayv2")
    processed = formation.get_template(StackName=STACK, TemplateStage="Processed")["TemplateBody"]
    resources = (json.loads(processed) if isinstance(processed, str) else processed)["Resources"]
    integrations, made = {}, 0
    for path, methods in resources["Api"]["Properties"]["Body"]["paths"].items():
        for method, operation in methods.items():
            if method == "options" or method.startswith("x-"):
                continue
            uri = operation["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"]
            logical = re.search(r"\$\{(\w+)\.Arn\}", uri)[1]
            if logical not in integrations:
                integrations[logical] = integrate(deployment, gateway, logical)
            signed = any("AWS_IAM" in it for it in operation.get("security", []))
            gateway.create_route(
                ApiId=deployment.api,
                RouteKey=f"{method.upper()} {path}",
                Target=f"integrations/{integrations[logical]}",
                AuthorizationType="AWS_IAM" if signed else "NONE",
            )
            made += 1
    return made


def integrate(deployment, gateway, logical):
    name = deployment.resources[logical]
    arn = deployment.cloud.client("lambda").get_function(FunctionName=name)["Configuration"]["FunctionArn"]
    made = gateway.create_integration(
        ApiId=deployment.api,
        IntegrationType="AWS_PROXY",
        IntegrationUri=arn,
        PayloadFormatVersion="2.0",
    )
    return made["IntegrationId"]
