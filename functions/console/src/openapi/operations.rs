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

const RESTRICTED: &[(u16, &str)] =
    &[(409, "The person is restricted, and the key may not govern.")];
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
            gives(200, "EventResults", "What became of each event.").leads(&[
                ("getPerson", "subject", "/results/0/subject"),
                ("listRecords", "subject", "/results/0/subject"),
            ]),
        ],
    )
    .describes(
        "Takes up to 100 events of any number of people, in one request of at most 1 MiB. \
         The answer has one result for each event, in the order sent: one event that \
         cannot be stored never costs the others. A key with the scope `collect` learns \
         only whether an event was accepted or rejected, and can't send addresses, user \
         ids, agents' messages or sessions.",
    )
    .takes("Events"),
    operation(
        "POST /v1/attachments",
        "announceAttachment",
        "Ingest",
        &[gives(201, "AnnouncedAttachment", "The link to upload it.")],
    )
    .describes(
        "Announces a file and returns a presigned link to upload it with a PUT request \
         within ten minutes. The link fixes the size, the SHA-256 checksum and the \
         headers. The file is scanned when it arrives and can be downloaded only when it \
         is found clean. Sent again with its `Idempotency-Key` after the link has expired, \
         an announcement returns a new link for the same file.",
    )
    .takes("AttachmentAnnouncement")
    .problems(&[
        (404, "Sent again: nothing is known of the file any more."),
        (
            409,
            "The person is being erased (`erasing`), stays away (`suppressed`), or has not consented \
             where that is required for all (`no_consent`). Sent again: the file has been uploaded \
             (`uploaded`). Never told to a `collect` key, which gets a link all the same; the file is \
             then deleted.",
        ),
    ]),
    operation(
        "PATCH /v1/subjects/{subject}",
        "correctPerson",
        "Ingest",
        &[nothing("Corrected. What was replaced or removed goes from backups too, as after a redaction.").with(ETAG)],
    )
    .describes(
        "Replaces identity, contact and custom fields. `null` removes a field. Send the \
         `ETag` of the person as `If-Match` so that a correction based on stale data is \
         refused.",
    )
    .takes("Correction")
    .problems(&[(
        409,
        "The person is held, or restricted and the key may not govern.",
    )])
    .if_match(),
    operation(
        "GET /v1/privacy-config",
        "getPrivacyConfig",
        "Ingest",
        &[gives(200, "PrivacyConfig", "The settings in force.")],
    )
    .describes(
        "Returns the settings that a client SDK must obey: what it must hide, and what it \
         must not send.",
    ),
    operation(
        "POST /v1/lookup",
        "findPeople",
        "Access",
        &[
            gives(200, "FoundPeople", "Whoever is known by the value.").leads(&[
                ("getPerson", "subject", "/subjects/0/subject"),
                ("listRecords", "subject", "/subjects/0/subject"),
            ]),
        ],
    )
    .describes(
        "Finds people by exactly one value. E-mail addresses and phone numbers are \
         normalized first, so every common way of writing them finds the same person. The \
         value is sent in the body, because no personal data belongs in a URL.",
    )
    .takes("Lookup"),
    operation(
        "GET /v1/subjects",
        "listPeople",
        "Access",
        &[gives(
            200,
            "PersonPage",
            "A page of people. `expires_before` finds those who go soon, `state` those under a rule.",
        )],
    )
    .describes(
        "Lists people in the order in which they expire. Filter by the rule that applies \
         to them, or by the time before which they expire.",
    ),
    operation(
        "GET /v1/subjects/{subject}",
        "getPerson",
        "Access",
        &[gives(200, "Person", "All but their records.").with(ETAG)],
    )
    .describes(
        "Returns the profile of one person: identity, contact, network, device and custom \
         fields, consent, rules in force and counts of records. An erased, expired or \
         unknown person is `404`.",
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
            "Its state; a link when it is clean.",
        )],
    )
    .describes(
        "Returns the state and the verdict of a file, and, when the file is clean, a \
         presigned link that is valid for 60 seconds.",
    )
    .problems(RESTRICTED),
    operation(
        "POST /v1/redactions",
        "redact",
        "Redact",
        &[
            gives(200, "RedactionResults", "Done: a result for each target."),
            gives(202, "RedactionJob", "More than 100 records: a job does it.")
                .with(LOCATION)
                .leads(&[("getRedaction", "id", "/id")]),
        ],
    )
    .describes(
        "Redacts messages, parts of messages, attachments and whole conversations. \
         Redaction is irreversible; redacting something again succeeds. Up to 100 records \
         are redacted before the answer is sent; more become a job.",
    )
    .takes("Redaction")
    .problems(&[(
        409,
        "One of them is held, or restricted and the key may not govern. Nothing was done.",
    )]),
    operation(
        "GET /v1/redactions",
        "listRedactions",
        "Redact",
        &[gives(200, "RedactionPage", "A page of jobs, newest first.")],
    )
    .describes("Lists redaction jobs, newest first."),
    operation(
        "GET /v1/redactions/{id}",
        "getRedaction",
        "Redact",
        &[gives(200, "RedactionJob", "The job.")],
    )
    .describes(
        "Returns the state and the progress of a redaction job, and the result for each \
         target when it has completed.",
    ),
    operation(
        "DELETE /v1/subjects/{subject}",
        "erasePerson",
        "Erase",
        &[gives(
            202,
            "ErasureJob",
            "Unreadable already; the rest is deleted by a job.",
        )
        .with(LOCATION)
        .leads(TO_ERASURE)],
    )
    .describes(
        "Erases one person. Their data key is deleted before the answer is sent, so \
         nothing that was stored about them can be read from then on. A job then deletes \
         the stored items and issues a signed receipt. Under a legal hold the job is \
         `blocked` until the hold ends.",
    ),
    operation(
        "POST /v1/erasures",
        "erasePeople",
        "Erase",
        &[
            gives(
                202,
                "ErasureJob",
                "Unreadable already; the rest is deleted by a job.",
            )
            .with(LOCATION)
            .leads(TO_ERASURE),
            gives(
                200,
                "ErasureCounts",
                "A dry run: what would go. Nothing has changed.",
            ),
        ],
    )
    .describes(
        "Erases up to 5,000 people, named by `subject`, by `visitor_id` or by one lookup \
         value, or the whole tenant. With `dry_run` nothing is changed, and the answer \
         counts what would be deleted in each store.",
    )
    .takes("Erasure")
    .problems(&[
        (404, "None of them is known."),
        (
            409,
            "The lookup finds several people (`ambiguous`, with `candidates`); somebody is held, \
             and 40 erasures wait for that already (`held`); somebody of the \
             tenant is held (`held`), or its erasure has been asked for (`leaving`).",
        ),
    ]),
    operation(
        "GET /v1/erasures",
        "listErasures",
        "Erase",
        &[gives(200, "ErasurePage", "A page of jobs, newest first.")],
    )
    .describes("Lists erasure jobs, newest first."),
    operation(
        "GET /v1/erasures/{id}",
        "getErasure",
        "Erase",
        &[gives(200, "ErasureJob", "The job.")],
    )
    .describes(
        "Returns the state of an erasure, the time from which each store could no longer \
         be read, who is still held, and the time at which the backups are clear.",
    ),
    operation(
        "GET /v1/erasures/{id}/receipt",
        "getReceipt",
        "Erase",
        &[gives(
            200,
            "Receipt",
            "The receipt; verify it with the keys at /.well-known/jwks.json.",
        )],
    )
    .describes(
        "Returns a compact JWS (ES256) that states what an erasure did. Any JOSE library \
         verifies it against `/.well-known/jwks.json`. It names retention periods of \
         people (lives), never the people. A date in place of a job's id returns the \
         receipt of that day's expiries.",
    )
    .problems(&[(409, "The erasure is not completed yet (`not_completed`).")]),
    operation(
        "POST /v1/erasures/{id}/cancel",
        "cancelErasure",
        "Erase",
        &[gives(200, "ErasureJob", "What has not gone yet stays.")],
    )
    .describes(
        "Cancels an erasure that is blocked by a hold, or that has not reached its \
         `not_before`. What has been erased already stays erased.",
    )
    .problems(&[(
        409,
        "It is neither blocked nor still to begin (`not_cancellable`).",
    )]),
    operation(
        "POST /v1/exports",
        "exportPerson",
        "Export",
        &[gives(202, "ExportJob", "A job makes it.")
            .with(LOCATION)
            .leads(&[("getExport", "id", "/id")])],
    )
    .describes(
        "Starts an export of what is stored about a person. `access` includes what was \
         observed, and the purposes, retention and recipients; `portability` includes \
         what the person provided.",
    )
    .takes("Export")
    .problems(&[
        (404, "Nobody is known by this."),
        (
            409,
            "The lookup finds several people (`ambiguous`), or the person is restricted.",
        ),
    ]),
    operation(
        "GET /v1/exports",
        "listExports",
        "Export",
        &[gives(200, "ExportPage", "A page of jobs, newest first.")],
    )
    .describes("Lists export jobs, newest first."),
    operation(
        "GET /v1/exports/{id}",
        "getExport",
        "Export",
        &[gives(
            200,
            "ExportJob",
            "The job; a link for a day after it is completed, unless it is withdrawn.",
        )],
    )
    .describes(
        "Returns the state of an export and, when it has completed, presigned links that \
         are valid for 60 seconds. An export is deleted after a day, and earlier when a \
         redaction, a correction or an erasure makes it untrue.",
    )
    .problems(RESTRICTED),
    operation(
        "PUT /v1/subjects/{subject}/restriction",
        "restrictPerson",
        "Rights",
        &[nothing(
            "Kept, and used by nobody but those who govern. The clock stops.",
        )],
    )
    .describes(
        "Restricts processing (GDPR Art. 18). New data is still stored, but reading and \
         redacting need the scope `govern`. Expiry is paused.",
    ),
    operation(
        "DELETE /v1/subjects/{subject}/restriction",
        "liftRestriction",
        "Rights",
        &[nothing(
            "Not restricted. The clock goes on from when they were last seen.",
        )],
    )
    .describes("Lifts the restriction. Expiry resumes."),
    operation(
        "PUT /v1/subjects/{subject}/objection",
        "noteObjection",
        "Rights",
        &[nothing("Visits and interactions are ignored from here on.")],
    )
    .describes(
        "Records an objection (GDPR Art. 21). Visits and interactions are no longer \
         stored; the person's own messages are. An objection outlasts an erasure.",
    ),
    operation(
        "DELETE /v1/subjects/{subject}/objection",
        "withdrawObjection",
        "Rights",
        &[nothing("No objection stands.")],
    )
    .describes("Removes the objection. Visits and interactions are stored again."),
    operation(
        "PUT /v1/subjects/{subject}/hold",
        "holdPerson",
        "Rights",
        &[nothing(
            "Nothing of them can go or change: events only add. The clock stops. Replaces another hold.",
        )],
    )
    .describes(
        "Places a legal hold. Nothing about the person can be erased, redacted or \
         overwritten while it lasts, and expiry is paused. Placing it again changes its \
         reason and its end.",
    )
    .takes("Hold")
    .problems(&[(409, "The tenant is being erased (`leaving`).")]),
    operation(
        "DELETE /v1/subjects/{subject}/hold",
        "liftHold",
        "Rights",
        &[nothing(
            "Not held. The clock, and erasures that waited, go on.",
        )],
    )
    .describes("Lifts the hold. Erasures that it blocked take effect in the same transaction."),
    operation(
        "PUT /v1/subjects/{subject}/suppression",
        "suppressPerson",
        "Rights",
        &[nothing(
            "Once they are forgotten, nothing is stored of them again.",
        )],
    )
    .describes("Keeps a person from being stored again after an erasure or an expiry."),
    operation(
        "DELETE /v1/subjects/{subject}/suppression",
        "liftSuppression",
        "Rights",
        &[nothing("They may be known again.")],
    )
    .describes("Allows a person to be stored again."),
    operation(
        "DELETE /v1/subjects/{subject}/consent",
        "withdrawConsent",
        "Rights",
        &[nothing(
            "Withdrawn; identity and contact that rested on it are gone, from backups too as after a \
             redaction. Only a vouched basis other than consent keeps them.",
        )],
    )
    .describes(
        "Withdraws consent (GDPR Art. 7(3)). Identity and contact data that was based on \
         it is deleted.",
    )
    .problems(&[(
        409,
        "No consent is on record (`no_consent`), or a hold keeps them (`held`).",
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
            "The settings as they now are; of a dry run, what would change.",
        )
        .with(ETAG)],
    )
    .describes(
        "Replaces all settings; a setting that is not sent gets its default. Send \
         `If-Match` so that a change based on stale settings is refused. With \
         `dry_run=true` nothing is changed, and the answer says what would be deleted.",
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
            "The key. Its `secret` is shown this once, not to a repetition.",
        )
        .leads(&[("revokeKey", "id", "/id")])],
    )
    .describes(
        "Creates an API key with the given scopes. The secret is shown in this answer \
         only.",
    )
    .takes("KeyRequest")
    .problems(&[(409, "The tenant is being erased (`leaving`).")]),
    operation(
        "GET /v1/keys",
        "listKeys",
        "Govern",
        &[gives(200, "KeyPage", "A page of keys, without secrets.")],
    )
    .describes("Lists API keys without their secrets."),
    operation(
        "DELETE /v1/keys/{id}",
        "revokeKey",
        "Govern",
        &[nothing("Revoked: refused everywhere within 60 s.")],
    )
    .describes(
        "Revokes an API key. Instances that have cached the key accept it for up to 60 \
         seconds more.",
    )
    .problems(&[(409, "It is the last key that can administer.")]),
    operation(
        "GET /v1/activity",
        "listActivity",
        "Govern",
        &[gives(
            200,
            "ActivityPage",
            "A page of the log, newest first.",
        )],
    )
    .describes(
        "Lists the activity log, newest first. Ids that look like personal data are \
         masked.",
    ),
    operation(
        "GET /v1/activity/seals",
        "listSeals",
        "Govern",
        &[gives(
            200,
            "SealPage",
            "A page of seals, newest first; of one day, with its leaves.",
        )],
    )
    .describes(
        "Lists the signed Merkle tree roots of the log's completed days (RFC 6962, signed \
         tree heads), newest first. Each names the root of the day before it.",
    ),
    operation(
        "POST /v1/tenants",
        "createTenant",
        "Operate",
        &[gives(
            201,
            "NewTenant",
            "The tenant. Its first key is shown this once, not to a repetition.",
        )
        .leads(&[("eraseTenant", "tenant", "/tenant")])],
    )
    .describes("Creates a tenant and its first API key. The secret is shown in this answer only.")
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
            "A key with every scope but `collect`. Its `secret` is shown this once.",
        )],
    )
    .describes(
        "Creates a key with every scope but `collect` for a tenant that has lost its own. The \
         secret is shown in this answer only.",
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
            "It begins a day from now; the tenant's owner can cancel it.",
        )],
    )
    .describes(
        "Schedules the erasure of a tenant and of everybody it knows, a day ahead. It can \
         be cancelled until it starts.",
    )
    .problems(&[(
        409,
        "Somebody is held (`held`), or it has been asked for (`leaving`).",
    )]),
    operation(
        "GET /console",
        "openConsole",
        "Service",
        &[gives(200, "Page", "The page.")],
    )
    .describes("Returns the console, a web page that is a client of this API."),
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
        &[gives(200, "Health", "It answers.")],
    )
    .describes("Returns whether the service answers, and its time."),
    operation(
        "GET /.well-known/jwks.json",
        "getKeys",
        "Service",
        &[gives(200, "KeySet", "The keys.")],
    )
    .describes(
        "Returns the public keys that verify receipts and signed log roots, as a JWK Set \
         (RFC 7517).",
    ),
];

/// The groups in which operations are listed, and what each is for.
pub const TAGS: [(&str, &str); 9] = [
    ("Ingest", "What tenants' pages and servers send."),
    ("Access", "Who is known, and what is kept about them."),
    ("Redact", "Parts of what is kept, made unreadable for good."),
    ("Erase", "People, forgotten at once."),
    ("Export", "What is kept about a person, for them to have."),
    ("Rights", "What may be done with a person."),
    ("Govern", "A tenant's settings, keys and log."),
    ("Operate", "Tenants: for the operator of the service."),
    ("Service", "The service itself."),
];
