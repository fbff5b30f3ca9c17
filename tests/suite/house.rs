//! The house's own rules, read from the sources: who may import whom, and how long a file may be.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The modules from top to bottom; those on one line know nothing of each other.
const FLOORS: &[&[&str]] = &[
    &["startup"],
    &["cli"],
    &["database"],
    &["config"],
    &["telemetry", "private_postgres"],
    &["http"],
    &["push", "intake"],
    &["service"],
    &["delivery"],
    &["feed"],
    &["hub"],
    &["db", "amqp"],
    &["domain"],
];
/// Who knows the web framework: the doors, and the one place where the server is put together.
const KNOW_ACTIX: &[&str] = &["http", "push", "startup"];
const MAX_LINES: usize = 400;

/// A source file of one of the modules.
struct Source {
    path: PathBuf,
    module: String,
    /// How many `super`s lead from the file's own module to the crate.
    depth: usize,
    tokens: TokenStream,
}

fn all_files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn source_files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    all_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.len() > 50, "there are sources: {found:?}");
    found
}

/// All sources but `lib.rs` and `main.rs`, which stand above the house.
fn sources() -> Vec<Source> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let in_house = source_files()
        .into_iter()
        .map(|path| path.strip_prefix(&src).unwrap().to_owned());
    in_house
        .filter(|path| !["lib.rs", "main.rs"].contains(&path.to_str().unwrap()))
        .map(|path| {
            let words: Vec<_> = path
                .with_extension("")
                .iter()
                .map(|word| word.to_str().unwrap().to_owned())
                .collect();
            let tokens = fs::read_to_string(src.join(&path)).unwrap().parse().unwrap();
            Source {
                path,
                module: words[0].clone(),
                depth: words.len(),
                tokens,
            }
        })
        .collect()
}

fn floor_of(module: &str) -> usize {
    let floor = FLOORS.iter().position(|floor| floor.contains(&module));
    floor.unwrap_or_else(|| panic!("the module {module} has no floor in the house; see docs/architecture.md"))
}

/// What stands behind `root::` anywhere in the tokens: the first names of paths and of nested `use` trees.
fn names_behind(root: &str, tokens: &TokenStream) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let tokens: Vec<_> = tokens.clone().into_iter().collect();
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) => names.extend(names_behind(root, &group.stream())),
            TokenTree::Ident(word) if word == root && is_path_separator(&tokens[at + 1..]) => {
                collect_first_names(&tokens[at + 3..], &mut names);
            }
            _ => {}
        }
    }
    names
}

fn is_path_separator(tokens: &[TokenTree]) -> bool {
    let is_colon = |token: Option<&TokenTree>| matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == ':');
    is_colon(tokens.first()) && is_colon(tokens.get(1))
}

fn collect_first_names(tokens: &[TokenTree], names: &mut BTreeSet<String>) {
    match tokens.first() {
        Some(TokenTree::Ident(word)) => {
            names.insert(word.to_string());
        }
        Some(TokenTree::Punct(star)) if star.as_char() == '*' => {
            names.insert("*".to_owned());
        }
        Some(TokenTree::Group(tree)) if tree.delimiter() == Delimiter::Brace => {
            let tree: Vec<_> = tree.stream().into_iter().collect();
            let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ',');
            for branch in tree.split(is_comma) {
                collect_first_names(branch, names);
            }
        }
        _ => {}
    }
}

/// The names that `super::super::…` reaches in the crate itself from a module of that depth, inner modules included.
fn names_above(depth: usize, tokens: &TokenStream) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let tokens: Vec<_> = tokens.clone().into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        let opens_module = at >= 2 && matches!(&tokens[at - 2], TokenTree::Ident(word) if word == "mod");
        match &tokens[at] {
            TokenTree::Group(group) => names.extend(names_above(depth + usize::from(opens_module), &group.stream())),
            TokenTree::Ident(word) if word == "super" => {
                let mut steps = 0;
                while matches!(tokens.get(at), Some(TokenTree::Ident(word)) if word == "super") {
                    steps += 1;
                    at += 3; // the word and its two colons
                }
                if steps >= depth {
                    collect_first_names(&tokens[at.min(tokens.len())..], &mut names);
                }
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    names
}

fn mentions(tokens: &TokenStream, is_meant: &impl Fn(&str) -> bool) -> bool {
    tokens.clone().into_iter().any(|token| match token {
        TokenTree::Group(group) => mentions(&group.stream(), is_meant),
        TokenTree::Ident(word) => is_meant(&word.to_string()),
        _ => false,
    })
}

#[test]
fn imports_point_downwards_only() {
    let mut seen = 0;
    for source in sources() {
        let mut names = names_behind("crate", &source.tokens);
        names.extend(names_above(source.depth, &source.tokens));
        for name in names.into_iter().filter(|name| *name != source.module) {
            assert!(
                floor_of(&source.module) < floor_of(&name),
                "src/{} imports {name}, which is not below {}",
                source.path.display(),
                source.module
            );
            seen += 1;
        }
    }
    assert!(seen > 50, "the imports were found: {seen}");
}

#[test]
fn only_the_database_module_has_sql() {
    for source in sources().iter().filter(|source| source.module != "db") {
        let names = names_behind("sqlx", &source.tokens);
        let sql = names
            .iter()
            .find(|name| name.starts_with("query") || *name == "raw_sql" || *name == "*");
        assert_eq!(
            sql,
            None,
            "src/{} has SQL; it belongs into src/db",
            source.path.display()
        );
    }
}

#[test]
fn only_the_doors_know_the_web_framework() {
    for source in sources().iter().filter(|source| !KNOW_ACTIX.contains(&&*source.module)) {
        let knows = mentions(&source.tokens, &|word| word.starts_with("actix"));
        assert!(!knows, "src/{} mentions actix", source.path.display());
    }
}

#[test]
fn the_domain_knows_neither_time_of_day_nor_async_nor_the_database() {
    for source in sources().iter().filter(|source| source.module == "domain") {
        let knows = mentions(&source.tokens, &|word| {
            ["async", "await", "tokio", "sqlx", "Instant", "SystemTime"].contains(&word)
        });
        assert!(!knows, "src/{} is not pure", source.path.display());
    }
}

#[test]
fn no_source_file_is_longer_than_a_person_reads_at_once() {
    for path in source_files() {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        assert!(
            lines <= MAX_LINES,
            "{} has {lines} lines; split it by topic",
            path.display()
        );
    }
}
