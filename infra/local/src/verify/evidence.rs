//! The evidence for a verification, from the API or from saved responses.

use std::fs;
use std::path::{Path, PathBuf};

use http::Request;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Deserialize;
use serde_json::Value;
use shared::domain::keys;
use shared::proof::merkle::Hash;
use uuid::Uuid;

use crate::client::Client;

const JWKS: &str = "/.well-known/jwks.json";
const SEALS: &str = "/v1/activity/seals";
const ACTIVITY: &str = "/v1/activity";

/// Everything that a day is verified against.
#[derive(Debug)]
pub struct Evidence {
    pub day: Date,
    /// The published keys, as a JWK set.
    pub jwks: Value,
    pub seal: Seal,
    pub before: Before,
    /// The day's entries as the API returns them.
    pub entries: Vec<Value>,
    /// Whether the tenant has left: nothing else legitimately deletes an entry.
    pub left: bool,
}

/// A signed log root as the API returns it.
#[derive(Clone, Debug, Deserialize)]
pub struct Seal {
    pub day: String,
    pub entries: u64,
    pub root: String,
    pub jws: String,
    #[serde(default)]
    pub leaves: Vec<Hash>,
}

/// The log root of the previous day, as far as known.
#[derive(Clone, Debug)]
pub enum Before {
    Sealed(Seal),
    /// The service reports that it has none.
    Unsealed,
    /// It was not requested.
    Unknown,
}

/// The source of the evidence.
#[derive(Clone, Debug)]
pub enum Source {
    /// A service, with a key that may read the activity log.
    Service { url: String, key: String },
    /// A folder of responses: `jwks.json`, and the pages `seals*.json` and `activity*.json`.
    /// Activity pages may be missing only if the tenant has left.
    Folder { folder: PathBuf, left: bool },
}

impl Source {
    /// Fetches the evidence for a day.
    ///
    /// # Errors
    /// What could not be fetched, in one line.
    pub async fn evidence(&self, day: Date) -> Result<Evidence, String> {
        match self {
            Source::Service { url, key } => from_service(url, key, day).await,
            Source::Folder { folder, left } => from_folder(folder, *left, day),
        }
    }
}

fn unsealed(day: Date) -> String {
    format!("{day} has no signed log root: it is signed one hour after the day ends")
}

/// Joins the pages of one day's log root into one with all leaves.
fn join(pages: Vec<Value>, day: Date) -> Result<Option<Seal>, String> {
    let mut joined: Option<Seal> = None;
    for page in pages {
        let seal: Seal =
            serde_json::from_value(page).map_err(|e| format!("cannot parse a log root: {e}"))?;
        if seal.day != day.to_string() {
            continue;
        }
        match &mut joined {
            Some(joined) => joined.leaves.extend(seal.leaves),
            None => joined = Some(seal),
        }
    }
    Ok(joined)
}

async fn from_service(url: &str, key: &str, day: Date) -> Result<Evidence, String> {
    let base = url.trim_end_matches('/');
    if !base.starts_with("http://") {
        return Err(format!(
            "{base} is not http: save the responses with curl and pass --from"
        ));
    }
    let client = Client::default();
    let get = async |path: &str| {
        let request = Request::get(format!("{base}{path}"))
            .header("authorization", format!("Bearer {key}"))
            .body("")
            .map_err(|e| e.to_string())?;
        let answer = client.send(request).await;
        let answer = answer.map_err(|e| format!("{base} does not respond: {e}"))?;
        let body: Value = serde_json::from_slice(answer.body())
            .map_err(|_| format!("{base}{path} did not return JSON"))?;
        match answer.status().is_success() {
            true => Ok(body),
            false => Err(format!("{path}: {}: {}", answer.status(), body["title"])),
        }
    };
    let list = async |path: &str, day: Date| {
        let (mut data, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = get(&format!("{path}?day={day}&limit=100{cursor}")).await?;
            data.extend(rows(&page));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok::<_, String>(data),
            }
        }
    };
    let seal = join(list(SEALS, day).await?, day)?;
    let before = match day.yesterday() {
        Ok(before) => join(list(SEALS, before).await?, before)?,
        Err(_) => None,
    };
    Ok(Evidence {
        day,
        jwks: get(JWKS).await?,
        seal: seal.ok_or_else(|| unsealed(day))?,
        before: before.map_or(Before::Unsealed, Before::Sealed),
        entries: list(ACTIVITY, day).await?,
        // A tenant whose API answers has not left.
        left: false,
    })
}

fn from_folder(folder: &Path, left: bool, day: Date) -> Result<Evidence, String> {
    let in_folder = |e| format!("cannot read {}: {e}", folder.display());
    let mut files = fs::read_dir(folder)
        .and_then(|entries| {
            entries
                .map(|entry| Ok(entry?.path()))
                .collect::<Result<Vec<_>, _>>()
        })
        .map_err(in_folder)?;
    // In the order of page numbers: activity-2 before activity-10.
    files.sort_by_key(|path| (path.as_os_str().len(), path.clone()));
    let pages = |prefix: &str, needed: bool| {
        let mut data = Vec::new();
        for path in &files {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with(prefix) && name.ends_with(".json") {
                data.push(rows(&read(path)?));
            }
        }
        match data.is_empty() && needed {
            true => Err(format!("no {prefix}*.json in {}", folder.display())),
            false => Ok(data.concat()),
        }
    };
    let seals = pages("seals", true)?;
    let before = match day.yesterday() {
        Ok(before) => join(seals.clone(), before)?,
        Err(_) => None,
    };
    let seal = join(seals, day)?;
    let mut entries = pages("activity", !left)?;
    entries.retain(|entry| day_of(entry).is_none_or(|of| of == day));
    Ok(Evidence {
        day,
        jwks: read(&folder.join("jwks.json"))?,
        seal: seal
            .ok_or_else(|| format!("no page in {} has the log root of {day}", folder.display()))?,
        before: before.map_or(Before::Unknown, Before::Sealed),
        entries,
        left,
    })
}

/// The day of an entry according to its id: any other field may have been changed.
fn day_of(entry: &Value) -> Option<Date> {
    let id = Uuid::try_parse(entry["id"].as_str()?.strip_prefix("act_")?).ok()?;
    let (seconds, _) = id.get_timestamp()?.to_unix();
    let at = Timestamp::from_second(seconds.try_into().ok()?).ok()?;
    Some(keys::day_of(at))
}

fn rows(page: &Value) -> Vec<Value> {
    page["data"].as_array().cloned().unwrap_or_default()
}

fn read(path: &Path) -> Result<Value, String> {
    let text = fs::read(path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    serde_json::from_slice(&text).map_err(|_| format!("{} is not JSON", path.display()))
}
