//! How the workspace is put together: which crate may use which, and that nothing is declared and forgotten.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

/// What each crate may depend on, of this workspace.
const ARROWS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("application", &["domain"]),
    ("infrastructure", &["application", "domain"]),
    ("projections", &["application", "domain", "infrastructure"]),
    ("api", &["application", "domain", "infrastructure", "projections"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

#[test]
fn arrows_point_down_only() {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let allowed: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    let packages = metadata["packages"].as_array().unwrap();
    let names: BTreeSet<_> = packages.iter().map(|package| package["name"].as_str().unwrap()).collect();
    assert_eq!(names, allowed.keys().copied().collect());
    for package in packages {
        let name = package["name"].as_str().unwrap();
        // Those for tests too: what a test may use, it will be written around.
        for dependency in package["dependencies"].as_array().unwrap() {
            let other = dependency["name"].as_str().unwrap();
            assert!(
                !names.contains(other) || allowed[name].contains(&other),
                "a new arrow: {name} -> {other}"
            );
        }
    }
}

#[test]
fn every_projection_is_a_module_and_in_the_list() {
    let source = root().join("projections/src");
    let library = fs::read_to_string(source.join("lib.rs")).unwrap();
    let (_, list) = library.split_once("pub static ALL").unwrap();
    let (list, _) = list.split_once("];").unwrap();
    let listed: BTreeSet<_> =
        list.split('&').filter_map(|entry| Some(entry.trim().split_once("::")?.0.to_owned())).collect();
    assert!(listed.len() > 10);
    let mut projections = BTreeSet::new();
    for entry in fs::read_dir(&source).unwrap() {
        let path = entry.unwrap().path();
        let file = if path.is_dir() { path.join("mod.rs") } else { path.clone() };
        let text = fs::read_to_string(file).unwrap_or_default();
        if text.contains("\nimpl Fold for ") || text.contains("\nimpl Projection for ") {
            projections.insert(path.file_stem().unwrap().to_str().unwrap().to_owned());
        }
    }
    assert_eq!(listed, projections);
    for name in listed {
        assert!(library.contains(&format!("pub mod {name};")), "{name}");
    }
}

#[test]
fn every_feature_of_the_api_has_its_routes_registered() {
    let source = root().join("api/src");
    let routes = fs::read_to_string(source.join("routes.rs")).unwrap();
    for entry in fs::read_dir(&source).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let file = if path.is_dir() { path.join("mod.rs") } else { path };
        if fs::read_to_string(file).unwrap_or_default().contains("pub(crate) fn routes(") {
            assert!(routes.contains(&format!(".configure({name}::routes)")), "{name} is not registered");
        }
    }
}

#[test]
fn every_migration_has_its_number_and_says_why() {
    let mut names: Vec<_> = fs::read_dir(root().join("migrations"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "README.md")
        .collect();
    names.sort();
    for (index, name) in names.iter().enumerate() {
        let (number, rest) = name.split_once('_').unwrap_or_else(|| panic!("{name}"));
        assert_eq!(number, format!("{:04}", index + 1), "{name}");
        let stem = rest.strip_suffix(".sql").unwrap_or_else(|| panic!("{name}"));
        assert!(stem.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
        let text = fs::read_to_string(root().join("migrations").join(name)).unwrap();
        assert!(text.starts_with("-- Why: "), "{name} does not say why");
    }
}
