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
        body: None,
        successes,
        problems: &[],
        if_match: false,
    }
}

impl Operation {
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
    .takes("Events"),
    operation(
        "POST /v1/attachments",
        "announceAttachment",
        "Ingest",
        &[gives(201, "AnnouncedAttachment", "The link to upload it.")],
    )
    .takes("AttachmentAnnouncement")
    .problems(&[(
        409,
        "The person is being erased (`erasing`), or stays away (`suppressed`).",
    )]),
    operation(
        "PATCH /v1/subjects/{subject}",
        "correctPerson",
        "Ingest",
        &[nothing("Corrected.").with(ETAG)],
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
    ),
    operation(
        "GET /v1/subjects/{subject}",
        "getPerson",
        "Access",
        &[gives(200, "Person", "All but their records.").with(ETAG)],
    )
    .problems(RESTRICTED),
    operation(
        "GET /v1/subjects/{subject}/records",
        "listRecords",
        "Access",
        &[gives(200, "RecordPage", "A page of records.")],
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
    ),
    operation(
        "GET /v1/redactions/{id}",
        "getRedaction",
        "Redact",
        &[gives(200, "RedactionJob", "The job.")],
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
    ),
    operation(
        "GET /v1/erasures/{id}",
        "getErasure",
        "Erase",
        &[gives(200, "ErasureJob", "The job.")],
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
    .problems(&[(409, "The erasure is not completed yet (`not_completed`).")]),
    operation(
        "POST /v1/erasures/{id}/cancel",
        "cancelErasure",
        "Erase",
        &[gives(200, "ErasureJob", "What has not gone yet stays.")],
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
    ),
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
    .problems(RESTRICTED),
    operation(
        "PUT /v1/subjects/{subject}/restriction",
        "restrictPerson",
        "Rights",
        &[nothing(
            "Kept, and used by nobody but those who govern. The clock stops.",
        )],
    ),
    operation(
        "DELETE /v1/subjects/{subject}/restriction",
        "liftRestriction",
        "Rights",
        &[nothing(
            "Not restricted. The clock goes on from when they were last seen.",
        )],
    ),
    operation(
        "PUT /v1/subjects/{subject}/objection",
        "noteObjection",
        "Rights",
        &[nothing("Visits and interactions are ignored from here on.")],
    ),
    operation(
        "DELETE /v1/subjects/{subject}/objection",
        "withdrawObjection",
        "Rights",
        &[nothing("No objection stands.")],
    ),
    operation(
        "PUT /v1/subjects/{subject}/hold",
        "holdPerson",
        "Rights",
        &[nothing(
            "Nothing of them can go. The clock stops. Replaces another hold.",
        )],
    )
    .takes("Hold"),
    operation(
        "DELETE /v1/subjects/{subject}/hold",
        "liftHold",
        "Rights",
        &[nothing(
            "Not held. The clock, and erasures that waited, go on.",
        )],
    ),
    operation(
        "PUT /v1/subjects/{subject}/suppression",
        "suppressPerson",
        "Rights",
        &[nothing(
            "Once they are forgotten, nothing is stored of them again.",
        )],
    ),
    operation(
        "DELETE /v1/subjects/{subject}/suppression",
        "liftSuppression",
        "Rights",
        &[nothing("They may be known again.")],
    ),
    operation(
        "DELETE /v1/subjects/{subject}/consent",
        "withdrawConsent",
        "Rights",
        &[nothing(
            "Withdrawn; identity and contact that rested on it are gone.",
        )],
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
    ),
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
    .takes("KeyRequest"),
    operation(
        "GET /v1/keys",
        "listKeys",
        "Govern",
        &[gives(200, "KeyPage", "A page of keys, without secrets.")],
    ),
    operation(
        "DELETE /v1/keys/{id}",
        "revokeKey",
        "Govern",
        &[nothing("Revoked: refused everywhere within 60 s.")],
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
    ),
    operation(
        "POST /v1/tenants",
        "createTenant",
        "Operate",
        &[gives(
            201,
            "NewTenant",
            "The tenant, and its first key: shown this once.",
        )
        .leads(&[("eraseTenant", "tenant", "/tenant")])],
    )
    .takes("TenantRequest"),
    operation(
        "GET /v1/tenants",
        "listTenants",
        "Operate",
        &[gives(200, "TenantPage", "A page of tenants.")],
    ),
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
    .problems(&[(
        409,
        "Somebody is held (`held`), or it has been asked for (`leaving`).",
    )]),
    operation(
        "GET /console",
        "openConsole",
        "Service",
        &[gives(200, "Page", "The page.")],
    ),
    operation(
        "GET /v1/openapi.json",
        "getDescription",
        "Service",
        &[gives(200, "Description", "This document.")],
    ),
    operation(
        "GET /v1/health",
        "getHealth",
        "Service",
        &[gives(200, "Health", "It answers.")],
    ),
    operation(
        "GET /.well-known/jwks.json",
        "getKeys",
        "Service",
        &[gives(200, "KeySet", "The keys.")],
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
