//! The demo tenants and their synthetic people.

use serde::{Deserialize, Serialize};
use shared::app::App;

/// What was seeded.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Demo {}

pub async fn seed(_app: &App, _progress: impl Fn(usize, usize)) -> Result<Demo, lambda_runtime::Error> {
    Ok(Demo {})
}
