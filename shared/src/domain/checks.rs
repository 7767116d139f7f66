//! What the sweep remembers of itself: when it last checked the deployment, and how far it was.

use jiff::civil::Date;

use crate::aws::dynamo::{Item, Store, Write};
use crate::base::error::Result;
use crate::base::id::TenantId;
use crate::domain::keys::{CHECKS, CHECKS_BACKUPS, CHECKS_SWEEP};

/// Where the steps of a sweep that go from tenant to tenant stopped; `None` at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweptUpTo {
    pub forgetting: Option<TenantId>,
    pub sealing: Option<TenantId>,
}

impl Store {
    /// The day on which the settings were last found to be one thing or another.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub async fn backups_checked(&self) -> Result<Option<Date>> {
        let row = self.get(CHECKS, CHECKS_BACKUPS).await?;
        Ok(row.and_then(|row| row.try_text("day")?.parse().ok()))
    }

    /// The tenant after which a sweep had no time left for the others, in one of its steps.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub async fn swept_up_to(&self) -> Result<SweptUpTo> {
        let row = self.get(CHECKS, CHECKS_SWEEP).await?;
        let place = |name| TenantId::parse(row.as_ref()?.try_text(name)?);
        Ok(SweptUpTo {
            forgetting: place("forgetting"),
            sealing: place("sealing"),
        })
    }

    /// # Errors
    /// As [`Store::get`].
    pub async fn note_swept_up_to(&self, places: SweptUpTo) -> Result<()> {
        let place = |tenant: Option<TenantId>| tenant.map(|it| it.to_string());
        let row = Item::new(CHECKS, CHECKS_SWEEP)
            .with_some("forgetting", place(places.forgetting))
            .with_some("sealing", place(places.sealing));
        // Whichever of two sweeps is later: either place is one to begin at.
        let _unconditional = self.write(Write::put(row)).await?;
        Ok(())
    }

    /// # Errors
    /// As [`Store::get`].
    pub async fn note_backups_checked(&self, day: Date) -> Result<()> {
        let row = Item::new(CHECKS, CHECKS_BACKUPS).with("day", day.to_string());
        // Two sweeps at once may both have looked: they saw the same day.
        let _unconditional = self.write(Write::put(row)).await?;
        Ok(())
    }
}
