//! One person: all that is known of them, and who they share a value with.

use shared::base::error::Result;
use shared::domain::app::App;
use shared::domain::keyring::Living;
use shared::domain::keys::PERSON;
use shared::domain::life::update::Whom;
use shared::domain::people::lookups::{Whose, found_by};
use shared::domain::people::profile::{Profile, Related};
use shared::domain::records::rows::Person;
use shared::http::{Answer, Call};

/// Related people that are named, and that are looked at for it by each value.
const RELATED: usize = 20;
const LOOKED_AT: usize = 60;

/// `GET /v1/subjects/{subject}`
pub async fn show(app: &App, call: &Call) -> Result<Answer> {
    let subject = call.subject()?;
    let whom = Whom::subject(call.tenant(), subject).with(&[PERSON]);
    let life = app.life(whom).await?;
    call.may_use(life.living.rules)?;
    let profile = Profile::open(&life.living, life.door.clone(), life.row(PERSON)?)?;
    let mut view = profile.view(&life.living);
    view.related = Some(related(app, &life.living, &profile.person).await?);
    Ok(Answer::ok(&view).revision(profile.person.rev))
}

/// Others who hold the same user id, e-mail address or telephone number.
async fn related(app: &App, living: &Living, person: &Person) -> Result<Vec<Related>> {
    let tenant = living.key.tenant;
    let keys = app.keyring.tenant(tenant).await?;
    let mut related = Vec::new();
    for held in found_by(&keys.hash, person) {
        let (kind, hash, many) = (held.kind, held.hash, Some(LOOKED_AT));
        let store = &app.store;
        let mut found = store.holders(tenant, kind, hash, Whose::All, many).await?;
        found.retain(|it| it.subject != living.key.subject);
        for it in app.present_of(tenant, &found).await? {
            related.push(Related {
                subject: it.key.subject,
                via: kind,
                verified: it.verified,
            });
        }
    }
    related.truncate(RELATED);
    Ok(related)
}
