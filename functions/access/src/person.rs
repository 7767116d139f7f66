//! One person: all that is known of them, and who they share a value with.

use serde_json::{Value, json};
use shared::app::App;
use shared::catalog;
use shared::error::Result;
use shared::http::{Answer, Call};
use shared::keyring::Living;
use shared::profile::Profile;
use shared::store::keys::PERSON;
use shared::store::records::Person;

/// Related people that are named, and that are looked at for it.
const RELATED: usize = 20;
const LOOKED_AT: usize = 60;

/// `GET /v1/subjects/{subject}`
pub async fn show(app: &App, call: &Call) -> Result<Answer> {
    let subject = call.subject()?;
    let (living, door, row) = app.person_and(call.tenant(), subject, PERSON).await?;
    call.may_use(living.rules)?;
    let profile = Profile::open(&living, door, row.as_ref())?;
    let mut body = profile.json(&living);
    body["related"] = related(app, &living, &profile.person).await?.into();
    Ok(Answer::ok(body).revision(profile.person.rev))
}

/// Others who hold the same user id, e-mail address or telephone number.
async fn related(app: &App, living: &Living, person: &Person) -> Result<Vec<Value>> {
    let tenant = living.key.tenant;
    let keys = app.keyring.tenant(tenant).await?;
    let mut related = Vec::new();
    for field in catalog::FIELDS.iter().filter(|field| field.lookup) {
        let known = person
            .identity
            .get(field.name)
            .or(person.contact.get(field.name));
        let hash = known
            .and_then(|known| known.value.as_str())
            .and_then(|value| keys.hash.lookup(field.name, value));
        let Some(hash) = hash else { continue };
        let mut found = app.store.found(tenant, field.name, hash).await?;
        found.retain(|it| it.subject != living.key.subject);
        found.truncate(LOOKED_AT);
        let subjects: Vec<_> = found.iter().map(|it| it.subject).collect();
        for present in app.present(tenant, &subjects).await? {
            let same = |it: &&shared::store::lookups::Found| {
                it.subject == present.key.subject && it.life == present.key.life
            };
            if let Some(it) = found.iter().find(same) {
                related.push(json!({
                    "subject": it.subject,
                    "via": field.name,
                    "verified": it.verified,
                }));
            }
        }
    }
    related.truncate(RELATED);
    Ok(related)
}
