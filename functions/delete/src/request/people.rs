//! Whom a request means: found by a value, related to somebody, or everybody. Only values
//! that the tenant's own server vouches for ever decide who is erased.

use shared::base::error::{Error, Result};
use shared::base::id::{SubjectId, TenantId};
use shared::domain::app::App;
use shared::domain::expiry_index::Cursor;
use shared::domain::keys::PERSON;
use shared::domain::life::update::Whom;
use shared::domain::people::lookups::Whose;
use shared::domain::records::rows::Person;

/// Rows of the index read at a time.
const PAGE: usize = 500;

/// Those whom a value finds; one person only unless all are meant.
pub async fn found(
    app: &App,
    tenant: TenantId,
    kind: &'static str,
    value: &str,
    all: bool,
) -> Result<Vec<SubjectId>> {
    let present = app.find(tenant, kind, value, Whose::Vouched).await?;
    let people: Vec<_> = present.into_iter().map(|it| it.key.subject).collect();
    if people.len() > 1 && !all {
        return Err(Error::Ambiguous(people));
    }
    Ok(people)
}

/// Others who share a value of a kind with a person, vouched for on both sides.
pub async fn related(
    app: &App,
    tenant: TenantId,
    subject: SubjectId,
    kind: &'static str,
) -> Result<Vec<SubjectId>> {
    let person = person(app, tenant, subject).await?;
    let known = person.identity.get(kind).filter(|known| known.verified);
    match known.and_then(|known| known.value.as_str()) {
        Some(value) => found(app, tenant, kind, value, true).await,
        None => Ok(Vec::new()),
    }
}

async fn person(app: &App, tenant: TenantId, subject: SubjectId) -> Result<Person> {
    let whom = Whom::subject(tenant, subject).with(&[PERSON]);
    let life = app.life(whom).await?;
    Person::read(life.row(PERSON)?, &life.living)
}

/// Everybody of a tenant.
pub async fn everybody(app: &App, tenant: TenantId) -> Result<Vec<SubjectId>> {
    let mut people = Vec::new();
    let mut cursor = Cursor::default();
    while !cursor.over() {
        let lives = app.store.due_lives(tenant, None, PAGE, &mut cursor).await?;
        people.extend(lives.iter().map(|life| life.subject));
    }
    Ok(people)
}
