//! Every key string of both tables and the bucket, in one place.
//!
//! | entity | PK | SK |
//! |---|---|---|
//! | keyring: subject | `ten#sub` | |
//! | keyring: tenant | `ten` | |
//! | door, person, clock | `ten#sub#life` | `door`, `person`, `expiry` |
//! | handed to an erasure after a restore | `ten#sub#life` | `restored` |
//! | lookup, its reverse | `ten#lookup#kind#hash`, `ten#sub#life` | `sub`, `lookup#kind#hash` |
//! | the same of what nobody vouches for | `ten#lookup#kind#hash#claimed`, `ten#sub#life` | `sub`, `lookup#kind#hash#claimed` |
//! | conversation | `ten#sub#life` | `conversation#hash` |
//! | message | `ten#sub#life` | `message#hash#uuid` |
//! | attachment | `ten#sub#life` | `attachment#uuid` |
//! | interaction | `ten#sub#life` | `interaction#hash` |
//! | redacted files are to go | `ten#sub#life` | `turn#redaction#purge#uuid` |
//! | withdrawn exports are to go | `ten#sub#life` | `turn#export#withdrawn#uuid` |
//! | the bucket may hold objects of it | `ten#sub#life` | `objects` |
//! | job | `ten#jobs#kind` | `job_…` |
//! | turn of a job | `ten#jobs#kind` | `turn#worker#job_…#number` |
//! | a long list of lives | `ten#jobs#kind` | `job_…#lives#number` |
//! | receipt | `ten#receipts` | `job_…`, or a day of expiries |
//! | days that have their receipts | `ten#receipts` | `expiries` |
//! | settings | `ten#settings` | `settings` |
//! | API key | `ten#keys` | `key_…` |
//! | activity | `ten#activity#day#shard` | `time#uuid` |
//! | watermark of the audit log | `ten#activity` | `watermark#number` |
//! | signed root of a day's audit log | `ten#seals` | `day` |
//! | leaves of its tree | `ten#leaves#day` | `leaves#number` |
//! | idempotency, of the operator too | `ten#once#hash`, `operator#once#hash` | `once` |
//! | part of a request that is done | `ten#once#hash` | `part#hash` |
//! | tenant | `tenants` | `ten` |
//! | who is held, restricted, … | `ten#rule#rule` | `sub` |
//! | day of a daily check | `checks` | `backups` |
//! | where the last sweep stopped | `checks` | `sweep` |
//!
//! | index `due` | `due_pk` | `due_sk` |
//! |---|---|---|
//! | clock of a life | `ten#shard` | `day#sub#life` |
//! | job that is not over | `jobs` | `time#ten#kind#job_…` |
//!
//! | object | key |
//! |---|---|
//! | attachment | `attachments/ten/sub/life/uuid` |
//! | export | `exports/ten/sub/life/job_…/edition.zip` |
//! | signed root | `seals/ten/day.jws` |
//! | receipt | `receipts/ten/job_….jws`, or a day in place of the job |
//! | whom an erasure is about | `ledger/ten/job_…/number.json` |

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use uuid::Uuid;

use crate::base::id::{
    AttachmentId, JobId, KeyId, KeyedHash, LifeId, MessageId, SubjectId, TenantId,
};
use crate::base::named::named;

pub const DOOR: &str = "door";
pub const PERSON: &str = "person";
pub const EXPIRY: &str = "expiry";
pub const RESTORED: &str = "restored";
/// The bucket may hold more of a life than its attachment rows lead to.
pub const OBJECTS: &str = "objects";
pub const SETTINGS: &str = "settings";
pub const ONCE: &str = "once";
pub const TENANTS: &str = "tenants";
pub const JOBS_DUE: &str = "jobs";
/// Up to which day expiries have their receipts.
pub const EXPIRIES: &str = "expiries";
pub const CHECKS: &str = "checks";
pub const CHECKS_BACKUPS: &str = "backups";
pub const CHECKS_SWEEP: &str = "sweep";
pub const EXPORTS: &str = "exports";
/// Where all ledgers lie in the bucket.
pub const LEDGER: &str = "ledger/";

/// Partitions of `due` and of a day's activity for each tenant, so that a large tenant
/// does not write to one partition alone.
pub const SHARDS: u8 = 4;

/// Watermarks of a tenant's audit log: each says up to which day it is signed.
pub const WATERMARKS: u8 = 16;

/// The three names that every row of a life carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LifeKey {
    pub tenant: TenantId,
    pub subject: SubjectId,
    pub life: LifeId,
}

impl LifeKey {
    pub fn partition(&self) -> String {
        format!("{}#{}#{}", self.tenant, self.subject, self.life)
    }

    pub fn parse(partition: &str) -> Option<LifeKey> {
        let mut parts = partition.split('#');
        let key = LifeKey {
            tenant: TenantId::parse(parts.next()?)?,
            subject: SubjectId::parse(parts.next()?)?,
            life: LifeId::parse(parts.next()?)?,
        };
        parts.next().is_none().then_some(key)
    }

    /// The life within its tenant, as lists name it.
    pub fn short(&self) -> String {
        format!("{}#{}", self.subject, self.life)
    }

    pub fn parse_short(tenant: TenantId, text: &str) -> Option<LifeKey> {
        let (subject, life) = text.split_once('#')?;
        Some(LifeKey {
            tenant,
            subject: SubjectId::parse(subject)?,
            life: LifeId::parse(life)?,
        })
    }

    pub fn due_partition(&self) -> String {
        due_partition(self.tenant, shard(self.subject.to_string().as_bytes()))
    }

    pub fn due_sort(&self, day: Date) -> String {
        format!("{day}#{}#{}", self.subject, self.life)
    }

    /// Where this life's objects lie, by what they are.
    pub fn object_prefixes(&self) -> [(&'static str, String); 2] {
        ["attachments", EXPORTS].map(|area| (area, self.object_prefix(area)))
    }

    fn object_prefix(&self, area: &str) -> String {
        format!("{area}/{}/{}/{}/", self.tenant, self.subject, self.life)
    }

    pub fn attachment_object(&self, attachment: AttachmentId) -> String {
        self.object_prefix("attachments") + &attachment.uuid().to_string()
    }

    /// Where all exports of this life lie.
    pub fn exports(&self) -> String {
        self.object_prefix(EXPORTS)
    }

    /// Where everything lies that an export has written: a redaction makes it begin anew.
    pub fn export_objects(&self, job: JobId) -> String {
        format!("{}{job}/", self.exports())
    }

    pub fn export_object(&self, job: JobId, edition: u64) -> String {
        format!("{}{edition}.zip", self.export_objects(job))
    }
}

/// The edition in an export's key.
pub fn edition_of_export(object: &str) -> Option<u64> {
    object
        .rsplit('/')
        .next()?
        .strip_suffix(".zip")?
        .parse()
        .ok()
}

/// Whether a row of a life says nothing of the person: it calls a worker, or leads an erasure.
pub fn is_note(sort: &str) -> bool {
    sort == OBJECTS || sort.starts_with("turn#")
}

/// Whether a row of a life says that the bucket may hold something of it. One that a restore
/// has handed over may have lost its rows.
pub fn leads_to_objects(sort: &str) -> bool {
    sort == OBJECTS || sort == RESTORED || parse_attachment(sort).is_some()
}

/// The life and attachment in an object's key, if it is an attachment's.
pub fn parse_attachment_object(key: &str) -> Option<(LifeKey, AttachmentId)> {
    let mut parts = key.strip_prefix("attachments/")?.split('/');
    let life = LifeKey {
        tenant: TenantId::parse(parts.next()?)?,
        subject: SubjectId::parse(parts.next()?)?,
        life: LifeId::parse(parts.next()?)?,
    };
    let attachment = AttachmentId::from_uuid(Uuid::try_parse(parts.next()?).ok()?);
    // A UUID has other spellings; only the one that we write is a key of ours.
    (key == life.attachment_object(attachment)).then_some((life, attachment))
}

/// The life that an object's key names, whatever the object is.
pub fn parse_life_of_object(key: &str) -> Option<LifeKey> {
    let mut parts = key.split('/').skip(1);
    Some(LifeKey {
        tenant: TenantId::parse(parts.next()?)?,
        subject: SubjectId::parse(parts.next()?)?,
        life: LifeId::parse(parts.next()?)?,
    })
}

named! {
    #[derive(Hash, PartialOrd, Ord)]
    pub enum JobKind {
        Erasure = "erasure",
        /// An erasure that nobody asked for: the retention is over.
        Expiry = "expiry",
        Redaction = "redaction",
        Export = "export",
        /// An export has been kept for its day: it is deleted.
        Discard = "discard",
        /// A life gets a new data key, so that what was redacted goes from backups too.
        Rekey = "rekey",
        /// A tenant's wrapping key gets a new version each year. Ends with the tenant.
        Rotation = "rotation",
    }
}

impl JobKind {
    /// The worker that its turns go to: what the stream's filters match.
    pub const fn worker(self) -> &'static str {
        match self {
            JobKind::Erasure | JobKind::Expiry => "erasure",
            JobKind::Redaction => "redaction",
            JobKind::Export | JobKind::Discard => "export",
            JobKind::Rekey | JobKind::Rotation => "rekey",
        }
    }
}

named! {
    /// A rule that a person stands under, as lists know it.
    pub enum Rule {
        Held = "held",
        Restricted = "restricted",
        Objected = "objected",
        Suppressed = "suppressed",
    }
}

/// Everybody who stands under a rule; the rows' sort keys are subjects.
pub fn listed(tenant: TenantId, rule: Rule) -> String {
    format!("{tenant}#rule#{}", rule.name())
}

/// Whom a row of such a list is about.
pub fn parse_standing(partition: &str, sort: &str) -> Option<(TenantId, Rule, SubjectId)> {
    let (tenant, rule) = partition.split_once("#rule#")?;
    let (tenant, rule) = (TenantId::parse(tenant)?, Rule::parse(rule)?);
    Some((tenant, rule, SubjectId::parse(sort)?))
}

/// Whom a lookup leads to.
pub fn parse_lookup(partition: &str, sort: &str) -> Option<(TenantId, SubjectId)> {
    let (tenant, _) = partition.split_once("#lookup#")?;
    Some((TenantId::parse(tenant)?, SubjectId::parse(sort)?))
}

/// Which job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct JobKey {
    pub tenant: TenantId,
    pub kind: JobKind,
    pub id: JobId,
}

pub fn keyring_subject(tenant: TenantId, subject: SubjectId) -> String {
    format!("{tenant}#{subject}")
}

pub fn due_partition(tenant: TenantId, shard: u8) -> String {
    format!("{tenant}#{shard}")
}

/// The life in a clock's place in `due`.
pub fn parse_due(tenant: TenantId, sort: &str) -> Option<(Date, LifeKey)> {
    let mut parts = sort.split('#');
    let day = parts.next()?.parse().ok()?;
    let subject = SubjectId::parse(parts.next()?)?;
    let life = LifeId::parse(parts.next()?)?;
    Some((
        day,
        LifeKey {
            tenant,
            subject,
            life,
        },
    ))
}

/// Which shard a name falls into: FNV-1a, which is stable and needs no key, since ids are
/// random already.
pub fn shard(name: &[u8]) -> u8 {
    let hash = name.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash % u64::from(SHARDS)) as u8
}

/// The UTC day that a moment lies in.
pub fn day_of(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}

pub fn conversation(hash: KeyedHash) -> String {
    format!("conversation#{hash}")
}

pub fn message(message: MessageId) -> String {
    format!("message#{}#{}", message.conversation, message.uuid.simple())
}

/// The prefix of a conversation's messages.
pub fn messages_of(conversation: KeyedHash) -> String {
    format!("message#{conversation}#")
}

pub fn parse_message(sort: &str) -> Option<MessageId> {
    let (conversation, uuid) = sort.strip_prefix("message#")?.split_once('#')?;
    MessageId::parse(&format!("msg_{conversation}{uuid}"))
}

pub fn attachment(attachment: AttachmentId) -> String {
    format!("attachment#{}", attachment.uuid().simple())
}

pub fn parse_attachment(sort: &str) -> Option<AttachmentId> {
    Uuid::try_parse(sort.strip_prefix("attachment#")?)
        .ok()
        .map(AttachmentId::from_uuid)
}

pub fn interaction(hash: KeyedHash) -> String {
    format!("interaction#{hash}")
}

/// A value that a person is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lookup {
    /// The catalog's name of the field.
    pub kind: &'static str,
    pub hash: KeyedHash,
    /// Whether the tenant's own server vouches for the value.
    pub verified: bool,
}

/// A lookup's partition; its rows' sort keys are subjects.
pub fn lookup(tenant: TenantId, lookup: &Lookup) -> String {
    format!("{tenant}#{}", lookup_reverse(lookup))
}

/// What the reverses of a life's lookup rows begin with.
pub const LOOKUPS: &str = "lookup#";

/// The reverse of a lookup row, within the life.
pub fn lookup_reverse(lookup: &Lookup) -> String {
    let Lookup { kind, hash, .. } = lookup;
    match lookup.verified {
        true => format!("{LOOKUPS}{kind}#{hash}"),
        false => format!("{LOOKUPS}{kind}#{hash}#claimed"),
    }
}

/// The lookup's partition that a reverse row points to.
pub fn lookup_of_reverse(tenant: TenantId, sort: &str) -> Option<String> {
    sort.starts_with(LOOKUPS)
        .then(|| format!("{tenant}#{sort}"))
}

pub fn jobs(tenant: TenantId, kind: JobKind) -> String {
    format!("{tenant}#jobs#{}", kind.name())
}

pub fn turn(job: JobKey, number: u64) -> String {
    format!("turn#{}#{}#{number}", job.kind.worker(), job.id)
}

/// One part of a job's list of lives.
pub fn list_of_job(id: JobId, number: usize) -> String {
    format!("{id}#lives#{number:04}")
}

/// The job whose list this is.
pub fn job_of_list(sort: &str) -> Option<JobId> {
    JobId::parse(sort.split_once("#lives#")?.0)
}

pub fn receipts(tenant: TenantId) -> String {
    format!("{tenant}#receipts")
}

/// Where a receipt lies in the bucket; `name` is a job's id, or a day.
pub fn receipt_object(tenant: TenantId, name: &str) -> String {
    format!("receipts/{tenant}/{name}.jws")
}

/// Where the lives that an erasure is about lie in the bucket, noted when so many had ended.
pub fn ledger_object(tenant: TenantId, id: JobId, lives: u64) -> String {
    format!("{LEDGER}{tenant}/{id}/{lives}.json")
}

/// Where all objects of a tenant's people lie, by what they are.
pub fn tenant_prefixes(tenant: TenantId) -> [(&'static str, String); 2] {
    ["attachments", "exports"].map(|area| (area, format!("{area}/{tenant}/")))
}

/// A turn of no job: what is left of a life's redacted files is to go.
pub fn purge(id: Uuid) -> String {
    format!("{PURGE}{}", id.simple())
}

const PURGE: &str = "turn#redaction#purge#";

/// The life whose redacted files are to go.
pub fn parse_purge(partition: &str, sort: &str) -> Option<LifeKey> {
    sort.starts_with(PURGE).then(|| LifeKey::parse(partition))?
}

/// A turn of no job: what lies in the bucket of a life's withdrawn exports is to go.
pub fn withdrawal(id: Uuid) -> String {
    format!("{WITHDRAWN}{}", id.simple())
}

const WITHDRAWN: &str = "turn#export#withdrawn#";

/// The life whose withdrawn exports are to go.
pub fn parse_withdrawal(partition: &str, sort: &str) -> Option<LifeKey> {
    sort.starts_with(WITHDRAWN)
        .then(|| LifeKey::parse(partition))?
}

/// The job that a turn's key belongs to, and the turn's number.
pub fn parse_turn(partition: &str, sort: &str) -> Option<(JobKey, u64)> {
    let (tenant, kind) = partition.split_once("#jobs#")?;
    let mut parts = sort.strip_prefix("turn#")?.split('#');
    let _worker = parts.next()?;
    let id = JobId::parse(parts.next()?)?;
    let key = JobKey {
        tenant: TenantId::parse(tenant)?,
        kind: JobKind::parse(kind)?,
        id,
    };
    Some((key, parts.next()?.parse().ok()?))
}

/// A moment as it stands in keys: fixed width, so that text order is time order.
pub fn moment(at: Timestamp) -> String {
    format!("{at:.3}")
}

pub fn job_due(job: JobKey, at: Timestamp) -> String {
    format!(
        "{}#{}#{}#{}",
        moment(at),
        job.tenant,
        job.kind.name(),
        job.id
    )
}

/// When a job in this place of `due` is to be looked at.
pub fn job_due_at(sort: &str) -> Option<Timestamp> {
    sort.split('#').next()?.parse().ok()
}

/// The job in this place of `due`.
pub fn parse_job_due(sort: &str) -> Option<JobKey> {
    let mut parts = sort.split('#').skip(1);
    Some(JobKey {
        tenant: TenantId::parse(parts.next()?)?,
        kind: JobKind::parse(parts.next()?)?,
        id: JobId::parse(parts.next()?)?,
    })
}

pub fn settings(tenant: TenantId) -> String {
    format!("{tenant}#settings")
}

pub fn api_keys(tenant: TenantId) -> String {
    format!("{tenant}#keys")
}

pub fn api_key(key: KeyId) -> String {
    key.to_string()
}

pub fn activity(tenant: TenantId, day: Date, shard: u8) -> String {
    format!("{tenant}#activity#{day}#{shard}")
}

pub fn watermarks(tenant: TenantId) -> String {
    format!("{tenant}#activity")
}

pub fn watermark(number: u8) -> String {
    format!("watermark#{number:02}")
}

pub fn seals(tenant: TenantId) -> String {
    format!("{tenant}#seals")
}

pub fn leaves(tenant: TenantId, day: Date) -> String {
    format!("{tenant}#leaves#{day}")
}

/// Some of a day's leaves: fixed width, so that text order is their order.
pub fn leaves_part(number: usize) -> String {
    format!("leaves#{number:08}")
}

pub fn seal_object(tenant: TenantId, day: Date) -> String {
    format!("seals/{tenant}/{day}.jws")
}

/// `owner`: a tenant, or the operator.
pub fn once(owner: &str, hash: KeyedHash) -> String {
    format!("{owner}#once#{hash}")
}

pub fn part(name: KeyedHash) -> String {
    format!("part#{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_are_written_are_read_back() {
        let key = LifeKey {
            tenant: TenantId::new(),
            subject: SubjectId::from(KeyedHash([7; 16])),
            life: LifeId::random(),
        };
        assert_eq!(LifeKey::parse(&key.partition()), Some(key));
        assert_eq!(LifeKey::parse_short(key.tenant, &key.short()), Some(key));
        let day = "2026-11-22".parse().unwrap();
        assert_eq!(parse_due(key.tenant, &key.due_sort(day)), Some((day, key)));
        let file = AttachmentId::random();
        assert_eq!(parse_attachment(&attachment(file)), Some(file));
        let object = parse_attachment_object(&key.attachment_object(file));
        assert_eq!(object, Some((key, file)));
        let archive = key.export_object(JobId::at(Timestamp::UNIX_EPOCH), 3);
        assert_eq!(edition_of_export(&archive), Some(3));
        assert_eq!(parse_life_of_object(&archive), Some(key));
        let list = listed(key.tenant, Rule::Held);
        let listed = parse_standing(&list, &key.subject.to_string());
        assert_eq!(listed, Some((key.tenant, Rule::Held, key.subject)));
        for verified in [true, false] {
            let kept = Lookup {
                kind: "email",
                hash: KeyedHash([1; 16]),
                verified,
            };
            let partition = lookup(key.tenant, &kept);
            let found = parse_lookup(&partition, &key.subject.to_string());
            assert_eq!(found, Some((key.tenant, key.subject)));
            let reverse = lookup_of_reverse(key.tenant, &lookup_reverse(&kept));
            assert_eq!(reverse, Some(partition));
        }
        let job = JobId::at(Timestamp::UNIX_EPOCH);
        let job = JobKey {
            tenant: key.tenant,
            kind: JobKind::Expiry,
            id: job,
        };
        let parsed = parse_turn(&jobs(key.tenant, JobKind::Expiry), &turn(job, 3));
        assert_eq!(parsed, Some((job, 3)));
        let due = job_due(job, Timestamp::UNIX_EPOCH);
        assert_eq!(parse_job_due(&due), Some(job));
        assert_eq!(job_due_at(&due), Some(Timestamp::UNIX_EPOCH));
    }
}
