//! What each route takes and gives, beside the route table: names of schemas, statuses,
//! headers. What follows from the table itself (keys, scopes, limits, the problems that
//! the edge answers with) is not said again here.

/// One success that a route may answer with.
#[derive(Clone, Copy, Debug)]
pub struct Success {
    pub status: u16,
    /// Its body's schema; none where there is no body.
    pub schema: Option<&'static str>,
    pub description: &'static str,
    pub headers: &'static [&'static str],
    pub links: &'static [Link],
}

/// Where a value of an answer leads: another operation's id, its parameter, and the value's
/// place (RFC 6901).
pub type Link = (&'static str, &'static str, &'static str);

/// What the description adds to a row of the route table.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// Method and path, as in the route table.
    pub route: &'static str,
    pub id: &'static str,
    pub tag: &'static str,
    /// What it does, in a few sentences.
    pub description: &'static str,
    /// The body's schema.
    pub body: Option<&'static str>,
    pub successes: &'static [Success],
    /// Problems that come from what the route does, not from the edge: status and when.
    pub problems: &'static [(u16, &'static str)],
    /// Honours `If-Match`.
    pub if_match: bool,
}

const fn operation(
    route: &'static str,
    id: &'static str,
    tag: &'static str,
    successes: &'static [Success],
) -> Operation {
    Operation {
        route,
        id,
        tag,
        description: "",
        body: None,
        successes,
        problems: &[],
        if_match: false,
    }
}

impl Operation {
    const fn describes(mut self, description: &'static str) -> Operation {
        self.description = description;
        self
    }

    const fn takes(mut self, schema: &'static str) -> Operation {
        self.body = Some(schema);
        self
    }

    const fn problems(mut self, problems: &'static [(u16, &'static str)]) -> Operation {
        self.problems = problems;
        self
    }

    const fn if_match(mut self) -> Operation {
        self.if_match = true;
        self
    }
}

const fn gives(status: u16, schema: &'static str, description: &'static str) -> Success {
    Success {
        status,
        schema: Some(schema),
        description,
        headers: &[],
        links: &[],
    }
}

const fn nothing(description: &'static str) -> Success {
    Success {
        status: 204,
        schema: None,
        description,
        headers: &[],
        links: &[],
    }
}

impl Success {
    const fn with(mut self, headers: &'static [&'static str]) -> Success {
        self.headers = headers;
        self
    }

    const fn leads(mut self, links: &'static [Link]) -> Success {
        self.links = links;
        self
    }
}

const RESTRICTED: &[(u16, &str)] = &[(
    409,
    "The person is restricted, and the key does not have the `govern` scope.",
)];
const LOCATION: &[&str] = &["Location"];
const ETAG: &[&str] = &["ETag"];
const TO_ERASURE: &[Link] = &[
    ("getErasure", "id", "/id"),
    ("getReceipt", "id", "/id"),
    ("cancelErasure", "id", "/id"),
];

/// Every operation, in the route table's order.
pub const OPERATIONS: &[Operation] = &[
    operation(
        "POST /v1/events",
        "sendEvents",
        "Ingest",
        &[
            gives(200, "EventResults", "One result for each event.").leads(&[
                ("getPerson", "subject", "/results/0/subject"),
                ("listRecords", "subject", "/results/0/subject"),
            ]),
        ],
    )
    .describes(
        "Stores up to 100 events about any number of people in one request of at most 1 MiB. The \
         response has one result for each event, in the order sent. An event that cannot be \
         stored does not affect the others. A key with the `collect` scope learns only whether \
         an event was accepted or rejected, and cannot send IP addresses, user IDs, agents' \
         messages or sessions.",
    )
    .takes("Events"),
    operation(
        "POST /v1/attachments",
        "announceAttachment",
        "Ingest",
        &[gives(
            201,
            "AnnouncedAttachment",
            "The attachment and its upload link.",
        )],
    )
    .describes(
        "Announces a file and returns a presigned link to upload it with a PUT request within \
         ten minutes. The link fixes the size, the SHA-256 checksum and the headers. The file is \
         scanned after the upload and can be downloaded only if it is clean. To get a new link \
         for the same file after the link has expired, repeat the request with the same \
         `Idempotency-Key`.",
    )
    .takes("AttachmentAnnouncement")
    .problems(&[
        (404, "On a repeated request: the file no longer exists."),
        (
            409,
            "The person is being erased (`erasing`), is suppressed (`suppressed`), or has not \
             consented and the tenant requires consent for all data (`no_consent`). On a \
             repeated request: the file has already been uploaded (`uploaded`). A `collect` key \
             never receives this error: it gets a link, and the file is then deleted.",
        ),
    ]),
    operation(
        "PATCH /v1/subjects/{subject}",
        "correctPerson",
        "Ingest",
        &[nothing(
            "Corrected. Replaced and removed values are also removed from backups, as after a \
             redaction.",
        )
        .with(ETAG)],
    )
    .describes(
        "Replaces identity, contact and custom fields. `null` removes a field. To reject a \
         correction that is based on stale data, send the person's `ETag` as `If-Match`.",
    )
    .takes("Correction")
    .problems(&[(
        409,
        "The person is under a legal hold, or is restricted and the key does not have the \
         `govern` scope.",
    )])
    .if_match(),
    operation(
        "GET /v1/privacy-config",
        "getPrivacyConfig",
        "Ingest",
        &[gives(200, "PrivacyConfig", "The settings in effect.")],
    )
    .describes(
        "Returns the settings that a client SDK must apply: what to hide and what not to send.",
    ),
    operation(
        "POST /v1/lookup",
        "findPeople",
        "Access",
        &[
            gives(200, "FoundPeople", "The people who match the value.").leads(&[
                ("getPerson", "subject", "/subjects/0/subject"),
                ("listRecords", "subject", "/subjects/0/subject"),
            ]),
        ],
    )
    .describes(
        "Finds people by exactly one value. Email addresses and phone numbers are normalized \
         first, so every common notation finds the same person. The value is sent in the body, \
         because URLs must not contain personal data.",
    )
    .takes("Lookup"),
    operation(
        "GET /v1/subjects",
        "listPeople",
        "Access",
        &[gives(200, "PersonRowPage", "A page of people.")],
    )
    .describes(
        "Lists people in order of expiry. Use `state` to filter by the rule that applies to \
         them, and `expires_before` to list the people who expire before a given time.",
    ),
    operation(
        "GET /v1/subjects/{subject}",
        "getPerson",
        "Access",
        &[gives(200, "Person", "The person, without their records.").with(ETAG)],
    )
    .describes(
        "Returns the profile of one person: identity, contact, network, device and custom \
         fields, consent, the rules in effect and the number of records. An erased, expired or \
         unknown person returns `404`.",
    )
    .problems(RESTRICTED),
    operation(
        "GET /v1/subjects/{subject}/records",
        "listRecords",
        "Access",
        &[gives(200, "RecordPage", "A page of records.")],
    )
    .describes(
        "Returns a page of a person's conversations, messages, attachments or \
         interactions. Filter by type, conversation and time.",
    )
    .problems(RESTRICTED),
    operation(
        "GET /v1/subjects/{subject}/attachments/{attachment}",
        "getAttachment",
        "Access",
        &[gives(
            200,
            "AttachmentState",
            "The state of the attachment, with a download link if it is clean.",
        )],
    )
    .describes(
        "Returns the state and the scan verdict of an attachment. If the attachment is clean, \
         the response includes a presigned download link that is valid for 60 seconds.",
    )
    .problems(RESTRICTED),
    operation(
        "POST /v1/redactions",
        "redact",
        "Redact",
        &[
            gives(
                200,
                "RedactionResults",
                "Completed, with one result for each target.",
            ),
            gives(
                202,
                "RedactionJob",
                "More than 100 records. A job redacts them.",
            )
            .with(LOCATION)
            .leads(&[("getRedaction", "id", "/id")]),
        ],
    )
    .describes(
        "Redacts messages, parts of messages, attachments and whole conversations. Redaction is \
         irreversible. Redacting a target again succeeds. Up to 100 records are redacted before \
         the response is sent. A job redacts larger requests.",
    )
    .takes("Redaction")
    .problems(&[(
        409,
        "A person is under a legal hold, or is restricted and the key does not have the `govern` \
         scope. No changes were made.",
    )]),
    operation(
        "GET /v1/redactions",
        "listRedactions",
        "Redact",
        &[gives(
            200,
            "RedactionJobPage",
            "A page of jobs, newest first.",
        )],
    )
    .describes("Lists redaction jobs, newest first."),
    operation(
        "GET /v1/redactions/{id}",
        "getRedaction",
        "Redact",
        &[gives(200, "RedactionJob", "The job.")],
    )
    .describes(
        "Returns the state and progress of a redaction job and, after it has completed, the \
         result for each target.",
    ),
    operation(
        "DELETE /v1/subjects/{subject}",
        "erasePerson",
        "Erase",
        &[gives(
            202,
            "ErasureJob",
            "The data is already unreadable. A job deletes what remains in the stores.",
        )
        .with(LOCATION)
        .leads(TO_ERASURE)],
    )
    .describes(
        "Erases one person. Their data key is deleted before the response is sent, so their \
         stored data can no longer be read. A job then deletes the stored items and issues a \
         signed receipt. If the person is under a legal hold, the job is `blocked` until the \
         hold ends.",
    ),
    operation(
        "POST /v1/erasures",
        "erasePeople",
        "Erase",
        &[
            gives(
                202,
                "ErasureJob",
                "The data is already unreadable. A job deletes what remains in the stores.",
            )
            .with(LOCATION)
            .leads(TO_ERASURE),
            gives(
                200,
                "ErasureCounts",
                "For a dry run: what would be deleted. No changes were made.",
            ),
        ],
    )
    .describes(
        "Erases up to 5,000 people, identified by `subject`, `visitor_id` or one lookup value, \
         or the entire tenant. With `dry_run`, no changes are made and the response counts what \
         would be deleted in each store.",
    )
    .takes("Erasure")
    .problems(&[
        (404, "None of the people exists."),
        (
            409,
            "The lookup matches several people (`ambiguous`, with `candidates`). A person is \
             under a legal hold, and 40 erasures are already waiting for it (`held`). For a \
             tenant: a person is under a legal hold (`held`), or the erasure has already been \
             requested (`leaving`).",
        ),
    ]),
    operation(
        "GET /v1/erasures",
        "listErasures",
        "Erase",
        &[gives(
            200,
            "ErasureJobPage",
            "A page of jobs, newest first.",
        )],
    )
    .describes("Lists erasure jobs, newest first."),
    operation(
        "GET /v1/erasures/{id}",
        "getErasure",
        "Erase",
        &[gives(200, "ErasureJob", "The job.")],
    )
    .describes(
        "Returns the state of an erasure, the time from which each store could no longer be \
         read, the people still under a legal hold, and the time by which the backups are clear.",
    ),
    operation(
        "GET /v1/erasures/{id}/receipt",
        "getReceipt",
        "Erase",
        &[gives(
            200,
            "Receipt",
            "The receipt. Verify it with the keys at /.well-known/jwks.json.",
        )],
    )
    .describes(
        "Returns a compact JWS (ES256) that states what an erasure did. Use any JOSE library to \
         verify it with the keys at `/.well-known/jwks.json`. The receipt identifies retention \
         periods of people (lives), never the people themselves. To get the receipt of a day's \
         expiries, use the date in place of a job ID.",
    )
    .problems(&[(409, "The erasure has not completed yet (`not_completed`).")]),
    operation(
        "POST /v1/erasures/{id}/cancel",
        "cancelErasure",
        "Erase",
        &[gives(
            200,
            "ErasureJob",
            "Cancelled. Data that was not yet erased is kept.",
        )],
    )
    .describes(
        "Cancels an erasure that is blocked by a legal hold or has not reached its `not_before`. \
         Data that was already erased stays erased.",
    )
    .problems(&[(
        409,
        "The erasure has started and is not blocked (`not_cancellable`).",
    )]),
    operation(
        "POST /v1/exports",
        "exportPerson",
        "Export",
        &[gives(202, "ExportJob", "A job creates the export.")
            .with(LOCATION)
            .leads(&[("getExport", "id", "/id")])],
    )
    .describes(
        "Starts an export of a person's data. `access` includes observed data, purposes, \
         retention and recipients. `portability` includes the data that the person provided.",
    )
    .takes("Export")
    .problems(&[
        (404, "No person matches the request."),
        (
            409,
            "The lookup matches several people (`ambiguous`), or the person is restricted.",
        ),
    ]),
    operation(
        "GET /v1/exports",
        "listExports",
        "Export",
        &[gives(200, "ExportJobPage", "A page of jobs, newest first.")],
    )
    .describes("Lists export jobs, newest first."),
    operation(
        "GET /v1/exports/{id}",
        "getExport",
        "Export",
        &[gives(
            200,
            "ExportJob",
            "The job. Download links are available for one day after completion, unless the \
             export is withdrawn.",
        )],
    )
    .describes(
        "Returns the state of an export and, after it has completed, presigned download links \
         that are valid for 60 seconds. An export is deleted after one day, or earlier if a \
         redaction, correction or erasure makes it outdated.",
    )
    .problems(RESTRICTED),
    operation(
        "PUT /v1/subjects/{subject}/restriction",
        "restrictPerson",
        "Rights",
        &[nothing(
            "Restricted. Only keys with the `govern` scope can use the data. Expiry is paused.",
        )],
    )
    .describes(
        "Restricts processing (GDPR Art. 18). New data is still stored, but reading and \
         redacting require the `govern` scope. Expiry is paused.",
    ),
    operation(
        "DELETE /v1/subjects/{subject}/restriction",
        "liftRestriction",
        "Rights",
        &[nothing(
            "Not restricted. Expiry resumes, based on when the person was last seen.",
        )],
    )
    .describes("Lifts the restriction. Expiry resumes."),
    operation(
        "PUT /v1/subjects/{subject}/objection",
        "noteObjection",
        "Rights",
        &[nothing("Visits and interactions are ignored from now on.")],
    )
    .describes(
        "Records an objection (GDPR Art. 21). Visits and interactions are no longer stored. The \
         person's own messages are still stored. An objection stays in effect after an erasure.",
    ),
    operation(
        "DELETE /v1/subjects/{subject}/objection",
        "withdrawObjection",
        "Rights",
        &[nothing("No objection is in effect.")],
    )
    .describes("Removes the objection. Visits and interactions are stored again."),
    operation(
        "PUT /v1/subjects/{subject}/hold",
        "holdPerson",
        "Rights",
        &[nothing(
            "The legal hold is in effect and replaces an earlier one. Data cannot be deleted or \
             changed: events only add data. Expiry is paused.",
        )],
    )
    .describes(
        "Places a legal hold. While it is in effect, the person's data cannot be erased, \
         redacted or overwritten, and expiry is paused. Repeat the request to change the reason \
         or the end of the hold.",
    )
    .takes("Hold")
    .problems(&[(409, "The tenant is being erased (`leaving`).")]),
    operation(
        "DELETE /v1/subjects/{subject}/hold",
        "liftHold",
        "Rights",
        &[nothing(
            "No legal hold is in effect. Expiry and blocked erasures resume.",
        )],
    )
    .describes(
        "Lifts the legal hold. Erasures that it blocked take effect in the same transaction.",
    ),
    operation(
        "PUT /v1/subjects/{subject}/suppression",
        "suppressPerson",
        "Rights",
        &[nothing(
            "After an erasure or expiry, the person is not stored again.",
        )],
    )
    .describes("Prevents a person from being stored again after an erasure or expiry."),
    operation(
        "DELETE /v1/subjects/{subject}/suppression",
        "liftSuppression",
        "Rights",
        &[nothing("The person can be stored again.")],
    )
    .describes("Allows a person to be stored again."),
    operation(
        "DELETE /v1/subjects/{subject}/consent",
        "withdrawConsent",
        "Rights",
        &[nothing(
            "Withdrawn. Identity and contact data that was based on consent is deleted, and also \
             removed from backups, as after a redaction. The data is kept only if it has another \
             legal basis that is verified.",
        )],
    )
    .describes(
        "Withdraws consent (GDPR Art. 7(3)). Identity and contact data that was based on the \
         consent is deleted.",
    )
    .problems(&[(
        409,
        "No consent is on record (`no_consent`), or the person is under a legal hold (`held`).",
    )]),
    operation(
        "GET /v1/settings",
        "getSettings",
        "Govern",
        &[gives(200, "Settings", "The settings.").with(ETAG)],
    )
    .describes("Returns the tenant's settings with an `ETag`."),
    operation(
        "PUT /v1/settings",
        "replaceSettings",
        "Govern",
        &[gives(
            200,
            "ReplacedSettings",
            "The new settings or, for a dry run, what would change.",
        )
        .with(ETAG)],
    )
    .describes(
        "Replaces all settings. Omitted settings get their default values. To reject a change \
         that is based on stale settings, send `If-Match`. With `dry_run=true`, no changes are \
         made and the response reports what would be deleted.",
    )
    .takes("SettingsReplacement")
    .if_match(),
    operation(
        "POST /v1/keys",
        "createKey",
        "Govern",
        &[gives(
            201,
            "NewKey",
            "The key. Its `secret` is returned only once, and not to a repeated request.",
        )
        .leads(&[("revokeKey", "id", "/id")])],
    )
    .describes(
        "Creates an API key with the given scopes. The secret is returned only in this response.",
    )
    .takes("KeyRequest")
    .problems(&[(409, "The tenant is being erased (`leaving`).")]),
    operation(
        "GET /v1/keys",
        "listKeys",
        "Govern",
        &[gives(
            200,
            "KeyPage",
            "A page of keys, without their secrets.",
        )],
    )
    .describes("Lists API keys without their secrets."),
    operation(
        "DELETE /v1/keys/{id}",
        "revokeKey",
        "Govern",
        &[nothing(
            "Revoked. The key is rejected everywhere within 60 seconds.",
        )],
    )
    .describes(
        "Revokes an API key. Instances that have cached the key accept it for up to 60 more \
         seconds.",
    )
    .problems(&[(409, "This is the last key that can administer the tenant.")]),
    operation(
        "GET /v1/activity",
        "listActivity",
        "Govern",
        &[gives(
            200,
            "ActivityEntryPage",
            "A page of entries, newest first.",
        )],
    )
    .describes(
        "Lists the entries of the activity log, newest first. IDs that look like personal data \
         are masked.",
    ),
    operation(
        "GET /v1/activity/seals",
        "listSeals",
        "Govern",
        &[gives(
            200,
            "SealPage",
            "A page of signed log roots, newest first. With `day`, the root of that day and its \
             leaves.",
        )],
    )
    .describes(
        "Lists the signed log roots of completed days (Merkle tree roots; RFC 6962 signed tree \
         heads), newest first. Each contains the root of the previous day.",
    ),
    operation(
        "POST /v1/tenants",
        "createTenant",
        "Operate",
        &[gives(
            201,
            "NewTenant",
            "The tenant. Its first key is returned only once, and not to a repeated request.",
        )
        .leads(&[("eraseTenant", "tenant", "/tenant")])],
    )
    .describes(
        "Creates a tenant and its first API key. The secret is returned only in this response.",
    )
    .takes("TenantRequest"),
    operation(
        "GET /v1/tenants",
        "listTenants",
        "Operate",
        &[gives(200, "TenantPage", "A page of tenants.")],
    )
    .describes("Lists all tenants."),
    operation(
        "POST /v1/tenants/{tenant}/keys",
        "createOwnerKey",
        "Operate",
        &[gives(
            201,
            "NewKey",
            "A key with every scope except `collect`. Its `secret` is returned only once.",
        )],
    )
    .describes(
        "Creates a key with every scope except `collect` for a tenant that has lost its own. The \
         secret is returned only in this response.",
    )
    .takes("TenantRequest")
    .problems(&[(409, "The tenant is being erased.")]),
    operation(
        "DELETE /v1/tenants/{tenant}",
        "eraseTenant",
        "Operate",
        &[gives(
            202,
            "ErasureJob",
            "The erasure starts in one day. The tenant's owner can cancel it until then.",
        )],
    )
    .describes(
        "Schedules the erasure of a tenant and all its people, one day ahead. The erasure can be \
         cancelled until it starts.",
    )
    .problems(&[(
        409,
        "A person is under a legal hold (`held`), or the erasure has already been requested \
         (`leaving`).",
    )]),
    operation(
        "GET /console",
        "openConsole",
        "Service",
        &[gives(200, "Page", "The page.")],
    )
    .describes("Returns the console, a web client of this API."),
    operation(
        "GET /v1/openapi.json",
        "getDescription",
        "Service",
        &[gives(200, "Description", "This document.")],
    )
    .describes("Returns this OpenAPI document."),
    operation(
        "GET /v1/health",
        "getHealth",
        "Service",
        &[gives(200, "Health", "The service is available.")],
    )
    .describes("Returns the status, the version and the current time of the service."),
    operation(
        "GET /.well-known/jwks.json",
        "getKeys",
        "Service",
        &[gives(200, "KeySet", "The public keys.")],
    )
    .describes(
        "Returns the public keys that verify receipts and signed log roots, as a JWK Set \
         (RFC 7517).",
    ),
];

/// The groups in which operations are listed, and what each is for.
pub const TAGS: [(&str, &str); 9] = [
    (
        "Ingest",
        "Receive events and files from web pages and servers.",
    ),
    ("Access", "Find people and read their data."),
    ("Redact", "Permanently remove parts of the stored data."),
    ("Erase", "Erase people and tenants."),
    ("Export", "Export a person's data."),
    (
        "Rights",
        "Restriction, objection, legal hold, suppression and consent.",
    ),
    ("Govern", "A tenant's settings, API keys and activity log."),
    (
        "Operate",
        "Manage tenants. For the operator of the service.",
    ),
    (
        "Service",
        "The console, the API description, health and public keys.",
    ),
];
