//! The floors of the crate: a module uses what lies below it, and none uses itself through
//! others.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// From the ground up.
const FLOORS: [&str; 9] = [
    "base", "detect", "schema", "proof", "crypto", "aws", "domain", "http", "lambda",
];

/// SDK types stay in `aws`.
const SDK: [&str; 3] = ["aws_sdk_", "aws_smithy_", "aws_config"];

/// A module: its floor, and its first name on it (`domain`, `life`). A floor's own `mod.rs`
/// has no second.
type Module = (String, String);

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.extension() {
            None if path.is_dir() => sources(&path, found),
            Some(extension) if extension == "rs" => found.push(path),
            _ => {}
        }
    }
}

/// The module that a file is, name by name.
fn module(root: &Path, file: &Path) -> Vec<String> {
    let path = file.strip_prefix(root).expect("below the root");
    let names = path.with_extension("");
    let names = names.iter().map(|name| name.to_string_lossy().into_owned());
    names
        .filter(|name| name != "mod" && name != "lib")
        .collect()
}

/// The paths that begin here, with those of a group one by one.
fn paths(text: &str) -> Vec<Vec<String>> {
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let end = text.find(|c| !is_path(c)).unwrap_or(text.len());
    let names = text[..end].split("::").filter(|it| !it.is_empty());
    let path: Vec<_> = names.map(str::to_owned).collect();
    let Some(group) = text[end..]
        .strip_prefix('{')
        .filter(|_| text[..end].ends_with("::"))
    else {
        return vec![path];
    };
    let (mut depth, mut begins) = (0, vec![0]);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => begins.push(at + 1),
            _ => {}
        }
    }
    let inner = begins
        .into_iter()
        .flat_map(|at| paths(group[at..].trim_start()));
    inner
        .map(|inner| path.iter().cloned().chain(inner).collect())
        .collect()
}

/// The paths that a source names from the crate's root, without comments.
fn named(source: &str, of: &[String]) -> Vec<Vec<String>> {
    let code = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let code: String = code.collect::<Vec<_>>().join("\n");
    let code = code.split("#[cfg(test)]").next().unwrap_or_default();
    let mut named = Vec::new();
    for (prefix, base) in [("crate::", 0), ("super::", of.len().saturating_sub(1))] {
        for (at, _) in code.match_indices(prefix) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|it| it.is_alphanumeric() || it == '_' || it == ':') {
                continue;
            }
            // With the colons, so that a group that follows at once is seen as one.
            let inner = paths(&code[at + prefix.len() - 2..]).into_iter();
            named.extend(inner.map(|inner| of[..base].iter().cloned().chain(inner).collect()));
        }
    }
    named
}

#[test]
fn groups_are_read() {
    let source = "use crate::{base::id, domain::{keys::{self, A}, jobs}};\nuse super::Door;";
    let of = ["domain".to_owned(), "life".to_owned()];
    let named: Vec<_> = named(source, &of).iter().map(|it| it.join("::")).collect();
    let read = [
        "base::id",
        "domain::keys::self",
        "domain::keys::A",
        "domain::jobs",
        "domain::Door",
    ];
    assert_eq!(named, read);
}

/// The folder or file that a path leads to on its floor.
fn place(root: &Path, path: &[String]) -> Option<Module> {
    let floor = path.first()?;
    let name = path.get(1).filter(|name| {
        let at = root.join(floor).join(name);
        at.is_dir() || at.with_extension("rs").is_file()
    });
    Some((floor.clone(), name.cloned().unwrap_or_default()))
}

/// Every module with those that it uses.
fn arrows() -> BTreeMap<Module, BTreeSet<Module>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 50, "the sources are not where they were");
    let mut arrows = BTreeMap::<_, BTreeSet<_>>::new();
    for file in files {
        let of = module(&root, &file);
        // Tests may reach up for what they need.
        let Some(from) = place(&root, &of).filter(|_| of.last().is_none_or(|it| it != "tests"))
        else {
            continue;
        };
        let source = fs::read_to_string(&file).expect("a source");
        let to = named(&source, &of).into_iter();
        let to = to.filter_map(|path| place(&root, &path));
        let to: Vec<_> = to.filter(|to| *to != from).collect();
        arrows.entry(from).or_default().extend(to);
    }
    arrows
}

fn level(floor: &str) -> usize {
    let at = FLOORS.iter().position(|it| *it == floor);
    at.unwrap_or_else(|| panic!("{floor} is on no floor"))
}

#[test]
fn no_arrow_runs_up() {
    let up = |(from, to): &(&Module, &Module)| level(&from.0) < level(&to.0);
    let arrows = arrows();
    let all = arrows
        .iter()
        .flat_map(|(from, to)| to.iter().map(move |to| (from, to)));
    let offenders: Vec<_> = all.filter(up).collect();
    assert!(offenders.is_empty(), "{offenders:#?}");
}

#[test]
fn no_module_uses_itself_through_others() {
    let mut left = arrows();
    // A floor's own module only declares the others.
    left.retain(|module, _| !module.1.is_empty());
    loop {
        let leaves: Vec<_> = left
            .iter()
            .filter(|(_, to)| !to.iter().any(|it| left.contains_key(it)))
            .map(|(module, _)| module.clone())
            .collect();
        if leaves.is_empty() {
            break;
        }
        left.retain(|module, _| !leaves.contains(module));
    }
    let names: BTreeSet<_> = left.keys().cloned().collect();
    left.values_mut()
        .for_each(|to| to.retain(|it| names.contains(it)));
    assert!(left.is_empty(), "in a circle, or above one: {left:#?}");
}

#[test]
fn the_types_of_sdks_stay_on_their_floor() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let elsewhere = files.into_iter().filter(|file| {
        let of = module(&root, file);
        let allowed = of.first().is_some_and(|floor| floor == "aws");
        let source = fs::read_to_string(file).expect("a source");
        !allowed && SDK.iter().any(|name| source.contains(name))
    });
    let elsewhere: Vec<_> = elsewhere.collect();
    assert!(elsewhere.is_empty(), "{elsewhere:#?}");
}

/// Rows, and what must hold for them to be written, are spelled in `domain`.
#[test]
fn no_function_spells_a_write_or_a_condition() {
    let functions = Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions");
    let mut files = Vec::new();
    sources(&functions, &mut files);
    assert!(files.len() > 50, "the functions are found");
    for file in files {
        let source = fs::read_to_string(&file).expect("a source");
        let writes = [
            "Write::put",
            "Write::update",
            "Write::delete",
            "Write::check",
        ];
        for spelled in writes
            .iter()
            .chain(&["attribute_exists", "attribute_not_exists"])
        {
            assert!(!source.contains(spelled), "{spelled} in {}", file.display());
        }
    }
}
